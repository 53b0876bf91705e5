"""When the audit record has no room, no door begins a write, and all of them go on with reads."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.access.caller import Caller
from moorage.audit.recorder import AuditUnavailable
from moorage.settings import Settings
from tests.api.oci.client import Answer
from tests.attacks.test_secrets_in_the_record import ask, signed
from tests.inside import Inside, Reply, inside


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(Settings(mode="dev", data=tmp_path / "data")) as running:
        await running.ok("CreateRepository", repositoryName="team/app")
        yield running


@pytest.fixture
def asked(server: Inside, monkeypatch: pytest.MonkeyPatch) -> list[Caller]:
    """Who asked for room; nobody gets any."""
    callers: list[Caller] = []

    async def admit(caller: Caller) -> None:
        callers.append(caller)
        raise AuditUnavailable

    assert server.application._running is not None
    monkeypatch.setattr(server.application._running.components.recorder, "admit", admit)
    return callers


async def stored(server: Inside) -> Any:
    repositories = (await server.ok("DescribeRepositories"))["repositories"]
    tokens = await ask(server, "POST", "/_moorage/tokens/list", b"{}", **signed("moorage"))
    users = await ask(server, "POST", "/", b"Action=ListUsers&Version=2010-05-08", **signed("iam"))
    assert (tokens.status, users.status) == (200, 200)
    return repositories, tokens.json["tokens"], users.body.partition(b"<ResponseMetadata>")[0]


async def test_writes_are_refused_at_every_door_and_change_nothing(server: Inside, asked: list[Caller]) -> None:
    before = await stored(server)
    plane = await server.plane()
    assert asked == []
    made = {"name": "deploy", "repositories": ["team/app"], "expires_at": 4e9, "pull": True}
    answers: list[Reply | Answer] = [
        await server.ecr("CreateRepository", repositoryName="team/other"),
        await ask(server, "POST", "/", b"Action=CreateUser&Version=2010-05-08&UserName=ann", **signed("iam")),
        await ask(server, "POST", "/", b"Action=GetSessionToken&Version=2011-06-15", **signed("sts")),
        await ask(server, "POST", "/_moorage/tokens/create", json.dumps(made).encode(), **signed("moorage")),
        await plane("POST", "/v2/team/app/blobs/uploads/"),
        await plane("PUT", "/v2/team/app/manifests/v1", b"{}"),
        await plane("DELETE", "/v2/team/app/manifests/v1"),
    ]
    assert [each.status for each in answers] == [500] * len(answers)
    assert b"audit record cannot be written" in answers[0].body
    assert len(asked) == len(answers)
    assert (await plane("GET", "/v2/team/app/tags/list")).json["tags"] == []
    assert await stored(server) == before
