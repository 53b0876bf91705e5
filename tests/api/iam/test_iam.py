"""IAM and STS through the AWS door: real keys, signatures and policies; answers read by botocore's own parser."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from botocore.parsers import create_parser

from moorage.access.audit import Recorder
from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.principals import Principals
from moorage.access.simulate import Simulator
from moorage.api.asgi import Message
from moorage.api.aws.door import AwsDoor
from moorage.api.aws.operation import Service
from moorage.api.aws.sigv4 import Verifier
from moorage.api.iam import IAM, IamServices
from moorage.api.sts import STS, StsServices
from moorage.api.visit import Visits
from moorage.identity.identity import Identity, make_identity
from moorage.locations import Locations
from moorage.names import AccountId
from moorage.registry.registry import make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.open import open_database
from tests.api.aws.test_sigv4 import FixedClock, signed

OWNER = AccountId("012345678910")
ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in VERSIONS}


class NoAudit:
    """An audit store that keeps nothing."""

    async def append(self, rows: list[dict[str, Any]]) -> None:
        return


class Client:
    """Calls the door with one key."""

    def __init__(self, door: AwsDoor, identity: Identity, key: str, secret: str, token: str | None = None) -> None:
        self.door = door
        self.identity = identity
        self._credentials = (key, secret, token)

    def as_key(self, key: str, secret: str, token: str | None = None) -> "Client":
        return Client(self.door, self.identity, key, secret, token)

    async def send(self, service: str, operation: str, fields: dict[str, Any]) -> tuple[int, bytes]:
        key, secret, token = self._credentials
        body = urlencode({"Action": operation, "Version": VERSIONS[service], **fields}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        scope, _ = signed(
            "http://localhost:4580/", headers=form, body=body, key=key, secret=secret, token=token, service=service
        )
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.door({**scope, "client": ("127.0.0.1", 5)}, receive, send)
        return sent[0]["status"], sent[1]["body"]

    async def parsed(self, service: str, operation: str, fields: dict[str, Any]) -> tuple[int, Any]:
        status, body = await self.send(service, operation, fields)
        shape = MODELS[service].operation_model(operation).output_shape
        answer = create_parser("query").parse({"status_code": status, "headers": {}, "body": body}, shape)
        assert answer["ResponseMetadata"]["RequestId"]
        return status, answer

    async def ok(self, operation: str, service: str = "iam", **fields: Any) -> Any:
        status, answer = await self.parsed(service, operation, fields)
        assert status == 200, answer
        return answer

    async def refused(self, operation: str, service: str = "iam", **fields: Any) -> tuple[int, str, str]:
        status, answer = await self.parsed(service, operation, fields)
        assert status >= 400, answer
        return status, answer["Error"]["Code"], answer["Error"]["Message"]

    async def user(self, name: str, policy: str | None = None, path: str = "/") -> "Client":
        """A client with a new key of a new user."""
        await self.ok("CreateUser", UserName=name, Path=path)
        if policy is not None:
            await self.ok("PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=policy)
        key = (await self.ok("CreateAccessKey", UserName=name))["AccessKey"]
        return self.as_key(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[Client]:
    settings = Settings(mode="dev", data=tmp_path)
    clock, sealer = FixedClock(), Sealer([bytes(32)])
    database = await open_database(settings)
    registry = make_registry(database, FileBlobStore(tmp_path / "blobs"), clock, settings)
    identity = make_identity(database, sealer, clock)
    authenticator = Authenticator(identity, sealer, clock, settings)
    audit: Any = NoAudit()
    recorder = Recorder(audit, clock, settings, lambda: None)
    access = Access(registry.repositories, registry.policies, recorder, clock, settings)
    verifier = Verifier(authenticator, clock, settings.clock_skew_seconds)
    services: list[tuple[Service[Any], Any]] = [
        (IAM, IamServices(identity, Principals(identity), Simulator(identity, access, clock), clock)),
        (STS, StsServices(identity, clock)),
    ]
    door = AwsDoor(services, verifier, access, Visits(Locations(settings), ()), settings)
    await identity.accounts.ensure(OWNER)
    key, secret = await identity.keys.create(OWNER, None)
    yield Client(door, identity, key.id, secret)
    await database.close()


async def test_a_user_is_made_shown_listed_and_deleted(root: Client) -> None:
    made = (await root.ok("CreateUser", UserName="ann", Path="/team/"))["User"]
    assert made["Arn"] == f"arn:aws:iam::{OWNER}:user/team/ann"
    assert (await root.ok("GetUser", UserName="ann"))["User"] == made
    assert (await root.ok("ListUsers", PathPrefix="/team"))["Users"] == [made]
    assert (await root.ok("ListUsers", PathPrefix="/other"))["Users"] == []
    assert (await root.refused("CreateUser", UserName="ANN"))[:2] == (409, "EntityAlreadyExists")
    await root.ok("DeleteUser", UserName="ann")
    gone = (404, "NoSuchEntity", "The user with name ann cannot be found.")
    assert await root.refused("GetUser", UserName="ann") == gone
    assert await root.refused("DeleteUser", UserName="ann") == gone


async def test_lists_come_in_pages(root: Client) -> None:
    for name in ("c", "a", "B"):
        await root.ok("CreateUser", UserName=name)
    first = await root.ok("ListUsers", MaxItems=2)
    assert [user["UserName"] for user in first["Users"]] == ["a", "B"]
    assert first["IsTruncated"] is True
    last = await root.ok("ListUsers", MaxItems=2, Marker=first["Marker"])
    assert [user["UserName"] for user in last["Users"]] == ["c"]
    assert last["IsTruncated"] is False
    assert "Marker" not in last
    for forged in ("%", "é", "=x=", "AA=="):
        assert (await root.refused("ListUsers", Marker=forged))[:2] == (400, "ValidationError")


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("CreateUser", {}),
        ("CreateUser", {"UserName": ""}),
        ("CreateUser", {"UserName": "a/b"}),
        ("CreateUser", {"UserName": "x" * 65}),
        ("CreateUser", {"UserName": "a", "Path": "no"}),
        ("CreateUser", {"UserName": "a", "Path": "/no"}),
        ("ListUsers", {"MaxItems": 0}),
        ("ListUsers", {"MaxItems": 1001}),
        ("UpdateAccessKey", {"AccessKeyId": "A" * 20, "Status": "Off"}),
        ("DeleteAccessKey", {"AccessKeyId": "short"}),
    ],
)
async def test_fields_are_held_against_the_model(root: Client, operation: str, fields: dict[str, Any]) -> None:
    assert (await root.refused(operation, **fields))[:2] == (400, "ValidationError")


async def test_a_key_lives_sleeps_and_dies(root: Client) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    assert (await ann.ok("GetUser"))["User"]["UserName"] == "ann"
    key = (await ann.ok("ListAccessKeys"))["AccessKeyMetadata"][0]
    assert key["Status"] == "Active"
    assert "SecretAccessKey" not in key
    await root.ok("UpdateAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert (await ann.refused("GetUser"))[:2] == (403, "InvalidClientTokenId")
    assert (await root.refused("DeleteUser", UserName="ann"))[:2] == (409, "DeleteConflict")
    await root.ok("CreateAccessKey", UserName="ann")
    assert (await root.refused("CreateAccessKey", UserName="ann"))[:2] == (409, "LimitExceeded")
    await root.ok("DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"])
    assert (await root.refused("DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"]))[0] == 404
    wrong = root.as_key((await root.ok("ListAccessKeys"))["AccessKeyMetadata"][0]["AccessKeyId"], "wrong")
    assert (await wrong.refused("GetUser"))[:2] == (403, "SignatureDoesNotMatch")


async def test_policies_come_back_percent_encoded_as_given(root: Client) -> None:
    await root.ok("CreateUser", UserName="ann")
    text = ALLOW_ALL.replace(":", ": ")
    await root.ok("PutUserPolicy", UserName="ann", PolicyName="all", PolicyDocument=text)
    _, body = await root.send("iam", "GetUserPolicy", {"UserName": "ann", "PolicyName": "all"})
    assert b"<PolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22" in body
    assert (await root.ok("ListUserPolicies", UserName="ann"))["PolicyNames"] == ["all"]
    with_principal = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]})
    for malformed in ("{", "{}", with_principal):
        refused = await root.refused("PutUserPolicy", UserName="ann", PolicyName="q", PolicyDocument=malformed)
        assert refused[:2] == (400, "MalformedPolicyDocument")
    await root.ok("DeleteUserPolicy", UserName="ann", PolicyName="all")
    assert (await root.refused("GetUserPolicy", UserName="ann", PolicyName="all"))[:2] == (404, "NoSuchEntity")


async def test_a_user_may_only_what_its_policy_says_on_true_arns(root: Client) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*", "Resource": f"arn:aws:iam::{OWNER}:user/admins/*"},
        ],
    }
    await root.ok("CreateUser", UserName="chief", Path="/admins/")
    ann, bob = await root.user("ann", json.dumps(policy)), await root.user("bob")
    assert (await bob.refused("GetUser"))[:2] == (403, "AccessDenied")
    await ann.ok("CreateAccessKey", UserName="bob")
    for name in ("chief", "CHIEF"):
        assert (await ann.refused("CreateAccessKey", UserName=name))[:2] == (403, "AccessDenied")
    assert (await ann.refused("CreateUser", UserName="x", Path="/admins/"))[:2] == (403, "AccessDenied")


async def test_anybody_may_ask_who_they_are(root: Client) -> None:
    deny = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    ann = await root.user("ann", deny)
    who = await ann.ok("GetCallerIdentity", "sts")
    assert (who["Account"], who["Arn"]) == (OWNER, f"arn:aws:iam::{OWNER}:user/ann")
    assert who["UserId"].startswith("AIDA")
    assert (await root.ok("GetCallerIdentity", "sts"))["UserId"] == OWNER


async def test_a_session_is_its_user_but_makes_nothing(root: Client) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    made = (await ann.ok("GetSessionToken", "sts", DurationSeconds=900))["Credentials"]
    session = root.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert (await session.ok("GetCallerIdentity", "sts"))["Arn"] == f"arn:aws:iam::{OWNER}:user/ann"
    assert (await session.refused("CreateAccessKey"))[:2] == (403, "InvalidClientTokenId")
    assert (await session.refused("GetSessionToken", "sts"))[:2] == (403, "AccessDenied")
    forged = root.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"][:-1] + "!")
    assert (await forged.refused("GetCallerIdentity", "sts"))[0] == 403
    for seconds in (899, 129_601):
        refused = await ann.refused("GetSessionToken", "sts", DurationSeconds=seconds)
        assert refused[:2] == (400, "ValidationError")


async def test_unknown_actions_are_named_invalid(root: Client) -> None:
    status, body = await root.send("iam", "MakeCoffee", {})
    assert status == 400
    assert b"<Code>InvalidAction</Code>" in body
