"""What an operation takes does not grow with what its repository and registry hold: counted in SQLite's instructions.

A statement that finds its rows by the wrong index reads every row beside them, and nobody sees it among ten.
"""

import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.clock import Clock
from moorage.names import RepositoryName
from moorage.registry.images.manifest_document import OCI_MANIFEST
from moorage.registry.images.types import ImageId
from moorage.registry.registry import Registry, make_registry
from moorage.registry.repositories import resource_tags
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.open import open_database
from tests.registry.pushing import BY, REF, descriptor, digest_of, index, manifest, stream

FEW, MANY = 20, 600
CONFIG, LAYER = b"config", b"layer"


class Counter:
    """Counts the instructions of every connection that is opened after it.

    But for those of checkpoints, which go on beside everything: whoever sets a handler waits for the connection, and
    the one who uses it would wait for Python to call the handler.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self._connections: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            if not threading.current_thread().name.startswith("checkpoint"):
                self._connections.append(connection)
            return connection

        monkeypatch.setattr(sqlite3, "connect", connected)

    def _step(self) -> int:
        self.steps += 1
        return 0

    async def of(self, work: Awaitable[Any]) -> int:
        """The instructions of `work`."""
        self._watch(self._step)
        self.steps = 0
        await work
        self._watch(None)
        return self.steps

    def _watch(self, handler: Callable[[], int] | None) -> None:
        for connection in self._connections:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                connection.set_progress_handler(handler, 1)


def body(name: str) -> bytes:
    return manifest(CONFIG, LAYER, annotations={"name": name})


def listing(name: str) -> bytes:
    """An index of the image `name`."""
    child = body(name)
    return index((digest_of(child), len(child)), annotations={"name": name})


async def push(registry: Registry, content: bytes, tag: str | None = None) -> None:
    await registry.images.put(REF, content, media_type=None, tags=[tag] if tag else [], digest=None, by=BY, api="ecr")


async def delete(registry: Registry, **image: str) -> None:
    _, failures = await registry.images.batch_delete(REF, [ImageId(**image)], by=BY, api="ecr")
    assert failures == []


async def layer(registry: Registry, content: bytes) -> None:
    await registry.uploads.put(REF, digest_of(content), stream(content), length=len(content), by=BY)


async def fill(registry: Registry, count: int) -> None:
    """So many repositories; in the first so many living images, deleted ones, indexes, layers and signatures."""
    await registry.repositories.create(REF, by=BY)
    await layer(registry, CONFIG)
    await layer(registry, LAYER)
    for number in range(count):
        await registry.repositories.create(REF._replace(name=RepositoryName(f"beside/{number}")), by=BY)
        await layer(registry, b"layer %d" % number)
        await registry.uploads.begin(REF, BY)
        await push(registry, body(f"alive {number}"), f"alive-{number}")
        await push(registry, body(f"deleted {number}"), f"deleted-{number}")
        await push(registry, listing(f"deleted {number}"), f"index-{number}")
        await delete(registry, digest=digest_of(listing(f"deleted {number}")))
        await delete(registry, digest=digest_of(body(f"deleted {number}")))
        await push(registry, manifest(CONFIG, LAYER, subject=descriptor(b"%d" % number, OCI_MANIFEST)))


async def upload(registry: Registry) -> None:
    begun = await registry.uploads.begin(REF, BY)
    await registry.uploads.append(REF, begun.id, stream(b"uploaded"))
    await registry.uploads.finish(REF, begun.id, digest_of(b"uploaded"), by=BY, api="oci")


async def canceled(registry: Registry) -> None:
    await registry.uploads.cancel(REF, (await registry.uploads.begin(REF, BY)).id)


OPERATIONS: dict[str, Callable[[Registry], Awaitable[Any]]] = {
    "push an image": lambda it: push(it, body("new"), "new"),
    "push a deleted image": lambda it: push(it, body("deleted 9"), "back"),
    "move a tag": lambda it: push(it, body("alive 8"), "alive-7"),
    "push a layer": lambda it: layer(it, b"new layer"),
    "push a layer again": lambda it: layer(it, b"layer 8"),
    "begin an upload": lambda it: it.uploads.begin(REF, BY),
    "upload a layer": upload,
    "cancel an upload": canceled,
    "ask for layers": lambda it: it.layers.availability(REF, [digest_of(LAYER), digest_of(b"layer 7")]),
    "download a layer": lambda it: it.layers.download(REF, digest_of(LAYER)),
    "delete a layer": lambda it: it.layers.delete(REF, digest_of(b"layer 7"), BY),
    "pull by tag": lambda it: it.images.find(REF, "alive-7"),
    "pull by digest": lambda it: it.images.find(REF, digest_of(body("alive 7"))),
    "list images": lambda it: it.images.page_ids(REF, limit=10),
    "list tagged images": lambda it: it.images.page_ids(REF, tag_status="TAGGED", limit=10),
    "list tags": lambda it: it.images.tag_names(REF, limit=10),
    "describe an image": lambda it: it.images.describe(REF, [ImageId(tag="alive-7")]),
    "describe images": lambda it: it.images.page(REF, limit=10),
    "list referrers": lambda it: it.images.referrers(REF, digest_of(b"7"), limit=10),
    "list referrers of a type": lambda it: it.images.referrers(REF, digest_of(b"7"), artifact_type="a/b", limit=10),
    "delete a tag": lambda it: delete(it, tag="alive-7"),
    "delete an image": lambda it: delete(it, digest=digest_of(body("alive 5"))),
    "restore an image": lambda it: it.trash.restore_image(REF, digest_of(body("deleted 8")), by=BY),
    "restore an index": lambda it: it.trash.restore_image(REF, digest_of(listing("deleted 7")), by=BY),
    "restore a tag": lambda it: it.trash.restore_tag(REF, "deleted-6", by=BY),
    "purge an image": lambda it: it.trash.purge_image(REF, digest_of(listing("deleted 5")), by=BY),
    "create a repository": lambda it: it.repositories.create(REF._replace(name=RepositoryName("another")), by=BY),
    "describe a repository": lambda it: it.repositories.named(REF.account, REF.region, [REF.name]),
    "describe repositories": lambda it: it.repositories.page(REF.account, REF.region, limit=10),
    "find repositories by tag": lambda it: it.resource_tags.scan(REF.account, REF.region, "", lambda _: True),
    "set a policy": lambda it: it.repository_policies.set(REF, "{}", by=BY),
    "delete a repository": lambda it: it.repositories.delete(REF, force=True, by=BY),
}


Crowd = Callable[[int], Awaitable[tuple[Registry, Counter]]]


@pytest.fixture
async def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowd]:
    counter = Counter(monkeypatch)
    opened = []

    async def make(count: int) -> tuple[Registry, Counter]:
        settings = Settings(data=tmp_path / str(count))
        database = await open_database(settings)
        opened.append(database)
        registry = make_registry(database, FileBlobStore(settings.data / "blobs"), Clock(), settings)
        await fill(registry, count)
        return registry, counter

    yield make
    for database in opened:
        await database.close()


async def test_what_an_operation_takes_does_not_grow(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_EXAMINED", "_AT_A_TIME"):  # what a page looks at is bounded, but above what is few here
        monkeypatch.setattr(resource_tags, name, FEW // 2)
    few, counter = await crowd(FEW)
    many, _ = await crowd(MANY)
    grown = {}
    for name, operation in OPERATIONS.items():
        alone, beside = await counter.of(operation(few)), await counter.of(operation(many))
        if beside > alone * 1.2:
            grown[name] = (alone, beside)
    assert grown == {}
