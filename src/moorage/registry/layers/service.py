"""Layers: the blobs that belong to a repository. A blob that is only elsewhere is not here."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import LayersNotFound, ServerFault
from moorage.logs import lost_bytes
from moorage.names import Digest, RepositoryName, RepositoryRef
from moorage.registry.authorizer import Authorizer
from moorage.registry.layers import rules
from moorage.registry.layers.request_body import body_of
from moorage.registry.layers.types import Availability, Layer, LayerFailure, Mount
from moorage.registry.query_cache import QueryCache
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers.layers import StoredLayer

READ_LAYER: Final = "ecr:GetDownloadUrlForLayer"
MOUNT_SOURCES: Final = 10
"""Repositories tried for a mount that names no source: each costs a decision."""
_WELL_FORMED: Final = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")  # the service model's LayerDigest


class Layers:
    """The layers of repositories, and their bytes."""

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._layers: QueryCache[tuple[RepositoryRef, str], Layer] = QueryCache(
            db, "layers", lambda key, layer: 1024 + len(key[0].name) + len(layer.content or b"")
        )

    async def availability(
        self, ref: RepositoryRef, digests: Sequence[str]
    ) -> tuple[list[Availability], list[LayerFailure]]:
        """Return whether each digest is available, once and in the order asked for; RepositoryNotFound.

        Strings that are not digests are returned apart. A layer whose stored bytes are missing or have the wrong length
        is not available, so that a client sends them again.
        """
        unique = list(dict.fromkeys(digests))
        failures = [_malformed(digest) for digest in unique if _WELL_FORMED.fullmatch(digest) is None]
        wanted = [digest for digest in unique if _WELL_FORMED.fullmatch(digest) is not None]
        rows, types = await self._db.read(lambda conn: rules.stored(conn, ref, wanted))
        lengths = await asyncio.gather(*map(self._length, rows))
        sizes = {row.digest: row.size for row, length in zip(rows, lengths, strict=True) if length == row.size}
        return [
            Availability(digest, digest in sizes, sizes.get(digest), types.get(digest) if digest in sizes else None)
            for digest in wanted
        ], failures

    async def _length(self, row: StoredLayer) -> int | None:
        return await self._blobs.length(row.object_key) if row.object_key else row.kept

    async def stat(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """Return the layer, without its media type. RepositoryNotFound, LayersNotFound."""
        return await self._layers.get((ref, digest), lambda conn: rules.find(conn, ref, digest)[0])

    async def present(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """Like `stat`, but LayersNotFound also when the stored bytes are missing or have the wrong length.

        For questions whose answer decides whether a client sends the bytes.
        """
        layer = await self.stat(ref, digest)
        if not await self._is_there(layer):
            raise _lost(ref, layer)
        return layer

    async def _is_there(self, layer: Layer) -> bool:
        """Return whether as many bytes are stored as there should be.

        A file is looked at in the event loop, which takes less than handing that to a thread.
        """
        if not layer.object_key:
            return layer.content is not None and len(layer.content) == layer.size
        path = self.local_path(layer)
        if path is None:
            return await self._blobs.length(layer.object_key) == layer.size
        with suppress(FileNotFoundError):
            return path.stat().st_size == layer.size
        return False

    async def set_aside(self, digest: Digest, *, object_key: str | None = None) -> bool:
        """Stop serving the stored bytes of a blob, which have another digest; return whether there were any.

        With `object_key` only while they are that object: somebody may have replaced them since. Repositories keep the
        layer, but it is not available until somebody uploads the digest again, to any repository. The blob store keeps
        the damaged bytes for examination; those in the metadata are deleted.
        """

        def work(conn: Connection) -> str | bool:
            blob = blob_rows.find(conn, digest)
            if blob is None or object_key not in (None, blob.object_key):
                return False
            return blob.object_key or blob_rows.drop_content(conn, digest)

        found = await self._db.transaction(work)
        return await self._blobs.delete(found, keep_for_examination=True) if isinstance(found, str) else found

    async def download(self, ref: RepositoryRef, digest: Digest) -> Layer:
        """Like `stat`, but LayerInaccessible while no image references the layer (ECR's GetDownloadUrlForLayer)."""
        return await self._db.read(lambda conn: rules.find_downloadable(conn, ref, digest))

    def read(self, layer: Layer, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` (inclusive) to `end` (exclusive), in chunks."""
        if layer.content is not None:
            return body_of(layer.content[start:end])
        return self._blobs.read(layer.object_key, start, end)

    async def require_bytes(self, ref: RepositoryRef, layer: Layer) -> None:
        """Raise when the layer's stored bytes cannot be read, so that the response to a GET can say so.

        LayersNotFound when they are missing or have the wrong length, ServerFault when the disk does not let us read.
        A file is opened in the event loop, which takes less than handing that to a thread.
        """
        path = self.local_path(layer)
        if path is None:
            if layer.object_key and await self._blobs.length(layer.object_key) != layer.size:
                raise _lost(ref, layer)
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
        """Return the file with the layer's bytes, which a server may send itself; None when they are not in a file."""
        return self._blobs.local_path(layer.object_key) if layer.object_key else None

    async def url_for(self, layer: Layer) -> str | None:
        """Return a URL of the blob store at which the client gets the bytes; None when it gets them from us."""
        if not layer.object_key:
            return None
        return await self._blobs.url_for(
            layer.object_key, seconds=self._settings.download_url_seconds, content_type="application/octet-stream"
        )

    async def mount(
        self,
        ref: RepositoryRef,
        digest: Digest,
        authorizer: Authorizer,
        *,
        by: str,
        source: RepositoryRef | None = None,
    ) -> Layer | None:
        """Give `ref` a layer of `source` without a transfer; without `source`, of any repository that has it.

        None when that is not possible. Only within one account and region, and only from a repository on which the
        caller may `ecr:GetDownloadUrlForLayer`: nobody else learns whether it has the layer. In profile `aws` as ECR
        does (`rules.Mount`). RepositoryNotFound.
        """
        for each in [source] if source is not None else await self._holders(ref, digest):
            if (ref.account, ref.region) != (each.account, each.region):
                continue
            if source is None and not await authorizer.sees(READ_LAYER, each):
                continue  # without a record: the caller has not named it
            if await authorizer.allows(READ_LAYER, each):
                layer = await self._mount(ref, digest, each, by)
                if layer is not None:
                    return layer
        return None

    async def _mount(self, ref: RepositoryRef, digest: Digest, source: RepositoryRef, by: str) -> Layer | None:
        found = await self._db.read(lambda conn: layer_rows.find(conn, source, digest))
        if found is None or not await self._is_there(Layer(digest, found.size, found.object_key, found.content)):
            return None
        given = Mount(ref, source, digest, by, self._clock.now(), as_ecr=self._settings.profile == "aws")
        return await self._db.transaction(lambda conn: rules.mount(conn, given))

    async def _holders(self, ref: RepositoryRef, digest: Digest) -> list[RepositoryRef]:
        """Return some other repositories of the same account and region that have the blob."""
        names = await self._db.read(lambda conn: layer_rows.holders(conn, ref, digest, MOUNT_SOURCES))
        return [ref._replace(name=RepositoryName(name)) for name in names]

    async def delete(self, ref: RepositoryRef, digest: Digest, by: str) -> None:
        """Delete the layer from the repository. RepositoryNotFound, LayersNotFound, LayerReferenced.

        See `rules.delete`.
        """

        def work(conn: Connection) -> None:
            rules.delete(conn, ref, digest, by=by, at=self._clock.now())

        await self._db.transaction(work, frees=True)


def _lost(ref: RepositoryRef, layer: Layer) -> LayersNotFound:
    """Log that bytes of a layer are missing, and return what a client is told."""
    lost_bytes.warning(
        "layer lost: its bytes are missing or have the wrong length; push it again",
        repository=ref.name,
        account=ref.account,
        region=ref.region,
        digest=layer.digest,
    )
    return LayersNotFound.one(ref, layer.digest)


def _malformed(digest: str) -> LayerFailure:
    if not digest:
        return LayerFailure(digest, "MissingLayerDigest", "Layer digest missing")  # [guess] both texts
    return LayerFailure(
        digest,
        "InvalidLayerDigest",
        "Invalid layer digest: the digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
    )
