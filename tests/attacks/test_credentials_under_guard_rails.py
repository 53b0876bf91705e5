"""No credential pulls what a guard rail denies, be it the caller's (SCP, boundary) or the owner's (RCP, policies).

Each is made while everything is allowed, and used before and after the guard rail is there.
"""

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.access.organization import keep
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import ROLE, USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry
from moorage.settings import Settings
from tests.attacks.requests import OWNER, REGION, Answer, Request, Signer, ask, aws_request
from tests.registry.pushing import digest_of, manifest, stream
from tests.support.in_process import InProcess, in_process

ACCOUNT, MANAGEMENT = AccountId(OWNER), AccountId("999988887777")
BY = f"arn:aws:iam::{OWNER}:root"
APP = RepositoryRef(ACCOUNT, Region(REGION), RepositoryName("team/app"))
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "ecr:*", "Resource": "*"}
LAYER = b"the layer"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass
class Deployment:
    app: InProcess
    identity: Identity
    registry: Registry
    authenticator: Authenticator
    admin: Signer

    async def ask(self, request: Request, signer: Signer) -> Answer:
        return await ask(self.app.asgi, request, signer)

    async def password(self, key_id: str) -> str:
        caller = await self.authenticator.caller_of(await self.authenticator.credential(key_id))
        return (await self.authenticator.issue_password(caller, Region(REGION)))[0]

    async def session(self, operation: str, **members: Any) -> str:
        """The registry password of a new session."""
        answer = await self.ask(aws_request("sts", operation, **members), self.admin)
        found = re.search(r"<AccessKeyId>(\w+)<", answer.body.decode())
        assert found is not None, answer.body
        return await self.password(found[1])

    async def pull_token(self, user: str | None) -> str:
        token = await self.identity.pull_tokens.create(
            ACCOUNT, user, f"of-{user}", ["*"], ["ecr:*"], time.time() + 3600, BY
        )
        return token[1]

    async def bearer(self, password: str) -> tuple[tuple[str, str], ...]:
        answer = await self.ask(Request("GET", "/v2/token", "v2"), Signer("", "", password))
        return (("authorization", f"Bearer {json.loads(answer.body)['token']}"),)

    async def organization(self, **policies: Any) -> None:
        """An organization of both accounts, with a policy on the member."""
        named = {
            name: [*each, *(["FullAWSAccess"] if name.startswith("service") else [])] for name, each in policies.items()
        }
        member = {"id": OWNER, **named}
        text = json.dumps(
            {
                "id": "o-attacked123",
                "managementAccount": MANAGEMENT,
                **policies,
                "root": {"id": "r-root", "accounts": [{"id": MANAGEMENT}, member]},
            }
        )
        await keep(self.identity.organizations, text, by=BY)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    settings = Settings(mode="dev", data=tmp_path / "data", default_account=ACCOUNT, anonymous_pull=True)
    async with in_process(settings) as made:
        parts = made.components
        identity, registry = parts.identity, parts.registry
        await identity.accounts.ensure(ACCOUNT, by="tests")
        await identity.users.create(ACCOUNT, "/", "admin", BY)
        await identity.inline.put(USER, ACCOUNT, "admin", "own", document(ALL), BY)
        key, secret = await identity.keys.create(ACCOUNT, "admin", by="tests")
        trust = document({"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:*"})
        await identity.roles.create(ACCOUNT, "/", "puller", trust, BY)
        await identity.managed.create(ACCOUNT, "/", "nothing", document({**ALL, "Action": "s3:*"}), BY)
        await registry.repositories.create(APP, by=BY)
        for content in (b"config", LAYER):
            await registry.uploads.put(APP, digest_of(content), stream(content), length=None, by=BY)
        text = manifest(b"config", LAYER)
        await registry.images.put(APP, text, media_type=None, tags=["v1"], digest=None, by=BY, api="oci")
        authenticator = Authenticator(identity, parts.sealer, parts.clock, settings)
        yield Deployment(made, identity, registry, authenticator, Signer(key.id, secret, ""))


async def pulls(deployment: Deployment) -> dict[str, tuple[Request, Signer]]:
    """Requests that read a manifest or a layer, with every kind of credential of the user, its role and the root."""
    nobody, admin = Signer("", "", ""), deployment.admin
    by_tag = Request("GET", f"/v2/{APP.name}/manifests/v1", "v2")
    layer = f"/v2/{APP.name}/blobs/{digest_of(LAYER)}"
    role = {"RoleArn": f"arn:aws:iam::{OWNER}:role/puller", "RoleSessionName": "session"}
    await deployment.identity.inline.put(ROLE, ACCOUNT, "puller", "own", document(ALL), BY)
    root, _ = await deployment.identity.keys.create(ACCOUNT, None, by="tests")
    passwords = {
        "registry password": await deployment.password(admin.key),
        "of the root": await deployment.password(root.id),
        "of GetSessionToken": await deployment.session("GetSessionToken"),
        "of a federated user": await deployment.session("GetFederationToken", Name="fed", Policy=document(ALL)),
        "of a role": await deployment.session("AssumeRole", **role),
        "pull token": await deployment.pull_token("admin"),
        "pull token of the root": await deployment.pull_token(None),
    }
    found = {name: (by_tag, Signer("", "", password)) for name, password in passwords.items()}
    for name, password in passwords.items():
        header = await deployment.bearer(password)
        found[f"bearer, {name}"] = (replace(by_tag, service="", headers=header), nobody)
    first = Signer("", "", passwords["registry password"])
    for where in (f"{OWNER}/{REGION}/{APP.name}", APP.name):
        for path in ("manifests/v1", f"manifests/{digest_of(manifest(b'config', LAYER))}", f"blobs/{digest_of(LAYER)}"):
            for method in ("GET", "HEAD"):
                found[f"{method} {where}/{path}"] = (Request(method, f"/v2/{where}/{path}", "v2"), first)
    host = (("host", f"{OWNER}.dkr.ecr.{REGION}.localhost:4580"),)
    found["by host name"] = (replace(by_tag, headers=host), first)
    found["range"] = (Request("GET", layer, "v2", headers=(("range", "bytes=0-3"),)), first)
    found["referrers"] = (Request("GET", f"/v2/{APP.name}/referrers/{digest_of(LAYER)}", "v2"), first)
    asked = aws_request("ecr", "GetDownloadUrlForLayer", repositoryName=APP.name, layerDigest=digest_of(LAYER))
    url = json.loads((await deployment.ask(asked, admin)).body)["downloadUrl"]
    path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
    found["download URL"] = (Request("GET", f"/{path}", "", query=query), nobody)
    found["BatchGetImage"] = (
        aws_request("ecr", "BatchGetImage", repositoryName=APP.name, imageIds=[{"imageTag": "v1"}]),
        admin,
    )
    found["GetDownloadUrlForLayer"] = (asked, admin)
    return found


async def statuses(deployment: Deployment, asked: dict[str, tuple[Request, Signer]]) -> dict[str, int]:
    return {name: (await deployment.ask(*each)).status for name, each in asked.items()}


@pytest.mark.parametrize("kind", ["scp", "rcp", "boundary", "registry policy", "repository policy"])
async def test_no_credential_walks_around_it(deployment: Deployment, kind: str) -> None:
    asked = await pulls(deployment)
    before = await statuses(deployment, asked)
    assert all(200 <= status < 300 for status in before.values()), before
    everyone = {**DENY, "Principal": "*"}
    free: set[str] = set()
    if kind == "scp":
        await deployment.organization(serviceControlPolicies={"closed": json.loads(document(DENY))})
    elif kind == "rcp":
        await deployment.organization(resourceControlPolicies={"closed": json.loads(document(everyone))})
    elif kind == "boundary":  # of the user alone
        boundary = f"arn:aws:iam::{OWNER}:policy/nothing"
        await deployment.identity.attachments.set_boundary(USER, ACCOUNT, "admin", boundary, BY)
        free = {name for name in asked if name.endswith(("of a role", "of the root"))}
    elif kind == "registry policy":
        await deployment.registry.registry_policies.set(ACCOUNT, APP.region, document(everyone), by=BY)
    else:
        policy = {name: value for name, value in everyone.items() if name != "Resource"}
        await deployment.registry.repository_policies.set(APP, document(policy), by=BY)
    after = await statuses(deployment, asked)
    assert {name for name, status in after.items() if status < 400} == free
    assert set(after.values()) <= {200, 206, 400, 403}
