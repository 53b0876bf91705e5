"""Pull tokens as they are kept: named, ended, revoked, gone with their owner; on both databases."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.clock import Clock
from moorage.errors import InvalidParameter, LimitExceeded, QueryError
from moorage.identity.credentials import pull_tokens
from moorage.identity.credentials.pull_tokens import (
    PullToken,
    PullTokenAlreadyExists,
    PullTokenNotFound,
    read_token,
    scope_policy,
)
from moorage.identity.identity import Identity, make_identity
from moorage.names import AccountId
from moorage.policy.catalog.actions import PULL_CLIENT
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.database import Database

ACCOUNT = AccountId("111122223333")
BY = f"arn:aws:iam::{ACCOUNT}:root"
DAY = 86_400.0


@dataclass
class Kept:
    identity: Identity
    clock: Clock
    database: Database

    async def make(self, name: str = "ci", *, user: str | None = None, seconds: float = DAY) -> tuple[PullToken, str]:
        ends = self.clock.now() + seconds
        return await self.identity.pull_tokens.create(ACCOUNT, user, name, ["team/*"], PULL_CLIENT, ends, BY)

    async def names(self, user: str | None = None, *, ended: bool = False) -> list[str]:
        return [each.name for each in await self.identity.pull_tokens.page(ACCOUNT, user, ended=ended, limit=100)]

    async def is_found(self, token: PullToken) -> bool:
        return (await self.identity.credentials.find(token.id))[1] is not None


@pytest.fixture
def kept(database: Database) -> Kept:
    clock = Clock()
    return Kept(make_identity(database, Sealer([bytes(32)]), clock), clock, database)


async def test_a_token_is_made_found_and_revoked(kept: Kept) -> None:
    token, text = await kept.make()
    assert (token.owner, token.repositories, token.created_by) == (BY, ("team/*",), BY)
    assert ":" not in text
    shown = read_token(text)
    assert shown is not None
    assert shown.token_id == token.id
    _, found = await kept.identity.credentials.find(token.id)
    assert found is not None
    assert (found.kind, found.session_token_hash, found.secret) == ("token", shown.secret_hash, b"")
    assert await kept.identity.pull_tokens.find(ACCOUNT, "CI") == token
    revoked = await kept.identity.pull_tokens.revoke(ACCOUNT, "ci", BY)
    assert revoked.revoked_at is not None
    assert not await kept.is_found(token)
    assert await kept.identity.credentials.is_known_token(*shown)
    assert (await kept.names(), await kept.names(ended=True)) == ([], ["ci"])
    with pytest.raises(PullTokenNotFound):
        await kept.identity.pull_tokens.revoke(ACCOUNT, "ci", BY)


async def test_a_name_is_taken_until_its_token_is_over_or_revoked(kept: Kept) -> None:
    first, _ = await kept.make()
    with pytest.raises(PullTokenAlreadyExists):
        await kept.make("Ci")
    kept.clock.set(kept.clock.now() + 2 * DAY)
    second, _ = await kept.make("Ci")
    assert [await kept.is_found(each) for each in (first, second)] == [False, True]
    await kept.identity.pull_tokens.revoke(ACCOUNT, "ci", BY)
    third, _ = await kept.make()
    assert await kept.is_found(third)


async def test_a_token_dies_with_its_user_and_only_that_one(kept: Kept) -> None:
    await kept.identity.users.create(ACCOUNT, "/team/", "ann", BY)
    hers, _ = await kept.make("hers", user="ann")
    roots, _ = await kept.make("roots")
    assert hers.owner == f"arn:aws:iam::{ACCOUNT}:user/team/ann"
    assert (await kept.names("ann"), await kept.names()) == (["hers"], ["hers", "roots"])
    await kept.identity.users.delete(ACCOUNT, "ann", BY)
    assert [await kept.is_found(each) for each in (hers, roots)] == [False, True]
    assert await kept.names() == ["roots"]
    with pytest.raises(QueryError):
        await kept.make("again", user="ann")


async def test_last_uses_are_told_and_forgotten(kept: Kept) -> None:
    token, _ = await kept.make()
    kept.identity.last_uses.note(token.id, "ecr", "")
    await kept.identity.last_uses.write()
    found = await kept.identity.pull_tokens.find(ACCOUNT, "ci")
    assert found is not None
    assert found.last_used_at == pytest.approx(kept.clock.now(), abs=5)


async def test_an_account_has_so_many_tokens_and_no_more(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_tokens, "PER_ACCOUNT", 2)
    await kept.make("one")
    await kept.make("two")
    with pytest.raises(LimitExceeded):
        await kept.make("three")
    await kept.identity.pull_tokens.revoke(ACCOUNT, "one", BY)
    await kept.make("three")


async def test_ended_tokens_are_forgotten_after_a_while(kept: Kept, database_settings: Settings) -> None:
    from moorage.registry.registry import make_registry
    from tests.support.sweep import Sweep

    blobs = FileBlobStore(database_settings.data / "blobs")
    registry = make_registry(kept.database, blobs, kept.clock, database_settings)
    sweep = Sweep(kept.database, blobs, registry.images, kept.clock, database_settings)
    await kept.make("revoked", seconds=300 * DAY)
    await kept.make("over")
    await kept.make("living", seconds=300 * DAY)
    await kept.identity.pull_tokens.revoke(ACCOUNT, "revoked", BY)
    kept.clock.set(kept.clock.now() + 6 * DAY)
    await sweep.run_once(search=False)
    assert await kept.names(ended=True) == ["living", "over", "revoked"]
    kept.clock.set(kept.clock.now() + 3 * DAY)
    await sweep.run_once(search=False)
    assert await kept.names(ended=True) == ["living"]


@pytest.mark.parametrize("name", ["", "a", "a:b", "-a", "a b", "a" * 33, "é1", "a\n"])
async def test_names_that_are_none(kept: Kept, name: str) -> None:
    with pytest.raises(InvalidParameter):
        await kept.make(name)


@pytest.mark.parametrize("seconds", [-DAY, 0, 59, 11 * 366 * DAY, float("nan"), float("inf")])
async def test_ends_that_are_none(kept: Kept, seconds: float) -> None:
    with pytest.raises(InvalidParameter):
        await kept.make(seconds=seconds)


@pytest.mark.parametrize(
    "pattern", ["", "Team", "a b", "${aws:username}", "arn:aws:s3:::x", "/a", "arn:aws:ecr:*:*:repository/x", "a" * 300]
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(InvalidParameter):
        scope_policy(ACCOUNT, [pattern], PULL_CLIENT)


@pytest.mark.parametrize("actions", [[], ["iam:*"], ["*"], ["ecr:"], ["ecr:Get Image"], ["ecr:GetX"] * 51])
def test_actions_that_are_none(actions: list[str]) -> None:
    with pytest.raises(InvalidParameter):
        scope_policy(ACCOUNT, ["app"], actions)


def test_a_scope_without_repositories_is_none() -> None:
    for repositories in ([], ["a"] * 51):
        with pytest.raises(InvalidParameter):
            scope_policy(ACCOUNT, repositories, PULL_CLIENT)


def test_a_scope_may_name_repositories_of_another_account() -> None:
    scope = json.loads(scope_policy(ACCOUNT, ["app", "arn:aws:ecr:*:444455556666:repository/app"], PULL_CLIENT))
    assert scope["Statement"][0]["Resource"] == [
        f"arn:aws:ecr:*:{ACCOUNT}:repository/app",
        "arn:aws:ecr:*:444455556666:repository/app",
    ]


@given(st.text(max_size=120))
def test_no_other_text_is_taken_for_a_token(text: str) -> None:
    assert read_token(text) is None
