"""What one account has is told to no other account, and what it is called to nobody without permission."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry
from moorage.settings import Settings
from tests.attacks.requests import Answer, Request, Signer, ask, aws_request
from tests.support.in_process import InProcess, in_process

OWNER, READER, THIRD = AccountId("111122223333"), AccountId("444455556666"), AccountId("777788889999")
HERE = Region("us-east-1")
APP = RepositoryRef(OWNER, HERE, RepositoryName("team/app"))
BY = f"arn:aws:iam::{OWNER}:root"


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass
class Deployment:
    """Three accounts; the repository belongs to the first."""

    app: InProcess
    identity: Identity
    registry: Registry
    authenticator: Authenticator

    async def user(self, account: AccountId, name: str, *actions: str, path: str = "/") -> Signer:
        await self.identity.accounts.ensure(account, by="tests")
        await self.identity.users.create(account, path, name, BY)
        if actions:
            text = document(allow(*actions, Resource="*"))
            await self.identity.inline.put(USER, account, name, "mine", text, BY)
        key, secret = await self.identity.keys.create(account, name, by="tests")
        caller = await self.authenticator.caller_of(await self.authenticator.credential(key.id))
        password, _ = await self.authenticator.issue_password(caller, HERE)
        return Signer(key.id, secret, password)

    async def call(self, signer: Signer, path: str, **members: Any) -> Answer:
        return await ask(
            self.app.asgi,
            Request("POST", f"/_moorage/{path}", "moorage", json.dumps(members).encode()),
            signer,
        )

    async def why(self, signer: Signer, decision: str = "") -> Any:
        path = f"/_moorage/explain/{decision}" if decision else "/_moorage/explain"
        answer = await ask(self.app.asgi, Request("GET", path, "moorage"), signer)
        return json.loads(answer.body) if answer.status == 200 else None

    async def pull(self, signer: Signer) -> Answer:
        return await ask(self.app.asgi, Request("GET", f"/v2/{APP.name}/manifests/v1", "v2"), signer)

    async def policy(self, *statements: dict[str, Any]) -> None:
        await self.registry.repository_policies.set(APP, document(*statements), by=BY)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    settings = Settings(mode="dev", data=tmp_path / "data", default_account=OWNER)
    async with in_process(settings) as made:
        parts = made.components
        await parts.registry.repositories.create(APP, by=BY)
        authenticator = Authenticator(parts.identity, parts.sealer, parts.clock, settings)
        yield Deployment(made, parts.identity, parts.registry, authenticator)


@pytest.mark.parametrize(
    ("path", "there", "missing"),
    [
        ("tokens/revoke", {"name": "ci"}, {"name": "none"}),
        ("tokens/list", {"user": "robot"}, {"user": "no-one"}),
        ("tokens/create", {"user": "robot"}, {"user": "no-one"}),
    ],
)
async def test_names_of_users_and_tokens(deployment: Deployment, path: str, there: Any, missing: Any) -> None:
    """Whoever may not use them is told the same of those that exist and of those that do not."""
    await deployment.user(OWNER, "robot", path="/ci/")
    await deployment.identity.pull_tokens.create(
        OWNER, "robot", "ci", ["*"], ["ecr:BatchGetImage"], time.time() + 3600, BY
    )
    stranger = await deployment.user(OWNER, "stranger", "ecr:*")
    more = {} if path != "tokens/create" else {"name": "x", "repositories": ["*"], "expires_at": 4e9, "pull": True}
    told: list[tuple[int, bytes, str]] = []
    for named in (there, missing):
        answer = await deployment.call(stranger, path, **named, **more)
        (value,) = named.values()
        resource = (await deployment.why(stranger))["request"]["resource"]
        body = answer.body.replace(value.encode(), b"NAME")
        told.append((answer.status, body, resource.replace(value, "NAME")))
    assert told[0] == told[1]
    assert told[0][0] == 400
    assert b"robot" not in told[0][1]


async def test_paths_of_users_and_owners_of_keys(deployment: Deployment) -> None:
    robot = await deployment.user(OWNER, "robot", path="/hidden/")
    stranger = await deployment.user(OWNER, "stranger", "ecr:*")
    for name, members in (
        ("GetUser", {"UserName": "robot"}),
        ("UpdateUser", {"UserName": "robot", "NewUserName": "other"}),
        ("GetAccessKeyLastUsed", {"AccessKeyId": robot.key}),
    ):
        answer = await ask(deployment.app.asgi, aws_request("iam", name, **members), stranger)
        assert answer.denied_action == f"iam:{name}"
        assert b"hidden" not in answer.body
        assert name != "GetAccessKeyLastUsed" or b"robot" not in answer.body
    allowed = await deployment.user(OWNER, "allowed", "iam:*")
    answer = await ask(deployment.app.asgi, aws_request("iam", "GetUser", UserName="robot"), allowed)
    assert b"/hidden/" in answer.body


async def test_a_permission_by_the_true_arn_is_enough(deployment: Deployment) -> None:
    await deployment.user(OWNER, "robot", path="/ci/")
    admin = await deployment.user(OWNER, "admin")
    text = document(allow("moorage:*", "iam:GetUser", Resource=f"arn:aws:iam::{OWNER}:user/ci/*"))
    await deployment.identity.inline.put(USER, OWNER, "admin", "mine", text, BY)
    made = await deployment.call(
        admin, "tokens/create", name="ci", user="robot", repositories=["*"], expires_at=time.time() + 3600, pull=True
    )
    assert made.status == 200, made.body
    assert (await deployment.call(admin, "tokens/revoke", name="ci")).status == 200
    assert (await ask(deployment.app.asgi, aws_request("iam", "GetUser", UserName="robot"), admin)).status == 200


async def test_why_names_no_other_accounts_principals(deployment: Deployment) -> None:
    """A caller who may read the repository's policy learns nothing of who else was denied there."""
    eve = await deployment.user(READER, "eve", "ecr:*")
    zoe = await deployment.user(THIRD, "zoe-of-a-third-account", "ecr:*")
    network = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    both = {"AWS": [f"arn:aws:iam::{READER}:root", f"arn:aws:iam::{THIRD}:root"]}
    await deployment.policy(
        allow("ecr:GetRepositoryPolicy", Principal={"AWS": f"arn:aws:iam::{READER}:root"}),
        allow("ecr:BatchGetImage", Principal=both, Condition=network),
    )
    for signer in (zoe, eve):
        assert (await deployment.pull(signer)).status == 403
    told = await deployment.why(eve)
    assert "resource" in {one["set"] for one in told["sets"] if not one.get("hidden")}
    assert told["suggestions"]
    assert "zoe" not in json.dumps(told)
    owner = await deployment.user(OWNER, "auditor", "moorage:ReadAudit", "ecr:*")
    told = await deployment.why(owner, told["id"])
    assert "zoe" in json.dumps(told["suggestions"])  # the repository's own administrators know who asks for it


async def test_a_figure_of_why_tells_nothing_of_another_accounts_policies(deployment: Deployment) -> None:
    """To the owner, callers of other accounts count the same whether their own account allows the request or not."""
    network = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    reader = {"AWS": f"arn:aws:iam::{READER}:root"}
    await deployment.policy(allow("ecr:BatchGetImage", Principal=reader, Condition=network))
    decisions = []
    for name, actions in (("with", ["ecr:*"]), ("without", ["ecr:DescribeRegistry"])):
        denied = await deployment.pull(await deployment.user(READER, name, *actions))
        decisions.append(denied.headers["x-moorage-decision-id"])
    owner = await deployment.user(OWNER, "auditor", "moorage:ReadAudit", "ecr:*")
    told = await deployment.why(owner, decisions[0])
    counted = {each["principal"] for each in told["suggestions"][0]["wouldAllow"]}
    assert counted == {f"arn:aws:iam::{READER}:user/{name}" for name in ("with", "without")}


async def test_why_shows_each_account_its_own_side(deployment: Deployment) -> None:
    await deployment.identity.accounts.ensure(READER, by="tests")
    trust = document(allow("sts:AssumeRole", "sts:TagSession", Principal={"AWS": str(READER)}))
    await deployment.identity.roles.create(READER, "/", "worker", trust, BY)
    maker = await deployment.user(READER, "maker", "sts:*")
    tags = [{"Key": "salary-band", "Value": "seven"}]
    request = aws_request(
        "sts", "AssumeRole", RoleArn=f"arn:aws:iam::{READER}:role/worker", RoleSessionName="night-shift", Tags=tags
    )
    answer = await ask(deployment.app.asgi, request, maker)
    assert answer.status == 200, answer.body
    key_id = answer.body.decode().partition("<AccessKeyId>")[2].partition("<")[0]
    found = await deployment.authenticator.credential(key_id)
    caller = await deployment.authenticator.caller_of(found)
    password, _ = await deployment.authenticator.issue_password(caller, HERE)
    denied = await deployment.pull(Signer(key_id, "", password))
    assert denied.status == 403
    decision = denied.headers["x-moorage-decision-id"]
    reader = await deployment.user(READER, "auditor", "moorage:ReadAudit")
    owner = await deployment.user(OWNER, "auditor", "moorage:ReadAudit")
    third = await deployment.user(THIRD, "auditor", "*")
    assert "salary-band" in json.dumps(await deployment.why(reader, decision))
    theirs = await deployment.why(owner, decision)
    assert theirs["request"]["principal"]["account"] == READER
    assert "salary-band" not in json.dumps(theirs)
    assert {one["set"] for one in theirs["sets"] if one.get("hidden")} == {"identity", "boundary", "session", "scp"}
    assert await deployment.why(third, decision) is None
    events = json.loads((await deployment.call(owner, "audit", principal="*night-shift")).body)["events"]
    assert events
    assert "salary-band" not in json.dumps(events)


async def test_generate_tells_nothing_of_what_a_foreign_identity_does_elsewhere(deployment: Deployment) -> None:
    eve = await deployment.user(READER, "eve", "ecr:*")
    await deployment.policy(allow("ecr:ListImages", Principal={"AWS": f"arn:aws:iam::{READER}:root"}))
    application = deployment.app.asgi
    assert (await ask(application, aws_request("ecr", "GetAuthorizationToken"), eve)).status == 200
    used = aws_request("ecr", "ListImages", repositoryName=APP.name, registryId=OWNER)
    assert (await ask(application, used, eve)).status == 200
    admin = await deployment.user(OWNER, "admin", "moorage:*")
    own = f"arn:aws:iam::{READER}:user/eve"
    made = await deployment.call(admin, "policy/generate", repository=APP.name, since=0, identity=own)
    assert b"ecr:ListImages" in made.body
    assert b"GetAuthorizationToken" not in made.body


async def test_a_get_with_a_key_that_is_not_verified_changes_nothing(deployment: Deployment) -> None:
    """A page of any site can make a browser send a GET, and the keys of dev mode are known to everybody."""
    for action, more in (("CreateUser", "&UserName=mallory"), ("CreateAccessKey", "&UserName=mallory")):
        query = f"Action={action}&Version=2010-05-08{more}" + presigned("iam")
        answer = await ask(deployment.app.asgi, Request("GET", "/", "", query=query), Signer("", "", ""))
        assert (answer.status, b"<Code>AccessDenied</Code>" in answer.body) == (403, True)
    assert await deployment.identity.users.find(OWNER, "mallory") is None
    query = "Action=GetSessionToken&Version=2011-06-15" + presigned("sts")
    assert (await ask(deployment.app.asgi, Request("GET", "/", "", query=query), Signer("", "", ""))).status == 403


def presigned(service: str) -> str:
    parts = {
        "Algorithm": "AWS4-HMAC-SHA256",
        "Credential": f"test%2F20260101%2Fus-east-1%2F{service}%2Faws4_request",
        "Date": "20260101T000000Z",
        "Expires": "60",
        "SignedHeaders": "host",
        "Signature": "0" * 64,
    }
    return "".join(f"&X-Amz-{name}={value}" for name, value in parts.items())


async def test_the_region_of_an_administration_call_is_the_one_it_is_signed_for(deployment: Deployment) -> None:
    """A guard rail by region cannot be walked around by signing for another region than the host's."""
    await deployment.user(OWNER, "local")
    here = {"StringEquals": {"aws:RequestedRegion": HERE}}
    text = document(allow("moorage:*", Resource="*", Condition=here))
    await deployment.identity.inline.put(USER, OWNER, "local", "mine", text, BY)
    key, secret = await deployment.identity.keys.create(OWNER, "local", by="tests")
    for region, status in ((HERE, 200), ("eu-west-1", 400)):
        request = Request("POST", "/_moorage/tokens/list", "moorage", b"{}", region=region)
        assert (await ask(deployment.app.asgi, request, Signer(key.id, secret, ""))).status == status


async def region_of(deployment: InProcess, signer: Signer, path: str) -> int:
    return (await ask(deployment.asgi, Request("GET", path, "v2"), signer)).status


@pytest.mark.parametrize("anonymous", [False, True])
async def test_a_password_is_of_the_region_that_is_asked_for(tmp_path: Path, anonymous: bool) -> None:
    """Profile `aws`: the path form names another region than the host, and a Bearer token changes no region."""
    settings = Settings(
        mode="dev", data=tmp_path / "data", profile="aws", default_account=OWNER, anonymous_pull=anonymous
    )
    async with in_process(settings) as made:
        identity, parts = made.components.identity, made.components
        await identity.accounts.ensure(OWNER, by="tests")
        key, _ = await identity.keys.create(OWNER, None, by="tests")
        authenticator = Authenticator(identity, parts.sealer, parts.clock, settings)
        caller = await authenticator.caller_of(await authenticator.credential(key.id))
        for region, there, elsewhere in (
            ("us-east-1", f"/v2/{OWNER}/us-east-1/app/tags/list", f"/v2/{OWNER}/eu-west-1/app/tags/list"),
            ("eu-west-1", f"/v2/{OWNER}/eu-west-1/app/tags/list", "/v2/app/tags/list"),
        ):
            password, _ = await authenticator.issue_password(caller, Region(region))
            signer = Signer(key.id, "", password)
            assert await region_of(made, signer, there) == 404  # known, and there is no such repository
            assert await region_of(made, signer, elsewhere) == 401
            if anonymous:
                issued = await ask(made.asgi, Request("GET", "/v2/token", "v2"), signer)
                token = json.loads(issued.body)["token"]
                bearer = (("authorization", f"Bearer {token}"),)
                for path, status in ((there, 404), (elsewhere, 401)):
                    answer = await ask(made.asgi, Request("GET", path, "", headers=bearer), signer)
                    assert answer.status == status, path


async def test_a_list_is_one_event(deployment: Deployment) -> None:
    """The entries of a list are decided without a record, but for the first that is shown: it names the registry."""
    for number in range(30):
        await deployment.registry.repositories.create(APP._replace(name=RepositoryName(f"many/{number}")), by=BY)
    lister = await deployment.user(OWNER, "lister", "ecr:*")
    answer = await ask(deployment.app.asgi, Request("GET", "/v2/_catalog", "v2"), lister)
    assert len(json.loads(answer.body)["repositories"]) == 31
    await deployment.app.components.recorder.flush()
    rows = await deployment.app.components.audit.decisions(
        account=OWNER, resource=None, principal=None, since=0, until=None, after=None, limit=1000
    )
    asked: Sequence[str] = [row.action for row in rows]
    assert asked.count("ecr:DescribeRepositories") == 1
