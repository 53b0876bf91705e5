"""Registry policies as texts: one a registry, kept with their history, and every change told to all."""

import pytest

from moorage.errors import RegistryPolicyNotFound
from moorage.names import AccountId, Region
from moorage.registry.account_settings.service import AccountSettings
from moorage.registry.registry_policies.service import RegistryPolicies
from moorage.registry.registry_policies.types import RegistryState
from moorage.store.metadata import epoch
from moorage.store.metadata.epoch import Epochs
from tests.registry.pushing import BY, Bench

HERE = AccountId("123456789012"), Region("eu-west-1")
ELSEWHERE = (AccountId("123456789012"), Region("us-east-1")), (AccountId("210987654321"), Region("eu-west-1"))
HIM = "arn:aws:iam::123456789012:user/him"


@pytest.fixture
def policies(bench: Bench) -> RegistryPolicies:
    return RegistryPolicies(Epochs(bench.db), bench.clock)


async def test_the_last_one_put_is_in_force_in_that_registry_alone(policies: RegistryPolicies) -> None:
    for text in ("first", "second"):
        await policies.set(*HERE, text, by=BY)
        assert await policies.get(*HERE) == text
    for other in ELSEWHERE:
        with pytest.raises(RegistryPolicyNotFound, match=f"in the registry with id '{other[0]}'"):
            await policies.get(*other)
        assert await policies.state(*other) == RegistryState(None, "V2")
    assert await policies.delete(*HERE, by=BY) == "second"
    for act in (policies.get(*HERE), policies.delete(*HERE, by=BY)):
        with pytest.raises(RegistryPolicyNotFound):
            await act
    assert await policies.state(*HERE) == RegistryState(None, "V2")


@pytest.mark.usefixtures("bench")
async def test_history_tells_who_and_when_also_of_the_end(policies: RegistryPolicies) -> None:
    await policies.set(*HERE, "first", by=BY)
    first = (await policies.state(*HERE)).policy_hash
    await policies.delete(*HERE, by=HIM)
    await policies.set(*HERE, "first", by=BY)
    history = await policies.history(*HERE)
    assert [(past.policy_hash, past.by) for past in history] == [(first, BY), (None, HIM), (first, BY)]
    assert [past.at for past in history] == sorted(past.at for past in history)


async def test_a_change_is_seen_with_and_without_a_known_epoch(bench: Bench, policies: RegistryPolicies) -> None:
    others = RegistryPolicies(Epochs(bench.db), bench.clock)  # of another worker
    settings = AccountSettings(bench.db, bench.clock)

    async def known() -> epoch.Epoch:
        return await bench.db.read(epoch.current)

    assert (await others.state(*HERE, await known())).policy_hash is None
    before = await known()
    await policies.set(*HERE, "first", by=BY)
    assert await known() > before
    assert (await others.state(*HERE, await known())).policy_hash is not None
    assert await others.state(*HERE) == await policies.state(*HERE)
    await settings.put(*HERE, "REGISTRY_POLICY_SCOPE", "V1", by=BY)
    assert (await others.state(*HERE, await known())).scope == "V1"
    assert (await others.state(*HERE)).scope == "V1"
