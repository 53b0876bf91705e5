"""Request bodies: each has a minimum rate on every door, and those that are not verified hold nobody up."""

import asyncio
import base64
import hashlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.api.asgi import Message, Scope
from moorage.api.aws import large_bodies
from moorage.api.aws.large_bodies import LargeBodies, Places
from moorage.api.body_timer import BodyTimer
from moorage.errors import RequestTimeout
from moorage.settings import Settings
from tests.attacks.raw_requests import HOST, signed_as
from tests.support.in_process import InProcess, in_process
from tests.support.server_process import ServerProcess

PART = "UploadLayerPart"


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[InProcess]:
    settings = Settings.from_environment(
        {}, mode="dev", data=tmp_path / "data", body_pause_seconds=2, anonymous_pull=True
    )
    async with in_process(settings) as running:
        yield running


async def ask(
    opened: InProcess,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    receive: Callable[[], Awaitable[Message]],
    query: bytes = b"",
    client: str = "127.0.0.1",
) -> tuple[int, bytes]:
    """Status and body of the answer to a request whose body comes from `receive`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 4580),
    }
    await opened.asgi(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


async def never() -> Message:
    """A body of which nothing comes."""
    await asyncio.Event().wait()
    raise AssertionError


async def drips() -> Message:
    """A body of which a byte comes now and then, for ever."""
    await asyncio.sleep(0.05)
    return {"type": "http.request", "body": b"x", "more_body": True}


def whole(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


BASIC = ("authorization", "Basic " + base64.b64encode(b"test:x").decode())
FORM = ("content-type", "application/x-www-form-urlencoded")
MOORAGE = [
    (name, value.replace("/ecr/", "/moorage/")) for name, value in signed_as("test", "") if name != "x-amz-target"
]


def requests(upload: str) -> dict[str, tuple[str, str, list[tuple[str, str]], bytes]]:
    """A request with a body on every door and of every kind of reading."""
    return {
        "the ECR API": ("POST", "/", signed_as("test", "PutImage"), b""),
        "a layer part": ("POST", "/", signed_as("test", PART), b""),
        "the IAM API": ("POST", "/", [(n, v.replace("/moorage/", "/iam/")) for n, v in MOORAGE] + [FORM], b""),
        "an unsigned call": ("POST", "/", [HOST, FORM], b""),
        "a manifest": ("PUT", "/v2/app/manifests/v1", [HOST, BASIC], b""),
        "a chunk": ("PATCH", f"/v2/app/blobs/uploads/{upload}", [HOST, BASIC], b""),
        "a last chunk": ("PUT", f"/v2/app/blobs/uploads/{upload}", [HOST, BASIC], b"digest=sha256:" + b"0" * 64),
        "a blob": ("POST", "/v2/app/blobs/uploads/", [HOST, BASIC], b"digest=sha256:" + b"0" * 64),
        "a token": ("POST", "/v2/token", [HOST, FORM], b""),
        "an administration call": ("POST", "/_moorage/apply", MOORAGE, b""),
        "the clock": ("POST", "/_moorage/clock", [HOST], b""),
    }


async def upload_id(opened: InProcess) -> str:
    await opened.ok("CreateRepository", repositoryName="app")
    return str((await opened.ok("InitiateLayerUpload", repositoryName="app"))["uploadId"])


@pytest.mark.parametrize("body", [never, drips])
async def test_a_body_that_is_too_slow_is_refused_on_every_door(
    opened: InProcess, body: Callable[[], Awaitable[Message]]
) -> None:
    kinds = requests(await upload_id(opened))
    asked = [ask(opened, *request[:3], body, request[3]) for request in kinds.values()]
    answers = dict(zip(kinds, await asyncio.wait_for(asyncio.gather(*asked), 60), strict=True))
    assert {kind: status for kind, (status, _) in answers.items()} == dict.fromkeys(kinds, 408)
    for kind, (_, said) in answers.items():
        assert b"did not arrive in time" in said, (kind, said)
    assert json.loads(answers["the ECR API"][1])["__type"] == "RequestTimeoutException"
    assert [each["code"] for each in json.loads(answers["a chunk"][1])["errors"]] == ["SIZE_INVALID"]
    assert b"<Code>RequestTimeout</Code>" in answers["the IAM API"][1]


async def test_what_arrived_of_a_slow_chunk_is_kept(opened: InProcess) -> None:
    upload = await upload_id(opened)
    first = [{"type": "http.request", "body": b"kept", "more_body": True}]

    async def receive() -> Message:
        return first.pop() if first else await never()

    path = f"/v2/app/blobs/uploads/{upload}"
    assert (await ask(opened, "PATCH", path, [HOST, BASIC], receive))[0] == 408
    digest = "sha256:" + hashlib.sha256(b"kept on").hexdigest()
    assert (await ask(opened, "PUT", path, [HOST, BASIC], whole(b" on"), f"digest={digest}".encode()))[0] == 201


async def test_a_stream_that_is_fast_enough_may_take_long(opened: InProcess) -> None:
    pieces = [b"x" * 16_384] * 8

    async def receive() -> Message:
        await asyncio.sleep(0.35)
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    path = f"/v2/app/blobs/uploads/{await upload_id(opened)}"
    assert (await ask(opened, "PATCH", path, [HOST, BASIC], receive))[0] == 202


async def test_the_budget_is_a_pause_and_what_has_arrived() -> None:
    timer = BodyTimer(10.0, 1000.0)

    async def message(size: int) -> Message:
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    budget, clock = 4.0, asyncio.get_running_loop().time
    for size in (1000, 0, 3000, 1 << 20):
        full, began = min(10.0, budget + size / 1000), clock()
        _, budget = await timer.receive(lambda size=size: message(size), budget)  # type: ignore[misc]
        assert full - (clock() - began) - 1e-6 <= budget <= full + 1e-6
    assert budget == 10.0
    assert not timer._until


async def test_a_wait_that_somebody_else_ends_is_no_timeout() -> None:
    timer = BodyTimer(10.0, 1.0)
    waiting = asyncio.create_task(timer.receive(never, 10.0))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    late = BodyTimer(0.05, 1.0)
    with pytest.raises(RequestTimeout):
        await late.receive(never, 0.05)
    assert (timer._until, late._until, late._late) == ({}, {}, set())


def part(upload: str, content: bytes) -> bytes:
    members: dict[str, Any] = {"repositoryName": "app", "uploadId": upload, "partFirstByte": 0}
    members |= {"partLastByte": len(content) - 1, "layerPartBlob": base64.b64encode(content).decode()}
    return json.dumps(members).encode()


async def test_wrong_signatures_do_not_hold_up_others(opened: InProcess) -> None:
    upload = await upload_id(opened)
    identity = opened.components.identity
    await identity.users.create(opened.settings.default_account, "/", "ada", "test")
    key, _ = await identity.keys.create(opened.settings.default_account, "ada", by="tests")
    now = opened.components.clock.now()
    forged = [
        (
            name,
            value.replace("20260101", _day(now)).replace(
                "SignedHeaders=host", "SignedHeaders=host;x-amz-date;x-amz-target"
            ),
        )
        for name, value in signed_as(key.id, PART)
    ]
    forged = [(name, _instant(now) if name == "x-amz-date" else value) for name, value in forged]
    slow = [asyncio.create_task(ask(opened, "POST", "/", forged, never, client="203.0.113.9")) for _ in range(100)]
    await asyncio.sleep(0)
    content = b"x" * (6 << 20)
    answer = await ask(opened, "POST", "/", signed_as("test", PART), whole(part(upload, content)))
    assert answer[0] == 200
    assert not any(each.done() for each in slow)
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    wrong = await ask(opened, "POST", "/", forged, whole(part(upload, content)))
    assert wrong[0] == 400
    assert b"InvalidSignatureException" in wrong[1]
    aws: Any = opened.router._apps.aws
    assert len(aws._large_bodies._arriving) == 0


def _day(now: float) -> str:
    return _instant(now)[:8]


def _instant(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


async def test_a_holder_has_only_so_many_places() -> None:
    places = Places(3, 2)
    entered: list[str] = []
    leave = asyncio.Event()

    async def hold(holder: str) -> None:
        async with places.place(holder):
            entered.append(holder)
            await leave.wait()

    tasks = [asyncio.create_task(hold(holder)) for holder in ("a", "a", "a", "b", "b", "c")]
    await asyncio.sleep(0.01)
    assert entered == ["a", "a", "b"]
    leave.set()
    await asyncio.gather(*tasks)
    assert sorted(entered) == ["a", "a", "a", "b", "b", "c"]
    assert len(places) == 0


class Checks:
    """A verifier that believes every hash, and notes it."""

    def __init__(self) -> None:
        self.hashes: list[str] = []

    def finish_hashed(self, claim: Any, payload: str) -> Any:
        self.hashes.append(payload)
        return claim.caller


class Claimed:
    class signed:  # noqa: N801
        key_id = "a"

    class caller:  # noqa: N801
        class principal:  # noqa: N801
            account = "111122223333"


@pytest.mark.parametrize("size", [0, 100, 1 << 20, (1 << 20) + 1, 5 << 20])
async def test_large_bodies_are_whole_and_leave_nothing(tmp_path: Path, size: int) -> None:
    bodies, checks = LargeBodies(tmp_path / "tmp", 2), Checks()
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = [content[at : at + 65_536] for at in range(0, size, 65_536)]

    async def receive() -> Message:
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    held: list[int] = []
    write = large_bodies._Spool._write

    def watched(spool: Any) -> None:
        held.append(sum(map(len, spool._chunks)))
        write(spool)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(large_bodies._Spool, "_write", watched)
        claim, verifier = Claimed(), checks
        async with bodies.verified(receive, None, size, claim, verifier, "") as body:  # type: ignore[arg-type]
            assert body == content
    assert checks.hashes == [hashlib.sha256(content).hexdigest()]
    assert max(held, default=0) <= (1 << 20) + 65_536
    assert [*os.listdir(tmp_path / "tmp")] == [] if size > 1 << 20 else os.listdir(tmp_path) == []  # noqa: PTH208
    assert len(bodies._arriving) == len(bodies._decoding) == 0


def test_the_connection_is_closed_after_a_timeout(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start(environment={"MOORAGE_BODY_PAUSE_SECONDS": "1"})
    try:
        for method, path in (("POST", "/"), ("PUT", "/v2/app/manifests/v1"), ("POST", "/_moorage/clock")):
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as one:
                said = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
                said += "".join(f"{name}: {value}\r\n" for name, value in [*signed_as("test", "PutImage")[1:3], BASIC])
                if path == "/":
                    said = said.replace(BASIC[1], signed_as("test", "PutImage")[3][1])
                one.sendall(f"{said}\r\nhalf".encode())
                answer = b""
                while piece := one.recv(65_536):  # until the server closes it
                    answer += piece
            assert answer.startswith(b"HTTP/1.1 408"), (path, answer)
            assert answer.count(b"HTTP/1.1") == 1
    finally:
        server.stop()
