"""A registry of one repository over a real database and real files, and what tests push into it."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from moorage.clock import Clock
from moorage.errors import AccessDenied
from moorage.events import AnyEvent
from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef
from moorage.registry.images.manifest_document import OCI_INDEX, OCI_MANIFEST
from moorage.registry.images.service import Images
from moorage.registry.images.types import PushResult
from moorage.registry.layers.service import Layers
from moorage.registry.layers.types import Layer
from moorage.registry.layers.uploads import Uploads
from moorage.registry.repositories.service import Repositories
from moorage.settings import Settings
from moorage.store.blobs.memory import MemoryBlobStore
from moorage.store.blobs.open import open_blob_store
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.epoch import Epochs
from moorage.store.metadata.tables import outbox

BY = "arn:aws:iam::123456789012:root"
REF = RepositoryRef(AccountId("123456789012"), Region("eu-west-1"), RepositoryName("team/app"))
OTHER = REF._replace(name=RepositoryName("team/other"))


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def cut(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body whose client goes away."""
    for chunk in chunks:
        yield chunk
    raise ConnectionError


@dataclass
class Rights:
    """An `Authorizer` that allows everything but what the test says, and remembers what was asked."""

    denied: set[tuple[str, RepositoryRef]] = field(default_factory=set)
    asked: list[tuple[str, RepositoryRef]] = field(default_factory=list)

    async def require(self, action: str, ref: RepositoryRef) -> None:
        if not await self.allows(action, ref):
            raise AccessDenied(f"no {action}")

    async def require_on_all(self, action: str, account: AccountId, region: Region) -> None:
        await self.require(action, RepositoryRef(account, region, RepositoryName("*")))

    async def allows(self, action: str, ref: RepositoryRef) -> bool:
        self.asked.append((action, ref))
        return (action, ref) not in self.denied

    async def sees(self, action: str, ref: RepositoryRef) -> bool:
        return await self.allows(action, ref)


@dataclass
class Bench:
    """The parts under test."""

    db: Database
    blobs: BlobStore
    clock: Clock
    settings: Settings
    repositories: Repositories
    images: Images
    layers: Layers
    uploads: Uploads

    @classmethod
    def over(cls, db: Database, directory: Path, *, blobs: BlobStore | None = None, **changes: Any) -> "Bench":
        """`small_layer_bytes=0` among the changes: the blob store has every layer that is not empty."""
        settings = replace(Settings(data=directory), **changes)
        blobs, clock = blobs or open_blob_store(settings), Clock()
        return cls(
            db,
            blobs,
            clock,
            settings,
            Repositories(Epochs(db), clock, settings),
            Images(db, clock, settings),
            Layers(db, blobs, clock, settings),
            Uploads(db, blobs, clock, settings),
        )

    def beside(self, **changes: Any) -> "Bench":
        """Another worker over the same data."""
        blobs = self.blobs if isinstance(self.blobs, MemoryBlobStore) else None
        small = self.settings.small_layer_bytes
        return Bench.over(self.db, self.settings.data, blobs=blobs, **{"small_layer_bytes": small, **changes})

    async def layer(self, content: bytes, ref: RepositoryRef = REF) -> Layer:
        return await self.uploads.put(ref, digest_of(content), stream(content), length=len(content), by=BY)

    async def push(
        self, body: bytes, *, tag: str | None = None, ref: RepositoryRef = REF, api: Any = "ecr"
    ) -> PushResult:
        return await self.images.put(
            ref, body, media_type=None, tags=[] if tag is None else [tag], digest=None, by=BY, api=api
        )

    async def image(self, seed: str, *, tag: str | None = None, **more: Any) -> Digest:
        """Push an image of a config and one layer; its digest."""
        config, layer = f"config {seed}".encode(), f"layer {seed}".encode()
        await self.layer(config)
        await self.layer(layer)
        put = await self.push(manifest(config, layer, **more), tag=tag)
        return put.manifest.digest


async def recorded(db: Database) -> list[AnyEvent]:
    """Return every event in the outbox, oldest first."""
    rows = select(outbox.c.payload).order_by(outbox.c.id)
    payloads = await db.read(lambda conn: list(conn.execute(rows).scalars()))
    return [msgspec.json.decode(payload, type=AnyEvent) for payload in payloads]


def descriptor(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def manifest(config: bytes, *layers: bytes, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers],
        **more,
    }
    return json.dumps(document).encode()


def index(*children: tuple[str, int], media_type: str = OCI_MANIFEST, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": media_type, "digest": digest, "size": size} for digest, size in children],
        **more,
    }
    return json.dumps(document).encode()
