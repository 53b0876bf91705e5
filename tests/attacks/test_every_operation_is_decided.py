"""Every operation of every door is refused to a caller who may do nothing, and to one who may do everything else.

The tables of the doors are walked, so a new operation is tested without being written here; the test fails until a
valid request for it is known (`requests.py`). Operations that need no permission are listed below.
"""

import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from moorage.access.authenticate import Authenticator
from moorage.api.admin.operations import ADMIN, DEV
from moorage.api.authorization import AUTHENTICATED, BY_STATE, UNAUTHENTICATED, Exempt
from moorage.api.ecr import ECR
from moorage.api.iam import IAM
from moorage.api.oci.operations import OPERATIONS
from moorage.api.sts import STS
from moorage.api.tagging import TAGGING
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry
from moorage.settings import Settings
from tests.attacks.requests import (
    OWNER,
    POLICY,
    REGION,
    REPOSITORY,
    TRUST,
    Answer,
    Request,
    Signer,
    admin_requests,
    ask,
    aws_request,
    oci_requests,
)
from tests.identity.credentials.oidc_tokens import Signer as TokenSigner
from tests.identity.credentials.oidc_tokens import issuers_file
from tests.registry.pushing import digest_of, manifest, stream
from tests.support.in_process import InProcess, in_process

BY = f"arn:aws:iam::{OWNER}:root"
APP = RepositoryRef(AccountId(OWNER), Region(REGION), RepositoryName(REPOSITORY))
CALLED_BY_ANYONE = {
    "sts:GetCallerIdentity",
    "sts:GetSessionToken",
    "GET ping",
    "HEAD ping",
    "GET /_moorage/ready",
    "GET /_moorage/health",
    "GET /_localstack/health",
    "GET /metrics",
    "GET /_moorage/password",
    "POST /_moorage/reset",
    "POST /moto-api/reset",
    "POST /_moorage/clock",
    "GET /_moorage/faults",
    "POST /_moorage/faults",
    "POST /_moorage/faults/clear",
}
"""Operations that need no permission. Those of dev mode exist there alone."""
DECIDED_BY_STATE = {"GET /_moorage/explain", "GET /_moorage/explain/{decision}"}
"""Operations that return what the caller may see, item by item: to these callers, nothing."""
OUTSIDERS = {"sts:AssumeRoleWithWebIdentity"}
"""Operations whose caller has no identity policies: only the role's trust policy can allow them."""
UNPROVED = {"sts:AssumeRoleWithSAML"}
"""Operations that no caller can prove an identity for, so that they are refused before there is anything to decide."""
UNWATCHED = {"last_uses", "alembic_version"}
"""Tables that say nothing of what is stored: when a key was last used."""


@dataclass
class Deployment:
    """An application with something of everything in it, and two callers."""

    app: InProcess
    identity: Identity
    registry: Registry
    nobody: Signer
    most: Signer
    """Allowed what `let_all_but` says."""
    token: str
    """Of an OIDC issuer that the application knows."""
    blob: str
    database: Path

    async def let_all_but(self, action: str) -> None:
        statement = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await self.identity.inline.put(USER, AccountId(OWNER), "most", "own", text, BY)

    def content(self) -> dict[str, list[Any]]:
        """Every row of every table that something is stored in."""
        with closing(sqlite3.connect(self.database)) as connection:
            tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            return {
                name: sorted(connection.execute(f'select * from "{name}"').fetchall(), key=repr)
                for name in tables
                if name not in UNWATCHED
            }

    async def refused(self, name: str, request: Request, declared: object = None) -> str | None:
        """What is wrong with how it is refused; None: it is, for both callers, and nothing changes.

        `declared`: the action, for requests whose refusal cannot name it (HEAD has no body).
        """
        before = self.content()
        first = await ask(self.app.asgi, request, self.nobody)
        action = first.denied_action or (declared if _is_mute_denial(first) else None)
        if not isinstance(action, str) or self.content() != before:
            return f"{name}: not refused to a caller without any permission: {first.status} {first.body[:300]!r}"
        await self.let_all_but(action)
        before = self.content()
        second = await ask(self.app.asgi, request, self.most)
        refused = second.denied_action == action or _is_mute_denial(second)
        if not refused or self.content() != before:
            return f"{name}: not refused to a caller who may not {action}: {second.status} {second.body[:300]!r}"
        return None

    async def allowed(self, name: str, request: Request) -> str | None:
        """What is wrong when a caller who may do everything asks for it; None: nothing is, it is not refused."""
        await self.let_all_but("none:Such")
        answer = await ask(self.app.asgi, request, self.most)
        if answer.denied_action is None and not _is_mute_denial(answer) and answer.status < 500:
            return None
        return f"{name}: refused to a caller who may do everything: {answer.status} {answer.body[:300]!r}"


def _is_mute_denial(answer: Answer) -> bool:
    return answer.status == 403 and not answer.body and "x-moorage-decision-id" in answer.headers


@pytest.fixture(params=["oci", "aws"])
def profile(request: pytest.FixtureRequest) -> Literal["oci", "aws"]:
    given: Literal["oci", "aws"] = request.param
    return given


@pytest.fixture
async def deployment(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    issuer = TokenSigner("one")
    profile: Any = request.getfixturevalue("profile") if "profile" in request.fixturenames else "oci"
    settings = Settings(
        mode="dev",
        data=tmp_path / "data",
        profile=profile,
        default_account=AccountId(OWNER),
        oidc_issuers=issuers_file(tmp_path, issuer),
    )
    async with in_process(settings) as made:
        parts = made.components
        identity, registry, account, now = parts.identity, parts.registry, AccountId(OWNER), parts.clock.now()
        await identity.accounts.ensure(account, by="tests")
        authenticator = Authenticator(identity, parts.sealer, parts.clock, settings)

        async def signer(name: str) -> Signer:
            await identity.users.create(account, "/", name, BY)
            key, secret = await identity.keys.create(account, name, by="tests")
            caller = await authenticator.caller_of(await authenticator.credential(key.id))
            password, _ = await authenticator.issue_password(caller, Region(REGION))
            return Signer(key.id, secret, password)

        nobody, most = await signer("nobody"), await signer("most")
        await identity.users.create(account, "/", "bob", BY)
        await identity.roles.create(account, "/", "closed", TRUST, BY)
        await identity.managed.create(account, "/", "mine", POLICY, BY)
        await identity.pull_tokens.create(
            account, "bob", "ci", ["*"], ["ecr:BatchGetImage"], parts.clock.now() + 3600, BY
        )
        other = APP._replace(name=RepositoryName("team/other"))
        for ref in (APP, other, APP._replace(name=RepositoryName("old/app"))):
            await registry.repositories.create(ref, by=BY)
        await registry.repositories.delete(APP._replace(name=RepositoryName("old/app")), force=True, by=BY)
        for content in (b"config", b"layer"):
            await registry.uploads.put(APP, digest_of(content), stream(content), length=None, by=BY)
        text = manifest(b"config", b"layer")
        await registry.images.put(APP, text, media_type=None, digest=None, by=BY, api="oci")
        await registry.uploads.put(other, digest_of(b"theirs"), stream(b"theirs"), length=None, by=BY)
        token, database = issuer.token(now), settings.data / "moorage.db"
        yield Deployment(made, identity, registry, nobody, most, token, digest_of(b"theirs"), database)


async def _walk(deployment: Deployment, asked: Sequence[tuple[str, Request, object]]) -> None:
    """Each request is refused for want of its action alone."""
    assert asked
    problems = [await deployment.refused(name, request, declared) for name, request, declared in asked]
    problems += [await deployment.allowed(name, request) for name, request, _ in asked if name not in OUTSIDERS]
    found = [each for each in problems if each is not None]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("service", [ECR, IAM, STS, TAGGING], ids=lambda service: str(service.name))
async def test_every_operation_of_the_aws_door(deployment: Deployment, service: Any) -> None:
    asked: list[tuple[str, Request, object]] = []
    for each, operation in service.operations.items():
        name = f"{service.name}:{each}"
        if operation.action is AUTHENTICATED:
            assert name in CALLED_BY_ANYONE
            continue
        assert not isinstance(operation.action, Exempt)
        request = aws_request(service.name, each, token=deployment.token)
        if name in UNPROVED:
            answer = await ask(deployment.app.asgi, request, deployment.most)
            assert (answer.status, b"<Code>InvalidIdentityToken</Code>" in answer.body) == (400, True)
            continue
        asked.append((name, request, None))
    await _walk(deployment, asked)


@pytest.mark.usefixtures("profile")
async def test_every_operation_of_v2(deployment: Deployment) -> None:
    pushed = manifest(b"config", b"layer")
    asked: list[tuple[str, Request, object]] = []
    for operation in (each for methods in OPERATIONS.values() for each in methods.values()):
        name = f"{operation.method} {operation.kind}"
        if operation.actions is AUTHENTICATED:
            assert name in CALLED_BY_ANYONE
            continue
        declared = operation.actions[0] if isinstance(operation.actions, tuple) else None
        requests = oci_requests(operation, manifest=pushed, blob=deployment.blob)
        asked += [(f"{name}?{each.query}", each, declared) for each in requests]
    await _walk(deployment, asked)


async def test_every_administration_call(deployment: Deployment) -> None:
    asked: list[tuple[str, Request, object]] = []
    for operation in [*ADMIN, *DEV]:
        name = f"{operation.method} {operation.path}"
        if operation.action in {UNAUTHENTICATED, AUTHENTICATED}:
            assert name in CALLED_BY_ANYONE
        elif operation.action is BY_STATE:
            assert name in DECIDED_BY_STATE
            (request,) = admin_requests(operation)
            assert (await ask(deployment.app.asgi, request, deployment.nobody)).status == 404
        else:
            asked += [(name, each, None) for each in admin_requests(operation)]
    await _walk(deployment, asked)


@pytest.mark.parametrize("operation", ["TagResource", "UntagResource"])
async def test_tagging_is_decided_on_each_repository(deployment: Deployment, operation: str) -> None:
    """Beside `tag:TagResources` the caller needs `ecr:TagResource` on each repository, whether or not it exists."""
    there, missing = APP.arn, APP._replace(name=RepositoryName("team/none")).arn
    more: dict[str, Any] = {"ResourceARNList": [there, missing]}
    await deployment.let_all_but(f"ecr:{operation}")
    before = deployment.content()["repository_tags"]
    answer = await ask(deployment.app.asgi, aws_request("tagging", f"{operation}s", **more), deployment.most)
    failed = json.loads(answer.body)["FailedResourcesMap"]
    assert {arn: (each["StatusCode"], each["ErrorCode"]) for arn, each in failed.items()} == dict.fromkeys(
        (there, missing), (400, "AccessDeniedException")
    )
    assert all(f"not authorized to perform: ecr:{operation} on resource: {arn} " in each["ErrorMessage"]
               for arn, each in failed.items())  # fmt: skip
    assert deployment.content()["repository_tags"] == before


async def test_what_depends_on_state_is_decided(deployment: Deployment) -> None:
    """A caller who may do all that is declared is still asked for what only the stored data calls for."""
    application = deployment.app.asgi
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    for source in ("&from=team/other", ""):
        mount = Request("POST", uploads, "v2", query=f"mount={deployment.blob}{source}")
        await deployment.let_all_but("ecr:GetDownloadUrlForLayer")
        assert (await ask(application, mount, deployment.most)).status == 202  # an upload, and no mount
    await deployment.let_all_but("ecr:CreateRepository")
    before = deployment.content()["repositories"]
    begin = Request("POST", "/v2/brand/new/blobs/uploads/", "v2")
    assert (await ask(application, begin, deployment.most)).denied_action == "ecr:CreateRepository"
    assert deployment.content()["repositories"] == before
