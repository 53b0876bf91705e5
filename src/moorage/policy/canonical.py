"""The text in which ECR gives a policy back: its order of keys, printed as Jackson's default pretty printer does.

Two spaces per object, ` : ` around the colon, arrays on one line as `[ a, b ]`, `\\n` line ends, none at the end
(policy-engine.md §1.4).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

Json = Mapping[str, "Json"] | Sequence["Json"] | str | bool | None
"""A parsed document. Numbers are kept as `Number`, the text they were written in."""


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


ELEMENTS: Final = ("Version", "Id", "Statement")
STATEMENT_ELEMENTS: Final = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)

_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical_text(document: Mapping[str, Json]) -> str:
    """The document's text, elements in ECR's order."""
    ordered = _in_order(document, ELEMENTS)
    statements = ordered["Statement"]
    if isinstance(statements, Mapping):
        ordered["Statement"] = _in_order(statements, STATEMENT_ELEMENTS)
    elif isinstance(statements, Sequence):
        ordered["Statement"] = [
            _in_order(statement, STATEMENT_ELEMENTS) for statement in statements if isinstance(statement, Mapping)
        ]
    return _text(ordered, "\n")


def _in_order(element: Mapping[str, Json], order: Sequence[str]) -> dict[str, Json]:
    return {name: element[name] for name in order if name in element}


def _text(value: Json, line: str) -> str:
    """`line`: a line break and the indent of the object this value stands in."""
    if type(value) is str:  # as most are
        return _string(value)
    if isinstance(value, str):
        return str(value) if isinstance(value, Number) else _string(value)
    if isinstance(value, dict):
        inner = line + "  "
        members = ",".join(f"{inner}{_string(key)} : {_text(member, inner)}" for key, member in value.items())
        return f"{{{members}{line}}}" if members else "{ }"
    if isinstance(value, list):
        return f"[ {', '.join(_text(item, line) for item in value)} ]" if value else "[ ]"
    return "null" if value is None else "true" if value else "false"


def _string(text: str) -> str:
    return f'"{text}"' if _ESCAPED.search(text) is None else f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04X}"
