"""Errors of /v2/: one table maps the class of an error to its status, code and body.

Profile `oci` uses the codes of the specification. Profile `aws` uses ECR's (docs/development/ecr-behavior.md §9.3);
there, a parameter that the ECR API calls invalid is 405 UNSUPPORTED. A 401 is plain text in both, which is what Docker
clients get from ECR.
"""

from typing import NamedTuple

import msgspec

from moorage import errors
from moorage.api.asgi import Headers
from moorage.api.request_source import CrossSite, HeadersTooLarge, UnknownHost


class NameInvalid(errors.MoorageError):
    """The repository name in the path is not valid."""

    def __init__(self, name: str) -> None:
        super().__init__(f"invalid repository name: {name!r}")


class DigestInvalid(errors.MoorageError):
    """A digest in the path or query that is not `sha256:` or `sha512:` followed by that many lower-case hex digits."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a sha256 or sha512 digest: {text!r}" if text else "a digest is required")


class TagInvalid(errors.InvalidParameter):
    """The tag of a manifest being pushed is not valid."""

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
    """`n` or `last` of a listing is not valid."""


class ChunkInvalid(errors.MoorageError):
    """The headers of a chunk contradict each other or are not valid."""


class Unsupported(errors.MoorageError):
    """The path exists, but not with this method."""

    def __init__(self, allow: str = "") -> None:
        super().__init__("The operation is unsupported.")
        self.allow = allow


class PathUnknown(errors.MoorageError):
    """/v2/ has no such path."""

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class RangeNotSatisfiable(errors.MoorageError):
    """A GET asks for bytes that the blob does not have."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the blob has {size} bytes")
        self.size = size


class Shape(NamedTuple):
    """The wire form of an error."""

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
    """Return the status and code of an error: those of its class, or of the nearest base class in the table."""
    table = _BY_PROFILE[profile]
    return next(table[each] for each in type(error).__mro__ if each in table)


def body(code: str, message: str) -> bytes:
    """Return the error body of the specification, with its members in ECR's order."""
    return msgspec.json.encode(_Body([_Entry(code, message)]))


def message(error: errors.MoorageError, profile: str) -> str:
    """Return the message for the client. In profile `oci`, a denial includes the id of its decision
    (docs/development/design.md §4)."""
    if profile == "oci" and isinstance(error, errors.AccessDenied) and error.decision_id:
        return f"{error.message} (decision {error.decision_id})"
    return error.message


def headers(error: errors.MoorageError) -> Headers:
    """Return the headers that describe an error; the response to a HEAD request has nothing else."""
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
