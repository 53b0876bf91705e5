"""Decodes JSON 1.1 bodies into typed requests, and reports what is wrong with invalid ones.

A valid body is decoded in one call, because the request type carries the constraints of the model. Only if that fails
is the body read again to report the problem as AWS does: a wrong type first (SerializationException), then violated
constraints, in the order of the model and in the form of the operation's family (docs/development/ecr-behavior.md
§3.1).
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from moorage.api.aws.constraints import Violation, all_of, bare, blob_length, constraint, described, violations
from moorage.errors import InvalidParameter, MoorageError, Serialization, ValidationFailed

T = TypeVar("T")


_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}
"""Decoders by request type: creating one costs far more than using it."""


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
        mistyped = next(_mistyped(described(request), raw), None)
        if mistyped is not None:
            return Serialization(mistyped)
        violated = violations(request, raw)
    except msgspec.DecodeError as malformed:
        return Serialization(f"Unexpected token: {malformed}")
    except (UnicodeDecodeError, RecursionError):
        return Serialization("Unexpected token: the body is not well-formed JSON")
    if not violated:
        return Serialization(str(error))
    if joined is not None:
        return joined(all_of(violated))
    return InvalidParameter.at(violated[0].path, wording(violated[0]))


def _mistyped(kind: inspect.Type, value: Any) -> Iterator[str]:
    """Return what is wrong with the JSON types of `value`, in the words of AWS's deserializer."""
    kind, _ = bare(kind)
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
            elif blob_length(value) is None:
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
