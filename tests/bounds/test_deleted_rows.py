"""What is deleted and made again in a loop leaves a bounded number of rows; what was deleted last can be restored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from moorage.errors import Throttling
from moorage.identity.credentials import pull_tokens as of_tokens
from moorage.identity.credentials import sessions as of_sessions
from moorage.identity.credentials.expiry import EXPIRED_SESSION_SECONDS
from moorage.identity.credentials.pull_tokens import PullTokens
from moorage.identity.credentials.sessions import Sessions
from moorage.identity.principals.entity import Entity, row_of
from moorage.names import AccountId, RepositoryName, RepositoryRef
from moorage.policy.catalog.actions import PULL_CLIENT
from moorage.registry.images.types import ImageId
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.registry.trash.service import Trash
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, identities
from moorage.store.metadata.identity import accounts as account_rows
from moorage.store.metadata.identity.tables import access_keys as key_table
from moorage.store.metadata.identity.tables import identity_history, pull_tokens, sessions
from moorage.store.metadata.policies import history
from moorage.store.metadata.tables import manifests, repositories, tag_history, usage
from tests.registry.pushing import BY, REF, Bench
from tests.support.sweep import Sweep

DAY = 86400.0
ACCOUNT = AccountId("123456789012")


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    made = Bench.over(database, tmp_path)
    await made.repositories.create(REF, by=BY)
    await made.db.transaction(lambda conn: account_rows.add(conn, ACCOUNT, "", 0.0))
    return made


async def sweep(bench: Bench, **changes: Any) -> None:
    settings = replace(bench.settings, **changes)
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, settings).run_once()


async def count(bench: Bench, table: Any) -> int:
    return await bench.db.read(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one())


async def test_deleted_repositories(bench: Bench) -> None:
    ref = REF._replace(name=RepositoryName("loop"))
    for number in range(10):
        await bench.repositories.create(ref, tags={"number": str(number)}, by=BY)
        await bench.repositories.delete(ref, force=True, by=BY)
        bench.clock.set(bench.clock.now() + 1)
    await sweep(bench, trashed_repositories_per_registry=3)
    assert await count(bench, repositories) == 1 + 3
    await Trash(bench.db, bench.blobs, bench.clock, bench.settings).restore_repository(ref, as_name=None, by=BY)
    assert await bench.repositories.tags(ref) == {"number": "9"}


async def test_deleted_images(bench: Bench) -> None:
    pushed = []
    for number in range(10):
        pushed.append(await bench.image("same", annotations={"number": str(number)}))
        await bench.images.batch_delete(REF, [ImageId(digest=pushed[-1])], by=BY, api="oci")
        bench.clock.set(bench.clock.now() + 1)
    alive = await bench.image("alive")
    await sweep(bench, trashed_images_per_repository=3)
    assert await count(bench, manifests) == 1 + 3
    trash = Trash(bench.db, bench.blobs, bench.clock, bench.settings)
    for digest in pushed[-3:]:
        await trash.restore_image(REF, digest, by=BY)
    assert (await bench.images.find(REF, alive)).digest == alive


async def test_pull_tokens(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_tokens, "ENDED_PER_ACCOUNT", 3)
    tokens = PullTokens(bench.db, bench.clock)
    for _ in range(10):
        await tokens.create(ACCOUNT, None, "loop", ["team/*"], PULL_CLIENT, bench.clock.now() + DAY, BY)
        await tokens.revoke(ACCOUNT, "loop", BY)
        bench.clock.set(bench.clock.now() + 1)
    await tokens.create(ACCOUNT, None, "other", ["team/*"], PULL_CLIENT, bench.clock.now() + DAY, BY)
    assert await count(bench, pull_tokens) == 1 + 3
    assert [each.name for each in await tokens.page(ACCOUNT, limit=100)] == ["other"]


async def test_access_keys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_keys, "MOST_DELETED", 3)

    def work(conn: Any) -> None:
        for number in range(10):
            access_keys.add(conn, f"AKIA{number}", ACCOUNT, None, "sealed", float(number))
            assert access_keys.remove(conn, ACCOUNT, None, f"AKIA{number}", float(number))
        access_keys.add(conn, "AKIALIVING", ACCOUNT, None, "sealed", 11.0)

    await bench.db.transaction(work)
    kept = await bench.db.read(lambda conn: conn.execute(select(key_table.c.id)).scalars().all())
    assert set(kept) == {"AKIA7", "AKIA8", "AKIA9", "AKIALIVING"}


async def test_tags_that_were_removed(bench: Bench) -> None:
    digest = await bench.image("a")
    for number in range(5):
        await bench.image("a", tag=f"tag-{number}")
        await bench.images.batch_delete(REF, [ImageId(tag=f"tag-{number}")], by=BY, api="oci")
    await bench.image("a", tag="stays")
    bench.clock.set(bench.clock.now() + 91 * DAY)
    await sweep(bench)
    assert await count(bench, tag_history) == 1
    assert (await bench.images.find(REF, "stays")).digest == digest


async def test_a_table_of_histories_has_so_many_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 6)
    await bench.image("a", tag="quiet")
    for number in range(20):
        await bench.image("ab"[number % 2], tag="moving")
    await sweep(bench)
    assert await count(bench, tag_history) == 6 + 1


@pytest.mark.parametrize("flooded_first", [True, False])
async def test_one_account_does_not_use_up_the_history_of_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, flooded_first: bool
) -> None:
    monkeypatch.setattr(history, "MOST", 6)
    monkeypatch.setattr("moorage.registry.retention.BATCH", 3)
    other = REF._replace(account=AccountId("999999999999"))
    await bench.repositories.create(other, by=BY)
    policies = RepositoryPolicies(bench.db, bench.clock)

    async def change(ref: RepositoryRef, times: int) -> None:
        for number in range(times):
            await policies.set(ref, f'{{"Version":"{ref.account} {number}"}}', by=BY)

    for ref, times in ((REF, 20), (other, 5)) if flooded_first else ((other, 5), (REF, 20)):
        await change(ref, times)
    for _ in range(2):
        await sweep(bench)
        assert len(await policies.history(other)) == 5
        assert len(await policies.history(REF)) == 6


async def test_identities_that_are_made_and_deleted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 4)

    def work(conn: Any) -> None:
        identities.remember(conn, ACCOUNT, "AIDAQUIET", "inline", "p", "value", bench.clock.now(), BY)
        for number in range(20):
            for value in ("value", None):
                identities.remember(conn, ACCOUNT, f"AIDA{number}", "inline", "p", value, bench.clock.now(), BY)

    await bench.db.transaction(work)
    await sweep(bench)
    assert await count(bench, identity_history) == 4 + 1


async def test_one_identity_does_not_use_up_the_sessions_of_its_account(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_sessions, "PER_IDENTITY", 3)
    made = Sessions(bench.db, Sealer([b"k" * 32]), bench.clock)

    def work(conn: Any) -> None:
        for name in ("ann", "ben"):
            identities.add(conn, row_of(Entity("user", f"AIDA{name.upper()}", ACCOUNT, name, "/", 0.0)))

    await bench.db.transaction(work)
    for identity in ("AIDAANN", None):
        for _ in range(3):
            await made.create(ACCOUNT, identity, 3600, by="tests")
        with pytest.raises(Throttling, match="Rate exceeded"):
            await made.create(ACCOUNT, identity, 3600, by="tests")
    await made.create(ACCOUNT, "AIDABEN", 3600, by="tests")
    await bench.db.transaction(lambda conn: identities.remove(conn, "AIDABEN"))
    bench.clock.set(bench.clock.now() + 3600 + EXPIRED_SESSION_SECONDS + 1)
    await sweep(bench)
    assert await count(bench, sessions) == 0
    amounts = await bench.db.read(lambda conn: conn.execute(select(usage.c.scope, usage.c.amount)).all())
    here = {scope: amount for scope, amount in amounts if scope.startswith("sessions")}
    assert here == {f"sessions of account {ACCOUNT}": 0, "sessions of AIDAANN": 0, f"sessions of root {ACCOUNT}": 0}
    await made.create(ACCOUNT, "AIDAANN", 3600, by="tests")
