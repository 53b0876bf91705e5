"""What a request to /v2/ is in the audit record: the API operation it stands for, and that operation's parameters.

ECR's own CloudTrail shows pushes and pulls as these operations (ecr-behaviour.md §14).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from moorage.access.audit import Event
from moorage.api.oci import errors, routes
from moorage.api.oci.exchange import Exchange
from moorage.errors import MoorageError, ServerFault
from moorage.names import RepositoryRef

SOURCE: Final = "ecr.amazonaws.com"
_LONGEST: Final = 512
"""Characters of one part of the request that are kept."""
_PLANE: Final[Mapping[str, dict[str, Any]]] = {
    method: {"plane": "v2", "method": method} for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
}
"""Made once a method, as equal reads are told by it."""


class _Operation(NamedTuple):
    name: str
    members: Callable[[str, Mapping[str, str]], dict[str, Any]]
    """The operation's own parameters, of the path's last part and the query."""
    read_only: bool = False


def _image(reference: str, query: Mapping[str, str]) -> dict[str, Any]:
    return {"imageIds": [_image_id(reference)]}


def _image_id(reference: str) -> dict[str, str]:
    return {"imageDigest" if ":" in reference else "imageTag": reference}


def _begun(argument: str, query: Mapping[str, str]) -> dict[str, Any]:
    asked = {name: query[name][:_LONGEST] for name in ("mount", "from") if name in query}
    return asked if "mount" in query or "digest" not in query else {"layerDigests": [query["digest"][:_LONGEST]]}


def _of_upload(argument: str, query: Mapping[str, str]) -> dict[str, Any]:
    digests = {"layerDigests": [query["digest"][:_LONGEST]]} if "digest" in query else {}
    return {"uploadId": argument, **digests}


_UPLOAD = "UploadLayerPart"
_COMPLETE = "CompleteLayerUpload"
_OPERATIONS: Final[Mapping[tuple[str, str], _Operation]] = {
    ("manifests", "GET"): _Operation("BatchGetImage", _image, read_only=True),
    ("manifests", "HEAD"): _Operation("BatchGetImage", _image, read_only=True),
    ("manifests", "PUT"): _Operation("PutImage", lambda reference, query: _image_id(reference)),
    ("manifests", "DELETE"): _Operation("BatchDeleteImage", _image),
    ("blobs", "GET"): _Operation(
        "GetDownloadUrlForLayer", lambda digest, query: {"layerDigest": digest}, read_only=True
    ),
    ("blobs", "HEAD"): _Operation(
        "BatchCheckLayerAvailability", lambda digest, query: {"layerDigests": [digest]}, read_only=True
    ),
    ("blobs", "DELETE"): _Operation("BatchDeleteImage", lambda digest, query: {"layerDigests": [digest]}),
    ("uploads", "POST"): _Operation("InitiateLayerUpload", _begun),
    ("uploads", "PATCH"): _Operation(_UPLOAD, _of_upload),
    ("uploads", "GET"): _Operation(_UPLOAD, _of_upload, read_only=True),
    ("uploads", "PUT"): _Operation(_COMPLETE, _of_upload),
    ("uploads", "DELETE"): _Operation(_COMPLETE, _of_upload),
    ("tags", "GET"): _Operation("ListImages", lambda argument, query: {}, read_only=True),
    ("referrers", "GET"): _Operation(
        "ListImageReferrers", lambda digest, query: {"subjectId": {"imageDigest": digest}}, read_only=True
    ),
    ("catalog", "GET"): _Operation("DescribeRepositories", lambda argument, query: {}, read_only=True),
}
_AT_ONCE: Final = _Operation(_COMPLETE, _begun)
"""POST with `digest`: the whole layer in one request."""


def event(exchange: Exchange, error: MoorageError | None, profile: str) -> Event | None:
    """The event of a request; None where the API has no operation like it (the ping of `docker login`)."""
    route, method = exchange.route, exchange.scope["method"]
    operation = _OPERATIONS.get((route.kind, method))
    if operation is None:
        return None
    if route.kind == routes.UPLOADS:
        if method == "POST" and "digest" in exchange.query and "mount" not in exchange.query:
            operation = _AT_ONCE
        asked = _encode(exchange.repository, operation.members(route.argument[:_LONGEST], exchange.query))
    else:
        asked = _parameters(exchange.repository, route.kind, method, route.argument[:_LONGEST])
    return Event(
        id=getattr(error, "decision_id", ""),
        source=SOURCE,
        name=operation.name,
        region=exchange.connection.region if exchange.repository is None else exchange.repository.region,
        caller=exchange.caller,
        connection=exchange.connection,
        read_only=operation.read_only,
        request=asked,
        response=exchange.responded,
        error_code=None if error is None else _code(error, profile),
        error_message=None if error is None else error.message,
        more=_PLANE[method],
    )


@lru_cache(maxsize=8192)
def _parameters(ref: RepositoryRef | None, kind: str, method: str, argument: str) -> bytes:
    """Encoded once for the many pulls of one image."""
    return _encode(ref, _OPERATIONS[kind, method].members(argument, {}))


def _encode(ref: RepositoryRef | None, members: dict[str, Any]) -> bytes:
    whose = {} if ref is None else {"registryId": ref.account, "repositoryName": ref.name}
    return msgspec.json.encode({**whose, **members})


def _code(error: MoorageError, profile: str) -> str:
    """The API's name of the error, or the data plane's own where the API has none."""
    if error.code != MoorageError.code or isinstance(error, ServerFault):
        return error.code
    return errors.shape(error, profile).code


def put_image(ref: RepositoryRef, digest: str, tag: str | None) -> bytes:
    """responseElements of PutImage, without the manifest."""
    image_id = {"imageDigest": digest} if tag is None else {"imageDigest": digest, "imageTag": tag}
    return msgspec.json.encode({"image": {"registryId": ref.account, "repositoryName": ref.name, "imageId": image_id}})
