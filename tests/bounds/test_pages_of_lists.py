"""No list is longer than a page, and its pages together hold everything once; with rows as long as they may be."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import yaml

from moorage import pages
from moorage.settings import Settings
from tests.support.in_process import InProcess, Reply, in_process

BOUND = 60_000
"""Bytes of a page in these tests, so that a few rows fill several."""
SLACK = 8_000
"""What an answer has beside its rows."""
ACCOUNT = "000000000000"
LONG_PATH = f"/{'&' * 500}/"
"""Five times as long in XML."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
}
ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}
FORM = "application/x-www-form-urlencoded; charset=utf-8"
NAMES = [f"n{number:02}" for number in range(18)]


@pytest.fixture
async def registry(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcess]:
    monkeypatch.setattr(pages, "PAGE_BYTES", BOUND)
    async with in_process(replace(database_settings, mode="dev")) as made:
        yield made


async def iam(registry: InProcess, operation: str, **fields: Any) -> Reply:
    body = urlencode({"Action": operation, "Version": "2010-05-08", **fields}).encode()
    reply = await registry.ask("", body, service="iam", content_type=FORM)
    assert reply.status == 200, reply
    return reply


async def admin(registry: InProcess, path: str, **members: Any) -> Reply:
    reply = await registry.ask("", json.dumps(members).encode(), service="moorage", path=f"/_moorage/{path}")
    assert reply.status == 200, reply
    return reply


async def listed(registry: InProcess, operation: str, wanted: str, **fields: Any) -> list[str]:
    """The texts of the elements `wanted` in all pages."""
    found: list[str] = []
    marker: dict[str, str] = {}
    count = 0
    while True:
        reply = await iam(registry, operation, MaxItems=1000, **fields, **marker)
        assert len(reply.body) <= pages.PAGE_BYTES + SLACK, operation
        answer = ElementTree.fromstring(reply.body)
        page = [each.text or "" for each in answer.iter() if each.tag.endswith(f"}}{wanted}")]
        assert page
        found += page
        count += 1
        nexts = [each.text or "" for each in answer.iter() if each.tag.endswith("}Marker")]
        if not nexts:
            assert count > 1, operation
            return found
        marker = {"Marker": nexts[0]}


async def followed(registry: InProcess, path: str, **members: Any) -> Iterator[Any]:
    """Every page of an administration call."""
    answers = []
    after: dict[str, str] = {}
    while True:
        reply = await admin(registry, path, **members, **after)
        assert len(reply.body) <= pages.PAGE_BYTES + SLACK, path
        answers.append(reply.json)
        if reply.json["next"] is None:
            assert len(answers) > 1, path
            return iter(answers)
        after = {"after": reply.json["next"]}


def spaced(document: dict[str, Any], length: int) -> str:
    """White space does not count in IAM's quotas."""
    return json.dumps(document) + " " * length


async def test_lists_of_identities(registry: InProcess) -> None:
    for name in NAMES:
        await iam(registry, "CreateUser", UserName=name, Path=LONG_PATH)
        await iam(registry, "CreateGroup", GroupName=name, Path=LONG_PATH)
        await iam(registry, "AddUserToGroup", UserName=name, GroupName=NAMES[0])
        trust = spaced(TRUST, 5_000)
        await iam(registry, "CreateRole", RoleName=name, Path=LONG_PATH, AssumeRolePolicyDocument=trust)
    assert await listed(registry, "ListUsers", "UserName") == NAMES
    assert await listed(registry, "ListGroups", "GroupName") == NAMES
    assert await listed(registry, "ListRoles", "RoleName") == NAMES
    assert await listed(registry, "GetGroup", "UserName", GroupName=NAMES[0]) == NAMES
    names = await listed(registry, "GetAccountAuthorizationDetails", "Arn")
    assert len(names) == len(set(names)) == 3 * len(NAMES)


async def test_lists_of_policies_and_who_has_them(registry: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", BOUND // 6)
    monkeypatch.setattr("moorage.identity.policies.managed_policies._AT_A_TIME", 5)
    path = f"/{'p' * 500}/"
    for name in NAMES:
        document = spaced(ALLOW, 2_000)
        await iam(registry, "CreatePolicy", PolicyName=name, Path=path, Description="d" * 1000, PolicyDocument=document)
    arns = [f"arn:aws:iam::{ACCOUNT}:policy{path}{name}" for name in NAMES]
    assert await listed(registry, "ListPolicies", "Arn", Scope="Local") == arns
    every = await listed(registry, "ListPolicies", "Arn")
    assert every[: len(arns)] == arns
    assert every == sorted(set(every))
    assert any(":aws:policy/" in each for each in every)
    assert (
        await listed(registry, "GetAccountAuthorizationDetails", "Arn", **{"Filter.member.1": "LocalManagedPolicy"})
        == arns
    )
    monkeypatch.setattr(pages, "PAGE_BYTES", 500)
    for name in NAMES:
        await iam(registry, "CreateUser", UserName=name, PermissionsBoundary=arns[0])
        await iam(registry, "CreateGroup", GroupName=name)
        await iam(registry, "AttachUserPolicy", UserName=name, PolicyArn=arns[0])
        await iam(registry, "AttachGroupPolicy", GroupName=name, PolicyArn=arns[0])
    for member in ("UserName", "GroupName"):
        wanted = {"EntityFilter": member.removesuffix("Name")}
        assert await listed(registry, "ListEntitiesForPolicy", member, PolicyArn=arns[0], **wanted) == NAMES
    bounded = {"PolicyUsageFilter": "PermissionsBoundary"}
    assert await listed(registry, "ListEntitiesForPolicy", "UserName", PolicyArn=arns[0], **bounded) == NAMES


async def test_simulations(registry: InProcess) -> None:
    actions = {f"ActionNames.member.{number}": f"ecr:Some{number}" for number in range(1, 60)}
    resources = {f"ResourceArns.member.{number}": f"arn:aws:ecr:::{number:0900}" for number in range(1, 11)}
    asked = {"PolicyInputList.member.1": json.dumps(ALLOW), **actions, **resources}
    found = await listed(registry, "SimulateCustomPolicy", "EvalActionName", **asked)
    assert found == list(actions.values())
    resources = {f"ResourceArns.member.{number}": f"arn:aws:ecr:::{number:0900}" for number in range(1, 101)}
    body = urlencode({"Action": "SimulateCustomPolicy", "Version": "2010-05-08", **asked, **resources}).encode()
    reply = await registry.ask("", body, service="iam", content_type=FORM)
    assert reply.status == 400
    assert b"ask for fewer resources at once" in reply.body


async def test_inline_policies_of_one_identity_are_bounded_with_their_white_space(registry: InProcess) -> None:
    await iam(registry, "CreateRole", RoleName="ci", AssumeRolePolicyDocument=json.dumps(TRUST))
    text = spaced(ALLOW, 130_000)
    for number in range(4):
        await iam(registry, "PutRolePolicy", RoleName="ci", PolicyName=f"p{number}", PolicyDocument=text)
    fields = {"RoleName": "ci", "PolicyName": "p4", "PolicyDocument": text}
    body = urlencode({"Action": "PutRolePolicy", "Version": "2010-05-08", **fields}).encode()
    reply = await registry.ask("", body, service="iam", content_type=FORM)
    assert (reply.status, b"<Code>LimitExceeded</Code>" in reply.body) == (409, True)
    assert b"white space included" in reply.body


async def test_pull_tokens(registry: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.identity.credentials.pull_tokens._AT_A_TIME", 4)
    repositories = [f"{number:02}{'r' * 250}" for number in range(50)]
    for name in NAMES:
        token = {"name": name, "repositories": repositories, "pull": True, "expires_at": 2_000_000_000.0}
        await admin(registry, "tokens/create", **token)
        await admin(registry, "tokens/revoke", name=name)
        await admin(registry, "tokens/create", **token)
    found = [each for page in await followed(registry, "tokens/list") for each in page["tokens"]]
    assert [each["name"] for each in found] == NAMES
    every = [each for page in await followed(registry, "tokens/list", ended=True) for each in page["tokens"]]
    assert [each["name"] for each in every] == sorted([*NAMES, *NAMES])
    assert len({each["id"] for each in every}) == len(every)


async def test_the_access_matrix_and_the_export(registry: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = [
        {
            "Effect": "Allow",
            "Action": "ecr:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceIp": [f"{number}" * 40 for number in range(20)]}},
        }
    ]
    for name in NAMES:
        await iam(registry, "CreateUser", UserName=name)
        await iam(registry, "CreateRole", RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        policy = {"UserName": name, "PolicyName": "p", "PolicyDocument": json.dumps({**ALLOW, "Statement": statements})}
        await iam(registry, "PutUserPolicy", **policy)
        await registry.ok("CreateRepository", repositoryName=f"team/{name}")
    of_others = [f"arn:aws:iam::999999999999:user/{name}" for name in NAMES]
    own = f"arn:aws:iam::{ACCOUNT}:user/{NAMES[3]}"
    text = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"AWS": [*of_others, own]}, "Action": "ecr:BatchGetImage"},
        }
    )
    await registry.ok("SetRepositoryPolicy", repositoryName=f"team/{NAMES[0]}", policyText=text)
    found = [
        each["who"]
        for page in await followed(registry, "access", repository=f"team/{NAMES[0]}")
        for each in page["rows"]
    ]
    kept = [f"arn:aws:iam::{ACCOUNT}:{kind}/{name}" for kind in ("user", "role") for name in NAMES]
    assert found[: len(kept)] == kept
    assert set(of_others) <= set(found)
    assert len(found) == len(set(found))
    widened = {"repository": f"team/{NAMES[0]}", "before": {"text": text}}
    compared = [page["widened"] for page in await followed(registry, "access", **widened)]
    assert all(each == [] for each in compared)
    by = await followed(registry, "access", principal=own)
    assert [each["repository"].rpartition("/")[2] for page in by for each in page["rows"]] == NAMES
    monkeypatch.setattr(pages, "PAGE_BYTES", 8_000)
    file = "".join(page["text"] for page in await followed(registry, "export"))
    account = yaml.safe_load(file)["accounts"][ACCOUNT]
    assert [*account["users"]] == [*account["roles"]] == NAMES
    assert [*account["repositories"]["us-east-1"]] == [f"team/{name}" for name in NAMES]
    for section in ("accounts:", "users:", "roles:", "repositories:"):
        assert file.count(section) == 1, section


async def test_repositories_with_long_kms_keys(registry: InProcess) -> None:
    key = "\x01" * 2048
    for name in NAMES:
        encryption = {"encryptionType": "KMS", "kmsKey": key}
        await registry.ok("CreateRepository", repositoryName=name, encryptionConfiguration=encryption)
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        reply = await registry.ecr("DescribeRepositories", maxResults=1000, **token)
        assert len(reply.body) <= BOUND + SLACK
        found += [each["repositoryName"] for each in reply.json["repositories"]]
        if "nextToken" not in reply.json:
            break
        token = {"nextToken": reply.json["nextToken"]}
    assert found == NAMES
