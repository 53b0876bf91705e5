"""Credentials become callers, for as long as they live."""

import base64
from dataclasses import replace

import pytest

from moorage.access.authenticate import Authenticator
from moorage.errors import AuthorizationTokenExpired, AuthorizationTokenInvalid, UnrecognizedClient
from moorage.names import Region
from moorage.sealing import Sealer
from tests.support.backend import HERE, OWNER, Backend, basic

HOUR = 3600.0


async def test_a_password_is_its_caller_for_twelve_hours(backend: Backend) -> None:
    ann = await backend.user("ann")
    password, expires_at = await backend.authenticator.issue_password(ann, HERE)
    assert expires_at == pytest.approx(backend.clock.now() + 12 * HOUR, abs=5)
    assert ":" not in password
    assert len(password) < 2000
    assert await backend.authenticator.caller_of_basic(basic("AWS", password)) == ann
    start = backend.clock.now()
    backend.clock.set(start + 12 * HOUR - 5)
    assert await backend.authenticator.caller_of_basic(basic("AWS", password)) == ann
    backend.clock.set(start + 12 * HOUR + 5)
    with pytest.raises(AuthorizationTokenExpired):
        await backend.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_dies_with_its_key(backend: Backend) -> None:
    ann = await backend.user("ann")
    password, _ = await backend.authenticator.issue_password(ann, HERE)
    await backend.identity.keys.set_active(OWNER, "ann", ann.key_id, False, by="tests")
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(basic("AWS", password))
    await backend.identity.keys.set_active(OWNER, "ann", ann.key_id, True, by="tests")
    assert (await backend.authenticator.caller_of_basic(basic("AWS", password))).principal == ann.principal
    await backend.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_ends_with_its_session(backend: Backend) -> None:
    await backend.user("ann")
    user = await backend.identity.users.get(OWNER, "ann")
    session = await backend.identity.sessions.create(OWNER, user.id, 900, by="tests")
    caller = await backend.holder(session.id)
    assert (caller.credential, caller.principal.arn) == ("session", user.arn)
    password, _ = await backend.authenticator.issue_password(caller, HERE)
    assert await backend.authenticator.caller_of_basic(basic("AWS", password)) == caller
    backend.clock.set(backend.clock.now() + 901)
    with pytest.raises(AuthorizationTokenExpired):
        await backend.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_is_bound_to_its_region_where_that_is_asked(backend: Backend) -> None:
    password, _ = await backend.authenticator.issue_password(await backend.root(), HERE)
    assert await backend.authenticator.caller_of_basic(basic("AWS", password), HERE)
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(basic("AWS", password), Region("us-east-1"))


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !", "Bearer x", "Basic " + base64.b64encode(b"AWS").decode(), basic("AWS", ""),
     basic("AWS", "x" * 400), basic("", ""), basic("test", "any"), basic("111122223333", "any"),
     "Basic " + base64.b64encode(b"\xff:\xff").decode(), basic("AKIAIOSFODNN7EXAMPLE", "secret")],
)  # fmt: skip
async def test_headers_that_stand_for_nobody(backend: Backend, header: str) -> None:
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(header)


async def test_a_text_sealed_by_others_or_for_another_use_is_no_password(backend: Backend) -> None:
    ann = await backend.user("ann")
    foreign = Authenticator(backend.identity, Sealer([bytes([7]) * 32]), backend.clock, backend.settings)
    forged, _ = await foreign.issue_password(ann, HERE)
    other_use = backend.authenticator.seal("download", ann, backend.clock.now() + 60, HERE)
    for text in (forged, other_use):
        with pytest.raises(AuthorizationTokenInvalid):
            await backend.authenticator.caller_of_basic(basic("AWS", text))


async def test_keys_that_nobody_has(backend: Backend) -> None:
    for key in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "", "test", "\0", "A" * 16 + "\0", "A" * 500, "é" * 20):
        with pytest.raises(UnrecognizedClient):
            await backend.authenticator.credential(key)


async def test_open_keys_are_of_dev_mode_alone_and_never_look_minted(backend: Backend) -> None:
    for key in ("test", OWNER):
        assert await backend.authenticator.open_caller(key) is None
    dev = Authenticator(backend.identity, Sealer([bytes(32)]), backend.clock, replace(backend.settings, mode="dev"))
    for key, account in (("test", backend.settings.default_account), (OWNER, OWNER), ("1", "000000000000")):
        opened = await dev.open_caller(key)
        assert opened is not None
        assert (opened.principal.arn, opened.verified) == (f"arn:aws:iam::{account}:root", False)
    for key in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example"):
        assert await dev.open_caller(key) is None


async def test_a_password_of_dev_mode_is_worth_nothing_in_serve(backend: Backend) -> None:
    dev = Authenticator(backend.identity, Sealer([bytes(32)]), backend.clock, replace(backend.settings, mode="dev"))
    opened = await dev.open_caller(OWNER)
    assert opened is not None
    password, _ = await dev.issue_password(opened, HERE)
    assert await dev.caller_of_basic(basic("AWS", password)) == opened
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(basic("AWS", password))


async def test_what_comes_with_a_caller_is_what_stands_now(backend: Backend) -> None:
    ann = await backend.user("ann")
    assert ann.policies.identity == ()
    await backend.allow("ann", {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    again = await backend.holder(ann.key_id)
    assert [each.name for each in again.policies.identity] == ["own"]
    assert await backend.holder(ann.key_id) is again  # the same object while nothing changes
