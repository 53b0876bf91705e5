"""What an image is to those who ask for it: by id, to pull it, to describe it."""

import re

import msgspec

from moorage.names import Digest, RepositoryRef

_DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")  # as ECR's failure reason quotes it
_TAG = re.compile(r"[a-zA-Z0-9-_.]+")


class ImageId(msgspec.Struct, frozen=True, gc=False):
    """How a client names an image: by digest, by tag, or by both. Texts as the client wrote them."""

    digest: str | None = None
    tag: str | None = None


class Manifest(msgspec.Struct, frozen=True, gc=False):
    """What a pull needs. `body` is exactly what was pushed."""

    id: int
    digest: Digest
    media_type: str
    body: bytes
    tag: str | None = None
    """The tag it was asked for by, if it was."""


class Put(msgspec.Struct, frozen=True, gc=False):
    """A manifest that was pushed."""

    manifest: Manifest
    subject: Digest | None
    created: bool
    """False when the repository had it already, under that tag if there was one."""


class Image(msgspec.Struct, frozen=True, gc=False):
    """What DescribeImages tells. Times in epoch seconds, size in bytes (of an index: of its largest child)."""

    id: int
    ref: RepositoryRef
    digest: Digest
    tags: tuple[str, ...]
    size: int
    pushed_at: float
    media_type: str
    artifact_type: str | None
    config_media_type: str | None
    last_pulled_at: float | None
    subject: Digest | None


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why one image of a batch was not served; `code` is one of the model's ImageFailureCode."""

    id: ImageId
    code: str
    reason: str


class Referrer(msgspec.Struct, frozen=True, gc=False):
    """An image whose subject is another; `size` is that of its manifest in bytes, `annotations` a JSON object."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str | None
    annotations: msgspec.Raw | None


def malformed(image: ImageId) -> Failure | None:
    """Why the id can name no image at all; None when it can."""
    if image.digest is None and image.tag is None:
        return Failure(image, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if image.digest is not None and _DIGEST.fullmatch(image.digest) is None:
        return Failure(
            image,
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )
    if image.tag is not None and _TAG.fullmatch(image.tag) is None:  # the code is the model's, the text a [guess]
        return Failure(
            image,
            "InvalidImageTag",
            "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'",
        )
    return None


def not_found(image: ImageId) -> Failure:
    return Failure(image, "ImageNotFound", "Requested image not found")


def other_digest(image: ImageId) -> Failure:
    """The tag is there, on another image."""
    reason = "Requested image tag does not match the digest of the requested image"  # [guess]
    return Failure(image, "ImageTagDoesNotMatchDigest", reason)
