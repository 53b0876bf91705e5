"""The AWS door with nothing made up behind it: real keys, real signatures, real policies."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.download import Downloads
from moorage.access.principals import Principals
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.api.asgi import Message
from moorage.api.aws.app import AwsApp
from moorage.api.aws.sigv4 import Verifier
from moorage.api.ecr import ECR, EcrServices
from moorage.api.request_source import RequestSources
from moorage.audit.recorder import Recorder
from moorage.identity.identity import Identity, make_identity
from moorage.locations import Locations
from moorage.names import AccountId
from moorage.registry.registry import make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.open import open_database
from tests.api.aws.test_sigv4 import FixedClock, signed

OWNER = AccountId("012345678910")
OTHER = AccountId("111122223333")

REQUEST = (
    rb'{"policyText": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"AllowPull\",\"Effect\":\"Allow\",'
    rb'\"Action\":[\"ecr:BatchGetImage\",\"ecr:GetDownloadUrlForLayer\"],\"Principal\":\"*\"}]}\n", '
    rb'"repositoryName": "ubuntu"}'
)
POLICY = """{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Sid" : "AllowPull",
    "Effect" : "Allow",
    "Principal" : "*",
    "Action" : [ "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ]
  } ]
}"""


class NoAudit:
    """An audit store that keeps nothing."""

    async def append(self, _rows: list[dict[str, Any]]) -> None:
        return


class Whole:
    def __init__(self, door: AwsApp, identity: Identity) -> None:
        self.door = door
        self.identity = identity

    async def send(self, key: tuple[str, str], operation: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        target = f"AmazonEC2ContainerRegistry_V20150921.{operation}"
        scope, _ = signed(
            "http://localhost:4580/", headers={"X-Amz-Target": target}, body=body, key=key[0], secret=key[1]
        )
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.door({**scope, "client": ("127.0.0.1", 5)}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    async def ok(self, key: tuple[str, str], operation: str, **members: Any) -> Any:
        status, _, body = await self.send(key, operation, json.dumps(members).encode())
        assert status == 200, body
        return json.loads(body)

    async def root_key(self, account: AccountId) -> tuple[str, str]:
        await self.identity.accounts.ensure(account, by="tests")
        key, secret = await self.identity.keys.create(account, None, by="tests")
        return key.id, secret


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    settings = Settings(mode="dev", data=tmp_path)
    clock, sealer = FixedClock(), Sealer([bytes(32)])
    database = await open_database(settings)
    registry = make_registry(database, FileBlobStore(tmp_path / "blobs"), clock, settings)
    identity = make_identity(database, sealer, clock)
    authenticator = Authenticator(identity, sealer, clock, settings)
    audit: Any = NoAudit()
    recorder = Recorder(audit, clock, settings, lambda _kind, _number: None)
    access = Access(registry, identity.organizations, recorder, clock, settings)
    locations = Locations(settings)
    services = EcrServices(
        registry=registry,
        authenticator=authenticator,
        policy_check=RepositoryPolicyCheck(access, Principals(identity), registry.repository_policies),
        registry_policy_check=RegistryPolicyCheck(Principals(identity), registry.registry_policies),
        downloads=Downloads(authenticator, clock, settings),
        locations=locations,
        settings=settings,
        clock=clock,
        sealer=sealer,
    )
    verifier = Verifier(authenticator, clock, settings.clock_skew_seconds)
    yield Whole(AwsApp([(ECR, services)], verifier, access, RequestSources(locations, ()), settings), identity)
    await database.close()


async def test_a_refused_policy_says_why_in_a_header(whole: Whole) -> None:
    root = await whole.root_key(OWNER)
    await whole.ok(root, "CreateRepository", repositoryName="app")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": ["ecr:ListImages", "ecr:Pull\u00e9"],
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    request = json.dumps({"repositoryName": "app", "policyText": text}).encode()
    status, headers, body = await whole.send(root, "SetRepositoryPolicy", request)
    assert status == 400
    assert json.loads(body)["message"].endswith("'Invalid repository policy provided'")
    assert headers[b"x-moorage-policy-findings"] == (
        b'1;error=1, INVALID_ACTION;severity=error;at="/Statement/0/Action/1";line=1;column=128'
    )


async def test_set_repository_policy_to_the_byte(whole: Whole) -> None:
    """The request and the answer of the API reference."""
    root = await whole.root_key(OWNER)
    await whole.ok(root, "CreateRepository", repositoryName="ubuntu")
    assert len(REQUEST) == 223
    status, headers, body = await whole.send(root, "SetRepositoryPolicy", REQUEST)
    assert status == 200
    assert headers[b"content-type"] == b"application/x-amz-json-1.1"
    escaped = POLICY.replace('"', '\\"').replace("\n", "\\n")
    assert body.decode() == f'{{"policyText":"{escaped}","registryId":"{OWNER}","repositoryName":"ubuntu"}}'
    assert len(body) == 301
    assert headers[b"x-moorage-policy-findings"].startswith(b"1;security_warning=1, PUBLIC_PRINCIPAL;severity=")
    got = await whole.send(root, "GetRepositoryPolicy", b'{"repositoryName":"ubuntu"}')
    assert got[2] == body


async def test_a_policy_bites_on_the_next_request(whole: Whole) -> None:
    root, other = await whole.root_key(OWNER), await whole.root_key(OTHER)
    await whole.ok(root, "CreateRepository", repositoryName="ubuntu")
    pull = json.dumps({"registryId": OWNER, "repositoryName": "ubuntu", "imageIds": [{"imageTag": "v1"}]}).encode()
    status, headers, body = await whole.send(other, "BatchGetImage", pull)
    assert status == 400
    assert json.loads(body) == {
        "__type": "AccessDeniedException",
        "message": f"User: arn:aws:iam::{OTHER}:root is not authorized to perform: ecr:BatchGetImage on resource: "
        f"arn:aws:ecr:us-east-1:{OWNER}:repository/ubuntu because no resource-based policy allows the "
        "ecr:BatchGetImage action",
    }
    assert len(headers[b"x-amzn-requestid"]) == 36
    assert (await whole.send(root, "SetRepositoryPolicy", REQUEST))[0] == 200
    status, _, body = await whole.send(other, "BatchGetImage", pull)
    assert status == 200
    assert [each["failureCode"] for each in json.loads(body)["failures"]] == ["ImageNotFound"]
    await whole.ok(root, "DeleteRepositoryPolicy", repositoryName="ubuntu")
    assert (await whole.send(other, "BatchGetImage", pull))[0] == 400


@pytest.mark.parametrize("name", ["ubuntu", "none"])
async def test_names_cannot_be_probed(whole: Whole, name: str) -> None:
    root, other = await whole.root_key(OWNER), await whole.root_key(OTHER)
    await whole.ok(root, "CreateRepository", repositoryName="ubuntu")
    status, _, body = await whole.send(
        other, "DeleteRepository", json.dumps({"registryId": OWNER, "repositoryName": name}).encode()
    )
    assert (status, json.loads(body)["__type"]) == (400, "AccessDeniedException")


async def test_a_user_can_do_nothing_until_a_policy_says_so(whole: Whole) -> None:
    user = await whole.identity.users.create(OWNER, "/", "ann", "test")
    key, secret = await whole.identity.keys.create(OWNER, "ann", by="tests")
    ann = (key.id, secret)
    status, _, body = await whole.send(ann, "GetAuthorizationToken", b"{}")
    assert status == 400
    assert json.loads(body)["message"] == (
        f"User: {user.arn} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no "
        "identity-based policy allows the ecr:GetAuthorizationToken action"
    )


async def test_a_key_is_dead_on_the_next_request(whole: Whole) -> None:
    root = await whole.root_key(OWNER)
    await whole.ok(root, "DescribeRepositories")
    await whole.identity.keys.delete(OWNER, None, root[0], by="tests")
    status, _, body = await whole.send(root, "DescribeRepositories", b"{}")
    assert (status, json.loads(body)["__type"]) == (400, "UnrecognizedClientException")


async def test_a_wrong_secret_changes_nothing(whole: Whole) -> None:
    root = await whole.root_key(OWNER)
    status, _, body = await whole.send((root[0], "wrong"), "CreateRepository", b'{"repositoryName":"ubuntu"}')
    assert (status, json.loads(body)["__type"]) == (400, "InvalidSignatureException")
    assert await whole.ok(root, "DescribeRepositories") == {"repositories": []}


async def test_many_set_a_policy_at_once(whole: Whole) -> None:
    root = await whole.root_key(OWNER)
    await whole.ok(root, "CreateRepository", repositoryName="ubuntu")
    answers = await asyncio.gather(*(whole.send(root, "SetRepositoryPolicy", REQUEST) for _ in range(20)))
    assert {status for status, _, _ in answers} == {200}


async def test_open_keys_of_dev_mode(whole: Whole) -> None:
    made = await whole.ok(("444455556666", "any"), "CreateRepository", repositoryName="app")
    assert made["repository"]["registryId"] == "444455556666"
    made = await whole.ok(("test", "test"), "CreateRepository", repositoryName="app")
    assert made["repository"]["registryId"] == "000000000000"
