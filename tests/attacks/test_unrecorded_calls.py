"""No body keeps a call of the administration API out of the audit record, or makes the server fail over it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.api.admin.operations import ADMIN
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import USER
from moorage.names import AccountId
from moorage.settings import Settings
from tests.attacks.requests import OWNER, Answer, Request, Signer, ask
from tests.support.in_process import InProcess, in_process

ORGANIZATION = {
    "id": "o-attacked123",
    "managementAccount": OWNER,
    "root": {"id": "r-root", "accounts": [{"id": OWNER}]},
}
BODIES = {
    "nested": b'{"text":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "nested less": b'{"text":' + b"[" * 800 + b"]" * 800 + b"}",
    "not UTF-8": b'{"text":"\xff"}',
    "not JSON": b"{",
    "half a surrogate pair": b'{"text":"\\ud800"}',
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data", default_account=AccountId(OWNER))) as made:
        yield made


async def administrator(identity: Identity) -> Signer:
    account, by = AccountId(OWNER), f"arn:aws:iam::{OWNER}:root"
    await identity.accounts.ensure(account, by="tests")
    await identity.users.create(account, "/", "admin", by)
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    await identity.inline.put(USER, account, "admin", "all", json.dumps({"Statement": [statement]}), by)
    key, secret = await identity.keys.create(account, "admin", by="tests")
    return Signer(key.id, secret, "")


async def call(server: InProcess, signer: Signer, path: str, body: bytes) -> Answer:
    return await ask(server.asgi, Request("POST", f"/_moorage/{path}", "moorage", body), signer)


async def recorded(server: InProcess, signer: Signer) -> list[tuple[str, str | None]]:
    """Name and error code of each event, the oldest first."""
    await server.components.recorder.flush()
    answer = await call(server, signer, "audit", b"{}")
    return [(each["eventName"], each.get("errorCode")) for each in reversed(json.loads(answer.body)["events"])]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_ignored(server: InProcess, body: bytes) -> None:
    """Deleting the organization reads no body, and is in the record whatever the body is."""
    signer = await administrator(server.components.identity)
    put = json.dumps({"document": json.dumps(ORGANIZATION)}).encode()
    assert (await call(server, signer, "organization/put", put)).status == 200
    assert (await call(server, signer, "organization/delete", body)).status == 200
    assert ("DeleteOrganization", None) in await recorded(server, signer)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", ["purge", "apply", "audit", "tokens/create"])
async def test_a_body_that_cannot_be_read(server: InProcess, path: str, body: bytes) -> None:
    signer = await administrator(server.components.identity)
    answer = await call(server, signer, path, body)
    assert (answer.status, json.loads(answer.body)["__type"].rpartition("#")[2]) == (400, "SerializationException")
    (name,) = (each.event for each in ADMIN if each.path == f"/_moorage/{path}")
    assert (name, "SerializationException") in await recorded(server, signer)
