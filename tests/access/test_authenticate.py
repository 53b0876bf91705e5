"""Credentials become callers, for as long as they live."""

import base64
from dataclasses import replace

import pytest

from moorage.access.authenticate import Authenticator
from moorage.errors import AuthorizationTokenExpired, AuthorizationTokenInvalid, UnrecognizedClient
from moorage.names import Region
from moorage.sealing import Sealer
from tests.access.house import HERE, OWNER, House, basic

HOUR = 3600.0


async def test_a_password_is_its_caller_for_twelve_hours(house: House) -> None:
    ann = await house.user("ann")
    password, expires_at = await house.authenticator.issue_password(ann, HERE)
    assert expires_at == pytest.approx(house.clock.now() + 12 * HOUR, abs=5)
    assert ":" not in password
    assert len(password) < 2000
    assert await house.authenticator.caller_of_basic(basic("AWS", password)) == ann
    start = house.clock.now()
    house.clock.set(start + 12 * HOUR - 5)
    assert await house.authenticator.caller_of_basic(basic("AWS", password)) == ann
    house.clock.set(start + 12 * HOUR + 5)
    with pytest.raises(AuthorizationTokenExpired):
        await house.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_dies_with_its_key(house: House) -> None:
    ann = await house.user("ann")
    password, _ = await house.authenticator.issue_password(ann, HERE)
    await house.identity.keys.set_active(OWNER, "ann", ann.key_id, False, by="tests")
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.caller_of_basic(basic("AWS", password))
    await house.identity.keys.set_active(OWNER, "ann", ann.key_id, True, by="tests")
    assert (await house.authenticator.caller_of_basic(basic("AWS", password))).principal == ann.principal
    await house.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_ends_with_its_session(house: House) -> None:
    await house.user("ann")
    user = await house.identity.users.get(OWNER, "ann")
    session = await house.identity.sessions.create(OWNER, user.id, 900, by="tests")
    caller = await house.holder(session.id)
    assert (caller.credential, caller.principal.arn) == ("session", user.arn)
    password, _ = await house.authenticator.issue_password(caller, HERE)
    assert await house.authenticator.caller_of_basic(basic("AWS", password)) == caller
    house.clock.set(house.clock.now() + 901)
    with pytest.raises(AuthorizationTokenExpired):
        await house.authenticator.caller_of_basic(basic("AWS", password))


async def test_a_password_is_bound_to_its_region_where_that_is_asked(house: House) -> None:
    password, _ = await house.authenticator.issue_password(await house.root(), HERE)
    assert await house.authenticator.caller_of_basic(basic("AWS", password), HERE)
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.caller_of_basic(basic("AWS", password), Region("us-east-1"))


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !", "Bearer x", "Basic " + base64.b64encode(b"AWS").decode(), basic("AWS", ""),
     basic("AWS", "x" * 400), basic("", ""), basic("test", "any"), basic("111122223333", "any"),
     "Basic " + base64.b64encode(b"\xff:\xff").decode(), basic("AKIAIOSFODNN7EXAMPLE", "secret")],
)  # fmt: skip
async def test_headers_that_stand_for_nobody(house: House, header: str) -> None:
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.caller_of_basic(header)


async def test_a_text_sealed_by_others_or_for_another_use_is_no_password(house: House) -> None:
    ann = await house.user("ann")
    foreign = Authenticator(house.identity, Sealer([bytes([7]) * 32]), house.clock, house.settings)
    forged, _ = await foreign.issue_password(ann, HERE)
    other_use = house.authenticator.seal("download", ann, house.clock.now() + 60, HERE)
    for text in (forged, other_use):
        with pytest.raises(AuthorizationTokenInvalid):
            await house.authenticator.caller_of_basic(basic("AWS", text))


async def test_keys_that_nobody_has(house: House) -> None:
    for key in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "", "test", "\0", "A" * 16 + "\0", "A" * 500, "é" * 20):
        with pytest.raises(UnrecognizedClient):
            await house.authenticator.credential(key)


async def test_open_keys_are_of_dev_mode_alone_and_never_look_minted(house: House) -> None:
    for key in ("test", OWNER):
        assert await house.authenticator.open_caller(key) is None
    dev = Authenticator(house.identity, Sealer([bytes(32)]), house.clock, replace(house.settings, mode="dev"))
    for key, account in (("test", house.settings.default_account), (OWNER, OWNER), ("1", "000000000000")):
        opened = await dev.open_caller(key)
        assert opened is not None
        assert (opened.principal.arn, opened.verified) == (f"arn:aws:iam::{account}:root", False)
    for key in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example"):
        assert await dev.open_caller(key) is None


async def test_a_password_of_dev_mode_is_worth_nothing_in_serve(house: House) -> None:
    dev = Authenticator(house.identity, Sealer([bytes(32)]), house.clock, replace(house.settings, mode="dev"))
    opened = await dev.open_caller(OWNER)
    assert opened is not None
    password, _ = await dev.issue_password(opened, HERE)
    assert await dev.caller_of_basic(basic("AWS", password)) == opened
    with pytest.raises(AuthorizationTokenInvalid):
        await house.authenticator.caller_of_basic(basic("AWS", password))


async def test_what_comes_with_a_caller_is_what_stands_now(house: House) -> None:
    ann = await house.user("ann")
    assert ann.policies.identity == ()
    await house.allow("ann", {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    again = await house.holder(ann.key_id)
    assert [each.name for each in again.policies.identity] == ["own"]
    assert await house.holder(ann.key_id) is again  # the same object while nothing changes
