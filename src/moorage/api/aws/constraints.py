"""The constraints of a service model, which request types carry, and how AWS words those that are violated."""

import base64
import binascii
import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import inspect


class Violation(NamedTuple):
    """A constraint that a member violates."""

    path: str
    """`tags.2.member.key`: list positions start at 1."""
    kind: Literal["null", "min_length", "max_length", "ge", "le", "pattern", "enum", "keys", "values"]
    limit: str
    """The bound, the pattern, the values of the enumeration, or the constraint on the keys or values of a map."""
    value: str
    """The value in quotation marks, or `null`; empty for a sensitive member, whose value is not repeated."""


def constraint(violation: Violation) -> str:
    """Return the text of a violated constraint as the model layer words it."""
    match violation.kind:
        case "null":
            return "Member must not be null"
        case "min_length":
            return f"Member must have length greater than or equal to {violation.limit}"
        case "max_length":
            return f"Member must have length less than or equal to {violation.limit}"
        case "ge":
            return f"Member must have value greater than or equal to {violation.limit}"
        case "le":
            return f"Member must have value less than or equal to {violation.limit}"
        case "pattern":
            return f"Member must satisfy regular expression pattern: {violation.limit}"
        case "enum":
            return f"Member must satisfy enum value set: [{violation.limit}]"
        case "keys":
            return f"Map keys must satisfy constraint: [{violation.limit}]"
        case "values":
            return f"Map value must satisfy constraint: [{violation.limit}]"


def violations(request: type, members: Any) -> list[Violation]:
    """Return the violated constraints of a request, in the order of the model.

    `members` is what its body holds, as JSON or a form was read. Its types must be those that `request` has.
    """
    return list(_violations(described(request), members, ""))


def all_of(violations: Sequence[Violation]) -> str:
    """Return the text that names every violated constraint."""
    each = (f"{_named(one)} failed to satisfy constraint: {constraint(one)}" for one in violations)
    plural = "" if len(violations) == 1 else "s"
    return f"{len(violations)} validation error{plural} detected: {'; '.join(each)}"


def _named(violation: Violation) -> str:
    return f"Value {violation.value} at '{violation.path}'" if violation.value else f"Value at '{violation.path}'"


@functools.cache
def described(request: type) -> inspect.Type:
    """Return msgspec's description of a request type."""
    return inspect.type_info(request)


def bare(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """Return the type without `| None`, and the `extra` of its constraint."""
    if isinstance(kind, inspect.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return kind.type, kind.extra or {}
    return kind, {}


def _violations(kind: inspect.Type, value: Any, path: str) -> Iterator[Violation]:
    """Yield the violated constraints within `value`, in the order of the model. Its types are valid."""
    kind, extra = bare(kind)
    is_sensitive = "sensitive" in extra
    match kind:
        case inspect.StructType(fields=fields):
            for field in fields:
                inner_path = f"{path}.{_member(field)}" if path else _member(field)
                member = value.get(field.encode_name)
                if member is not None:
                    yield from _violations(field.type, member, inner_path)
                elif field.required:
                    yield Violation(inner_path, "null", "", "null")
        case inspect.ListType():
            text = "" if is_sensitive else f"'{_as_text(kind, value)}'"
            yield from _length(path, len(value), kind.min_length, kind.max_length, text)
            for position, each in enumerate(value, 1):
                yield from _violations(kind.item_type, each, f"{path}.{position}.member")
        case inspect.DictType():
            text = f"'{_as_text(kind, value)}'"
            yield from _length(path, len(value), kind.min_length, kind.max_length, text)
            if any(next(_violations(kind.key_type, each, path), None) for each in value):
                yield Violation(path, "keys", ", ".join(_constraints_of(kind.key_type)), text)
            if any(next(_violations(kind.value_type, each, path), None) for each in value.values()):
                yield Violation(path, "values", ", ".join(_constraints_of(kind.value_type)), text)
        case inspect.BytesType():
            yield from _length(path, blob_length(value) or 0, kind.min_length, kind.max_length, "'(blob)'")
        case inspect.StrType():
            text = "" if is_sensitive else f"'{value}'"
            yield from _length(path, len(value), kind.min_length, kind.max_length, text)
            too_long = kind.max_length is not None and len(value) > kind.max_length
            if kind.pattern is not None and not too_long and re.search(kind.pattern, value) is None:
                if "enum" in extra:
                    yield Violation(path, "enum", ", ".join(extra["enum"]), text)
                else:
                    yield Violation(path, "pattern", extra.get("pattern", kind.pattern), text)
        case inspect.IntType():
            if kind.ge is not None and value < kind.ge:
                yield Violation(path, "ge", str(kind.ge), f"'{value}'")
            if kind.le is not None and value > kind.le:
                yield Violation(path, "le", str(kind.le), f"'{value}'")
        case _:
            return


def _constraints_of(kind: inspect.Type) -> Iterator[str]:
    """Return every constraint of a text, as AWS lists those of the keys and values of a map."""
    kind, extra = bare(kind)
    if isinstance(kind, inspect.StrType):
        if kind.max_length is not None:
            yield f"Member must have length less than or equal to {kind.max_length}"
        if kind.min_length is not None:
            yield f"Member must have length greater than or equal to {kind.min_length}"
        if "pattern" in extra:
            yield f"Member must satisfy regular expression pattern: {extra['pattern']}"


def _as_text(kind: inspect.Type, value: Any) -> str:
    """Return a value as AWS's messages have it: `[a, b]` for lists, `{key=value}` for structures and maps."""
    kind, extra = bare(kind)
    if "sensitive" in extra:
        return "***Sensitive Data Redacted***"
    match kind:
        case inspect.ListType():
            return f"[{', '.join(_as_text(kind.item_type, each) for each in value)}]"
        case inspect.DictType():
            return f"{{{', '.join(f'{key}={_as_text(kind.value_type, each)}' for key, each in value.items())}}}"
        case inspect.StructType(fields=fields):
            given = [
                (_member(each), each.type, value[each.encode_name]) for each in fields if each.encode_name in value
            ]
            return f"{{{', '.join(f'{name}={_as_text(inner, each)}' for name, inner, each in given)}}}"
    return str(value)


def _member(field: inspect.Field) -> str:
    """Return the name of a member as AWS's messages have it."""
    return field.encode_name[:1].lower() + field.encode_name[1:]


def _length(path: str, length: int, low: int | None, high: int | None, text: str) -> Iterator[Violation]:
    if low is not None and length < low:
        yield Violation(path, "min_length", str(low), text)
    if high is not None and length > high:
        yield Violation(path, "max_length", str(high), text)


def blob_length(text: str) -> int | None:
    """Return how many bytes the base64 `text` encodes; None if it is not base64."""
    try:
        return len(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return None
