"""Rows that changes leave behind: histories, events, sessions. Each kind has a bound."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from moorage.errors import ImageNotFound, Throttling
from moorage.identity.credentials import sessions as of_identity
from moorage.identity.credentials.expiry import EXPIRED_SESSION_SECONDS
from moorage.identity.credentials.sessions import Sessions
from moorage.names import AccountId
from moorage.registry.images.types import ImageId
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.registry.trash.rules import MAX_REVISIONS
from moorage.registry.trash.service import Trash
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity.tables import sessions
from moorage.store.metadata.tables import outbox, tag_history, usage
from tests.registry.pushing import BY, REF, Bench
from tests.support.sweep import Sweep

DAY = 86400.0
ACCOUNT = AccountId("123456789012")


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    made = Bench.over(database, tmp_path)
    await made.repositories.create(REF, by=BY)
    return made


async def sweep(bench: Bench, **changes: Any) -> None:
    settings = replace(bench.settings, **changes)
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, settings).run_once()


async def count(bench: Bench, table: Any) -> int:
    return await bench.db.read(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one())


async def test_the_history_of_tags_and_policies_is_kept_as_long_as_the_audit_record(bench: Bench) -> None:
    policies = RepositoryPolicies(bench.db, bench.clock)
    for number in range(4):
        await bench.image(str(number), tag="latest")
        await policies.set(REF, f'{{"Version":"{number}"}}', by=BY)
        bench.clock.set(bench.clock.now() + 40 * DAY)
    await bench.image("other", tag="quiet")
    await sweep(bench)
    # Set 160, 120, 80 and 40 days ago: the second was in force within the last 90 days, the first was not.
    assert len(await policies.history(REF)) == 3
    assert await count(bench, tag_history) == 4
    bench.clock.set(bench.clock.now() + 400 * DAY)
    await sweep(bench)
    assert len(await policies.history(REF)) == 1
    assert await policies.get(REF) == '{"Version":"3"}'
    assert await count(bench, tag_history) == 2


async def test_a_tag_is_restored_from_its_last_entries(bench: Bench) -> None:
    first = await bench.image("first", tag="latest")
    others = [await bench.image(seed) for seed in ("a", "b")]
    for number in range(MAX_REVISIONS + 10):
        body = (await bench.images.find(REF, others[number % 2])).body
        await bench.push(body, tag="latest", api="oci")
    trash = Trash(bench.db, bench.blobs, bench.clock, bench.settings)
    assert await trash.restore_tag(REF, "latest", by=BY) in others
    for digest in others:
        await bench.images.batch_delete(REF, [ImageId(digest=digest)], by=BY, api="oci")
        await trash.purge_image(REF, digest, by=BY)
    assert (await bench.images.find(REF, first)).digest == first
    with pytest.raises(ImageNotFound):
        await trash.restore_tag(REF, "latest", by=BY)


async def test_the_outbox_holds_so_many_events(bench: Bench) -> None:
    for number in range(30):
        await bench.image("a", tag=f"tag-{number}")
    await sweep(bench, outbox_events=10)
    assert await count(bench, outbox) == 10


async def test_an_account_has_so_many_sessions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_identity, "PER_ACCOUNT", 5)
    made = Sessions(bench.db, Sealer([b"k" * 32]), bench.clock)
    for _ in range(5):
        await made.create(ACCOUNT, None, 3600, by="tests")
    with pytest.raises(Throttling, match="Rate exceeded"):
        await made.create(ACCOUNT, None, 3600, by="tests")
    await made.create(AccountId("999999999999"), None, 3600, by="tests")
    bench.clock.set(bench.clock.now() + 3600 + EXPIRED_SESSION_SECONDS + 1)
    await sweep(bench)
    assert await count(bench, sessions) == 0
    await made.create(ACCOUNT, None, 3600, by="tests")

    def amount(conn: Connection) -> int:
        here = select(usage.c.amount).where(usage.c.scope == f"sessions of account {ACCOUNT}")
        return int(conn.execute(here).scalar_one())

    assert await bench.db.read(amount) == 1
