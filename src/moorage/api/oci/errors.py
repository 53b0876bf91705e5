"""Errors of the data plane: every refusal as status, code and body, in one table keyed by its class.

Profile `oci`: the specification's codes. Profile `aws`: ECR's (docs/development/ecr-behavior.md §9.3), where a
parameter that the API would call invalid is 405 UNSUPPORTED. A 401 is plain text in both, as Docker clients know it
from ECR.
"""

from typing import NamedTuple

import msgspec

from moorage import errors
from moorage.api.asgi import Headers
from moorage.api.request_source import CrossSite, HeadersTooLarge, UnknownHost


class NameInvalid(errors.MoorageError):
    """The repository name in the path is none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"invalid repository name: {name!r}")


class DigestInvalid(errors.MoorageError):
    """A digest in the path or query that is not `sha256:` or `sha512:` and as many lower-case hex digits."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a sha256 or sha512 digest: {text!r}" if text else "a digest is required")


class TagInvalid(errors.InvalidParameter):
    """The tag of a manifest being pushed is none."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression "
            f"'[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,299}}'': {text!r}"
        )


class TooManyTags(errors.MoorageError):
    """A push by digest asks for more tags than one request may set."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A manifest can be pushed with at most {most} tags in one request. Push the others after it.")


class ManifestBlobUnknown(errors.MoorageError):
    """A manifest being pushed names blobs that the repository does not have."""


class PageInvalid(errors.InvalidParameter):
    """`n` or `last` of a listing cannot be used."""


class ChunkInvalid(errors.MoorageError):
    """The headers of a chunk contradict each other, or cannot be read."""


class Unsupported(errors.MoorageError):
    """The path is there, the method is not."""

    def __init__(self, allow: str = "") -> None:
        super().__init__("The operation is unsupported.")
        self.allow = allow


class PathUnknown(errors.MoorageError):
    """/v2/ has no such path."""

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class RangeNotSatisfiable(errors.MoorageError):
    """A GET asked for bytes the blob does not have."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the blob has {size} bytes")
        self.size = size


class Shape(NamedTuple):
    """How an error looks on the wire."""

    status: int
    code: str


_BOTH: dict[type[errors.MoorageError], Shape] = {
    errors.MoorageError: Shape(400, "UNSUPPORTED"),
    errors.AccessDenied: Shape(403, "DENIED"),
    errors.AuthorizationTokenExpired: Shape(403, "DENIED"),
    errors.AuthorizationTokenInvalid: Shape(401, "UNAUTHORIZED"),
    errors.UnrecognizedClient: Shape(401, "UNAUTHORIZED"),
    errors.ExpiredToken: Shape(403, "DENIED"),
    CrossSite: Shape(403, "DENIED"),
    UnknownHost: Shape(421, "UNSUPPORTED"),
    errors.Throttling: Shape(429, "TOOMANYREQUESTS"),
    errors.LimitExceeded: Shape(403, "DENIED"),
    errors.TooManyUploads: Shape(429, "TOOMANYREQUESTS"),
    errors.ServerFault: Shape(500, "UNKNOWN"),
    errors.InsufficientStorage: Shape(507, "UNKNOWN"),
    errors.ServiceUnavailable: Shape(503, "UNAVAILABLE"),
    errors.UploadBusy: Shape(503, "UNAVAILABLE"),
    errors.RepositoryNotFound: Shape(404, "NAME_UNKNOWN"),
    errors.ImageNotFound: Shape(404, "MANIFEST_UNKNOWN"),
    errors.ImageTagAlreadyExists: Shape(400, "TAG_INVALID"),
    errors.ImageDigestDoesNotMatch: Shape(400, "DIGEST_INVALID"),
    errors.ImageReferencedByManifestList: Shape(405, "UNSUPPORTED"),
    errors.ReferencedImagesNotFound: Shape(404, "MANIFEST_BLOB_UNKNOWN"),
    errors.LayersNotFound: Shape(404, "BLOB_UNKNOWN"),
    errors.LayerInaccessible: Shape(404, "BLOB_UNKNOWN"),
    errors.LayerReferenced: Shape(405, "UNSUPPORTED"),
    errors.UploadNotFound: Shape(404, "BLOB_UPLOAD_UNKNOWN"),
    errors.UploadRangeInvalid: Shape(416, "BLOB_UPLOAD_INVALID"),
    errors.LayerPartTooSmall: Shape(400, "BLOB_UPLOAD_INVALID"),
    errors.EmptyUpload: Shape(400, "BLOB_UPLOAD_INVALID"),
    errors.InvalidLayerPart: Shape(400, "BLOB_UPLOAD_INVALID"),
    errors.InvalidLayer: Shape(400, "DIGEST_INVALID"),
    errors.BodyIncomplete: Shape(400, "SIZE_INVALID"),
    errors.RequestTooLarge: Shape(413, "SIZE_INVALID"),
    errors.RequestTimeout: Shape(408, "SIZE_INVALID"),
    TooManyTags: Shape(414, "TAG_INVALID"),
    HeadersTooLarge: Shape(431, "SIZE_INVALID"),
    NameInvalid: Shape(400, "NAME_INVALID"),
    DigestInvalid: Shape(400, "DIGEST_INVALID"),
    ChunkInvalid: Shape(400, "BLOB_UPLOAD_INVALID"),
    Unsupported: Shape(405, "UNSUPPORTED"),
    PathUnknown: Shape(404, "UNSUPPORTED"),
    RangeNotSatisfiable: Shape(416, "SIZE_INVALID"),
}
_BY_PROFILE: dict[str, dict[type[errors.MoorageError], Shape]] = {
    "oci": _BOTH
    | {
        errors.InvalidParameter: Shape(400, "MANIFEST_INVALID"),
        PageInvalid: Shape(400, "UNSUPPORTED"),
        ManifestBlobUnknown: Shape(404, "MANIFEST_BLOB_UNKNOWN"),
    },
    "aws": _BOTH
    | {
        errors.InvalidParameter: Shape(405, "UNSUPPORTED"),
        ManifestBlobUnknown: Shape(404, "BLOB_UPLOAD_UNKNOWN"),
    },
}


class _Entry(msgspec.Struct):
    code: str
    message: str


class _Body(msgspec.Struct):
    errors: list[_Entry]


def shape(error: errors.MoorageError, profile: str) -> Shape:
    """Status and code of an error: its class's, or the nearest base class's that is in the table."""
    table = _BY_PROFILE[profile]
    return next(table[each] for each in type(error).__mro__ if each in table)


def body(code: str, message: str) -> bytes:
    """The specification's error body, in ECR's order of members."""
    return msgspec.json.encode(_Body([_Entry(code, message)]))


def message(error: errors.MoorageError, profile: str) -> str:
    """What the client reads: in profile `oci`, a denial names its decision (design §4)."""
    if profile == "oci" and isinstance(error, errors.AccessDenied) and error.decision_id:
        return f"{error.message} (decision {error.decision_id})"
    return error.message


def headers(error: errors.MoorageError) -> Headers:
    """What an error says in headers; a HEAD has nothing else to say it in."""
    if isinstance(error, errors.AccessDenied) and error.decision_id:
        return [
            (b"x-moorage-decision-id", error.decision_id.encode()),
            (b"x-moorage-reason", error.short.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")),
        ]
    if isinstance(error, RangeNotSatisfiable):
        return [(b"content-range", b"bytes */%d" % error.size)]
    if isinstance(error, errors.UploadRangeInvalid):
        return [(b"range", b"0-%d" % max(error.offset - 1, 0))]
    if isinstance(error, errors.LayerReferenced):
        return [(b"allow", b"GET, HEAD")]
    if isinstance(error, Unsupported) and error.allow:
        return [(b"allow", error.allow.encode())]
    return []
