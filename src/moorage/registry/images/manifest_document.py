"""Reads pushed manifests: the media type, the digests that they name, the subject. The bytes are stored unchanged."""

import re
from typing import Literal

import msgspec

from moorage.errors import InvalidParameter
from moorage.names import Digest, InvalidNameError
from moorage.names import digest as checked_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_V1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_V1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
VERSION_1 = frozenset({DOCKER_V1, DOCKER_V1_SIGNED})
MANIFESTS = IMAGES | INDEXES | VERSION_1

# Layers of these types may stay at their `urls`, and need not be in the registry.
_FOREIGN = re.compile(
    r"application/vnd\.(docker\.image\.rootfs\.foreign\.diff\.tar|oci\.image\.layer\.nondistributable\.v1\.tar).*"
)
_MEDIA_TYPE = re.compile(r"[\x21-\x7e]{1,255}")
_MAX_SIZE = 2**53 - 1  # every JSON reader reads integers up to this exactly

Kind = Literal["config", "layer", "child"]


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A descriptor in a manifest."""

    kind: Kind
    digest: Digest
    media_type: str
    size: int
    """Bytes, as the manifest states them; 0 in schema 1, which does not."""
    foreign: bool
    """A layer that is stored elsewhere, at the URLs in the manifest."""


def is_nondistributable(media_type: str) -> bool:
    """Return whether layers of that media type need not be in the registry if their descriptors have `urls`."""
    return _FOREIGN.fullmatch(media_type) is not None


class ManifestDocument(msgspec.Struct, frozen=True):
    """The parts of a manifest that the registry uses."""

    media_type: str
    references: tuple[Reference, ...]
    subject: Digest | None
    artifact_type: str | None
    """`artifactType`, or else the media type of an image's config (the rule of the referrers API)."""
    config_media_type: str | None
    annotations: dict[str, str] | None

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def layer_count(self) -> int:
        return sum(reference.kind == "layer" for reference in self.references)


class _Descriptor(msgspec.Struct, rename="camel"):
    media_type: str
    digest: str
    size: int
    urls: list[str] | None = None


class _Blob(msgspec.Struct, rename="camel"):
    blob_sum: str


class _Body(msgspec.Struct, rename="camel"):
    schema_version: int
    media_type: str | None = None
    artifact_type: str | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None
    fs_layers: list[_Blob] | None = None
    signatures: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Body)


def unacceptable() -> InvalidParameter:
    """Return ECR's error for every manifest that it cannot read, whatever the reason."""
    return InvalidParameter.at("ImageManifest", "Invalid JSON syntax")


def read_manifest(body: bytes, media_type: str | None, *, ecr: bool = False) -> ManifestDocument:
    """Return the document in `body`, sent as `media_type` (a Content-Type, or None if the client named none).

    Raises InvalidParameter if it is not JSON, not of a known type, names another type than it was sent as, or has the
    members of two types. With `ecr` also if neither the client nor the document names the type. The OCI specification
    says that clients SHOULD name it, so without `ecr` a missing type is inferred from the members.
    """
    try:
        body.decode()  # the decoder does not check the bytes of members that it skips
        document = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unacceptable() from error
    actual = _media_type(document, media_type, ecr=ecr)
    if (document.schema_version == 1) != (actual in VERSION_1) or document.schema_version not in {1, 2}:
        raise unacceptable()
    try:
        return _read(document, actual)
    except InvalidNameError as error:
        raise unacceptable() from error


def _media_type(document: _Body, sent_as: str | None, *, ecr: bool) -> str:
    sent = sent_as.partition(";")[0].strip().lower() if sent_as else None
    if sent and document.media_type and sent != document.media_type:
        raise unacceptable()
    found = document.media_type or sent or (None if ecr else _inferred(document))
    if found not in MANIFESTS:
        raise unacceptable()
    return found


def _inferred(document: _Body) -> str | None:
    """Return the media type of a document that names none and was sent without one; None if it is unclear."""
    if document.fs_layers is not None:
        return DOCKER_V1_SIGNED if document.signatures else DOCKER_V1
    if document.manifests is not None:
        return OCI_INDEX
    return OCI_MANIFEST if document.config is not None else None


def _read(document: _Body, media_type: str) -> ManifestDocument:
    config_media_type = None
    if media_type in IMAGES:
        if document.config is None or document.layers is None or document.manifests is not None:
            raise unacceptable()
        config_media_type = _type(document.config.media_type)
        references = (
            _reference(document.config, "config"),
            *(_reference(layer, "layer") for layer in document.layers),
        )
    elif media_type in INDEXES:
        if document.manifests is None or document.layers is not None:
            raise unacceptable()
        config = () if document.config is None else (_reference(document.config, "config"),)  # BuildKit's cache indexes
        references = (*config, *(_reference(child, "child") for child in document.manifests))
    else:
        if not document.fs_layers:
            raise unacceptable()
        references = tuple(
            Reference("layer", checked_digest(layer.blob_sum), "application/vnd.docker.container.image.rootfs.diff", 0,
                      foreign=False)
            for layer in document.fs_layers
        )  # fmt: skip
    artifact_type = _type(document.artifact_type) if document.artifact_type else config_media_type
    return ManifestDocument(
        media_type=media_type,
        references=references,
        subject=None if document.subject is None else _reference(document.subject, "child").digest,
        artifact_type=artifact_type,
        config_media_type=config_media_type,
        annotations=document.annotations,
    )


def _reference(descriptor: _Descriptor, kind: Kind) -> Reference:
    if not 0 <= descriptor.size <= _MAX_SIZE:
        raise unacceptable()
    media_type = _type(descriptor.media_type)
    foreign = kind == "layer" and bool(descriptor.urls) and is_nondistributable(media_type)
    return Reference(kind, checked_digest(descriptor.digest), media_type, descriptor.size, foreign)


def _type(text: str) -> str:
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise unacceptable()
    return text
