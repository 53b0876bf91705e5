"""Repository policies as texts: which is in force, which were, and that every change is told to all."""

import hashlib

import pytest

from moorage.errors import RepositoryNotFound, RepositoryPolicyNotFound
from moorage.names import RepositoryName
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.store.metadata import epoch
from tests.registry.pushing import BY, OTHER, REF, Bench

NOWHERE = REF._replace(name=RepositoryName("no/where"))
HIM = "arn:aws:iam::123456789012:user/him"


@pytest.fixture
def policies(bench: Bench) -> RepositoryPolicies:
    return RepositoryPolicies(bench.db, bench.clock)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_the_last_one_set_is_in_force(policies: RepositoryPolicies) -> None:
    with pytest.raises(RepositoryPolicyNotFound):
        await policies.get(REF)
    for text in ("first", "second"):
        await policies.set(REF, text, by=BY)
        assert await policies.get(REF) == text
    with pytest.raises(RepositoryPolicyNotFound):
        await policies.get(OTHER)
    assert await policies.delete(REF, by=BY) == "second"
    for act in (policies.get(REF), policies.delete(REF, by=BY)):
        with pytest.raises(RepositoryPolicyNotFound):
            await act


async def test_history_tells_who_and_when_also_of_the_end(bench: Bench, policies: RepositoryPolicies) -> None:
    start = bench.clock.now()
    await policies.set(REF, "first", by=BY)
    await policies.set(REF, "second", by=HIM)
    await policies.delete(REF, by=BY)
    await policies.set(REF, "first", by=HIM)
    history = await policies.history(REF)
    first, second = hash_of("first"), hash_of("second")
    assert [(past.policy_hash, past.by) for past in history] == [(first, BY), (second, HIM), (None, BY), (first, HIM)]
    assert start <= history[0].at <= history[-1].at <= bench.clock.now()
    assert await policies.history(OTHER) == []


async def test_a_text_is_kept_once_and_for_good(bench: Bench, policies: RepositoryPolicies) -> None:
    for ref in (REF, OTHER):
        await policies.set(ref, "shared", by=BY)
    await policies.delete(REF, by=BY)
    await bench.repositories.delete(OTHER, force=True, by=BY)
    assert await RepositoryPolicies(bench.db, bench.clock).document(hash_of("shared")) == "shared"
    with pytest.raises(LookupError):
        await policies.document(hash_of("never"))


async def test_every_change_raises_the_epoch_and_a_failed_one_does_not(
    bench: Bench, policies: RepositoryPolicies
) -> None:
    seen = [await bench.db.read(epoch.current)]
    await policies.set(REF, "text", by=BY)
    seen.append(await bench.db.read(epoch.current))
    await policies.delete(REF, by=BY)
    seen.append(await bench.db.read(epoch.current))
    assert seen == sorted(set(seen))
    for act in (policies.delete(REF, by=BY), policies.set(NOWHERE, "text", by=BY)):
        with pytest.raises((RepositoryPolicyNotFound, RepositoryNotFound)):
            await act
    assert await bench.db.read(epoch.current) == seen[-1]


async def test_of_a_repository_that_is_not_there(policies: RepositoryPolicies) -> None:
    for act in (
        policies.get(NOWHERE),
        policies.set(NOWHERE, "text", by=BY),
        policies.delete(NOWHERE, by=BY),
        policies.history(NOWHERE),
    ):
        with pytest.raises(RepositoryNotFound):
            await act
