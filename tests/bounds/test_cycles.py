"""No request leaves a reference cycle: what it made is freed when it ends, not when the collector comes round.

The collector has to look through everything that is cached to find a cycle, and stops the worker meanwhile.
"""

import gc
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.settings import Settings
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import AsgiClient

REQUESTS = 30
ALLOWED = 2 * REQUESTS
"""Objects that may be found: the collector sees now and then a task of the server's own that has just ended."""
NAME = "team/app"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as made:
        await made.ok("CreateRepository", repositoryName=NAME)
        yield made


def policy(number: int) -> str:
    statements = [
        {
            "Sid": f"{number}x{at}",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{number * 100 + at:012}:root"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringLike": {"aws:UserAgent": "a?*"}},
        }
        for at in range(5)
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


async def refused(app: InProcess, operation: str, code: str, **members: Any) -> None:
    reply = await app.ecr(operation, **members)
    assert reply.error[0] == code, reply


async def set_policy(app: InProcess, _: AsgiClient, number: int) -> None:
    await app.ok("SetRepositoryPolicy", repositoryName=NAME, policyText=policy(number))


async def set_what_is_no_policy(app: InProcess, _: AsgiClient, number: int) -> None:
    for text in ('{"Statement":[{"Effect":"allow"},{"Sid":%d}]}', '{"Statement":[%d'):
        await refused(
            app, "SetRepositoryPolicy", "InvalidParameterException", repositoryName=NAME, policyText=text % number
        )


async def lock_out(app: InProcess, _: AsgiClient, number: int) -> None:
    text = json.dumps({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Sid": str(number)}})
    await refused(app, "SetRepositoryPolicy", "InvalidParameterException", repositoryName=NAME, policyText=text)


async def set_registry_policy(app: InProcess, _: AsgiClient, number: int) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"{number:012}"},
        "Action": "ecr:ReplicateImage",
        "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*",
    }
    await app.ok("PutRegistryPolicy", policyText=json.dumps({"Statement": [statement]}))


async def read(app: InProcess, _: AsgiClient, number: int) -> None:
    await app.ok("DescribeRepositories", repositoryNames=[NAME])
    await app.ok("BatchGetImage", repositoryName=NAME, imageIds=[{"imageTag": f"v{number}"}])
    await app.ok("GetAuthorizationToken")


async def ask_for_what_is_not_there(app: InProcess, oci: AsgiClient, number: int) -> None:
    await refused(app, "DescribeRepositories", "RepositoryNotFoundException", repositoryNames=[f"none/{number}"])
    assert (await oci("GET", f"/v2/{NAME}/manifests/v{number}")).status == 404


async def ask_badly(app: InProcess, oci: AsgiClient, number: int) -> None:
    assert (await app.ask("DescribeRepositories", b'{"x":')).status == 400
    assert (await app.ecr("DescribeRepositories", key="AKIAIOSFODNN7EXAMPLE")).status in {400, 403}
    assert (await oci.as_user(f"AWS:none{number}")("GET", f"/v2/{NAME}/manifests/v1")).status in {401, 403}


async def push_and_pull(_: InProcess, oci: AsgiClient, number: int) -> None:
    content = b'{"architecture":"amd64","number":%d}' % number
    pushed = await oci("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest(content)}", content)
    assert pushed.status == 201, pushed
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(content), "size": len(content)}
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}).encode()
    assert (await oci("PUT", f"/v2/{NAME}/manifests/v1", body, content_type=MANIFEST)).status == 201
    for path in ("manifests/v1", f"blobs/{digest(content)}", "tags/list"):
        assert (await oci("GET", f"/v2/{NAME}/{path}")).status == 200


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "request_of",
    [
        set_policy,
        set_what_is_no_policy,
        lock_out,
        set_registry_policy,
        read,
        ask_for_what_is_not_there,
        ask_badly,
        push_and_pull,
    ],
)
async def test_a_request_leaves_no_cycle(
    app: InProcess, request_of: Callable[[InProcess, AsgiClient, int], Awaitable[None]]
) -> None:
    oci = await app.oci()
    for number in range(3):  # what is made once, such as compiled statements of SQL, may have its cycles
        await request_of(app, oci, number)
    gc.collect()
    gc.disable()
    try:
        for number in range(100, 100 + REQUESTS):
            await request_of(app, oci, number)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found.total() <= ALLOWED, found.most_common(10)
