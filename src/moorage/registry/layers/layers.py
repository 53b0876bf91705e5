"""Layers: the blobs that belong to a repository. A blob that is only elsewhere is not here."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import LayerInaccessible, LayerReferenced, LayersNotFound, RepositoryNotFound, ServerFault
from moorage.logs import lost_bytes
from moorage.names import Digest, RepositoryName, RepositoryRef
from moorage.registry.authorizer import Authorizer
from moorage.registry.layers.request_body import pieces
from moorage.registry.query_cache import Recent
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.repositories import account_settings as setting_rows
from moorage.store.metadata.repositories import repositories as repository_rows

READ_LAYER = "ecr:GetDownloadUrlForLayer"
MOUNT_SOURCES = 10
"""Repositories looked at for a mount that names no source: each costs a decision."""
_WELL_FORMED = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")  # the service model's LayerDigest


class Layer(msgspec.Struct, frozen=True, gc=False):
    """A blob in a repository."""

    digest: Digest
    size: int
    object_key: str
    """Where the blob store keeps it; empty when it does not."""
    content: bytes | None = None
    """Its bytes, when it is a small one that the metadata keep."""
    media_type: str | None = None
    """What a manifest of the repository calls it; None when none does, or nobody asked."""


class Availability(msgspec.Struct, frozen=True, gc=False):
    """Whether a repository has a layer. Size and media type (once a manifest references it) only when it does."""

    digest: str
    available: bool
    size: int | None = None
    media_type: str | None = None


class LayerFailure(msgspec.Struct, frozen=True, gc=False):
    """A text that is no digest; `code` is one of the model's LayerFailureCode."""

    digest: str
    code: str
    reason: str


class Layers:
    """What repositories hold, and its bytes."""

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._recent: Recent[tuple[RepositoryRef, str], Layer] = Recent(
            db, "layers", lambda key, layer: 1024 + len(key[0].name) + len(layer.content or b"")
        )

    async def availability(
        self, ref: RepositoryRef, digests: Sequence[str]
    ) -> tuple[list[Availability], list[LayerFailure]]:
        """Return whether each digest is available, once and in the order asked for.

        Texts that are no digest are returned apart. A layer whose stored bytes are missing or have the wrong length is
        not available, so that a client sends them again.
        """
        asked = list(dict.fromkeys(digests))
        failures = [_malformed(digest) for digest in asked if _WELL_FORMED.fullmatch(digest) is None]
        wanted = [digest for digest in asked if _WELL_FORMED.fullmatch(digest) is not None]

        def work(conn: Connection) -> tuple[Sequence[Any], dict[str, str]]:
            repository = repository_rows.find(conn, ref)
            if repository is None:
                raise RepositoryNotFound(ref)
            rows = layer_rows.stored(conn, repository.id, wanted)
            return rows, layer_rows.media_types(conn, repository.id, [row.digest for row in rows])

        rows, types = await self._db.read(work)
        sizes = dict(zip((row.digest for row in rows), await asyncio.gather(*map(self._length, rows)), strict=True))
        there = {row.digest: row.size for row in rows if sizes[row.digest] == row.size}
        return [
            Availability(digest, digest in there, there.get(digest), types.get(digest) if digest in there else None)
            for digest in wanted
        ], failures

    async def _length(self, row: Any) -> int | None:
        """The bytes that are stored of a layer, given as a row of `layer_rows.stored`; None when there are none."""
        if row.object_key:
            return await self._blobs.length(row.object_key)
        return None if row.kept is None else int(row.kept)

    async def stat(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """The layer, without its media type; LayersNotFound when the repository does not hold it."""
        return await self._recent.get((ref, digest), lambda conn: _find(conn, ref, digest)[0])

    async def present(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """As `stat`, but LayersNotFound also when the stored bytes are missing or have the wrong length.

        For questions whose answer decides whether a client sends the bytes.
        """
        layer = await self.stat(ref, digest)
        if not await self._is_there(layer):
            raise _lost(ref, layer)
        return layer

    async def _is_there(self, layer: Layer) -> bool:
        """Whether as many bytes are stored as there should be. A file is looked at in the event loop: see below."""
        if not layer.object_key:
            return layer.content is not None and len(layer.content) == layer.size
        path = self.local_path(layer)
        if path is None:
            return await self._blobs.length(layer.object_key) == layer.size
        with suppress(FileNotFoundError):
            return path.stat().st_size == layer.size
        return False

    async def set_aside(self, digest: Digest, *, object_key: str | None = None) -> bool:
        """Stop serving the stored bytes of a blob, which were found to have another digest; whether there were any.

        With `object_key` only while they are that object: somebody may have replaced them since. Repositories keep the
        layer, but it is not available until somebody uploads the digest again, to any repository. The blob store keeps
        the damaged bytes for examination; those kept in the metadata are deleted.
        """

        def work(conn: Connection) -> str | bool:
            blob = blob_rows.find(conn, digest)
            if blob is None or object_key not in (None, blob.object_key):
                return False
            return str(blob.object_key) or blob_rows.drop_content(conn, digest)

        found = await self._db.transaction(work)
        return await self._blobs.set_aside(found) if isinstance(found, str) else found

    async def download(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """As `stat`, but LayerInaccessible while no image references the layer (ECR's GetDownloadUrlForLayer)."""

        def work(conn: Connection) -> Layer:
            layer, repository_id = _find(conn, ref, digest)
            if not image_rows.is_referenced(conn, repository_id, digest):
                raise LayerInaccessible(ref, digest)
            return layer

        return await self._db.read(work)

    def read(self, layer: Layer, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes `start` (inclusive) to `end` (exclusive), in chunks."""
        if layer.content is not None:
            return pieces(layer.content[start:end])
        return self._blobs.read(layer.object_key, start, end)

    def require_bytes(self, ref: RepositoryRef, layer: Layer) -> None:
        """Raise when the layer's bytes cannot be read from its file, so that the answer to a GET can say so.

        LayersNotFound when the file is missing or has the wrong length, ServerFault when the disk does not let us read.
        Asked in the event loop: it opens a file, which takes less than handing that to a thread.
        """
        path = self.local_path(layer)
        if path is None:
            return
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(file).st_size
            finally:
                os.close(file)
        except FileNotFoundError:
            raise _lost(ref, layer) from None
        except OSError as error:
            lost_bytes.warning("layer cannot be read", digest=layer.digest, file=str(path), reason=error.strerror)
            raise ServerFault from error
        if size != layer.size:
            raise _lost(ref, layer)

    def local_path(self, layer: Layer) -> Path | None:
        """The file with the layer's bytes, where there is one."""
        return self._blobs.local_path(layer.object_key) if layer.object_key else None

    async def mount(
        self, ref: RepositoryRef, digest: Digest, authorizer: Authorizer, *, source: RepositoryRef | None = None
    ) -> Layer | None:
        """Let `ref` hold a blob of `source` without a transfer; without `source`, of any repository that holds it.

        None when that is not possible. Only within one account and region, and only from a repository on which the
        caller may `ecr:GetDownloadUrlForLayer`: nobody else learns whether it holds the blob. In profile `aws` as ECR
        has it: BLOB_MOUNTING is ENABLED, both are encrypted alike, and an image in the source references the layer.
        """
        for each in [source] if source is not None else await self._holders(ref, digest):
            if (ref.account, ref.region) != (each.account, each.region):
                continue
            if source is None and not await authorizer.sees(READ_LAYER, each):
                continue  # without a record: the caller has not named it
            if await authorizer.allows(READ_LAYER, each):
                layer = await self._mount(ref, digest, each)
                if layer is not None:
                    return layer
        return None

    async def _mount(self, ref: RepositoryRef, digest: Digest, source: RepositoryRef) -> Layer | None:
        found = await self._db.read(lambda conn: layer_rows.find(conn, source, digest))
        if found is None or not await self._is_there(Layer(digest, found.size, found.object_key, found.content)):
            return None

        def work(conn: Connection) -> Layer | None:
            repository = repository_rows.find(conn, ref)
            if repository is None:
                raise RepositoryNotFound(ref)
            row = layer_rows.find(conn, source, digest)
            if row is None or (self._settings.profile == "aws" and not _ecr_mounts(conn, ref, source, digest)):
                return None
            layer_rows.attach(conn, repository.id, digest, row.size, self._clock.now())
            blob_rows.keep(conn, digest)
            return Layer(digest, row.size, row.object_key, row.content)

        return await self._db.transaction(work)

    async def _holders(self, ref: RepositoryRef, digest: Digest) -> list[RepositoryRef]:
        """Some other repositories of the same account and region that hold the blob."""
        names = await self._db.read(lambda conn: layer_rows.holders(conn, ref, digest, MOUNT_SOURCES))
        return [ref._replace(name=RepositoryName(name)) for name in names]

    async def delete(self, ref: RepositoryRef, digest: Digest, by: str) -> None:  # noqa: ARG002 - becomes part of the event
        """Delete the blob from the repository; its bytes go when no repository holds it, after the grace period.

        LayerReferenced while an image of the repository references it. While only deleted images do, it is as good as
        gone, but they can be restored with it.
        """

        def work(conn: Connection) -> None:
            _, repository_id = _find(conn, ref, digest)
            image = image_rows.using(conn, repository_id, digest)
            if image is not None:
                raise LayerReferenced(digest, image)
            layer_rows.delete_or_hide(conn, repository_id, digest, self._clock.now())
            blob_rows.orphan(conn, [digest], self._clock.now())

        await self._db.transaction(work, frees=True)


def _lost(ref: RepositoryRef, layer: Layer) -> LayersNotFound:
    """Log that the bytes of a layer are missing, or some of them. Return what a client is told."""
    lost_bytes.warning(
        "layer lost: its bytes are missing or have the wrong length; push it again",
        repository=ref.name,
        account=ref.account,
        region=ref.region,
        digest=layer.digest,
    )
    return LayersNotFound.one(ref, layer.digest)


def _find(conn: Connection, ref: RepositoryRef, digest: Digest) -> tuple[Layer, int]:
    """The layer and the id of its repository."""
    row = layer_rows.find(conn, ref, digest)
    if row is not None:
        return Layer(digest, row.size, row.object_key, row.content), row.repository_id
    if repository_rows.find(conn, ref) is None:
        raise RepositoryNotFound(ref)
    raise LayersNotFound.one(ref, digest)


def _ecr_mounts(conn: Connection, ref: RepositoryRef, source: RepositoryRef, digest: Digest) -> bool:
    if setting_rows.get(conn, ref.account, ref.region, "BLOB_MOUNTING") != "ENABLED":
        return False
    to, of = repository_rows.find(conn, ref), repository_rows.find(conn, source)
    if to is None or of is None or (to.encryption_type, to.kms_key) != (of.encryption_type, of.kms_key):
        return False
    return image_rows.is_referenced(conn, of.id, digest)


def _malformed(digest: str) -> LayerFailure:
    if not digest:
        return LayerFailure(digest, "MissingLayerDigest", "Layer digest missing")  # [guess] both texts
    return LayerFailure(
        digest,
        "InvalidLayerDigest",
        "Invalid layer digest: the digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
    )
