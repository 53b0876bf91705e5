"""The operations of /v2/ and the permissions they need, in one table.

Three decisions depend on stored data, and are made by rules of the registry that take an `Authorizer`: a mount needs
`ecr:GetDownloadUrlForLayer` on its source, a repository created on push needs `ecr:CreateRepository`, and the catalog
of profile `oci` shows the repositories that the caller may describe.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from moorage.access.resources import RegistryResource, Resource
from moorage.api.authorization import AUTHENTICATED, BY_STATE, Exempt
from moorage.api.oci import blobs, catalog, manifests, ping, recorded_request, referrers, tags, uploads
from moorage.api.oci.operation import ApiEvent, Operation
from moorage.api.oci.request import OciRequest
from moorage.api.oci.routes import BLOBS, CATALOG, MANIFESTS, PING, REFERRERS, TAGS, UPLOADS
from moorage.settings import Settings

_BEGIN: Final = "ecr:InitiateLayerUpload"
_PART: Final = "ecr:UploadLayerPart"
_COMPLETE: Final = "ecr:CompleteLayerUpload"
_BEGUN: Final = ApiEvent("InitiateLayerUpload", recorded_request.begun)
_COMPLETED_AT_ONCE: Final = ApiEvent("CompleteLayerUpload", recorded_request.begun)


def _catalog(request: OciRequest) -> tuple[str, ...] | Exempt:
    """Return the actions for the catalog. In profile `aws`, the caller must be allowed to describe all repositories of
    the registry."""
    return ("ecr:DescribeRepositories",) if request.services.aws else BY_STATE


def _whole_registry(request: OciRequest) -> Resource:
    location = request.services.locations.of_host(request.connection.host)
    return RegistryResource(location.account, location.region, all_repositories=True)


def _begin(request: OciRequest) -> tuple[str, ...]:
    """Return the actions of a POST: with `digest`, it is a whole upload in one request."""
    return (_BEGIN, _PART, _COMPLETE) if uploads.is_whole(request) else (_BEGIN,)


def _begin_event(request: OciRequest) -> ApiEvent:
    return _COMPLETED_AT_ONCE if uploads.is_whole(request) else _BEGUN


def _finish(request: OciRequest) -> tuple[str, ...]:
    """Return the actions of a PUT. A body adds a last part; the handler reads no other body."""
    return (_COMPLETE, _PART) if request.has_body else (_COMPLETE,)


def _manifest(settings: Settings) -> int:
    return settings.max_manifest_bytes


def _layer(settings: Settings) -> int:
    return settings.max_layer_bytes


_TABLE: Final = (
    Operation(PING, "GET", ping.get, AUTHENTICATED, None, read_only=True),
    Operation(PING, "HEAD", ping.get, AUTHENTICATED, None, read_only=True),
    Operation(
        CATALOG,
        "GET",
        catalog.get,
        _catalog,
        ApiEvent("DescribeRepositories", recorded_request.nothing),
        resource=_whole_registry,
        read_only=True,
    ),
    Operation(
        MANIFESTS,
        "GET",
        manifests.get,
        ("ecr:BatchGetImage",),
        ApiEvent("BatchGetImage", recorded_request.image),
        read_only=True,
    ),
    Operation(
        MANIFESTS,
        "HEAD",
        manifests.get,
        ("ecr:BatchGetImage",),
        ApiEvent("BatchGetImage", recorded_request.image),
        read_only=True,
    ),
    Operation(
        MANIFESTS,
        "PUT",
        manifests.put,
        ("ecr:PutImage",),
        ApiEvent("PutImage", recorded_request.image_id),
        body_limit=_manifest,
    ),
    Operation(
        MANIFESTS,
        "DELETE",
        manifests.delete,
        ("ecr:BatchDeleteImage",),
        ApiEvent("BatchDeleteImage", recorded_request.image),
    ),
    Operation(
        BLOBS,
        "GET",
        blobs.get,
        ("ecr:GetDownloadUrlForLayer",),
        ApiEvent("GetDownloadUrlForLayer", recorded_request.layer),
        read_only=True,
    ),
    Operation(
        BLOBS,
        "HEAD",
        blobs.head,
        ("ecr:BatchCheckLayerAvailability",),
        ApiEvent("BatchCheckLayerAvailability", recorded_request.layers),
        read_only=True,
    ),
    Operation(
        BLOBS, "DELETE", blobs.delete, ("ecr:BatchDeleteImage",), ApiEvent("BatchDeleteImage", recorded_request.layers)
    ),
    Operation(UPLOADS, "POST", uploads.begin, _begin, _begin_event, body_limit=_layer),
    Operation(
        UPLOADS,
        "PATCH",
        uploads.append,
        (_PART,),
        ApiEvent("UploadLayerPart", recorded_request.upload),
        body_limit=_layer,
    ),
    Operation(
        UPLOADS,
        "PUT",
        uploads.finish,
        _finish,
        ApiEvent("CompleteLayerUpload", recorded_request.upload),
        body_limit=_layer,
    ),
    Operation(
        UPLOADS, "GET", uploads.status, (_PART,), ApiEvent("UploadLayerPart", recorded_request.upload), read_only=True
    ),
    Operation(
        UPLOADS, "DELETE", uploads.cancel, (_COMPLETE,), ApiEvent("CompleteLayerUpload", recorded_request.upload)
    ),
    Operation(
        TAGS, "GET", tags.get, ("ecr:ListImages",), ApiEvent("ListImages", recorded_request.nothing), read_only=True
    ),
    Operation(
        REFERRERS,
        "GET",
        referrers.get,
        ("ecr:BatchGetImage",),
        ApiEvent("ListImageReferrers", recorded_request.subject),
        read_only=True,
    ),
)


def _by_route(*operations: Operation) -> Mapping[str, Mapping[str, Operation]]:
    table: dict[str, dict[str, Operation]] = {}
    for each in operations:
        if each.method in table.setdefault(each.kind, {}):
            raise ValueError(f"/v2/ has two operations {each.method} {each.kind}")
        table[each.kind][each.method] = each
    return MappingProxyType(table)


OPERATIONS: Final = _by_route(*_TABLE)
"""By kind of route, then by method."""
