"""Decodes JSON 1.1 bodies into typed requests, and reports what is wrong with invalid ones.

A valid body is decoded in one call, because the request type carries the constraints of the model. Only if that fails
is the body read again to report the problem as AWS does: a wrong type first (SerializationException), then violated
constraints, in the order of the model and in the form of the operation's family (docs/development/ecr-behavior.md
§3.1).
"""

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from moorage.errors import InvalidParameter, MoorageError, Serialization, ValidationFailed

T = TypeVar("T")


_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}
"""Decoders by request type: creating one costs far more than using it."""


class Violation(NamedTuple):
    """A constraint that a member violates."""

    path: str
    """`tags.2.member.key`: list positions start at 1."""
    kind: Literal["null", "min_length", "max_length", "ge", "le", "pattern", "enum", "keys", "values"]
    limit: str
    """The bound, the pattern, the values of the enumeration, or the constraint on the keys or values of a map."""
    value: str


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


def decode(
    request: type[T],
    body: bytes,
    *,
    joins_all: bool = False,
    joined: type[MoorageError] = ValidationFailed,
    wording: Callable[[Violation], str] = constraint,
) -> T:
    """Decode `body` as a `request`. An empty body is `{}`; unknown members and nulls count as absent, as in AWS.

    Raises Serialization, or InvalidParameter for the first violation; with `joins_all`, one `joined` error for all.
    """
    try:
        return _decoder(request).decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(request, body, joined if joins_all else None, wording, error) from None


def _decoder(request: type[T]) -> msgspec.json.Decoder[T]:
    decoder: msgspec.json.Decoder[T] | None = _DECODERS.get(request)
    if decoder is None:
        decoder = _DECODERS[request] = msgspec.json.Decoder(request)
    return decoder


@functools.cache
def _described(request: type) -> inspect.Type:
    return inspect.type_info(request)


def _fault(
    request: type,
    body: bytes,
    joined: type[MoorageError] | None,
    wording: Callable[[Violation], str],
    error: Exception,
) -> MoorageError:
    try:
        raw = msgspec.json.decode(body or b"{}")
        if raw is None:
            return Serialization("Unexpected token: null where a structure was expected")
        described = _described(request)
        mistyped = next(_mistyped(described, raw), None)
        if mistyped is not None:
            return Serialization(mistyped)
        violations = list(_violations(described, raw, ""))
    except msgspec.DecodeError as malformed:
        return Serialization(f"Unexpected token: {malformed}")
    except (UnicodeDecodeError, RecursionError):
        return Serialization("Unexpected token: the body is not well-formed JSON")
    if not violations:
        return Serialization(str(error))
    if joined is not None:
        return joined(_all_of(violations))
    return InvalidParameter.at(violations[0].path, wording(violations[0]))


def _all_of(violations: Sequence[Violation]) -> str:
    each = (f"Value {v.value} at '{v.path}' failed to satisfy constraint: {constraint(v)}" for v in violations)
    plural = "" if len(violations) == 1 else "s"
    return f"{len(violations)} validation error{plural} detected: {'; '.join(each)}"


def _bare(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """Return the type without `| None`, and the `extra` of its constraint."""
    if isinstance(kind, inspect.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return kind.type, kind.extra or {}
    return kind, {}


def _mistyped(kind: inspect.Type, value: Any) -> Iterator[str]:
    """Return what is wrong with the JSON types of `value`, in the words of AWS's deserializer."""
    kind, _ = _bare(kind)
    if value is None:
        return
    match kind:
        case inspect.StructType(fields=fields):
            if not isinstance(value, dict):
                yield _not_expected(value, "Structure")
                return
            for field in fields:
                yield from _mistyped(field.type, value.get(field.encode_name))
        case inspect.DictType(value_type=inner):
            if not isinstance(value, dict):
                yield _not_expected(value, "Map")
                return
            for each in value.values():
                if each is None:
                    yield "Null value found where not expected."
                yield from _mistyped(inner, each)
        case inspect.ListType(item_type=inner):
            if not isinstance(value, list):
                yield _not_expected(value, "List")
                return
            for each in value:
                if each is None:
                    yield "Null value found where not expected."
                yield from _mistyped(inner, each)
        case inspect.StrType() if not isinstance(value, str):
            yield _not_expected(value, "String")
        case inspect.BytesType():
            if not isinstance(value, str):
                yield _not_expected(value, "Blob")
            elif _blob_length(value) is None:
                yield "Invalid base64 encoded value"
        case inspect.BoolType() if not isinstance(value, bool):
            yield _not_expected(value, "Boolean")
        case inspect.IntType() if isinstance(value, bool) or not isinstance(value, int):
            if not (isinstance(value, float) and value.is_integer()):
                yield _not_expected(value, "Integer")
        case inspect.FloatType() if isinstance(value, bool) or not isinstance(value, int | float):
            yield _not_expected(value, "Float")
        case _:
            return


def _not_expected(value: Any, wanted: str) -> str:
    match value:
        case dict():
            return "Start of structure or map found where not expected."
        case list():
            return "Start of list found where not expected."
        case bool():
            found = "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            found = "STRING_VALUE"
        case _:
            found = "NUMBER_VALUE"
    article = "an" if wanted[0] in "AEIOU" else "a"
    return f"{found} can not be converted to {article} {wanted}"


def _violations(kind: inspect.Type, value: Any, path: str) -> Iterator[Violation]:
    """Yield the violated constraints within `value`, in the order of the model. Its types are valid."""
    kind, extra = _bare(kind)
    match kind:
        case inspect.StructType(fields=fields):
            for field in fields:
                name = field.encode_name[:1].lower() + field.encode_name[1:]
                inner_path = f"{path}.{name}" if path else name
                member = value.get(field.encode_name)
                if member is not None:
                    yield from _violations(field.type, member, inner_path)
                elif field.required:
                    yield Violation(inner_path, "null", "", "null")
        case inspect.ListType():
            shown = f"'[{', '.join(map(str, value))}]'"
            yield from _length(path, len(value), kind.min_length, kind.max_length, shown)
            for position, each in enumerate(value, 1):
                yield from _violations(kind.item_type, each, f"{path}.{position}.member")
        case inspect.DictType():
            shown = f"'{{{', '.join(f'{key}={each}' for key, each in value.items())}}}'"
            yield from _length(path, len(value), kind.min_length, kind.max_length, shown)
            if any(next(_violations(kind.key_type, each, path), None) for each in value):
                yield Violation(path, "keys", ", ".join(_constraints_of(kind.key_type)), shown)
            if any(next(_violations(kind.value_type, each, path), None) for each in value.values()):
                yield Violation(path, "values", ", ".join(_constraints_of(kind.value_type)), shown)
        case inspect.BytesType():
            yield from _length(path, _blob_length(value) or 0, kind.min_length, kind.max_length, "'(blob)'")
        case inspect.StrType():
            yield from _length(path, len(value), kind.min_length, kind.max_length, f"'{value}'")
            too_long = kind.max_length is not None and len(value) > kind.max_length
            if kind.pattern is not None and not too_long and re.search(kind.pattern, value) is None:
                if "enum" in extra:
                    yield Violation(path, "enum", ", ".join(extra["enum"]), f"'{value}'")
                else:
                    yield Violation(path, "pattern", extra.get("pattern", kind.pattern), f"'{value}'")
        case inspect.IntType():
            if kind.ge is not None and value < kind.ge:
                yield Violation(path, "ge", str(kind.ge), f"'{value}'")
            if kind.le is not None and value > kind.le:
                yield Violation(path, "le", str(kind.le), f"'{value}'")
        case _:
            return


def _constraints_of(kind: inspect.Type) -> Iterator[str]:
    """Return every constraint of a text, as AWS lists those of the keys and values of a map."""
    kind, extra = _bare(kind)
    if isinstance(kind, inspect.StrType):
        if kind.max_length is not None:
            yield f"Member must have length less than or equal to {kind.max_length}"
        if kind.min_length is not None:
            yield f"Member must have length greater than or equal to {kind.min_length}"
        if "pattern" in extra:
            yield f"Member must satisfy regular expression pattern: {extra['pattern']}"


def _length(path: str, length: int, low: int | None, high: int | None, shown: str) -> Iterator[Violation]:
    if low is not None and length < low:
        yield Violation(path, "min_length", str(low), shown)
    if high is not None and length > high:
        yield Violation(path, "max_length", str(high), shown)


def _blob_length(text: str) -> int | None:
    """Return how many bytes the base64 `text` encodes; None if it is not base64."""
    try:
        return len(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return None
