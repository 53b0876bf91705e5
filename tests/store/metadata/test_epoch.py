"""Answers kept under the epoch: read again when it rises, by whomever, and only then where the database can tell."""

from typing import Any

from sqlalchemy import Connection

from moorage.cache import ENTRY, entry_footprint
from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.epoch import Epochs, Part, ReadThroughCache


class _Source:
    def __init__(self) -> None:
        self.value = "one"
        self.reads = 0

    def read(self, conn: Connection) -> tuple[int, str]:
        self.reads += 1
        return epoch.current(conn).value, self.value


def _cache(epochs: Epochs, part: Part) -> ReadThroughCache[str, str]:
    return ReadThroughCache(epochs, "test", 10_000, part, entry_footprint)


async def test_an_answer_stands_until_the_epoch_rises(database: Database) -> None:
    kept: ReadThroughCache[str, str] = _cache(Epochs(database), "value")
    source = _Source()
    assert await kept.get("a", source.read) == (1, "one")
    await database.transaction(lambda _conn: None)
    assert await kept.get("a", source.read) == (1, "one")
    assert source.reads == (2 if database.changed() is None else 1)
    source.value = "two"
    await database.transaction(epoch.advance)
    assert await kept.get("a", source.read) == (2, "two")


async def test_another_process_may_raise_it(database_settings: Settings, database: Database) -> None:
    kept: ReadThroughCache[str, str] = _cache(Epochs(database), "value")
    source = _Source()
    await kept.get("a", source.read)
    other = await open_database(database_settings)
    await other.transaction(epoch.advance, durable=False)
    source.value = "two"
    assert await kept.get("a", source.read) == (2, "two")
    await other.close()


async def test_only_so_many_are_kept(database: Database) -> None:
    kept: ReadThroughCache[int, str] = ReadThroughCache(
        Epochs(database), "test", 3 * (ENTRY + 100), "value", lambda *_: 100
    )
    source = _Source()
    for number in range(10):
        await kept.get(number, source.read)
    assert len(kept) <= 3


async def test_what_reaches_no_further_than_a_repository_leaves_wide_answers_alone(database: Database) -> None:
    epochs = Epochs(database)
    wide: ReadThroughCache[str, str] = _cache(epochs, "wide")
    narrow: ReadThroughCache[str, str] = _cache(epochs, "value")
    for raises, is_wide in ((epoch.advance_repository, False), (epoch.advance, True)):
        at = await epochs.now()
        wide.keep("a", "kept", at)
        narrow.keep("a", "kept", at)
        await database.transaction(raises)
        now = await epochs.now()
        assert now == (at.value + 1, at.wide + is_wide)
        assert narrow.known("a", now) is None
        assert wide.known("a", now) == (None if is_wide else "kept")


async def test_the_epoch_is_read_once_for_a_commit_by_anybody(database: Database, monkeypatch: Any) -> None:
    reads, read = 0, database.read

    async def counted(work: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(work)

    monkeypatch.setattr(database, "read", counted)
    epochs = Epochs(database)
    first = await epochs.now()
    assert await epochs.now() == first
    await database.transaction(epoch.advance)
    for _ in range(3):
        assert (await epochs.now()).value == first.value + 1
    assert reads == (5 if database.changed() is None else 2)
