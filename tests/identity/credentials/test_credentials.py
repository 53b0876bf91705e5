"""Which policies, tags and limits a key or session carries, on both databases."""

from collections.abc import Awaitable, Callable

import pytest

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity.credentials.credentials import Attached, Credential, PolicySets
from moorage.identity.identity import Identity, make_identity
from moorage.identity.policies import aws_managed
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database

ONE = AccountId("111111111111")
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'
OTHER = POLICY.replace("ecr", "sts")
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture
def identity(database: Database) -> Identity:
    return make_identity(database, Sealer([bytes(32)]), Clock())


async def found(identity: Identity, key_id: str) -> Credential:
    credential = (await identity.credentials.find(key_id))[1]
    assert credential is not None
    return credential


def named(attached: tuple[Attached, ...] | None) -> list[tuple[str, str]]:
    assert attached is not None
    return [(each.label, each.source) for each in attached]


async def test_a_user_has_its_own_policies_and_its_groups(identity: Identity) -> None:
    await identity.users.create(ONE, "/", "ann", "me")
    await identity.groups.create(ONE, "/", "devs", "me")
    key, _ = await identity.keys.create(ONE, "ann", by="tests")
    await identity.inline.put(USER, ONE, "ann", "own", POLICY, "me")
    await identity.inline.put(GROUP, ONE, "devs", "shared", OTHER, "me")
    managed = await identity.managed.create(ONE, "/p/", "all", POLICY, "me")
    await identity.attachments.attach(USER, ONE, "ann", READ_ONLY, "me")
    await identity.attachments.attach(GROUP, ONE, "devs", managed.arn, "me")
    assert named((await found(identity, key.id)).policies.identity) == [("own", "user"), (READ_ONLY, "aws-managed")]
    await identity.groups.add_user(ONE, "devs", "ann", "me")
    assert named((await found(identity, key.id)).policies.identity) == [
        ("own", "user"),
        (READ_ONLY, "aws-managed"),
        ("shared (group devs)", "group"),
        (f"{managed.arn} (group devs)", "user-managed"),
    ]


async def test_every_change_of_what_applies_is_seen_on_the_next_find(identity: Identity) -> None:
    await identity.users.create(ONE, "/", "ann", "me")
    await identity.groups.create(ONE, "/", "devs", "me")
    key, _ = await identity.keys.create(ONE, "ann", by="tests")
    arn = (await identity.managed.create(ONE, "/", "m", POLICY, "me")).arn
    seen: list[tuple[PolicySets, dict[str, str]]] = []
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: identity.attachments.attach(USER, ONE, "ann", arn, "me"),
        lambda: identity.managed.create_version(ONE, arn, OTHER, "me", as_default=True),
        lambda: identity.managed.set_default(ONE, arn, 1, "me"),
        lambda: identity.attachments.set_boundary(USER, ONE, "ann", READ_ONLY, "me"),
        lambda: identity.attachments.remove_boundary(USER, ONE, "ann", "me"),
        lambda: identity.attachments.detach(USER, ONE, "ann", arn, "me"),
        lambda: identity.attachments.attach(GROUP, ONE, "devs", arn, "me"),
        lambda: identity.groups.add_user(ONE, "devs", "ann", "me"),
        lambda: identity.groups.remove_user(ONE, "devs", "ann", "me"),
        lambda: identity.tags.set("user", ONE, "ann", {"team": "a"}, "me"),
        lambda: identity.tags.remove("user", ONE, "ann", ["TEAM"], "me"),
    ]
    before = await found(identity, key.id)
    for change in changes:
        await change()
        after = await found(identity, key.id)
        if change is not changes[6]:
            assert (after.policies, after.tags) != (before.policies, before.tags)
        seen.append((after.policies, after.tags))
        before = after
    assert seen[0][0].identity[0].hash == seen[2][0].identity[0].hash != seen[1][0].identity[0].hash
    assert seen[3][0].boundary == (Attached(READ_ONLY, aws_managed.BY_ARN[READ_ONLY].default.hash, "aws-managed"),)
    assert seen[-1] == (PolicySets(), {})


async def test_a_role_session_has_the_roles_policies_within_its_session_policies(identity: Identity) -> None:
    role = await identity.roles.create(ONE, "/ci/", "build", "{}", "me", tags={"Team": "a", "env": "x"})
    await identity.inline.put(ROLE, ONE, "build", "p", POLICY, "me")
    managed = await identity.managed.create(ONE, "/", "m", OTHER, "me")
    session = await identity.sessions.create(
        ONE,
        role.id,
        900,
        by="tests",
        kind="role",
        name="run",
        policy=POLICY,
        policy_ids=[managed.id, aws_managed.ADMINISTRATOR.id],
        tags={"team": "b"},
        transitive_keys=["team"],
        source_identity="ann",
        provider="https://issuer",
        chained=True,
        context={"issuer:sub": "x", "issuer:groups": ["a", "b"]},
    )
    credential = await found(identity, session.id)
    assert (credential.kind, credential.owner and credential.owner.arn) == ("role", role.arn)
    assert named(credential.policies.identity) == [("p", "role")]
    assert named(credential.policies.session) == [
        ("session policy", "session"),
        (managed.arn, "user-managed"),
        (aws_managed.ADMINISTRATOR.arn, "aws-managed"),
    ]
    assert credential.tags == {"env": "x", "team": "b"}
    state = credential.session
    assert state is not None
    assert (state.name, state.transitive_keys, state.source_identity, state.provider, state.chained) == (
        "run",
        ("team",),
        "ann",
        "https://issuer",
        True,
    )
    assert state.context == {"issuer:sub": "x", "issuer:groups": ("a", "b")}
    await identity.managed.delete(ONE, managed.arn, "me")
    assert len((await found(identity, session.id)).policies.session or ()) == 2
    await identity.inline.delete(ROLE, ONE, "build", "p", "me")
    await identity.roles.delete(ONE, "build", "me")
    assert (await identity.credentials.find(session.id))[1] is None


async def test_a_session_policy_that_is_gone_limits_to_nothing(identity: Identity) -> None:
    role = await identity.roles.create(ONE, "/", "build", "{}", "me")
    managed = await identity.managed.create(ONE, "/", "m", OTHER, "me")
    plain = await identity.sessions.create(ONE, role.id, 900, kind="role", name="run", by="tests")
    limited = await identity.sessions.create(
        ONE, role.id, 900, kind="role", name="run", policy_ids=[managed.id], by="tests"
    )
    await identity.managed.delete(ONE, managed.arn, "me")
    assert (await found(identity, plain.id)).policies.session is None
    assert (await found(identity, limited.id)).policies.session == ()


async def test_a_federated_user_of_the_root_has_what_its_session_policy_leaves_of_everything(
    identity: Identity,
) -> None:
    session = await identity.sessions.create(ONE, None, 900, kind="federated", name="bob", policy=POLICY, by="tests")
    credential = await found(identity, session.id)
    assert (credential.owner, credential.kind) == (None, "federated")
    assert named(credential.policies.identity) == [(aws_managed.ADMINISTRATOR.arn, "aws-managed")]
    assert named(credential.policies.session) == [("session policy", "session")]


async def test_last_uses_are_written_later_and_do_not_raise_the_epoch(identity: Identity) -> None:
    key, _ = await identity.keys.create(ONE, None, by="tests")
    before, _ = await identity.credentials.find(key.id)
    identity.last_uses.note(key.id, "ecr", "eu-central-1")
    use = await identity.keys.last_use(key.id)
    assert use is not None
    assert use.used is None
    await identity.last_uses.write()
    use = await identity.keys.last_use(key.id)
    assert use is not None
    assert use.used is not None
    assert (use.user_name, use.used.service, use.used.region) == (None, "ecr", "eu-central-1")
    identity.last_uses.note(key.id, "iam", "us-east-1")
    await identity.last_uses.write()
    again = await identity.keys.last_use(key.id)
    assert again is not None
    assert again.used is not None
    assert again.used.service == "iam"
    assert (await identity.credentials.find(key.id))[0] == before
    assert await identity.keys.last_use("AKIANOTTHERE") is None


async def test_nobody_has_no_session(identity: Identity) -> None:
    with pytest.raises(QueryError) as refused:
        await identity.sessions.create(ONE, "AROANOBODY", 900, kind="role", name="run", by="tests")
    assert refused.value.code == "NoSuchEntity"
