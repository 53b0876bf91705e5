"""Every change of identities records an event that says who made it, and raises the authorization epoch."""

import inspect
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from sqlalchemy import select

from moorage.clock import Clock
from moorage.events import AccountEvent, AnyEvent
from moorage.events import identity as vocabulary
from moorage.identity.accounts.organizations import OrganizationDocument
from moorage.identity.identity import Identity, make_identity
from moorage.identity.principals.entity import ROLE, USER
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.tables import outbox

ACCOUNT = AccountId("111111111111")
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'
ARN = f"arn:aws:iam::{ACCOUNT}:policy/p"
BY = "arn:aws:iam::111111111111:user/admin"


@pytest.fixture
def identity(database: Database) -> Identity:
    return make_identity(database, Sealer([bytes(32)]), Clock())


async def recorded(database: Database) -> list[AccountEvent]:
    rows = await database.read(lambda conn: conn.execute(select(outbox).order_by(outbox.c.id)).all())
    events = [msgspec.json.decode(row.payload, type=AnyEvent) for row in rows]
    assert all(isinstance(each, AccountEvent) for each in events)
    return [each for each in events if isinstance(each, AccountEvent)]


def changes(identity: Identity) -> list[tuple[Callable[[], Awaitable[object]], tuple[type[AccountEvent], ...]]]:
    """Calls in an order that works, each with the events that it records."""
    of = vocabulary
    key: list[str] = []

    async def create_key() -> None:
        key.append((await identity.keys.create(ACCOUNT, "ann", by=BY))[0].id)

    in_an_hour = time.time() + 3600
    document = OrganizationDocument('{"managementAccount": "111111111111"}', ACCOUNT, [])
    return [
        (lambda: identity.accounts.ensure(ACCOUNT, by=BY), (of.AccountCreated,)),
        (lambda: identity.accounts.set_alias(ACCOUNT, "mine", BY), (of.AccountAliasCreated,)),
        (lambda: identity.accounts.delete_alias(ACCOUNT, "mine", BY), (of.AccountAliasDeleted,)),
        (lambda: identity.users.create(ACCOUNT, "/", "ann", BY), (of.UserCreated,)),
        (lambda: identity.users.update(ACCOUNT, "ann", BY, new_path="/team/"), (of.UserUpdated,)),
        (lambda: identity.groups.create(ACCOUNT, "/", "team", BY), (of.GroupCreated,)),
        (lambda: identity.groups.update(ACCOUNT, "team", BY, new_path="/team/"), (of.GroupUpdated,)),
        (lambda: identity.groups.add_user(ACCOUNT, "team", "ann", BY), (of.UserAddedToGroup,)),
        (lambda: identity.groups.remove_user(ACCOUNT, "team", "ann", BY), (of.UserRemovedFromGroup,)),
        (lambda: identity.groups.delete(ACCOUNT, "team", BY), (of.GroupDeleted,)),
        (lambda: identity.roles.create(ACCOUNT, "/", "ci", "{}", BY), (of.RoleCreated,)),
        (lambda: identity.roles.update(ACCOUNT, "ci", BY, description="builds"), (of.RoleUpdated,)),
        (lambda: identity.roles.set_trust(ACCOUNT, "ci", "{ }", BY), (of.RoleTrustPolicySet,)),
        (lambda: identity.managed.create(ACCOUNT, "/", "p", POLICY, BY), (of.ManagedPolicyCreated,)),
        (
            lambda: identity.managed.create_version(ACCOUNT, ARN, POLICY, BY, as_default=True),
            (of.PolicyVersionCreated, of.DefaultPolicyVersionSet),
        ),
        (lambda: identity.managed.set_default(ACCOUNT, ARN, 1, BY), (of.DefaultPolicyVersionSet,)),
        (lambda: identity.managed.delete_version(ACCOUNT, ARN, 2, BY), (of.PolicyVersionDeleted,)),
        (lambda: identity.attachments.attach(USER, ACCOUNT, "ann", ARN, BY), (of.PolicyAttached,)),
        (lambda: identity.attachments.detach(USER, ACCOUNT, "ann", ARN, BY), (of.PolicyDetached,)),
        (lambda: identity.attachments.set_boundary(ROLE, ACCOUNT, "ci", ARN, BY), (of.BoundarySet,)),
        (lambda: identity.attachments.remove_boundary(ROLE, ACCOUNT, "ci", BY), (of.BoundaryDeleted,)),
        (lambda: identity.managed.delete(ACCOUNT, ARN, BY), (of.ManagedPolicyDeleted,)),
        (lambda: identity.inline.put(USER, ACCOUNT, "ann", "own", POLICY, BY), (of.InlinePolicyPut,)),
        (lambda: identity.inline.delete(USER, ACCOUNT, "ann", "own", BY), (of.InlinePolicyDeleted,)),
        (lambda: identity.tags.set("user", ACCOUNT, "ann", {"a": "1"}, BY), (of.IdentityTagged,)),
        (lambda: identity.tags.remove("user", ACCOUNT, "ann", ["a"], BY), (of.IdentityUntagged,)),
        (create_key, (of.AccessKeyCreated,)),
        (lambda: identity.keys.set_active(ACCOUNT, "ann", key[0], False, by=BY), (of.AccessKeyStatusChanged,)),
        (lambda: identity.keys.delete(ACCOUNT, "ann", key[0], by=BY), (of.AccessKeyDeleted,)),
        (lambda: identity.keys.ensure_root(ACCOUNT, "", "AKIAROOT", "s" * 40, by=BY), (of.AccessKeyCreated,)),
        (lambda: identity.sessions.create(ACCOUNT, None, 900, by=BY), (of.SessionCreated,)),
        (
            lambda: identity.pull_tokens.create(ACCOUNT, "ann", "ci", ["a"], ["ecr:BatchGetImage"], in_an_hour, BY),
            (of.PullTokenCreated,),
        ),
        (lambda: identity.pull_tokens.revoke(ACCOUNT, "ci", BY), (of.PullTokenRevoked,)),
        (lambda: identity.roles.delete(ACCOUNT, "ci", BY), (of.RoleDeleted,)),
        (lambda: identity.users.delete(ACCOUNT, "ann", BY), (of.UserDeleted,)),
        (lambda: identity.organizations.put(document, by=BY), (of.OrganizationSet,)),
        (lambda: identity.organizations.remove(by=BY), (of.OrganizationRemoved,)),
    ]


async def test_every_change_records_its_event_with_who_made_it(identity: Identity, database: Database) -> None:
    for change, expected in changes(identity):
        before, last = len(await recorded(database)), await database.read(epoch.current)
        await change()
        new = (await recorded(database))[before:]
        assert tuple(map(type, new)) == expected
        assert {(each.account, each.by) for each in new} == {(ACCOUNT, BY)}
        assert (await database.read(epoch.current)).wide > last.wide, expected


def test_every_kind_of_event_is_recorded_by_a_change() -> None:
    classes = {each for _, each in inspect.getmembers(vocabulary, inspect.isclass) if each is not AccountEvent}
    tried = {each for _, expected in changes(None) for each in expected}  # type: ignore[arg-type]
    assert tried == classes


async def test_what_changes_nothing_records_nothing(identity: Identity, database: Database) -> None:
    await identity.users.create(ACCOUNT, "/", "ann", BY)
    await identity.groups.create(ACCOUNT, "/", "team", BY)
    await identity.groups.add_user(ACCOUNT, "team", "ann", BY)
    before = len(await recorded(database))
    await identity.accounts.ensure(ACCOUNT, by=BY)
    await identity.groups.add_user(ACCOUNT, "team", "ann", BY)
    await identity.organizations.remove(by=BY)
    assert len(await recorded(database)) == before
