"""What a pushed manifest says: its kind, the digests it names, its subject. The bytes are kept as they came."""

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

# Layers of these types may be left where their `urls` say; a registry need not hold them.
_FOREIGN = re.compile(
    r"application/vnd\.(docker\.image\.rootfs\.foreign\.diff\.tar|oci\.image\.layer\.nondistributable\.v1\.tar).*"
)
_MEDIA_TYPE = re.compile(r"[\x21-\x7e]{1,255}")
_LARGEST = 2**53 - 1  # sizes that every JSON reader takes exactly

Kind = Literal["config", "layer", "child"]


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A descriptor in a manifest."""

    kind: Kind
    digest: Digest
    media_type: str
    size: int
    """Bytes as the manifest says; 0 in schema 1, which does not."""
    foreign: bool
    """A layer that is kept elsewhere, at the URLs the manifest gives."""


def may_be_elsewhere(media_type: str) -> bool:
    """Return whether a layer of that media type need not be in the registry if its descriptor has `urls`."""
    return _FOREIGN.fullmatch(media_type) is not None


class ManifestDocument(msgspec.Struct, frozen=True):
    """A manifest as far as a registry reads it."""

    media_type: str
    references: tuple[Reference, ...]
    subject: Digest | None
    artifact_type: str | None
    """`artifactType`, else of an image the media type of its config (the referrers API's rule)."""
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
    """ECR's answer to every manifest that it cannot read, whatever is wrong with it."""
    return InvalidParameter.at("ImageManifest", "Invalid JSON syntax")


def read_manifest(body: bytes, media_type: str | None, *, ecr: bool = False) -> ManifestDocument:
    """Return the document in `body`, sent as `media_type` (a Content-Type, or None when the client named none).

    Raises InvalidParameter when it is not JSON, not of a known type, says another type than it was sent as, or can be
    read as two types at once; with `ecr` also when neither the client nor the document names its type. The OCI
    specification asks clients to name it (SHOULD), so without `ecr` a missing type is inferred from the members.
    """
    try:
        body.decode()  # the decoder skips what it does not know without looking at its bytes
        text = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unacceptable() from error
    kind = _kind(text, media_type, ecr=ecr)
    if (text.schema_version == 1) != (kind in VERSION_1) or text.schema_version not in {1, 2}:
        raise unacceptable()
    try:
        return _read(text, kind)
    except InvalidNameError as error:
        raise unacceptable() from error


def _kind(text: _Body, media_type: str | None, *, ecr: bool) -> str:
    sent = media_type.partition(";")[0].strip().lower() if media_type else None
    if sent and text.media_type and sent != text.media_type:
        raise unacceptable()
    kind = text.media_type or sent or (None if ecr else _likely(text))
    if kind not in MANIFESTS:
        raise unacceptable()
    return kind


def _likely(text: _Body) -> str | None:
    """Infer the type of a document that names none and was sent without one."""
    if text.fs_layers is not None:
        return DOCKER_V1_SIGNED if text.signatures else DOCKER_V1
    if text.manifests is not None:
        return OCI_INDEX
    return OCI_MANIFEST if text.config is not None else None


def _read(text: _Body, kind: str) -> ManifestDocument:
    config_media_type = None
    if kind in IMAGES:
        if text.config is None or text.layers is None or text.manifests is not None:
            raise unacceptable()
        config_media_type = _type(text.config.media_type)
        references = (
            _reference(text.config, "config"),
            *(_reference(layer, "layer") for layer in text.layers),
        )
    elif kind in INDEXES:
        if text.manifests is None or text.layers is not None:
            raise unacceptable()
        config = () if text.config is None else (_reference(text.config, "config"),)  # BuildKit's cache indexes
        references = (*config, *(_reference(child, "child") for child in text.manifests))
    else:
        if not text.fs_layers:
            raise unacceptable()
        references = tuple(
            Reference("layer", checked_digest(layer.blob_sum), "application/vnd.docker.container.image.rootfs.diff", 0,
                      foreign=False)
            for layer in text.fs_layers
        )  # fmt: skip
    artifact_type = _type(text.artifact_type) if text.artifact_type else config_media_type
    return ManifestDocument(
        media_type=kind,
        references=references,
        subject=None if text.subject is None else _reference(text.subject, "child").digest,
        artifact_type=artifact_type,
        config_media_type=config_media_type,
        annotations=text.annotations,
    )


def _reference(descriptor: _Descriptor, kind: Kind) -> Reference:
    if not 0 <= descriptor.size <= _LARGEST:
        raise unacceptable()
    media_type = _type(descriptor.media_type)
    foreign = kind == "layer" and bool(descriptor.urls) and may_be_elsewhere(media_type)
    return Reference(kind, checked_digest(descriptor.digest), media_type, descriptor.size, foreign)


def _type(text: str) -> str:
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise unacceptable()
    return text
