"""Download URLs' tokens: of one caller, one repository, one layer, for a quarter of an hour."""

import pytest

from moorage.errors import AuthorizationTokenExpired, AuthorizationTokenInvalid
from moorage.names import Digest, RepositoryName
from tests.support.backend import APP, HERE, OWNER, Backend, basic

LAYER = Digest("sha256:" + "a" * 64)


async def test_a_token_is_its_callers_for_that_layer_alone(backend: Backend) -> None:
    ann = await backend.user("ann")
    token = backend.downloads.seal(ann, APP, LAYER)
    assert await backend.downloads.open(token, APP, LAYER) == ann
    others = (
        (APP, Digest("sha256:" + "b" * 64)),
        (APP._replace(name=RepositoryName("team/other")), LAYER),
        (APP._replace(account=backend.settings.default_account), LAYER),
    )
    for ref, digest in others:
        with pytest.raises(AuthorizationTokenInvalid):
            await backend.downloads.open(token, ref, digest)


async def test_a_token_lives_a_quarter_of_an_hour_and_dies_with_its_key(backend: Backend) -> None:
    ann = await backend.user("ann")
    token = backend.downloads.seal(ann, APP, LAYER)
    start = backend.clock.now()
    backend.clock.set(start + 899)
    assert await backend.downloads.open(token, APP, LAYER) == ann
    backend.clock.set(start + 901)
    with pytest.raises(AuthorizationTokenExpired):
        await backend.downloads.open(token, APP, LAYER)
    fresh = backend.downloads.seal(ann, APP, LAYER)
    await backend.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.downloads.open(fresh, APP, LAYER)


async def test_a_token_is_no_password_and_a_password_no_token(backend: Backend) -> None:
    ann = await backend.user("ann")
    password, _ = await backend.authenticator.issue_password(ann, HERE)
    for text in (password, "", "x", "\0"):
        with pytest.raises(AuthorizationTokenInvalid):
            await backend.downloads.open(text, APP, LAYER)
    with pytest.raises(AuthorizationTokenInvalid):
        await backend.authenticator.caller_of_basic(basic("AWS", backend.downloads.seal(ann, APP, LAYER)))
