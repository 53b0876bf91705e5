"""Secrets sent to every operation of every door, and those given out, are in neither the audit record nor the log."""

import base64
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import structlog

from moorage.analysis.access_report import AccessRequest
from moorage.api.admin import apply, dev, generate, jobs, organization, replay, tokens, trash
from moorage.api.admin import recorded_call as admin_trail
from moorage.api.asgi import Message, Scope
from moorage.api.ecr import ECR
from moorage.api.iam import IAM
from moorage.api.sts import STS
from moorage.audit import reader
from moorage.settings import Settings
from tests.faults.test_text import MANIFEST, REQUESTS
from tests.support.in_process import InProcess, Reply, in_process

SECRET = "topsecret"
SIGNATURE = "5ec2e7" * 10 + "5ec2"
TOKEN = f"eyJhbGciOi{SECRET}.eyJzdWIi{SECRET}.{SECRET}"
HEADERS = {
    "referer": f"https://{SECRET}:{SECRET}@ci.example/{'page'}?token={SECRET}&x={SECRET}#{SECRET}",
    "x-amz-security-token": SECRET,
    "user-agent": "attack/1",
}
NAMES = [
    "AuthorizationToken",
    "ClientSecret",
    "NewPassword",
    "OldPassword",
    "Password",
    "SAMLAssertion",
    "SecretAccessKey",
    "SessionToken",
    "TokenCode",
    "WebIdentityToken",
    "X-Amz-Security-Token",
    "access_token",
    "id_token",
    "refresh_token",
    "secret",
    "token",
]
SENT: dict[str, Any] = dict.fromkeys(NAMES, SECRET)
MEMBERS = {
    "UserName": "ann",
    "RoleName": "role",
    "GroupName": "group",
    "PolicyName": "policy",
    "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "RoleArn": "arn:aws:iam::000000000000:role/role",
    "RoleSessionName": "session",
    "Name": "ann",
    "PolicyDocument": '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}',
    "AssumeRolePolicyDocument": json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
                "Action": "sts:AssumeRole",
            },
        }
    ),
}
PATHS = [
    ("GET", "/v2/"),
    ("GET", "/v2/_catalog"),
    *((method, "/v2/team/app/manifests/v1") for method in ("GET", "HEAD", "PUT", "DELETE")),
    *((method, f"/v2/team/app/blobs/sha256:{'0' * 64}") for method in ("GET", "HEAD", "DELETE")),
    ("POST", "/v2/team/app/blobs/uploads/"),
    *(
        (method, "/v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000")
        for method in ("GET", "PATCH", "PUT", "DELETE")
    ),
    ("GET", "/v2/team/app/tags/list"),
    ("GET", f"/v2/team/app/referrers/sha256:{'0' * 64}"),
    ("GET", "/v2/token"),
    ("POST", "/v2/token"),
]
ADMIN = [
    "access",
    "apply",
    "audit",
    "explain",
    "export",
    "jobs/cancel",
    "jobs/list",
    "jobs/retry",
    "jobs/show",
    "organization/delete",
    "organization/history",
    "organization/put",
    "organization/show",
    "password",
    "policy/generate",
    "policy/try",
    "purge",
    "restore",
    "tokens/create",
    "tokens/list",
    "tokens/revoke",
]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as a server writes it."""
    written = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=written),
        cache_logger_on_first_use=False,
    )
    yield written
    structlog.reset_defaults()


@pytest.fixture
async def server(tmp_path: Path, log: io.StringIO) -> AsyncIterator[InProcess]:  # noqa: ARG001 - it configures logging first
    settings = Settings(mode="dev", data=tmp_path / "data", access_log=True, anonymous_pull=True)
    async with in_process(settings) as running:
        yield running


async def ask(server: InProcess, method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> Reply:
    sent = {"host": "localhost:4580", "content-length": str(len(body)), **HEADERS, **headers}
    answers: list[Message] = []
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answers.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 50000),
    }
    await server.asgi(scope, receive, send)
    start, *rest = answers
    given = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], given, b"".join(each.get("body", b"") for each in rest))


def signed(service: str, key: str = "test") -> dict[str, str]:
    scope = f"{key}/20260101/us-east-1/{service}/aws4_request"
    return {
        "x-amz-date": "20260101T000000Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={SIGNATURE}",
    }


def presigned(service: str, key: str = "test") -> dict[str, str]:
    return {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{key}/20260101/us-east-1/{service}/aws4_request",
        "X-Amz-Date": "20260101T000000Z",
        "X-Amz-Expires": "600",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": SIGNATURE,
    }


def secrets_in(reply: Reply) -> set[str]:
    """What an answer gives out that nobody else may have."""
    text = reply.body.decode(errors="replace")
    names = "SecretAccessKey|SessionToken|authorizationToken|downloadUrl|token|access_token|secret|password"
    found = {value for _, value in re.findall(rf'"({names})": ?"([^"]+)"', text)}
    found |= {value for _, value in re.findall(rf"<({names})>([^<]+)</", text)}
    for each in set(found):
        with contextlib.suppress(ValueError):
            found.add(base64.b64decode(each).decode().removeprefix("AWS:"))
        if "token=" in each:
            found.add(each.partition("token=")[2])
    return {each for each in found if len(each) > 16}


def assert_nowhere(data: Path, log: io.StringIO, secrets: set[str]) -> None:
    kept = b"".join(each.read_bytes() for each in sorted(data.glob("audit.db*")))
    assert len(kept) > 10_000
    for where, content in (("record", kept), ("log", log.getvalue().encode())):
        for secret in secrets:
            place = content.find(secret.encode())
            assert place < 0, (where, secret, content[max(0, place - 300) : place + 100])


async def walk(server: InProcess, key: str) -> set[str]:
    """Every operation of every door, with secrets wherever there is room for one; what was given out."""
    given: set[str] = set()
    for name in ECR.operations:
        body = json.dumps({**SENT, **REQUESTS[name]}).encode()
        target = {"x-amz-target": f"AmazonEC2ContainerRegistry_V20150921.{name}"}
        for sent in (body, body[:-1], json.dumps(SENT).encode()):
            given |= secrets_in(await ask(server, "POST", "/", sent, **target, **signed("ecr", key)))
    services: tuple[Any, ...] = (IAM, STS)
    for service in services:
        # Deleting comes last, so that there is something to give secrets for.
        for name in sorted(service.operations, key=lambda name: (name.startswith("Delete"), name)):
            form = {"Action": name, "Version": service.version}
            secret = {**SENT, "WebIdentityToken": TOKEN}
            for members in ({**MEMBERS, **secret}, {**secret, "UserName": "x" * 2000}, secret):
                if "WebIdentity" not in name:
                    text = urlencode({**form, **members})
                    given |= secrets_in(await ask(server, "POST", "/", text.encode(), **signed(service.name, key)))
                query = urlencode({**form, **members, **presigned(service.name, key)}, quote_via=quote)
                given |= secrets_in(await ask(server, "GET", "/", b"", query))
    password = base64.b64encode(f"{key}:{SECRET}".encode()).decode()
    for method, path in PATHS:
        query = urlencode({"token": SECRET, "_state": SECRET, "digest": f"sha256:{'1' * 64}", "password": SECRET})
        for asked in ("", query):
            body = MANIFEST.encode() if method == "PUT" else b""
            if path == "/v2/token" and method == "POST":
                body = urlencode({"grant_type": "password", "username": "test", "password": SECRET}).encode()
            given |= secrets_in(await ask(server, method, path, body, asked, authorization=f"Basic {password}"))
    for path in ADMIN:
        for members in (SENT, {**SENT, "name": "pull", "repositories": ["team/app"], "pull": True}):
            body = json.dumps(members).encode()
            for method in ("POST", "GET"):
                sent = body if method == "POST" else b""
                query = "" if method == "POST" else f"password={SECRET}"
                given |= secrets_in(
                    await ask(server, method, f"/_moorage/{path}", sent, query, **signed("moorage", key))
                )
    made = {"name": "deploy", "repositories": ["team/app"], "expires_at": 4e9, "pull": True}
    reply = await ask(server, "POST", "/_moorage/tokens/create", json.dumps(made).encode(), **signed("moorage", key))
    return given | secrets_in(reply)


async def test_no_secret_is_in_the_record_or_the_log(server: InProcess, log: io.StringIO) -> None:
    await server.ok("CreateRepository", repositoryName="team/app")
    given = await walk(server, "test")
    assert len(given) > 5, given
    await running_recorder(server).flush()
    assert_nowhere(server.settings.data, log, given | {SECRET, SIGNATURE})


async def test_nor_when_the_signature_is_wrong(server: InProcess, log: io.StringIO) -> None:
    """A key that exists is named, and everything is refused."""
    form = urlencode({"Action": "CreateUser", "Version": IAM.version, "UserName": "ann"}).encode()
    assert (await ask(server, "POST", "/", form, **signed("iam"))).status == 200
    form = urlencode({"Action": "CreateAccessKey", "Version": IAM.version, "UserName": "ann"}).encode()
    text = (await ask(server, "POST", "/", form, **signed("iam"))).body.decode()
    key = re.findall("<AccessKeyId>([^<]+)", text)[0]
    await walk(server, key)
    await running_recorder(server).flush()
    assert_nowhere(server.settings.data, log, {SECRET, SIGNATURE})


def running_recorder(server: InProcess) -> Any:
    return server.components.recorder


def test_members_of_moorages_own_calls_that_are_kept_are_those_that_their_types_declare() -> None:
    types: list[type[msgspec.Struct]] = [
        AccessRequest,
        apply.ApplyRequest,
        dev.ClockRequest,
        reader.EventQuery,
        generate.GenerateRequest,
        jobs.JobRequest,
        jobs.ListRequest,
        organization.PutRequest,
        replay.TryRequest,
        tokens.CreateRequest,
        tokens.ListRequest,
        tokens.RevokeRequest,
        trash.PurgeRequest,
        trash.RestoreRequest,
    ]
    declared = {field.encode_name for each in types for field in msgspec.structs.fields(each)}
    assert declared == admin_trail._MEMBERS
    assert not [name for name in declared if re.search("secret|password|token$", name)]
