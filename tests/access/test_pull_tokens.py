"""Whoever shows a pull token is its owner, held to the token's scope, whatever any policy allows."""

import base64
from dataclasses import replace

import pytest

from moorage.access.authenticate import Authenticator
from moorage.access.caller import Caller
from moorage.errors import AccessDenied, AuthorizationTokenExpired, AuthorizationTokenInvalid, UnrecognizedClient
from moorage.identity.credentials.pull_tokens import read_token
from moorage.names import RepositoryName, RepositoryRef
from moorage.policy.catalog.actions import PULL_CLIENT, PUSH_CLIENT
from moorage.sealing import Sealer
from tests.access.house import APP, BY, HERE, OTHER, OWNER, House, basic, connection, statement

PULLS, PUTS = "ecr:BatchGetImage", "ecr:PutImage"
OTHERS = RepositoryRef(OWNER, HERE, RepositoryName("other/app"))
HOUR = 3600.0


async def made(
    house: House,
    user: str | None = None,
    *,
    actions: tuple[str, ...] = PULL_CLIENT,
    repositories: tuple[str, ...] = ("team/*",),
    name: str = "ci",
) -> str:
    ends = house.clock.now() + HOUR
    await house.identity.accounts.ensure(OWNER, by="tests")
    _, text = await house.identity.pull_tokens.create(OWNER, user, name, repositories, actions, ends, BY)
    return text


async def shown(house: House, text: str, user: str = "AWS") -> Caller:
    return await house.authenticator.caller_of_basic(basic(user, text))


async def test_any_user_name_goes_with_it(house: House) -> None:
    await house.user("ann")
    text = await made(house, "ann")
    callers = [await shown(house, text, user) for user in ("AWS", "ci", "whoever")]
    assert callers[0] is callers[1] is callers[2]
    assert callers[0].principal.arn == f"arn:aws:iam::{OWNER}:user/ann"
    assert callers[0].credential == "token"
    assert callers[0].context["moorage:tokenname"] == "ci"


async def test_it_may_what_its_user_may_within_its_scope(house: House) -> None:
    await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await house.registry.repositories.create(OTHERS, by=BY)
    caller = await shown(house, await made(house, "ann"))
    assert await house.may(caller, PULLS)
    assert not await house.may(caller, PUTS)
    assert not await house.may(caller, PULLS, OTHERS)
    pusher = await shown(house, await made(house, "ann", actions=PUSH_CLIENT, name="push"))
    assert await house.may(pusher, PUTS)
    assert await house.may(pusher, PULLS)
    assert not await house.may(pusher, "ecr:BatchDeleteImage")


async def test_it_may_nothing_that_its_user_may_not(house: House) -> None:
    await house.user("ann")
    text = await made(house, "ann")
    assert not await house.may(await shown(house, text), PULLS)
    await house.allow("ann", statement("Allow", PULLS, Resource="*"))
    assert await house.may(await shown(house, text), PULLS)


@pytest.mark.parametrize("principal", ["*", {"AWS": f"arn:aws:iam::{OWNER}:user/ann"}, {"AWS": OWNER}])
async def test_a_repository_policy_does_not_lead_out_of_the_scope(house: House, principal: object) -> None:
    """A statement that names the user, or everybody, is not limited by what a session policy only leaves out."""
    await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await house.registry.repositories.create(OTHERS, by=BY)
    for ref in (APP, OTHERS):
        await house.policy(statement("Allow", "ecr:*", Principal=principal), ref=ref)
    caller = await shown(house, await made(house, "ann"))
    assert await house.may(caller, PULLS)
    assert not await house.may(caller, PUTS)
    assert not await house.may(caller, PULLS, OTHERS)


async def test_the_roots_token_is_held_to_its_scope_too(house: House) -> None:
    await house.registry.repositories.create(OTHERS, by=BY)
    caller = await shown(house, await made(house))
    assert caller.principal.arn == f"arn:aws:sts::{OWNER}:federated-user/ci"
    assert await house.may(caller, PULLS)
    assert not await house.may(caller, PUTS)
    assert not await house.may(caller, PULLS, OTHERS)
    for action in ("ecr:SetRepositoryPolicy", "ecr:GetRepositoryPolicy"):
        assert not await house.may(caller, action)


async def test_another_accounts_repository_by_arn_needs_both_sides(house: House) -> None:
    theirs = RepositoryRef(OTHER, HERE, RepositoryName("team/app"))
    await house.registry.repositories.create(theirs, by=BY)
    await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await house.policy(statement("Allow", PULLS, Principal={"AWS": OWNER}), ref=theirs)
    near = await shown(house, await made(house, "ann"))
    far = await shown(
        house, await made(house, "ann", repositories=(f"arn:aws:ecr:*:{OTHER}:repository/team/*",), name="far")
    )
    assert not await house.may(near, PULLS, theirs)
    assert await house.may(far, PULLS, theirs)
    assert not await house.may(far, PULLS)


async def test_the_denial_names_the_token_and_aws_sentence(house: House) -> None:
    await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    caller = await shown(house, await made(house, "ann"))
    with pytest.raises(AccessDenied, match="with an explicit deny in a session policy") as denied:
        await house.access.require(caller, connection(), PUTS, APP)
    assert denied.value.short.startswith("session: ")


async def test_policies_can_tell_tokens_apart(house: House) -> None:
    only = {"StringEquals": {"moorage:TokenName": "ci"}}
    await house.user("ann", statement("Allow", "ecr:*", Resource="*", Condition=only))
    assert await house.may(await shown(house, await made(house, "ann")), PULLS)
    assert not await house.may(await shown(house, await made(house, "ann", name="other")), PULLS)


async def test_it_ends_when_it_ends_is_revoked_or_its_user_is_gone(house: House) -> None:
    await house.user("ann")
    first, second, third = [await made(house, "ann", name=name) for name in ("first", "second", "third")]
    await house.identity.pull_tokens.revoke(OWNER, "first", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(house, first)
    assert (await house.authenticator.standing(basic("x", first))).state == "revoked"
    standing = await house.authenticator.standing(basic("x", second))
    assert standing.state == "valid"
    assert standing.expires_at == pytest.approx(house.clock.now() + HOUR, abs=5)
    assert standing.caller is not None
    now = house.clock.now()
    house.clock.set(now + HOUR + 1)
    with pytest.raises(AuthorizationTokenExpired):
        await shown(house, second)
    assert (await house.authenticator.standing(basic("x", second))).state == "expired"
    house.clock.set(now)
    for key in await house.identity.keys.list(OWNER, "ann"):
        await house.identity.keys.delete(OWNER, "ann", key.id, by="tests")
    await house.identity.users.delete(OWNER, "ann", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(house, third)


async def test_a_wrong_secret_is_nobodys(house: House) -> None:
    text = await made(house)
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(house, forged)
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.standing(basic("AWS", forged))
    assert await shown(house, text)


async def test_it_signs_nothing(house: House) -> None:
    found = read_token(await made(house))
    assert found is not None
    with pytest.raises(UnrecognizedClient):
        await house.authenticator.credential(found.token_id)


async def test_in_dev_mode_it_is_no_open_key_whatever_the_user_name(house: House) -> None:
    dev = Authenticator(house.identity, Sealer([bytes(32)]), house.clock, replace(house.settings, mode="dev"))
    text = await made(house)
    assert (await dev.caller_of_basic(basic("test", text))).credential == "token"
    await house.identity.pull_tokens.revoke(OWNER, "ci", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await dev.caller_of_basic(basic("test", text))


async def test_an_empty_user_name_is_no_credential_even_in_dev_mode(house: House) -> None:
    """`Og==` is what skopeo and podman send when nobody is logged in."""
    dev = Authenticator(house.identity, Sealer([bytes(32)]), house.clock, replace(house.settings, mode="dev"))
    for header in ("Basic Og==", "Basic " + base64.b64encode(b":any").decode()):
        with pytest.raises(AuthorizationTokenInvalid):
            await dev.caller_of_basic(header)
