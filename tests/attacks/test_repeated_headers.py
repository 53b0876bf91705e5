"""Headers sent twice: a proxy may have read one of them and the server another."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.settings import Settings
from tests.attacks.raw_requests import ask, signed_as
from tests.support.in_process import InProcess, in_process


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings.from_environment({}, mode="dev", data=tmp_path / "data")) as running:
        yield running


@pytest.mark.parametrize(
    "repeated",
    [
        ("host", "localhost:4580"),
        ("host", "127.0.0.1"),
        ("authorization", "Basic dGVzdDp4"),
        ("content-length", "2"),
        ("content-type", "application/json"),
        ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"),
        ("x-amz-date", "20260101T000001Z"),
        ("x-amz-security-token", "a"),
        ("user-agent", "docker/1"),
        ("origin", "http://localhost:4580"),
        ("sec-fetch-site", "none"),
    ],
)
async def test_they_are_refused_on_every_door(dev: InProcess, repeated: tuple[str, str]) -> None:
    once = [
        *signed_as("test", "DescribeRepositories"),
        ("content-length", "2"),
        ("content-type", "application/x-amz-json-1.1"),
        ("user-agent", "aws-cli"),
        ("x-amz-security-token", "b"),
        ("origin", "http://localhost:4580"),
        ("sec-fetch-site", "same-origin"),
    ]
    for method, path in (("POST", "/"), ("GET", "/v2/"), ("POST", "/_moorage/apply")):
        answer = await ask(dev.asgi, method, path, [*once, repeated], b"{}")
        assert answer.status == 400, (path, answer)
        assert f"more than one {repeated[0]} header" in answer.body.decode()


async def test_headers_that_are_lists_may_be_repeated(dev: InProcess) -> None:
    headers = [
        *signed_as("test", "DescribeRepositories"),
        ("accept", "a/b"),
        ("accept", "c/d"),
        ("via", "1"),
        ("via", "2"),
    ]
    assert (await ask(dev.asgi, "POST", "/", headers, b"{}")).status == 200
