"""Layers of repositories, and what is known of them."""

from typing import NamedTuple

import msgspec

from moorage.names import Digest, RepositoryRef


class Layer(msgspec.Struct, frozen=True, gc=False):
    """A blob in a repository."""

    digest: Digest
    size: int
    object_key: str
    """The object of the blob store with its bytes; empty when the metadata keep them."""
    content: bytes | None = None
    """The bytes, when the metadata keep them."""
    media_type: str | None = None
    """The media type by which a manifest of the repository names it; None when none does, or nobody asked."""


class Mount(NamedTuple):
    """A layer of one repository that another one is to have, too."""

    ref: RepositoryRef
    source: RepositoryRef
    digest: Digest
    by: str
    at: float
    as_ecr: bool
    """Only where ECR mounts it: BLOB_MOUNTING is ENABLED, an image of the source references it, encryption is equal."""


class Availability(msgspec.Struct, frozen=True, gc=False):
    """Whether a repository has a layer. Size and media type (once a manifest references it) only when it does."""

    digest: str
    available: bool
    size: int | None = None
    media_type: str | None = None


class LayerFailure(msgspec.Struct, frozen=True, gc=False):
    """A string that is not a digest; `code` is one of the model's LayerFailureCode."""

    digest: str
    code: str
    reason: str


class Completion(NamedTuple):
    """Bytes that are to become a layer."""

    ref: RepositoryRef
    digest: Digest
    by: str
    at: float
    upload_id: str | None
    """The upload that ends with it; None when they came in one request."""
    refuses_again: bool
    """Whether LayerAlreadyExists is raised when the repository has the layer, as the ECR API has it."""


class CheckedObject(NamedTuple):
    """An object of the blob store, and whether the bytes of a blob are there with the right length."""

    object_key: str
    is_whole: bool


class UncheckedObject(NamedTuple):
    """Answer of a rule that cannot go on before somebody has looked whether these bytes are there."""

    object_key: str
    size: int
