"""Accounts, users, keys, sessions and what a key id stands for, on both databases."""

import asyncio
import re

import pytest
from sqlalchemy import select

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity.credentials.sessions import token_hash
from moorage.identity.identity import Identity, make_identity
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import USER
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity.tables import access_keys, sessions
from moorage.store.metadata.policies import documents

ONE = AccountId("111111111111")
TWO = AccountId("222222222222")
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'


@pytest.fixture
def identity(database: Database) -> Identity:
    return make_identity(database, Sealer([bytes(32)]), Clock())


def refuses(code: str, status: int, match: str = "") -> "pytest.RaisesExc[QueryError]":
    return pytest.raises(QueryError, match=match, check=lambda error: (error.code, error.status) == (code, status))


async def test_a_user_is_found_by_name_arn_and_id_in_its_account_alone(identity: Identity, database: Database) -> None:
    user = await identity.users.create(ONE, "/team/a/", "Ann", "me")
    assert user.arn == "arn:aws:iam::111111111111:user/team/a/Ann"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", user.id)
    assert await identity.users.get(ONE, "ann") == user
    assert await identity.users.by_arn(user.arn) == user
    assert await identity.users.by_id(user.id) == user
    assert await identity.users.by_arn("arn:aws:iam::111111111111:user/Ann") is None
    assert await identity.users.by_arn("arn:aws:iam::111111111111:user/team/a/ann") is None
    with refuses("NoSuchEntity", 404, "The user with name Ann cannot be found."):
        await identity.users.get(TWO, "Ann")
    assert await database.read(lambda conn: lookup.has_any(conn, USER, ONE))
    assert not await database.read(lambda conn: lookup.has_any(conn, USER, TWO))


async def test_names_are_unique_whatever_their_case(identity: Identity) -> None:
    await identity.users.create(ONE, "/", "ann", "me")
    with refuses("EntityAlreadyExists", 409, "User with name ANN already exists."):
        await identity.users.create(ONE, "/other/", "ANN", "me")
    await identity.users.create(TWO, "/", "ANN", "me")


async def test_a_user_made_twice_at_once_is_made_once(identity: Identity) -> None:
    made = await asyncio.gather(
        *(identity.users.create(ONE, "/", name, "me") for name in ("bob", "BOB")), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in made) == ["Entity", "QueryError"]


async def test_users_are_listed_by_name_under_a_path(identity: Identity) -> None:
    for name, path in (("b", "/x/"), ("C", "/x/"), ("a", "/y/"), ("d_", "/x_/"), ("d-", "/x/y/")):
        await identity.users.create(ONE, path, name, "me")
    assert [user.name for user in await identity.users.page(ONE, "/", limit=10)] == ["a", "b", "C", "d-", "d_"]
    assert [user.name for user in await identity.users.page(ONE, "/x/", limit=10)] == ["b", "C", "d-"]
    assert [user.name for user in await identity.users.page(ONE, "/", after="C", limit=1)] == ["d-"]


async def test_a_user_with_keys_or_policies_is_not_deleted(identity: Identity) -> None:
    user = await identity.users.create(ONE, "/", "ann", "me")
    key, _ = await identity.keys.create(ONE, "ann", by="tests")
    await identity.inline.put(USER, ONE, "ann", "p", POLICY, "me")
    with refuses("DeleteConflict", 409, "must delete access keys first"):
        await identity.users.delete(ONE, "ann", "me")
    await identity.keys.delete(ONE, "ann", key.id, by="tests")
    with refuses("DeleteConflict", 409, "must delete policies first"):
        await identity.users.delete(ONE, "ann", "me")
    await identity.inline.delete(USER, ONE, "ann", "p", "me")
    await identity.users.delete(ONE, "ann", "me")
    assert await identity.users.by_id(user.id) is None
    # The dead key, ownerless now, has not become a key of the root.
    assert await identity.keys.list(ONE, None) == []
    assert (await identity.credentials.find(key.id))[1] is None


async def test_two_keys_at_most_and_a_deleted_id_stays_known(identity: Identity, database: Database) -> None:
    first, secret = await identity.keys.create(ONE, None, by="tests")
    await identity.keys.create(ONE, None, by="tests")
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", first.id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", secret)
    with refuses("LimitExceeded", 409, "Cannot exceed quota for AccessKeysPerUser: 2"):
        await identity.keys.create(ONE, None, by="tests")
    await identity.keys.delete(ONE, None, first.id, by="tests")
    with refuses("NoSuchEntity", 404, f"The Access Key with id {first.id} cannot be found."):
        await identity.keys.set_active(ONE, None, first.id, True, by="tests")
    row = await database.read(lambda conn: conn.execute(select(access_keys).where(access_keys.c.id == first.id)).one())
    assert row.deleted_at is not None
    assert row.secret == ""
    await identity.keys.create(ONE, None, by="tests")


async def test_secrets_and_tokens_are_not_in_the_database(identity: Identity, database: Database) -> None:
    key, secret = await identity.keys.create(ONE, None, by="tests")
    session = await identity.sessions.create(ONE, None, 900, by="tests")
    kept = await database.read(
        lambda conn: repr(conn.execute(select(access_keys)).all()) + repr(conn.execute(select(sessions)).all())
    )
    assert key.id in kept
    assert session.id in kept
    assert secret not in kept
    assert session.secret not in kept
    assert session.token not in kept


async def test_a_credential_carries_its_owner_and_policies(identity: Identity, database: Database) -> None:
    user = await identity.users.create(ONE, "/", "ann", "me")
    key, secret = await identity.keys.create(ONE, "ann", by="tests")
    await identity.inline.put(USER, ONE, "ann", "z", POLICY, "me")
    await identity.inline.put(USER, ONE, "ann", "B", POLICY + " ", "me")
    number, found = await identity.credentials.find(key.id)
    assert number == (await database.read(epoch.current)).wide
    assert found is not None
    assert (found.secret, found.account, found.owner) == (secret.encode(), ONE, user)
    assert [each.name for each in found.policies.identity] == ["B", "z"]
    assert await database.read(lambda conn: documents.text(conn, found.policies.identity[1].hash)) == POLICY


async def test_a_change_bites_on_the_next_find_in_every_worker(identity: Identity, database: Database) -> None:
    here = make_identity(database, Sealer([bytes(32)]), Clock()).credentials
    await identity.users.create(ONE, "/", "ann", "me")
    key, _ = await identity.keys.create(ONE, "ann", by="tests")
    before, found = await here.find(key.id)
    assert found is not None
    assert (await here.find(key.id))[1] == found
    await identity.inline.put(USER, ONE, "ann", "p", POLICY, "me")
    after, found = await here.find(key.id)
    assert after > before
    assert found is not None
    assert [each.name for each in found.policies.identity] == ["p"]
    await identity.keys.set_active(ONE, "ann", key.id, False, by="tests")
    assert (await here.find(key.id))[1] is None
    await identity.keys.set_active(ONE, "ann", key.id, True, by="tests")
    assert (await here.find(key.id))[1] is not None
    await identity.keys.delete(ONE, "ann", key.id, by="tests")
    assert (await here.find(key.id))[1] is None


async def test_a_key_unknown_once_is_found_when_it_is_made(identity: Identity) -> None:
    await identity.credentials.find("AKIANOTTHEREATALL123")
    key, _ = await identity.keys.create(ONE, None, by="tests")
    found = (await identity.credentials.find(key.id))[1]
    assert found is not None
    assert found.owner is None


async def test_a_session_dies_with_its_user(identity: Identity) -> None:
    user = await identity.users.create(ONE, "/", "ann", "me")
    session = await identity.sessions.create(ONE, user.id, 900, by="tests")
    found = (await identity.credentials.find(session.id))[1]
    assert found is not None
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", session.id)
    assert (found.owner, found.session_token_hash) == (user, token_hash(session.token))
    assert found.issued_at is not None
    assert found.expires_at == found.issued_at + 900
    await identity.users.delete(ONE, "ann", "me")
    assert (await identity.credentials.find(session.id))[1] is None


async def test_policies_keep_their_history_and_their_quota(identity: Identity) -> None:
    user = await identity.users.create(ONE, "/", "ann", "me")
    await identity.inline.put(USER, ONE, "ann", "p", POLICY, "one")
    await identity.inline.put(USER, ONE, "ann", "p", POLICY + " " * 5000, "two")
    with refuses("LimitExceeded", 409, "Maximum policy size of 2048 bytes exceeded for user ann"):
        await identity.inline.put(USER, ONE, "ann", "q", "x" * 2000, "me")
    await identity.inline.delete(USER, ONE, "ann", "p", "three")
    with refuses("NoSuchEntity", 404, "The user policy with name p cannot be found."):
        await identity.inline.text(USER, ONE, "ann", "p")
    history = await identity.inline.history(user.id, "p")
    assert [(state.by, state.hash is None) for state in history] == [("one", False), ("two", False), ("three", True)]


async def test_an_account_is_made_once(identity: Identity) -> None:
    assert not await identity.accounts.exists(ONE)
    await identity.accounts.ensure(ONE, "first", by="tests")
    made = await identity.accounts.created_at(ONE)
    await identity.accounts.ensure(ONE, "second", by="tests")
    assert await identity.accounts.exists(ONE)
    assert await identity.accounts.created_at(ONE) == made
