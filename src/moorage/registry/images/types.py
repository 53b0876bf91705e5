"""Images as the registry's callers see them."""

import re
from typing import Final

import msgspec

from moorage.names import Digest, RepositoryRef

PAGE_TAGS: Final = 10_000
"""Tags, of up to 300 bytes each, in one answer about several images. `moorage.pages` bounds its bytes."""
_DIGEST: Final = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")  # as ECR's failure reason quotes it
_TAG: Final = re.compile(r"[a-zA-Z0-9-_.]+")


class ImageId(msgspec.Struct, frozen=True, gc=False):
    """How a client names an image: by digest, by tag, or by both, exactly as the client wrote them."""

    digest: str | None = None
    tag: str | None = None


class Manifest(msgspec.Struct, frozen=True, gc=False):
    """What a pull needs. `body` is exactly what was pushed."""

    id: int
    digest: Digest
    media_type: str
    body: bytes
    tag: str | None = None
    """The tag by which the client named it; None if it named the digest."""


class PushResult(msgspec.Struct, frozen=True, gc=False):
    """A manifest that was pushed."""

    manifest: Manifest
    subject: Digest | None
    created: bool
    """False if the repository had the image already."""


class Image(msgspec.Struct, frozen=True, gc=False):
    """What DescribeImages returns. Times are in seconds since the epoch."""

    id: int
    ref: RepositoryRef
    digest: Digest
    tags: tuple[str, ...]
    size: int
    """Bytes; of an index, those of its largest child."""
    pushed_at: float
    media_type: str
    artifact_type: str | None
    config_media_type: str | None
    last_pulled_at: float | None
    subject: Digest | None


class ImageFailure(msgspec.Struct, frozen=True, gc=False):
    """Why one image of a batch failed; `code` is one of the values of ECR's ImageFailureCode."""

    id: ImageId
    code: str
    reason: str


class Referrer(msgspec.Struct, frozen=True, gc=False):
    """An image whose subject is another image."""

    digest: Digest
    media_type: str
    size: int
    """Bytes of the manifest."""
    artifact_type: str | None
    annotations: msgspec.Raw | None
    """A JSON object."""


def malformed(image: ImageId) -> ImageFailure | None:
    """Return the failure for an id that cannot name any image, or None if it can."""
    if image.digest is None and image.tag is None:
        return ImageFailure(
            image, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
        )
    if image.digest is not None and _DIGEST.fullmatch(image.digest) is None:
        return ImageFailure(
            image,
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )
    if image.tag is not None and _TAG.fullmatch(image.tag) is None:  # the code is the model's, the text is a guess
        return ImageFailure(
            image,
            "InvalidImageTag",
            "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'",
        )
    return None


def not_found(image: ImageId) -> ImageFailure:
    """Return the failure for an image that the repository does not have."""
    return ImageFailure(image, "ImageNotFound", "Requested image not found")


def other_digest(image: ImageId) -> ImageFailure:
    """Return the failure for a tag that points at another image than the digest names. The text is a guess."""
    reason = "Requested image tag does not match the digest of the requested image"
    return ImageFailure(image, "ImageTagDoesNotMatchDigest", reason)
