"""What SetRepositoryPolicy asks of a text, how it is kept, and how it is shown."""

import json
from collections.abc import Awaitable
from typing import Any

import pytest

from moorage.access.caller import Caller
from moorage.errors import InvalidParameter
from tests.support.backend import APP, BY, OTHER, OWNER, Backend, connection, document, statement

PULL = "ecr:BatchGetImage"


async def stored(backend: Backend, caller: Caller, *statements: dict[str, Any], force: bool = False) -> str:
    accepted = await backend.check.check_and_canonicalize(caller, connection(), APP, document(*statements), force)
    assert accepted.shown == await backend.check.shown(accepted.stored)
    return accepted.stored


async def principals(backend: Backend, text: str) -> Any:
    return json.loads(await backend.check.shown(text))["Statement"][0]["Principal"]


async def test_users_are_kept_by_their_id_and_shown_by_their_name(backend: Backend) -> None:
    root, ann = await backend.root(), await backend.user("ann")
    text = await stored(backend, root, statement("Allow", PULL, Principal={"AWS": ann.principal.arn}))
    assert ann.principal.id in text
    assert ann.principal.arn not in text
    assert await principals(backend, text) == {"AWS": ann.principal.arn}
    await backend.registry.repository_policies.set(APP, text, by=BY)
    await backend.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await backend.identity.users.delete(OWNER, "ann", BY)
    assert await principals(backend, text) == {"AWS": ann.principal.id}
    again = await stored(backend, root, statement("Allow", PULL, Principal={"AWS": ann.principal.id}))
    assert ann.principal.id in again  # what is in force may be set again, also when its user is gone
    namesake = await backend.user("ann")
    assert namesake.principal.id != ann.principal.id
    assert await principals(backend, text) == {"AWS": ann.principal.id}


@pytest.mark.parametrize(
    "principal", [f"arn:aws:iam::{OWNER}:user/absent", "AIDAABSENTABSENTABSE2", "AROA0189ABSENTABSENT"]
)
async def test_a_principal_that_should_be_here_and_is_not(backend: Backend, principal: str) -> None:
    root = await backend.root()
    await backend.user("somebody")
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await stored(backend, root, statement("Allow", PULL, Principal={"AWS": principal}))


async def test_whom_a_policy_names_is_known_as_they_stand_now(backend: Backend) -> None:
    root, ann = await backend.root(), await backend.user("ann")
    await backend.user("somebody")
    naming_ann = statement("Allow", PULL, Principal={"AWS": ann.principal.arn})
    assert ann.principal.id in await stored(backend, root, naming_ann)
    await backend.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await backend.identity.users.delete(OWNER, "ann", BY)
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await stored(backend, root, naming_ann)
    namesake = await backend.user("ann")
    assert namesake.principal.id in await stored(backend, root, naming_ann)


async def test_of_an_account_that_keeps_no_users_here_any_is_taken(backend: Backend) -> None:
    foreign = f"arn:aws:iam::{OTHER}:user/who/knows"
    text = await stored(backend, await backend.root(), statement("Allow", PULL, Principal={"AWS": foreign}))
    assert await principals(backend, text) == {"AWS": foreign}


async def test_what_locks_its_author_out_needs_force(backend: Backend) -> None:
    root = await backend.root()
    everyone_out = statement("Deny", "ecr:*", Principal="*")
    with pytest.raises(InvalidParameter, match="set force to true"):
        await stored(backend, root, everyone_out)
    assert json.loads(await stored(backend, root, everyone_out, force=True))["Statement"][0]["Effect"] == "Deny"
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    with pytest.raises(InvalidParameter, match="set force to true"):
        await stored(backend, ann, statement("Deny", "ecr:SetRepositoryPolicy", Principal={"AWS": ann.principal.arn}))
    await stored(backend, root, statement("Deny", "ecr:SetRepositoryPolicy", Principal={"AWS": ann.principal.arn}))


async def test_what_is_no_policy_is_refused_before_anybody_is_looked_up(backend: Backend) -> None:
    root = await backend.root()
    for text in ("", "x", "{}", document(), document(statement("Allow", PULL))):
        with pytest.raises(InvalidParameter, match="'Invalid repository policy provided'"):
            await backend.check.check_and_canonicalize(root, connection(), APP, text, True)


@pytest.mark.parametrize("of_root", [True, False])
async def test_a_submission_is_stored_or_refused_as_the_call_would_be(backend: Backend, of_root: bool) -> None:
    """A declarative file sets policies in a transaction, after everything else about the caller was looked up."""
    root = await backend.root()
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    caller = root if of_root else ann
    setting, arn = "ecr:SetRepositoryPolicy", ann.principal.arn
    for each in (
        [statement("Allow", PULL, Principal={"AWS": arn})],
        [statement("Allow", PULL, Principal="*"), statement("Deny", setting, Principal={"AWS": arn})],
        [statement("Deny", "ecr:*", Principal="*", Condition={"StringNotEquals": {"aws:PrincipalArn": arn}})],
        [statement("Deny", setting, NotPrincipal={"AWS": f"arn:aws:iam::{OWNER}:root"})],
        [statement("Deny", setting, Principal="*")],
        [statement("Allow", PULL, Principal={"AWS": f"arn:aws:iam::{OWNER}:user/absent"})],
        [statement("Allow", PULL, Principal="*", Resource="*")],
    ):
        expected = await result(stored(backend, caller, *each))
        submission = await backend.check.submission((caller, connection()), APP, document(*each))
        assert await result(backend.identity.epochs.db.read(submission.stored)) == expected


async def result(stored_form: Awaitable[str]) -> str:
    """The stored form, or the message of the refusal."""
    try:
        return await stored_form
    except InvalidParameter as error:
        return error.message
