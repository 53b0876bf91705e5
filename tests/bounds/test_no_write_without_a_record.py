"""When the audit record has no room, no door begins a write, and all of them go on with reads."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.access.caller import Caller
from moorage.audit.recorder import AuditUnavailable
from moorage.settings import Settings
from tests.attacks.test_secrets_in_the_record import ask, signed
from tests.support.in_process import InProcess, Reply, in_process
from tests.support.oci_asgi import Answer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as running:
        await running.ok("CreateRepository", repositoryName="team/app")
        yield running


@pytest.fixture
def asked(server: InProcess, monkeypatch: pytest.MonkeyPatch) -> list[Caller]:
    """Who asked for room; nobody gets any."""
    callers: list[Caller] = []

    async def admit(caller: Caller) -> None:
        callers.append(caller)
        raise AuditUnavailable

    monkeypatch.setattr(server.components.recorder, "admit", admit)
    return callers


async def stored(server: InProcess) -> Any:
    repositories = (await server.ok("DescribeRepositories"))["repositories"]
    tokens = await ask(server, "POST", "/_moorage/tokens/list", b"{}", **signed("moorage"))
    users = await ask(server, "POST", "/", b"Action=ListUsers&Version=2010-05-08", **signed("iam"))
    assert (tokens.status, users.status) == (200, 200)
    return repositories, tokens.json["tokens"], users.body.partition(b"<ResponseMetadata>")[0]


async def test_writes_are_refused_at_every_door_and_change_nothing(server: InProcess, asked: list[Caller]) -> None:
    before = await stored(server)
    oci = await server.oci()
    assert asked == []
    made = {"name": "deploy", "repositories": ["team/app"], "expires_at": 4e9, "pull": True}
    answers: list[Reply | Answer] = [
        await server.ecr("CreateRepository", repositoryName="team/other"),
        await ask(server, "POST", "/", b"Action=CreateUser&Version=2010-05-08&UserName=ann", **signed("iam")),
        await ask(server, "POST", "/", b"Action=GetSessionToken&Version=2011-06-15", **signed("sts")),
        await ask(server, "POST", "/_moorage/tokens/create", json.dumps(made).encode(), **signed("moorage")),
        await oci("POST", "/v2/team/app/blobs/uploads/"),
        await oci("PUT", "/v2/team/app/manifests/v1", b"{}"),
        await oci("DELETE", "/v2/team/app/manifests/v1"),
    ]
    assert [each.status for each in answers] == [500] * len(answers)
    assert b"audit record cannot be written" in answers[0].body
    assert len(asked) == len(answers)
    assert (await oci("GET", "/v2/team/app/tags/list")).json["tags"] == []
    assert await stored(server) == before
