"""What the audit record keeps of a request to /v2/: the API operation it counts as, and that operation's parameters.

CloudTrail shows pushes and pulls of ECR as these operations (docs/development/ecr-behavior.md §14).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from moorage.api.oci import errors, routes
from moorage.api.oci.request import OciRequest
from moorage.audit.event import AuditEvent, RequestOrigin
from moorage.cache import measured
from moorage.errors import MoorageError, ServerFault
from moorage.names import RepositoryRef

SOURCE: Final = "ecr.amazonaws.com"
_LONGEST: Final = 512
"""Characters of each part of the request that are kept."""
_ORIGINS: Final[Mapping[str, RequestOrigin]] = {
    method: RequestOrigin(plane="v2", method=method) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
}
"""The event of each operation and method. One object for each, because equal reads are recognized by identity."""


# The parameters of the API operations, used by the table of operations.


def nothing(_argument: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {}


def image(reference: str, query: Mapping[str, str]) -> dict[str, Any]:
    return {"imageIds": [image_id(reference, query)]}


def image_id(reference: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {"imageDigest" if ":" in reference else "imageTag": reference}


def layer(digest: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {"layerDigest": digest}


def layers(digest: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {"layerDigests": [digest]}


def subject(digest: str, _query: Mapping[str, str]) -> dict[str, Any]:
    return {"subjectId": {"imageDigest": digest}}


def begun(_argument: str, query: Mapping[str, str]) -> dict[str, Any]:
    asked = {name: query[name][:_LONGEST] for name in ("mount", "from") if name in query}
    return asked if "mount" in query or "digest" not in query else {"layerDigests": [query["digest"][:_LONGEST]]}


def upload(argument: str, query: Mapping[str, str]) -> dict[str, Any]:
    digests = {"layerDigests": [query["digest"][:_LONGEST]]} if "digest" in query else {}
    return {"uploadId": argument, **digests}


def event(request: OciRequest, error: MoorageError | None, profile: str) -> AuditEvent | None:
    """Return the event of a request; None if the API has no such operation (the ping of `docker login`)."""
    route, method = request.route, request.scope["method"]
    told = request.operation.event_of(request)
    if told is None:
        return None
    argument = route.argument[:_LONGEST]
    if request.pushed_tags:
        members = {**told.members(argument, {}), "imageTags": request.pushed_tags}
        asked = _encode(request.repository, members)
    elif route.kind == routes.UPLOADS:
        asked = _encode(request.repository, told.members(argument, request.query))
    else:
        asked = _parameters(request.repository, told.members, argument)
    return AuditEvent(
        id=getattr(error, "decision_id", ""),
        source=SOURCE,
        name=told.name,
        region=request.connection.region if request.repository is None else request.repository.region,
        caller=request.caller,
        connection=request.connection,
        read_only=request.operation.read_only,
        request=asked,
        response=request.responded,
        error_code=None if error is None else _code(error, profile),
        error_message=None if error is None else error.message,
        origin=_ORIGINS[method],
    )


@lru_cache(maxsize=4096)
def _parameters(
    ref: RepositoryRef | None, members: Callable[[str, Mapping[str, str]], dict[str, Any]], argument: str
) -> bytes:
    """Return the parameters as JSON, encoded once for the many pulls of one image."""
    return _encode(ref, members(argument, {}))


measured("event_parameters", _parameters, 2_000)


def _encode(ref: RepositoryRef | None, members: dict[str, Any]) -> bytes:
    whose = {} if ref is None else {"registryId": ref.account, "repositoryName": ref.name}
    return msgspec.json.encode({**whose, **members})


def _code(error: MoorageError, profile: str) -> str:
    """Return the API's name of the error, or that of /v2/ if the API has none."""
    if error.code != MoorageError.code or isinstance(error, ServerFault):
        return error.code
    return errors.shape(error, profile).code


def put_image(ref: RepositoryRef, digest: str, tags: Sequence[str]) -> bytes:
    """Return responseElements of PutImage, without the manifest. Several tags are `imageTags`, one is `imageTag`."""
    image_id: dict[str, Any] = {"imageDigest": digest}
    if len(tags) == 1:
        image_id["imageTag"] = tags[0]
    elif tags:
        image_id["imageTags"] = tags
    return msgspec.json.encode({"image": {"registryId": ref.account, "repositoryName": ref.name, "imageId": image_id}})
