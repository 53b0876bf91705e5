"""The AWS Query protocol of IAM and STS: form in, XML out (docs/development/policy-engine.md §8.1)."""

import re
from collections.abc import ItemsView, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moorage.errors import QueryError

Value: TypeAlias = "str | int | float | bool | Mapping[str, Value] | Sequence[Value] | None"
"""A list becomes `<member>` elements; None is left out; a bool is `true` or `false`."""


class Entries(dict[str, Value]):
    """A map as an answer's value: `<entry><key>…</key><value>…</value></entry>` for each member."""


class Markup(str):
    """A value that is XML already."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Value) -> "Markup":
        return cls(_content(value))


_CONTROL = {code: None for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in {0x09, 0x0A, 0x0D}}
"""Characters XML 1.0 cannot carry."""


class Parameters:
    """The form fields of one request. A missing required field, or one of the wrong form, is a ValidationError."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes, query_string: bytes = b"") -> "Parameters":
        """From the body and the query string; QueryError `MalformedQueryString` when they are no form."""
        try:
            pairs = parse_qsl(
                (query_string + b"&" + body).decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=1000,
            )
        except ValueError as error:
            raise QueryError("MalformedQueryString", "The request's form fields could not be read.") from error
        return cls(dict(pairs))

    def get(self, name: str) -> str | None:
        return self._fields.get(name)

    def items(self) -> ItemsView[str, str]:
        """Every field and its value, as sent."""
        return self._fields.items()

    def required(self, name: str) -> str:
        value = self._fields.get(name)
        if value is None:
            raise invalid(name, None, "Member must not be null")
        return value

    def integer(self, name: str) -> int | None:
        text = self._fields.get(name)
        if text is None:
            return None
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
            raise QueryError("MalformedInput", f"{text} is not a number")
        return int(text)

    def boolean(self, name: str) -> bool | None:
        text = self._fields.get(name)
        if text is None:
            return None
        if text.lower() not in {"true", "false"}:
            raise QueryError("MalformedInput", f"{text} is not a boolean")
        return text.lower() == "true"

    def structures(self, name: str) -> "list[Parameters]":
        """The structures `Name.member.1.…`, `Name.member.2.…`, … up to the first one missing."""
        numbered: dict[str, dict[str, str]] = {}
        prefix = f"{name}.member."
        for field, value in self._fields.items():
            if field.startswith(prefix):
                number, _, rest = field[len(prefix) :].partition(".")
                numbered.setdefault(number, {})[rest] = value
        found: list[Parameters] = []
        while (fields := numbered.get(str(len(found) + 1))) is not None:
            found.append(Parameters(fields))
        return found

    def structure(self, name: str) -> "Parameters | None":
        """The structure `Name.…`, or None when no field of it is there."""
        prefix = f"{name}."
        fields = {field[len(prefix) :]: value for field, value in self._fields.items() if field.startswith(prefix)}
        return Parameters(fields) if fields else None

    def members(self, name: str) -> list[str]:
        """The values of `Name.member.1`, `Name.member.2`, … up to the first one missing."""
        values: list[str] = []
        while (value := self._fields.get(f"{name}.member.{len(values) + 1}")) is not None:
            values.append(value)
        return values


def invalid(name: str, value: str | None, constraint: str) -> QueryError:
    """IAM's ValidationError for the form field `name`, e.g. constraint `Member must not be null`."""
    member = name[:1].lower() + name[1:]
    shown = "null" if value is None else f"'{value}'"
    return QueryError(
        "ValidationError",
        f"1 validation error detected: Value {shown} at '{member}' failed to satisfy constraint: {constraint}",
    )


def checked_number(name: str, values: Sequence[str], most: int) -> None:
    """Raise IAM's ValidationError for the list `name` if it has more than `most` members. `values`: what it shows."""
    if len(values) > most:
        raise invalid(name, f"[{', '.join(values)}]", f"Member must have length less than or equal to {most}")


def checked(name: str, value: str, pattern: re.Pattern[str], least: int, most: int) -> str:
    """`value`, if it has that form and between `least` and `most` characters; else IAM's ValidationError for `name`."""
    if len(value) < least:
        raise invalid(name, value, f"Member must have length greater than or equal to {least}")
    if len(value) > most:
        raise invalid(name, value, f"Member must have length less than or equal to {most}")
    if pattern.fullmatch(value) is None:
        raise invalid(name, value, f"Member must satisfy regular expression pattern: {pattern.pattern}")
    return value


def instant(seconds: float) -> str:
    """A time as the Query protocol writes it: `2026-01-31T08:15:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def namespace(service: str, version: str) -> str:
    return f"https://{service}.amazonaws.com/doc/{version}/"


def answer(operation: str, xmlns: str, result: Mapping[str, Value] | None, request_id: str) -> bytes:
    """The response document; operations without a result (DeleteUser) have None."""
    inner = "" if result is None else f"<{operation}Result>{_elements(result)}</{operation}Result>"
    return (
        f'<{operation}Response xmlns="{xmlns}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ).encode()


def error_answer(xmlns: str, code: str, message: str, status: int, request_id: str) -> bytes:
    """The error document."""
    kind = "Receiver" if status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{xmlns}"><Error><Type>{kind}</Type><Code>{_text(code)}</Code>'
        f"<Message>{_text(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _elements(members: Mapping[str, Value]) -> str:
    return "".join(f"<{name}>{_content(value)}</{name}>" for name, value in members.items() if value is not None)


def _content(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if isinstance(value, Markup) else _text(value)
    if isinstance(value, Entries):
        return "".join(
            f"<entry><key>{_text(key)}</key><value>{_content(each)}</value></entry>" for key, each in value.items()
        )
    if isinstance(value, Mapping):
        return _elements(value)
    if isinstance(value, Sequence):
        return "".join(f"<member>{_content(each)}</member>" for each in value)
    return str(value)


def _text(text: str) -> str:
    return escape(text.translate(_CONTROL))
