"""What only dev mode has: everything emptied, the clock set, faults made to order."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.settings import Settings
from tests.support.in_process import InProcess, Reply, in_process


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as made:
        yield made


async def post(registry: InProcess, path: str, body: bytes = b"", **headers: Any) -> Reply:
    return await registry.ask("", body, path=path, **headers)


async def fault(registry: InProcess, **rule: object) -> Reply:
    return await post(registry, "/_moorage/faults", json.dumps(rule).encode())


async def statuses(registry: InProcess, operation: str, times: int) -> list[int]:
    return [(await registry.ecr(operation)).status for _ in range(times)]


@pytest.mark.parametrize("path", ["/_moorage/reset", "/moto-api/reset"])
async def test_reset_leaves_nothing_and_ends_faults(registry: InProcess, path: str) -> None:
    await registry.ok("CreateRepository", repositoryName="team/app")
    await fault(registry, error="server", times=5, action="CreateRepository")
    assert (await post(registry, path)).status == 200
    assert (await registry.ok("DescribeRepositories"))["repositories"] == []
    await registry.ok("CreateRepository", repositoryName="team/app")


async def test_the_clock_runs_on_from_what_it_is_set_to(registry: InProcess) -> None:
    told = await post(registry, "/_moorage/clock", b'{"now": 2000000000}')
    assert told.json["now"] == pytest.approx(2_000_000_000, abs=30)
    made = await registry.ok("CreateRepository", repositoryName="team/app")
    assert made["repository"]["createdAt"] == pytest.approx(2_000_000_000, abs=30)
    for bad in (b"", b"{}", b'{"now": "soon"}', b'{"now": 1, "more": 2}', b"[]"):
        assert (await post(registry, "/_moorage/clock", bad)).status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [("/_moorage/clock", b'{"now": null}'), ("/_moorage/reset", b""), ("/moto-api/reset", b"")],
)
async def test_a_set_clock_ends(registry: InProcess, path: str, body: bytes) -> None:
    await post(registry, "/_moorage/clock", b'{"now": 2000000000}')
    assert (await post(registry, path, body)).status == 200
    made = await registry.ok("CreateRepository", repositoryName="team/app")
    assert made["repository"]["createdAt"] == pytest.approx(time.time(), abs=30)


async def test_bodies_are_bounded(registry: InProcess) -> None:
    for path in ("/_moorage/clock", "/_moorage/faults"):
        assert (await post(registry, path, b" " * (1 << 17))).status == 413


async def test_no_page_of_another_site_gets_in(registry: InProcess) -> None:
    for path in ("/_moorage/reset", "/moto-api/reset", "/_moorage/clock", "/_moorage/faults"):
        assert (await post(registry, path, b"{}", origin="https://evil.example")).status == 403
        assert (await post(registry, path, b"{}", sec_fetch_site="cross-site")).status == 403
        assert (await post(registry, path, b"{}", host="evil.example")).status == 421


async def test_a_fault_is_met_as_often_as_asked_and_then_no_more(registry: InProcess) -> None:
    assert (await fault(registry, error="throttling", times=2, action="DescribeRepositories")).status == 200
    assert (await registry.ecr("DescribeRegistry")).status == 200
    refused = await registry.ecr("DescribeRepositories")
    assert (refused.status, refused.error) == (400, ("ThrottlingException", "Rate exceeded"))
    assert await statuses(registry, "DescribeRepositories", 3) == [400, 200, 200]


@pytest.mark.parametrize(
    ("error", "status", "code", "oci"),
    [
        ("server", 500, "ServerException", (500, "UNKNOWN")),
        ("unavailable", 503, "ServiceUnavailableException", (503, "UNAVAILABLE")),
        ("throttling", 400, "ThrottlingException", (429, "TOOMANYREQUESTS")),
    ],
)
async def test_each_door_tells_it_in_its_own_form(
    registry: InProcess, error: str, status: int, code: str, oci: tuple[int, str]
) -> None:
    client = await registry.oci()
    await fault(registry, error=error)
    reply = await registry.ecr("DescribeRegistry")
    assert (reply.status, reply.error[0]) == (status, code)
    await fault(registry, error=error, method="GET", path="/v2/team/*/manifests/*")
    await client("GET", "/v2/")
    answer = await client("GET", "/v2/team/app/manifests/v1")
    assert (answer.status, answer.code) == oci
    assert (await client("GET", "/v2/team/app/manifests/v1")).status == 404


async def test_a_delay_alone_refuses_nothing(registry: InProcess) -> None:
    await fault(registry, delay=0.3)
    before = time.monotonic()
    await registry.ok("DescribeRegistry")
    assert time.monotonic() - before >= 0.3


async def test_a_refused_push_changes_nothing(registry: InProcess) -> None:
    client = await registry.oci()
    await fault(registry, error="unavailable", method="POST", path="/v2/*/blobs/uploads/")
    assert (await client("POST", "/v2/team/app/blobs/uploads/")).status == 503
    assert (await registry.ok("DescribeRepositories"))["repositories"] == []
    assert (await client("POST", "/v2/team/app/blobs/uploads/")).status == 202


async def test_faults_are_shown_and_forgotten(registry: InProcess) -> None:
    await fault(registry, error="server", times=7, action="PutImage")
    shown = await fault(registry, delay=1.5, path="/v2/*")
    assert shown.json == {
        "faults": [{"error": "server", "times": 7, "action": "PutImage"}, {"delay": 1.5, "path": "/v2/*"}]
    }
    assert (await post(registry, "/_moorage/faults/clear")).json == {"faults": []}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"error": "other"},
        {"delay": 61},
        {"delay": -1},
        {"error": "server", "times": 0},
        {"error": "server", "unknown": 1},
        {"error": "server", "path": "x" * 2000},
    ],
)
async def test_faults_that_are_none(registry: InProcess, rule: dict[str, object]) -> None:
    assert (await fault(registry, **rule)).status == 400
    assert await statuses(registry, "DescribeRegistry", 2) == [200, 200]


async def test_there_is_an_end_to_faults(registry: InProcess) -> None:
    for _ in range(100):
        assert (await fault(registry, error="server", action="PutImage")).status == 200
    assert (await fault(registry, error="server")).json["__type"] == "LimitExceededException"


async def test_what_is_of_one_process_is_refused_where_there_are_several(tmp_path: Path) -> None:
    async with in_process(Settings(mode="dev", data=tmp_path / "data", workers=2)) as several:
        for path, body in (("/_moorage/clock", b'{"now": 1}'), ("/_moorage/faults", b'{"error": "server"}')):
            refused = await post(several, path, body)
            assert (refused.status, "--workers 1" in refused.json["message"]) == (409, True)


async def test_serve_has_none_of_it(tmp_path: Path) -> None:
    async with in_process(Settings(mode="serve", data=tmp_path / "data")) as serving:
        for path in ("/_moorage/reset", "/moto-api/reset", "/_moorage/clock", "/_moorage/faults"):
            assert (await post(serving, path, b"{}")).status == 404
