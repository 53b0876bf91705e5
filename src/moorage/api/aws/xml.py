"""XML documents of the Query protocol, for responses and errors (docs/development/policy-engine.md §8.1)."""

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec

_CONTROL: Final = {code: None for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in {0x09, 0x0A, 0x0D}}
"""Characters that XML 1.0 cannot carry. They are left out."""
_SPECIAL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f&<>\ufffe\uffff]")


def timestamp(seconds: float) -> datetime:
    """Return a time as responses have it: in UTC, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)


def namespace(service: str, version: str) -> str:
    """Return the XML namespace of a service."""
    return f"https://{service}.amazonaws.com/doc/{version}/"


def response_document(operation: str, xmlns: str, response: msgspec.Struct | None, request_id: str) -> bytes:
    """Return the document of a response. Operations without a result (DeleteUser) have None."""
    result = "" if response is None else f"<{operation}Result>{content(response)}</{operation}Result>"
    return (
        f'<{operation}Response xmlns="{xmlns}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ).encode()


def error_document(xmlns: str, code: str, message: str, status: int, request_id: str) -> bytes:
    """Return the document of an error."""
    kind = "Receiver" if status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{xmlns}"><Error><Type>{kind}</Type><Code>{_text(code)}</Code>'
        f"<Message>{_text(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def content(value: Any) -> str:
    """Return what the element of a value contains.

    A structure has an element for each member that is not None, a list one `<member>` an item, a map one `<entry>` a
    key. Timestamps are written as `2026-01-31T08:15:00Z`.
    """
    return _WRITERS.get(type(value), _structure)(value)


def _text(text: str) -> str:
    return text if _SPECIAL.search(text) is None else escape(text.translate(_CONTROL))


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _timestamp(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _list(items: list[Any]) -> str:
    return "".join([f"<member>{content(each)}</member>" for each in items])


def _map(entries: dict[str, Any]) -> str:
    return "".join(
        [f"<entry><key>{_text(key)}</key><value>{content(each)}</value></entry>" for key, each in entries.items()]
    )


def _structure(structure: msgspec.Struct) -> str:
    return "".join(
        [
            f"<{name}>{content(value)}</{name}>"
            for attribute, name in _members(type(structure))
            if (value := getattr(structure, attribute)) is not None
        ]
    )


@functools.cache
def _members(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Return the attributes of a structure and the names of their elements. TypeError for what is no structure."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: _text,
    bool: _boolean,
    int: str,
    datetime: _timestamp,
    list: _list,
    dict: _map,
}
