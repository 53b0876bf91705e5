"""Decisions about sessions of roles and federated users: boundary, session policies, tags; and what is recorded."""

import json
from typing import Any, NamedTuple

import pytest

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.recording import DecisionEntry
from moorage.access.resources import NamedResource
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.errors import AccessDenied
from moorage.identity.credentials.sessions import Session
from moorage.identity.identity import Identity, make_identity
from moorage.identity.principals.entity import ROLE, USER
from moorage.names import AccountId, Region
from moorage.registry.registry import make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.database import Database

ACCOUNT = AccountId("111111111111")
EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
APP = NamedResource(ACCOUNT, f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app")


def allowing(action: str, **condition: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Recording(Recorder):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.entries: list[DecisionEntry] = []

    def record(self, entry: DecisionEntry) -> DecisionEntry:
        self.entries.append(entry)
        return entry


class Bench(NamedTuple):
    identity: Identity
    authenticator: Authenticator
    access: Access
    recorder: Recording

    async def caller(self, session: Session) -> Caller:
        return await self.authenticator.caller_of(await self.authenticator.credential(session.id))

    async def may(self, session: Session, action: str) -> str:
        """Empty when it may, else how AWS's sentence ends."""
        try:
            await self.access.require(await self.caller(session), connection(), action, APP)
        except AccessDenied as denied:
            return denied.message.partition(APP.arn)[2].strip()
        return ""


def connection() -> Connection:
    return Connection("10.0.0.1", True, None, None, "localhost", Region("us-east-1"))


@pytest.fixture
async def bench(database: Database, database_settings: Settings) -> Bench:
    settings, clock, sealer = database_settings, Clock(), Sealer([bytes(32)])
    registry = make_registry(database, FileBlobStore(settings.data / "blobs"), clock, settings)
    identity = make_identity(database, sealer, clock)
    recorder = Recording()
    access = Access(registry, identity.organizations, recorder, clock, settings)
    return Bench(identity, Authenticator(identity, sealer, clock, settings), access, recorder)


async def test_a_role_session_is_limited_by_boundary_and_session_policy(bench: Bench) -> None:
    identity = bench.identity
    role = await identity.roles.create(ACCOUNT, "/ci/", "build", "{}", "me")
    await identity.inline.put(ROLE, ACCOUNT, "build", "all", EVERYTHING, "me")
    plain = await identity.sessions.create(ACCOUNT, role.id, 900, kind="role", name="run", by="tests")
    limited = await identity.sessions.create(
        ACCOUNT, role.id, 900, by="tests", kind="role", name="run", policy=allowing("ecr:Batch*")
    )
    assert await bench.may(plain, "ecr:PutImage") == ""
    assert await bench.may(limited, "ecr:BatchGetImage") == ""
    refused = "because no session policy allows the ecr:PutImage action"
    assert await bench.may(limited, "ecr:PutImage") == refused
    await identity.attachments.set_boundary(ROLE, ACCOUNT, "build", PULL_ONLY, "me")
    refused = "because no permissions boundary allows the ecr:PutImage action"
    assert await bench.may(plain, "ecr:PutImage") == refused
    assert await bench.may(limited, "ecr:BatchGetImage") == ""
    # What it was decided on goes into the record.
    policies = bench.recorder.entries[-1].policies
    named = [tuple(each or ()) for each in (policies.identity, policies.boundary, policies.session)]
    assert [[one.name for one in each] for each in named] == [["all"], [PULL_ONLY], ["session policy"]]
    assert all(one.hash for each in named for one in each)
    await identity.inline.delete(ROLE, ACCOUNT, "build", "all", "me")
    refused = "because no identity-based policy allows the ecr:BatchGetImage action"
    assert await bench.may(plain, "ecr:BatchGetImage") == refused


async def test_a_role_session_is_who_it_says_to_conditions(bench: Bench) -> None:
    role = await bench.identity.roles.create(ACCOUNT, "/ci/", "build", "{}", "me", tags={"team": "a", "env": "x"})
    session = await bench.identity.sessions.create(
        ACCOUNT,
        role.id,
        900,
        by="tests",
        kind="role",
        name="run",
        tags={"Team": "b"},
        source_identity="ann",
        provider="https://issuer",
        context={"issuer:sub": "repo:x", "aws:principalaccount": "999999999999"},
    )
    caller = await bench.caller(session)
    principal = caller.principal
    assert (principal.kind, principal.arn) == ("role", f"arn:aws:sts::{ACCOUNT}:assumed-role/build/run")
    assert (principal.role_arn, principal.role_id, principal.id) == (role.arn, role.id, f"{role.id}:run")
    issued = caller.context["aws:tokenissuetime"]
    assert caller.context == {
        "aws:principaltype": "AssumedRole",
        "aws:userid": f"{role.id}:run",
        "aws:principalarn": role.arn,
        "aws:principalaccount": ACCOUNT,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
        "aws:principaltag/team": "b",
        "aws:principaltag/env": "x",
        "aws:tokenissuetime": issued,
        "aws:multifactorauthpresent": "false",
        "aws:sourceidentity": "ann",
        "aws:federatedprovider": "https://issuer",
        "issuer:sub": "repo:x",
    }
    assert (caller.credential, caller.verified) == ("role", True)


async def test_a_federated_user_has_what_its_session_policy_leaves_of_its_users(bench: Bench) -> None:
    identity = bench.identity
    ann = await identity.users.create(ACCOUNT, "/", "ann", "me")
    await identity.inline.put(USER, ACCOUNT, "ann", "p", allowing("ecr:Batch*"), "me")
    without = await identity.sessions.create(ACCOUNT, ann.id, 900, kind="federated", name="bob", by="tests")
    within = await identity.sessions.create(
        ACCOUNT, ann.id, 900, by="tests", kind="federated", name="bob", policy=allowing("ecr:*")
    )
    assert await bench.may(within, "ecr:BatchGetImage") == ""
    assert "no session policy" in await bench.may(without, "ecr:BatchGetImage")
    assert "no identity-based policy" in await bench.may(within, "ecr:PutImage")
    caller = await bench.caller(within)
    assert caller.principal.arn == f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    assert (caller.principal.user_arn, caller.principal.user_id) == (ann.arn, ann.id)
    assert caller.context["aws:userid"] == f"{ACCOUNT}:bob"
    assert "aws:username" not in caller.context
    # The root's may do what the session policy says.
    of_root = await identity.sessions.create(
        ACCOUNT, None, 900, by="tests", kind="federated", name="cyd", policy=allowing("ecr:Put*")
    )
    assert await bench.may(of_root, "ecr:PutImage") == ""
    assert "no session policy" in await bench.may(of_root, "ecr:BatchGetImage")


async def test_tags_and_token_age_revoke_at_once(bench: Bench) -> None:
    identity = bench.identity
    role = await identity.roles.create(ACCOUNT, "/", "build", "{}", "me")
    session = await identity.sessions.create(ACCOUNT, role.id, 900, kind="role", name="run", by="tests")
    await identity.inline.put(
        ROLE, ACCOUNT, "build", "p", allowing("ecr:*", StringEquals={"aws:PrincipalTag/team": "a"}), "me"
    )
    assert await bench.may(session, "ecr:PutImage") != ""
    await identity.tags.set("role", ACCOUNT, "build", {"Team": "a"}, "me")
    assert await bench.may(session, "ecr:PutImage") == ""
    revoke = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2999-01-01T00:00:00Z"}},
                }
            ],
        }
    )
    await identity.inline.put(ROLE, ACCOUNT, "build", "AWSRevokeOlderSessions", revoke, "me")
    assert await bench.may(session, "ecr:PutImage") == "with an explicit deny in an identity-based policy"
