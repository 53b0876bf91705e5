"""Who may see how much of a decision, and that what is shown is what it rested on."""

import pytest

from moorage.access.why import DecisionNotFound
from moorage.errors import AccessDenied
from tests.access.house import APP, BY, OTHER, House, connection, statement

PULL = "ecr:BatchGetImage"


async def denied(house: House, caller: object) -> str:
    with pytest.raises(AccessDenied) as refusal:
        await house.access.require(caller, connection(), PULL, APP)  # type: ignore[arg-type]
    return refusal.value.decision_id


async def test_a_principal_sees_its_own_side_and_the_owner_its_own(house: House) -> None:
    stranger = await house.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await house.policy(statement("Deny", PULL, Principal="*", Sid="Closed"))
    decision = await denied(house, stranger)
    theirs = await house.why.explain(decision, stranger, connection())
    assert f"decision {decision}" in theirs
    assert "Closed" not in theirs
    assert "not shown, as you may not read it: resource policy" in theirs
    own = await house.why.explain(decision, await house.root(), connection())
    assert "Closed" in own
    assert "not shown, as you may not read it: identity policy" in own


async def test_others_are_not_told_that_there_is_a_decision(house: House) -> None:
    decision = await denied(house, await house.user("ann"))
    for caller in (await house.user("ben"), await house.user("eve", account=OTHER), await house.root(OTHER)):
        with pytest.raises(DecisionNotFound):
            await house.why.explain(decision, caller, connection())
    assert "no policy is attached" in await house.why.explain(decision, await house.root(), connection())


async def test_without_an_id_the_last_denial_of_ones_own(house: House) -> None:
    ann, ben = await house.user("ann"), await house.user("ben")
    with pytest.raises(DecisionNotFound):
        await house.why.explain(None, ann, connection())
    await denied(house, ann)
    house.clock.set(house.clock.now() + 1)
    last = await denied(house, ann)
    house.clock.set(house.clock.now() + 1)
    await denied(house, ben)
    assert f"decision {last}" in await house.why.explain(None, ann, connection())


async def test_a_decision_is_explained_by_the_policies_it_rested_on(house: House) -> None:
    ann = await house.user("ann", statement("Deny", PULL, Resource="*", Sid="Then"))
    decision = await denied(house, ann)
    await house.allow("ann", statement("Allow", "ecr:*", Resource="*", Sid="Now"))
    await house.registry.repositories.delete(APP, force=True, by=BY)
    told = await house.why.explain(decision, ann, connection())
    assert "Then" in told
    assert "Now" not in told
