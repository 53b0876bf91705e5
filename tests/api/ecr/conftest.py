"""The ECR operations behind the AWS door, over a real registry on SQLite and files; callers are made up."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moorage.access.caller import Connection
from moorage.access.repository_policy import Accepted
from moorage.api.asgi import Message, Scope
from moorage.api.aws.app import AwsApp
from moorage.api.aws.sigv4 import Claim
from moorage.api.ecr import ECR, EcrServices
from moorage.clock import Clock
from moorage.errors import AccessDenied, InvalidParameter
from moorage.locations import Locations
from moorage.names import AccountId, Region
from moorage.registry.registry import make_registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.metadata.database.open import open_database

ACCOUNT = AccountId("111122223333")
REGION = Region("us-east-1")


class Caller:
    """Signs for nobody: the account of the caller is what a test says."""

    def __init__(self) -> None:
        self.account: str = ACCOUNT

    async def begin(self, _scope: Scope, _headers: dict[bytes, bytes], _service: str, *, host: str) -> Claim:  # noqa: ARG002 - the verifier's signature
        principal = SimpleNamespace(account=self.account, arn=f"arn:aws:iam::{self.account}:user/tester")
        caller: Any = SimpleNamespace(principal=principal)
        signed: Any = SimpleNamespace(region=REGION, key_id="AKIA")
        return Claim(caller, signed, None, "", None, False)

    async def finish(self, claim: Claim, _body: bytes) -> Any:
        return self.finish_hashed(claim, "")

    def finish_hashed(self, claim: Claim, _payload: str) -> Any:
        return claim.caller


class Decisions:
    """Allows everything but the actions a test denies; keeps what was asked."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.asked: list[tuple[str, Any, Mapping[str, Any]]] = []

    async def require(
        self, _caller: Any, _connection: Connection, action: str, resource: Any, *, extra: Any, decision_id: str | None
    ) -> None:
        self.asked.append((action, resource, extra))
        if action in self.denied:
            raise AccessDenied("not authorized", decision_id or "a-decision")


class PolicyCheck:
    """Takes any text but `bad`; the stored form is marked, the shown form is not."""

    async def check_and_canonicalize(
        self, _caller: Any, _connection: Any, _ref: Any, text: str, _force: bool
    ) -> Accepted:
        if text == "bad":
            raise InvalidParameter.at("PolicyText", "Invalid repository policy provided")
        return Accepted(f"stored:{text}", text)

    async def findings(self, _ref: Any, _text: str) -> str:
        return "0"

    async def shown(self, stored: str) -> str:
        return stored.removeprefix("stored:")


class RequestSources:
    def connection(self, _scope: Scope, _headers: Mapping[bytes, bytes]) -> Connection:
        return Connection(
            source_ip="127.0.0.1",
            secure=False,
            user_agent="",
            referer="",
            host="localhost:4580",
            region=REGION,
        )


class Ecr:
    """Calls operations by their AWS names."""

    def __init__(self, door: AwsApp, caller: Caller, decisions: Decisions, services: EcrServices) -> None:
        self.door = door
        self.caller = caller
        self.decisions = decisions
        self.services = services

    async def raw(self, operation: str, body: bytes) -> tuple[int, bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        target = f"AmazonEC2ContainerRegistry_V20150921.{operation}".encode()
        headers = [(b"x-amz-target", target), (b"authorization", b"x"), (b"host", b"localhost:4580")]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
        await self.door(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    async def ok(self, operation: str, **members: Any) -> Any:
        status, body = await self.raw(operation, json.dumps(members).encode())
        assert status == 200, body
        return json.loads(body)

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """The error's type and message."""
        status, body = await self.raw(operation, json.dumps(members).encode())
        error = json.loads(body)
        assert status >= 400, body
        return error["__type"], error.get("message", "")


@pytest.fixture
async def ecr(tmp_path: Path) -> AsyncIterator[Ecr]:
    settings = Settings(mode="dev", data=tmp_path)
    clock = Clock()
    database = await open_database(settings)
    authenticator: Any = SimpleNamespace(issue_password=_issue_password)
    downloads: Any = SimpleNamespace(seal=lambda _caller, _ref, _digest: "sealed")
    policy_check: Any = PolicyCheck()
    services = EcrServices(
        registry=make_registry(database, FileBlobStore(tmp_path / "blobs"), clock, settings),
        authenticator=authenticator,
        policy_check=policy_check,
        registry_policy_check=policy_check,
        downloads=downloads,
        locations=Locations(settings),
        settings=settings,
        clock=clock,
        sealer=Sealer([bytes(32)]),
    )
    caller, decisions = Caller(), Decisions()
    verifier: Any = caller
    access: Any = decisions
    request_sources: Any = RequestSources()
    yield Ecr(AwsApp([(ECR, services)], verifier, access, request_sources, settings), caller, decisions, services)
    await database.close()


async def _issue_password(_caller: Any, _region: str) -> tuple[str, float]:
    return "a-password", 1_800_000_000.5
