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
from tests.support.backend import APP, BY, HERE, OTHER, OWNER, Backend, basic, connection, statement

PULLS, PUTS = "ecr:BatchGetImage", "ecr:PutImage"
OTHERS = RepositoryRef(OWNER, HERE, RepositoryName("other/app"))
HOUR = 3600.0


async def made(
    backend: Backend,
    user: str | None = None,
    *,
    actions: tuple[str, ...] = PULL_CLIENT,
    repositories: tuple[str, ...] = ("team/*",),
    name: str = "ci",
) -> str:
    ends = backend.clock.now() + HOUR
    await backend.identity.accounts.ensure(OWNER, by="tests")
    _, text = await backend.identity.pull_tokens.create(OWNER, user, name, repositories, actions, ends, BY)
    return text


async def shown(backend: Backend, text: str, user: str = "AWS") -> Caller:
    return await backend.authenticator.caller_of_basic(basic(user, text))


async def test_any_user_name_goes_with_it(backend: Backend) -> None:
    await backend.user("ann")
    text = await made(backend, "ann")
    callers = [await shown(backend, text, user) for user in ("AWS", "ci", "whoever")]
    assert callers[0] is callers[1] is callers[2]
    assert callers[0].principal.arn == f"arn:aws:iam::{OWNER}:user/ann"
    assert callers[0].credential == "token"
    assert callers[0].context["moorage:tokenname"] == "ci"


async def test_it_may_what_its_user_may_within_its_scope(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await backend.registry.repositories.create(OTHERS, by=BY)
    caller = await shown(backend, await made(backend, "ann"))
    assert await backend.may(caller, PULLS)
    assert not await backend.may(caller, PUTS)
    assert not await backend.may(caller, PULLS, OTHERS)
    pusher = await shown(backend, await made(backend, "ann", actions=PUSH_CLIENT, name="push"))
    assert await backend.may(pusher, PUTS)
    assert await backend.may(pusher, PULLS)
    assert not await backend.may(pusher, "ecr:BatchDeleteImage")


async def test_it_may_nothing_that_its_user_may_not(backend: Backend) -> None:
    await backend.user("ann")
    text = await made(backend, "ann")
    assert not await backend.may(await shown(backend, text), PULLS)
    await backend.allow("ann", statement("Allow", PULLS, Resource="*"))
    assert await backend.may(await shown(backend, text), PULLS)


@pytest.mark.parametrize("principal", ["*", {"AWS": f"arn:aws:iam::{OWNER}:user/ann"}, {"AWS": OWNER}])
async def test_a_repository_policy_does_not_lead_out_of_the_scope(backend: Backend, principal: object) -> None:
    """A statement that names the user, or everybody, is not limited by what a session policy only leaves out."""
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await backend.registry.repositories.create(OTHERS, by=BY)
    for ref in (APP, OTHERS):
        await backend.policy(statement("Allow", "ecr:*", Principal=principal), ref=ref)
    caller = await shown(backend, await made(backend, "ann"))
    assert await backend.may(caller, PULLS)
    assert not await backend.may(caller, PUTS)
    assert not await backend.may(caller, PULLS, OTHERS)


async def test_the_roots_token_is_held_to_its_scope_too(backend: Backend) -> None:
    await backend.registry.repositories.create(OTHERS, by=BY)
    caller = await shown(backend, await made(backend))
    assert caller.principal.arn == f"arn:aws:sts::{OWNER}:federated-user/ci"
    assert await backend.may(caller, PULLS)
    assert not await backend.may(caller, PUTS)
    assert not await backend.may(caller, PULLS, OTHERS)
    for action in ("ecr:SetRepositoryPolicy", "ecr:GetRepositoryPolicy"):
        assert not await backend.may(caller, action)


async def test_another_accounts_repository_by_arn_needs_both_sides(backend: Backend) -> None:
    theirs = RepositoryRef(OTHER, HERE, RepositoryName("team/app"))
    await backend.registry.repositories.create(theirs, by=BY)
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await backend.policy(statement("Allow", PULLS, Principal={"AWS": OWNER}), ref=theirs)
    near = await shown(backend, await made(backend, "ann"))
    far = await shown(
        backend, await made(backend, "ann", repositories=(f"arn:aws:ecr:*:{OTHER}:repository/team/*",), name="far")
    )
    assert not await backend.may(near, PULLS, theirs)
    assert await backend.may(far, PULLS, theirs)
    assert not await backend.may(far, PULLS)


async def test_the_denial_names_the_token_and_aws_sentence(backend: Backend) -> None:
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    caller = await shown(backend, await made(backend, "ann"))
    with pytest.raises(AccessDenied, match="with an explicit deny in a session policy") as denied:
        await backend.access.require(caller, connection(), PUTS, APP)
    assert denied.value.short.startswith("session: ")


async def test_policies_can_tell_tokens_apart(backend: Backend) -> None:
    only = {"StringEquals": {"moorage:TokenName": "ci"}}
    await backend.user("ann", statement("Allow", "ecr:*", Resource="*", Condition=only))
    assert await backend.may(await shown(backend, await made(backend, "ann")), PULLS)
    assert not await backend.may(await shown(backend, await made(backend, "ann", name="other")), PULLS)


async def test_it_ends_when_it_ends_is_revoked_or_its_user_is_gone(backend: Backend) -> None:
    await backend.user("ann")
    first, second, third = [await made(backend, "ann", name=name) for name in ("first", "second", "third")]
    await backend.identity.pull_tokens.revoke(OWNER, "first", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(backend, first)
    assert (await backend.authenticator.password_status(basic("x", first))).state == "revoked"
    status = await backend.authenticator.password_status(basic("x", second))
    assert status.state == "valid"
    assert status.expires_at == pytest.approx(backend.clock.now() + HOUR, abs=5)
    assert status.caller is not None
    now = backend.clock.now()
    backend.clock.set(now + HOUR + 1)
    with pytest.raises(AuthorizationTokenExpired):
        await shown(backend, second)
    assert (await backend.authenticator.password_status(basic("x", second))).state == "expired"
    backend.clock.set(now)
    for key in await backend.identity.keys.list(OWNER, "ann"):
        await backend.identity.keys.delete(OWNER, "ann", key.id, by="tests")
    await backend.identity.users.delete(OWNER, "ann", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(backend, third)


async def test_a_wrong_secret_is_nobodys(backend: Backend) -> None:
    text = await made(backend)
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    with pytest.raises(AuthorizationTokenInvalid):
        await shown(backend, forged)
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.password_status(basic("AWS", forged))
    assert await shown(backend, text)


async def test_it_signs_nothing(backend: Backend) -> None:
    found = read_token(await made(backend))
    assert found is not None
    with pytest.raises(UnrecognizedClient):
        await backend.authenticator.credential(found.token_id)


async def test_in_dev_mode_it_is_no_open_key_whatever_the_user_name(backend: Backend) -> None:
    dev = Authenticator(backend.identity, Sealer([bytes(32)]), backend.clock, replace(backend.settings, mode="dev"))
    text = await made(backend)
    assert (await dev.caller_of_basic(basic("test", text))).credential == "token"
    await backend.identity.pull_tokens.revoke(OWNER, "ci", BY)
    with pytest.raises(AuthorizationTokenInvalid):
        await dev.caller_of_basic(basic("test", text))


async def test_an_empty_user_name_is_no_credential_even_in_dev_mode(backend: Backend) -> None:
    """`Og==` is what skopeo and podman send when nobody is logged in."""
    dev = Authenticator(backend.identity, Sealer([bytes(32)]), backend.clock, replace(backend.settings, mode="dev"))
    for header in ("Basic Og==", "Basic " + base64.b64encode(b":any").decode()):
        with pytest.raises(AuthorizationTokenInvalid):
            await dev.caller_of_basic(header)
