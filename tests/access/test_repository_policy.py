"""What SetRepositoryPolicy asks of a text, how it is kept, and how it is shown."""

import json
from typing import Any

import pytest

from moorage.access.caller import Caller
from moorage.errors import InvalidParameter
from tests.access.house import APP, BY, OTHER, OWNER, House, connection, document, statement

PULL = "ecr:BatchGetImage"


async def stored(house: House, caller: Caller, *statements: dict[str, Any], force: bool = False) -> str:
    accepted = await house.check.check_and_canonicalise(caller, connection(), APP, document(*statements), force)
    assert accepted.shown == await house.check.shown(accepted.stored)
    return accepted.stored


async def principals(house: House, text: str) -> Any:
    return json.loads(await house.check.shown(text))["Statement"][0]["Principal"]


async def test_users_are_kept_by_their_id_and_shown_by_their_name(house: House) -> None:
    root, ann = await house.root(), await house.user("ann")
    text = await stored(house, root, statement("Allow", PULL, Principal={"AWS": ann.principal.arn}))
    assert ann.principal.id in text
    assert ann.principal.arn not in text
    assert await principals(house, text) == {"AWS": ann.principal.arn}
    await house.registry.repository_policies.set(APP, text, by=BY)
    await house.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await house.identity.users.delete(OWNER, "ann", BY)
    assert await principals(house, text) == {"AWS": ann.principal.id}
    again = await stored(house, root, statement("Allow", PULL, Principal={"AWS": ann.principal.id}))
    assert ann.principal.id in again  # what is in force may be set again, also when its user is gone
    namesake = await house.user("ann")
    assert namesake.principal.id != ann.principal.id
    assert await principals(house, text) == {"AWS": ann.principal.id}


@pytest.mark.parametrize(
    "principal", [f"arn:aws:iam::{OWNER}:user/absent", "AIDAABSENTABSENTABSE2", "AROA0189ABSENTABSENT"]
)
async def test_a_principal_that_should_be_here_and_is_not(house: House, principal: str) -> None:
    root = await house.root()
    await house.user("somebody")
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await stored(house, root, statement("Allow", PULL, Principal={"AWS": principal}))


async def test_whom_a_policy_names_is_known_as_they_stand_now(house: House) -> None:
    root, ann = await house.root(), await house.user("ann")
    await house.user("somebody")
    naming_ann = statement("Allow", PULL, Principal={"AWS": ann.principal.arn})
    assert ann.principal.id in await stored(house, root, naming_ann)
    await house.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await house.identity.users.delete(OWNER, "ann", BY)
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await stored(house, root, naming_ann)
    namesake = await house.user("ann")
    assert namesake.principal.id in await stored(house, root, naming_ann)


async def test_of_an_account_that_keeps_no_users_here_any_is_taken(house: House) -> None:
    foreign = f"arn:aws:iam::{OTHER}:user/who/knows"
    text = await stored(house, await house.root(), statement("Allow", PULL, Principal={"AWS": foreign}))
    assert await principals(house, text) == {"AWS": foreign}


async def test_what_locks_its_author_out_needs_force(house: House) -> None:
    root = await house.root()
    everyone_out = statement("Deny", "ecr:*", Principal="*")
    with pytest.raises(InvalidParameter, match="set force to true"):
        await stored(house, root, everyone_out)
    assert json.loads(await stored(house, root, everyone_out, force=True))["Statement"][0]["Effect"] == "Deny"
    ann = await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    with pytest.raises(InvalidParameter, match="set force to true"):
        await stored(house, ann, statement("Deny", "ecr:SetRepositoryPolicy", Principal={"AWS": ann.principal.arn}))
    await stored(house, root, statement("Deny", "ecr:SetRepositoryPolicy", Principal={"AWS": ann.principal.arn}))


async def test_what_is_no_policy_is_refused_before_anybody_is_looked_up(house: House) -> None:
    root = await house.root()
    for text in ("", "x", "{}", document(), document(statement("Allow", PULL))):
        with pytest.raises(InvalidParameter, match="'Invalid repository policy provided'"):
            await house.check.check_and_canonicalise(root, connection(), APP, text, True)
