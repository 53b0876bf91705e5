"""Whoever has no permission is told the same of what exists and of what does not: status, headers, body.

The tables of the doors are walked, so a new operation is tested without being written here.
"""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.api.admin.operations import ADMIN
from moorage.api.ecr import ECR
from moorage.api.iam import IAM
from moorage.api.oci.operations import OPERATIONS
from moorage.api.sts import STS
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region
from tests.attacks.requests import (
    OWNER,
    POLICY,
    REGION,
    Answer,
    Request,
    Signer,
    admin_requests,
    ask,
    aws_request,
    oci_requests,
)
from tests.attacks.test_every_operation_is_decided import BY, Deployment, deployment, profile
from tests.registry.pushing import manifest

__all__ = ["deployment", "profile"]

NAMES = {
    "team/app": "team/nop",
    "team/other": "team/nther",
    "old/app": "old/nop",
    "manifests/v1": "manifests/v9",
    "bob": "bub",
    "closed": "klosed",
    "policy/mine": "policy/myne",
    '"name": "ci"': '"name": "ce"',
}
"""What exists, and what does not in its place."""
ABROAD = AccountId("999988887777")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def signer(deployment: Deployment, account: AccountId, *, allowed: bool) -> Signer:
    """A user of that account, which allows everything on repositories and roles, or nothing."""
    identity, components = deployment.identity, deployment.app.components
    await identity.accounts.ensure(account, by="tests")
    await identity.users.create(account, "/", "stranger", BY)
    if allowed:
        text = POLICY.replace('"ecr:*"', '["ecr:*", "sts:AssumeRole", "moorage:*"]')
        await identity.inline.put(USER, account, "stranger", "own", text, BY)
    key, secret = await identity.keys.create(account, "stranger", by="tests")
    authenticator = Authenticator(identity, components.sealer, components.clock, deployment.app.settings)
    caller = await authenticator.caller_of(await authenticator.credential(key.id))
    password, _ = await authenticator.issue_password(caller, Region(REGION))
    return Signer(key.id, secret, password)


def requests(deployment: Deployment, *, registry: bool) -> list[Request]:
    """Requests of every operation; with `registry` they say that the owner's is meant."""
    found = []
    for service in (ECR, IAM, STS):
        for name in service.operations:
            request = aws_request(service.name, name, token=deployment.token)
            members = json.loads(request.body) if service is ECR else {}
            if registry and "repositoryName" in members:
                request = replace(request, body=json.dumps(members | {"registryId": OWNER}).encode())
            found.append(request)
    pushed = manifest(b"config", b"layer")
    for of_v2 in (each for methods in OPERATIONS.values() for each in methods.values()):
        found += oci_requests(of_v2, manifest=pushed, blob=deployment.blob)
    for call in ADMIN:
        for request in admin_requests(call):
            if registry and b'"repository":' in request.body:
                request = replace(request, body=json.dumps({**json.loads(request.body), "account": OWNER}).encode())
            found.append(request)
    return found


def swapped(request: Request, there: str, missing: str) -> Request:
    body = request.body.replace(there.encode(), missing.encode())
    escaped, other = ("".join(f"%{byte:02X}" for byte in text.encode()).encode() for text in (there, missing))
    return replace(
        request,
        path=request.path.replace(there, missing),
        query=request.query.replace(there, missing),
        body=body.replace(escaped, other),
    )


def told(answer: Answer, *names: str) -> Any:
    """What an answer says, without ids and with the same name for both."""
    text = json.dumps([answer.status, {**answer.headers, "content-length": ""}, answer.body.decode()])
    text = _ID.sub("ID", text)
    for name in names:
        for part in (name, name.rpartition("/")[2], name.strip('"').rpartition('"')[2]):
            text = text.replace(part, "NAME")
    return text


@pytest.mark.parametrize("who", ["colleague", "stranger", "trusted at home"])
@pytest.mark.usefixtures("profile")
async def test_existence_is_told_to_nobody_without_permission(deployment: Deployment, who: str) -> None:
    """A user of the same account, one of another, and one whose own account allows it to ask this one for anything."""
    trust = json.dumps(
        {"Statement": [{"Effect": "Allow", "Principal": {"AWS": [OWNER, ABROAD]}, "Action": "sts:AssumeRole"}]}
    )
    if who != "trusted at home":
        await deployment.identity.roles.set_trust(AccountId(OWNER), "closed", trust, BY)
    account = AccountId(OWNER) if who == "colleague" else ABROAD
    asker = await signer(deployment, account, allowed=who == "trusted at home")
    problems, compared = [], 0
    for request in requests(deployment, registry=who != "colleague"):
        for there, missing in NAMES.items():
            other = swapped(request, there, missing)
            if other == request:
                continue
            answers = [await ask(deployment.app.asgi, each, asker) for each in (request, other)]
            said = [told(each, there, missing) for each in answers]
            compared += 1
            if said[0] != said[1]:
                problems.append(f"{request.method} {request.path} {request.body[:100]!r}:\n{said[0]}\n{said[1]}")
    assert compared > 100
    assert not problems, "\n".join(problems)


async def test_a_member_without_permission_cannot_find_roles_that_trust_the_account(deployment: Deployment) -> None:
    """A role that is missing trusts nobody; one that is there was refused in other words."""
    asker = await signer(deployment, AccountId(OWNER), allowed=False)
    said = set()
    for name in ("closed", "missing"):
        arn = f"arn:aws:iam::{OWNER}:role/{name}"
        answer = await ask(deployment.app.asgi, aws_request("sts", "AssumeRole", RoleArn=arn), asker)
        said.add(_ID.sub("ID", answer.body.decode().replace(name, "NAME")))
    assert len(said) == 1, said
    assert (await deployment.identity.roles.find(AccountId(OWNER), "closed")) is not None
