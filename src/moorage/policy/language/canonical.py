"""The text in which ECR returns a policy: its order of keys, in the format of Jackson's default pretty printer.

Two spaces for each nested object, ` : ` around the colon, arrays on one line as `[ a, b ]`, `\\n` line ends, none at
the end (docs/development/policy-engine.md §1.4).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moorage.policy.language.template import Template

Json = Mapping[str, "Json"] | Sequence["Json"] | str | bool | None
"""A parsed document. Numbers are kept as `Number`, the text that they were written in."""


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Number({super().__repr__()})"


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

_BEFORE_PRINCIPAL: Final = STATEMENT_ELEMENTS[:2]
_PRINCIPAL: Final = STATEMENT_ELEMENTS[2:4]
_AFTER_PRINCIPAL: Final = STATEMENT_ELEMENTS[4:]
_INNER: Final = "\n  "
"""A line break and the indentation of the document's members, and of the end of a statement."""
_MEMBER: Final = "\n    "
"""A line break and the indentation of a statement's members."""
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical_text(
    document: Mapping[str, Json], named: Callable[[str], str] = str, templates: "Sequence[Template | None]" = ()
) -> str:
    """Return the text of the document, with its elements in ECR's order.

    `named`: replacements for texts under `AWS`; a bare `"Principal": "*"` stays as it is. `templates`: the templates of
    the statements that have one.
    """
    ordered = _in_order(document, ELEMENTS)
    statements = ordered.pop("Statement")
    members = [f'"{name}" : {_text(value, _INNER)}' for name, value in ordered.items()]
    each = statements if isinstance(statements, list) else [statements]
    texts = [
        _statement(statement, named, template)
        for statement, template in zip_longest(each, templates)
        if isinstance(statement, dict)
    ]
    text = texts[0] if each is not statements else f"[ {', '.join(texts)} ]" if texts else "[ ]"
    members.append(f'"Statement" : {text}')
    return f"{{{_INNER}{f',{_INNER}'.join(members)}\n}}"


def _statement(statement: Mapping[str, Json], named: Callable[[str], str], template: "Template | None") -> str:
    """Return the text of a statement. The parts that do not name principals are written once for each template."""
    principals = {name: _renamed(statement[name], named) for name in _PRINCIPAL if name in statement}
    if template is None:
        return _text(_in_order({**statement, **principals}, STATEMENT_ELEMENTS), _INNER)
    if template.canonical is None:
        template.canonical = _members(statement, _BEFORE_PRINCIPAL), _members(statement, _AFTER_PRINCIPAL)
    before, after = template.canonical
    return f"{{{before},{_members(principals, _PRINCIPAL)},{after}{_INNER}}}"


def _renamed(principal: Json, named: Callable[[str], str]) -> Json:
    if not isinstance(principal, dict) or "AWS" not in principal:
        return principal
    entries = principal["AWS"]
    return {**principal, "AWS": [named(each) for each in entries] if isinstance(entries, list) else named(entries)}


def _members(statement: Mapping[str, Json], names: Sequence[str]) -> str:
    return ",".join([f'{_MEMBER}"{name}" : {_text(statement[name], _MEMBER)}' for name in names if name in statement])


def _in_order(element: Mapping[str, Json], order: Sequence[str]) -> dict[str, Json]:
    return {name: element[name] for name in order if name in element}


def _text(value: Json, line: str) -> str:
    """Return the text of a value. `line`: a line break and the indentation of the object that contains it."""
    if type(value) is str:  # most values are texts
        return _string(value)
    if isinstance(value, str):
        return str(value) if isinstance(value, Number) else _string(value)
    if isinstance(value, dict):
        inner = line + "  "
        members = ",".join([f"{inner}{_string(key)} : {_text(member, inner)}" for key, member in value.items()])
        return f"{{{members}{line}}}" if members else "{ }"
    if isinstance(value, list):
        return f"[ {', '.join([_text(item, line) for item in value])} ]" if value else "[ ]"
    return "null" if value is None else "true" if value else "false"


def _string(text: str) -> str:
    return f'"{text}"' if _ESCAPED.search(text) is None else f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or f"\\u{ord(character):04X}"
