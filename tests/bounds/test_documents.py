"""Policy documents: what is in force or in a history is kept, what nothing refers to is deleted, after a while."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from moorage.identity.accounts.organizations import (
    FULL_ACCESS_TEXT,
    RCP_FULL_ACCESS_TEXT,
    OrganizationDocument,
    Organizations,
)
from moorage.names import AccountId, Region
from moorage.registry.registry_policies.service import RegistryPolicies
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.settings import Settings
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.database.schema import metadata
from moorage.store.metadata.epoch import Epochs
from moorage.store.metadata.identity.tables import identity_history
from moorage.store.metadata.policies import documents, history, repository_policies
from moorage.store.metadata.policies.documents import REFERENCES
from moorage.store.metadata.tables import policy_documents, registry_policy_history
from tests.registry.conftest import bench
from tests.registry.pushing import BY, OTHER, REF, Bench
from tests.store.metadata.migrations.test_upgrade import made_at
from tests.support.in_process import in_process
from tests.support.sweep import Sweep

__all__ = ["bench"]

DAY = 86400.0


async def sweep(bench: Bench, **changes: Any) -> None:
    settings = replace(bench.settings, **changes)
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, settings).run_once()


async def keep(bench: Bench, text: str) -> None:
    await bench.db.transaction(lambda conn: documents.keep(conn, text))


async def texts(bench: Bench) -> set[str]:
    return set(await bench.db.read(lambda conn: conn.execute(select(policy_documents.c.text)).scalars().all()))


def test_every_column_that_names_a_document_is_looked_at() -> None:
    """A column that is missing here would let the sweep delete documents in use."""
    named = {
        column
        for table in metadata.sorted_tables
        for column in table.c
        if any(key.column is policy_documents.c.hash for key in column.foreign_keys)
    }
    assert named | {identity_history.c.value} == set(REFERENCES)
    for column in REFERENCES:
        assert any(next(iter(index.columns)) is column for index in column.table.indexes), column


async def test_a_document_goes_some_time_after_its_last_use(bench: Bench) -> None:
    policies = RepositoryPolicies(bench.db, bench.clock)
    await policies.set(REF, "first", by=BY)
    await policies.set(REF, "second", by=BY)
    await keep(bench, "alone")
    await sweep(bench)
    assert await texts(bench) == {"first", "second", "alone"}
    bench.clock.set(bench.clock.now() + 91 * DAY)
    await sweep(bench)  # the history lets go of the first
    assert await texts(bench) == {"first", "second"}
    bench.clock.set(bench.clock.now() + 89 * DAY)
    await sweep(bench)
    assert await texts(bench) == {"first", "second"}
    bench.clock.set(bench.clock.now() + 2 * DAY)
    await sweep(bench)
    assert await texts(bench) == {"second"}
    assert await policies.get(REF) == "second"


async def test_a_document_that_is_set_again_is_kept(bench: Bench) -> None:
    policies = RepositoryPolicies(bench.db, bench.clock)
    await keep(bench, "again")
    await sweep(bench)
    bench.clock.set(bench.clock.now() + 89 * DAY)
    await policies.set(REF, "again", by=BY)
    bench.clock.set(bench.clock.now() + 89 * DAY)
    await sweep(bench)
    assert await policies.get(REF) == "again"


async def test_the_newest_unused_documents_are_kept(bench: Bench) -> None:
    for number in range(10):
        await keep(bench, str(number))
        await sweep(bench)
        bench.clock.set(bench.clock.now() + 1)
    await sweep(bench, unused_documents=3)
    assert await texts(bench) == {"7", "8", "9"}


async def test_the_documents_of_a_destroyed_repository_go(bench: Bench) -> None:
    await RepositoryPolicies(bench.db, bench.clock).set(REF, "gone", by=BY)
    await bench.repositories.delete(REF, force=True, by=BY)
    for _ in range(3):
        bench.clock.set(bench.clock.now() + 91 * DAY)
        await sweep(bench)
    assert await texts(bench) == set()


async def test_a_policy_has_so_many_versions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_OF_POLICY", 5)
    monkeypatch.setattr(repository_policies, "_TRIM_EVERY", 4)
    policies = RepositoryPolicies(bench.db, bench.clock)
    await policies.set(OTHER, "0", by=BY)
    for number in range(20):
        await policies.set(REF, str(number), by=BY)
        assert len(await policies.history(REF)) <= 5 + 3
    await sweep(bench)
    assert await texts(bench) == {"0", *map(str, range(15, 20))}
    assert await policies.get(OTHER) == "0"


async def test_a_registry_policy_has_so_many_versions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_OF_POLICY", 5)
    policies = RegistryPolicies(Epochs(bench.db), bench.clock)
    account, region = AccountId("123456789012"), Region("us-east-1")
    for number in range(20):
        await policies.set(account, region, str(number), by=BY)
    count = select(func.count()).select_from(registry_policy_history)
    assert await bench.db.read(lambda conn: conn.execute(count).scalar_one()) == 5
    await sweep(bench)
    assert await texts(bench) == set(map(str, range(15, 20)))


async def test_a_policy_can_be_set_while_the_sweep_deletes_its_document(bench: Bench) -> None:
    policies = RepositoryPolicies(bench.db, bench.clock)
    for number in range(30):
        text = f"text {number}"
        await keep(bench, text)
        await sweep(bench, unused_documents=1000)
        await asyncio.gather(
            policies.set(REF, text, by=BY),
            sweep(bench, unused_documents=0),
            policies.set(OTHER, text, by=BY),
            sweep(bench, unused_documents=0),
        )
        assert await policies.get(REF) == await policies.get(OTHER) == text


async def test_a_policy_can_be_set_again_after_a_reset(database_settings: Settings) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    async with in_process(replace(database_settings, mode="dev")) as registry:
        for _ in range(2):
            await registry.ok("CreateRepository", repositoryName="team/app")
            await registry.ok("SetRepositoryPolicy", repositoryName="team/app", policyText=text)
            await registry.ok("GetRepositoryPolicy", repositoryName="team/app")
            assert (await registry.ask("", b"", path="/_moorage/reset")).status in {200, 204}


async def test_the_policies_of_an_organization_are_kept(bench: Bench) -> None:
    organizations = Organizations(Epochs(bench.db), bench.clock)
    for text in ("first", "second"):
        await organizations.put(OrganizationDocument(json.dumps({"names": text}), REF.account, [text]), by=BY)
    for _ in range(3):
        bench.clock.set(bench.clock.now() + 91 * DAY)
        await sweep(bench)
    assert await texts(bench) == {"second", FULL_ACCESS_TEXT, RCP_FULL_ACCESS_TEXT}


async def test_the_policies_of_an_earlier_organization_are_kept(
    empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = '{"id":"o-1","serviceControlPolicies":{"Some":{"Statement": []}}}'
    digest = hashlib.sha256(b'{"Statement": []}').hexdigest()
    escaped = document.replace(":", r"\:")
    statements = (
        f"INSERT INTO policy_documents (hash, text) VALUES ('{digest}', 'scp')",
        f"INSERT INTO organization_history (document, at, by) VALUES ('{escaped}', 1.0, 'me')",
    )
    await made_at(empty_database_settings, "0008", statements, monkeypatch)
    opened = await open_database(empty_database_settings)
    made = Bench.over(opened, tmp_path)
    for _ in range(3):
        made.clock.set(made.clock.now() + 91 * DAY)
        await sweep(made)
    assert await texts(made) == {"scp"}
    await opened.close()


async def test_the_history_of_the_organization_is_bounded_in_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    organizations = Organizations(Epochs(bench.db), bench.clock)
    for number in range(8):
        await organizations.put(OrganizationDocument(str(number) + "é" * (1 << 19), REF.account, ()), by=BY)
    before: int | None = None
    pages: list[list[str]] = []
    while not pages or before is not None:
        page, before = await organizations.history(before)
        pages.append([each.document or "" for each in page])
    assert [[each[0] for each in page] for page in pages] == [["7", "6", "5"], ["4", "3", "2"], ["1", "0"]]
    assert all(sum(len(each.encode()) for each in page) <= 4 << 20 for page in pages)
    monkeypatch.setattr("moorage.pages.PAGE_BYTES", 1)
    page, before = await organizations.history(before)
    assert (len(page), before is None) == (1, False)
