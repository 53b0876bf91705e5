"""A flood of reads, denials and false signatures beside forty writes and forty refused ones, which are all recorded."""

import asyncio
import base64
import json
import re
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_process import Error, ServerProcess

OWNER = "777700000021"
SECONDS = 20.0
CONNECTIONS = 4
PIPELINED = 20
SMALL = {
    "MOORAGE_AUDIT_QUEUE_BYTES": str(1 << 20),
    "MOORAGE_AUDIT_ROWS_PER_DAY": "2000",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path / "data").start(environment=SMALL)
    yield running
    running.stop()


def user(server: ServerProcess, name: str, *actions: str) -> dict[str, str]:
    iam = server.client("iam", OWNER)
    iam.create_user(UserName=name)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=json.dumps(document))
    key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def password(server: ServerProcess, key: dict[str, str]) -> str:
    ecr = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"])
    token: str = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert base64.b64decode(token).startswith(b"AWS:")
    return token


class Flood:
    """Sends requests on some connections until it is told to stop; counts them and their bytes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = 0
        self.bytes = 0
        self.ended = False

    async def run(self, request: Any) -> None:
        """`request(number)`: the bytes of the request with that number; each is another."""
        number = 0
        while not self.ended:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                while not self.ended:
                    batch = b"".join(request(number + each) for each in range(PIPELINED))
                    number += PIPELINED
                    writer.write(batch)
                    await writer.drain()
                    for _ in range(PIPELINED):
                        await read_answer(reader)
                    self.sent += PIPELINED
                    self.bytes += len(batch)
            except (OSError, asyncio.IncompleteReadError):
                pass  # refused; on with another connection
            finally:
                writer.close()


async def read_answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    if length is not None:
        await reader.readexactly(int(length[1]))


def pull(token: str, worker: int) -> Any:
    def request(number: int) -> bytes:
        path = f"/v2/{OWNER}/us-east-1/flood/w{worker}n{number}/manifests/v1"
        return (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {token}\r\n"
            f"User-Agent: docker/{number}\r\n\r\n"
        ).encode()

    return request


def claim(key_id: str, worker: int) -> Any:
    """A false signature that names a key, with a long User-Agent."""

    def request(number: int) -> bytes:
        scope = f"{key_id}/20260101/us-east-1/ecr/aws4_request"
        return (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921.PutImage\r\n"
            f"X-Amz-Date: 20260101T000000Z\r\nUser-Agent: {worker}-{number}-{'x' * 8000}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}\r\n"
            "Content-Length: 2\r\n\r\n{}"
        ).encode()

    return request


def resident(pid: int) -> int:
    """MiB of the largest process of the server's group."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            if int((status.parent / "stat").read_text().rpartition(")")[2].split()[2]) != pid:
                continue
        except OSError:
            continue
        match = re.search(r"VmRSS:\s+(\d+)", text)
        found = max(found, int(match[1]) // 1024 if match else 0)
    return found


def size_of(data: Path) -> int:
    return sum(each.stat().st_size for each in data.glob("audit.db*"))


@pytest.mark.torture
async def test_no_write_is_missing_after_a_flood(server: ServerProcess) -> None:
    may = user(server, "may", "ecr:*")
    readers = [password(server, user(server, f"reader{each}", "ecr:GetAuthorizationToken")) for each in range(2)]
    tokens = [*readers, password(server, may)]
    stranger = user(server, "victim", "ecr:GetAuthorizationToken")
    root = server.client("ecr", OWNER)
    for number in range(40):
        root.create_repository(repositoryName=f"kept/app{number}")
    writer = server.client("ecr", may["AccessKeyId"], may["SecretAccessKey"])
    refused = server.client("ecr", stranger["AccessKeyId"], stranger["SecretAccessKey"])

    def write(number: int) -> str:
        answer = writer.put_image_tag_mutability(repositoryName=f"kept/app{number}", imageTagMutability="IMMUTABLE")
        return str(answer["ResponseMetadata"]["RequestId"])

    def be_refused(number: int) -> str:
        with pytest.raises(Error, match="AccessDeniedException") as raised:
            refused.put_image_tag_mutability(repositoryName=f"kept/app{number}", imageTagMutability="MUTABLE")
        return str(raised.value.response["ResponseMetadata"]["RequestId"])

    before, memory = size_of(server.data), resident(server.pid)
    flood = Flood(server.port)
    tasks = [
        asyncio.create_task(flood.run(pull(token, worker)))
        for worker in range(CONNECTIONS)
        for token in [tokens[worker % len(tokens)]]
    ]
    tasks.append(asyncio.create_task(flood.run(claim(stranger["AccessKeyId"], 99))))
    await asyncio.sleep(SECONDS / 4)
    told: list[str] = []
    end = time.monotonic() + SECONDS
    for number in range(40):
        told.append(await asyncio.to_thread(write, number))
        told.append(await asyncio.to_thread(be_refused, number))
        await asyncio.sleep(max(0.0, (end - time.monotonic()) / (40 - number)))
    most = resident(server.pid)
    flood.ended = True
    await asyncio.gather(*tasks)
    metrics = await asyncio.to_thread(read_metrics, server)
    grown = size_of(server.data) - before
    server.stop()
    with sqlite3.connect(server.data / "audit.db") as db:
        kept = {row[0] for row in db.execute("SELECT id FROM events WHERE name = 'PutImageTagMutability'")}
        decided = {row[0] for row in db.execute("SELECT id FROM decisions")}
        named = [
            json.loads(row[0]).get("decisions", [])
            for row in db.execute("SELECT detail FROM events WHERE name = 'PutImageTagMutability'")
        ]
        counts = dict(db.execute("SELECT verdict, sum(count) FROM events GROUP BY verdict"))
        rows = dict(db.execute("SELECT verdict, count(*) FROM events GROUP BY verdict"))
    lines = [
        f"{flood.sent} requests, {flood.bytes / 1e6:.1f} MB sent; database +{grown / 1e6:.2f} MB, "
        f"{grown / flood.bytes:.3f} MB for each MB sent",
        f"writes missing: {len(set(told) - kept)} of {len(told)}; worker {memory} -> {most} MiB",
        f"requests in the record by verdict: {counts}; rows: {rows}",
        *[line for line in metrics.splitlines() if line.startswith("moorage_audit")],
    ]
    print("\n" + "\n".join(lines))  # noqa: T201 - what `make torture` measures
    assert len(set(told)) == 80
    assert set(told) <= kept
    assert all(each and set(each) <= decided for each in named)


def read_metrics(server: ServerProcess) -> str:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        return str(answer.read().decode())
