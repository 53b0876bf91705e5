"""Errors as bytes: JSON 1.1 (`__type` and message) for ECR, XML for the Query services."""

from collections.abc import Mapping

import msgspec

from moorage.api.aws import xml
from moorage.errors import (
    AccessDenied,
    ExpiredToken,
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    MoorageError,
    QueryError,
    RequestTooLarge,
    Serialization,
    ServerFault,
    Throttling,
    UnknownOperation,
    UnrecognizedClient,
)

JSON = b"application/x-amz-json-1.1"
XML = b"text/xml"

_QUALIFIED = (UnknownOperation, Serialization)
"""Errors that the front end of the protocol raises: their type is qualified and their message key capitalized
(docs/development/ecr-behavior.md §15)."""

_QUERY: Mapping[type[MoorageError], tuple[str, int]] = {
    AccessDenied: ("AccessDenied", 403),
    ExpiredToken: ("ExpiredToken", 403),
    IncompleteSignature: ("IncompleteSignature", 400),
    InvalidSignature: ("SignatureDoesNotMatch", 403),
    MissingAuthenticationToken: ("MissingAuthenticationToken", 403),
    RequestTooLarge: ("RequestEntityTooLarge", 413),
    Throttling: ("Throttling", 400),
    UnknownOperation: ("InvalidAction", 400),
    UnrecognizedClient: ("InvalidClientTokenId", 403),
    ServerFault: ("InternalFailure", 500),
}
"""The names of the same errors in IAM and STS (docs/development/policy-engine.md §7.2)."""


def json_body(error: MoorageError) -> bytes:
    """Return `{"__type": …, "message": …}` with the further members of the error."""
    body: dict[str, object]
    if isinstance(error, _QUALIFIED):
        body = {"__type": f"com.amazon.coral.service#{error.code}"}
        if error.message:
            body["Message"] = error.message
    else:
        body = {"__type": error.code, "message": error.message, **error.members()}
    return msgspec.json.encode(body)


def query_code(error: MoorageError) -> tuple[str, int]:
    """Return the code and status of an error of a Query service."""
    if isinstance(error, QueryError):
        return error.code, error.status
    return next(
        (_QUERY[each] for each in type(error).__mro__ if each in _QUERY),
        (error.code.removesuffix("Exception"), error.status),
    )


def query_body(error: MoorageError, xmlns: str, request_id: str) -> tuple[int, bytes]:
    """Return the status and document of an error of a Query service."""
    code, status = query_code(error)
    return status, xml.error_document(xmlns, code, error.message, status, request_id)
