"""Condition keys have no case, so tags whose keys differ by case alone could hide one another from policies."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.access.authenticate import Authenticator
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.settings import Settings
from tests.attacks.requests import OWNER, Answer, Signer, ask, aws_request
from tests.support.in_process import InProcess, in_process

BY = f"arn:aws:iam::{OWNER}:root"
ACCOUNT = AccountId(OWNER)
APP = RepositoryRef(ACCOUNT, Region("us-east-1"), RepositoryName("team/app"))


class Member:
    """A user who may create only repositories tagged `env` = `dev`, and delete only these."""

    def __init__(self, server: InProcess, signer: Signer) -> None:
        self._server = server
        self._signer = signer

    async def __call__(self, operation: str, **members: Any) -> Answer:
        return await ask(self._server.asgi, aws_request("ecr", operation, **members), self._signer)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data", default_account=ACCOUNT)) as made:
        yield made


@pytest.fixture
async def member(server: InProcess) -> Member:
    identity = server.components.identity
    await identity.accounts.ensure(ACCOUNT, by="tests")
    await identity.users.create(ACCOUNT, "/", "dev", BY)
    statements = [
        {"Action": "ecr:CreateRepository", "Condition": {"StringEquals": {"aws:RequestTag/env": "dev"}}},
        {"Action": "ecr:DeleteRepository", "Condition": {"StringEquals": {"aws:ResourceTag/env": "dev"}}},
        {"Action": "ecr:TagResource", "Condition": {"ForAllValues:StringNotEquals": {"aws:TagKeys": "Env"}}},
    ]
    text = json.dumps({"Statement": [{"Effect": "Allow", "Resource": "*", **each} for each in statements]})
    await identity.inline.put(USER, ACCOUNT, "dev", "own", text, BY)
    key, secret = await identity.keys.create(ACCOUNT, "dev", by="tests")
    authenticator = Authenticator(identity, server.components.sealer, server.components.clock, server.settings)
    await authenticator.caller_of(await authenticator.credential(key.id))
    return Member(server, Signer(key.id, secret, ""))


def code(answer: Answer) -> str:
    return str(json.loads(answer.body)["__type"]).rpartition("#")[2]


@pytest.mark.parametrize("order", [1, -1])
async def test_a_second_tag_does_not_hide_the_one_that_a_policy_asks_for(member: Member, order: int) -> None:
    tags = [{"Key": "env", "Value": "prod"}, {"Key": "Env", "Value": "dev"}][::order]
    answer = await member("CreateRepository", repositoryName="x/prod", tags=tags)
    assert code(answer) in {"InvalidTagParameterException", "AccessDeniedException"}
    missing = await member("CreateRepository", repositoryName="x/prod", tags=[{"Key": "env", "Value": "dev"}])
    assert missing.status == 200


async def test_a_tag_in_other_letters_does_not_take_the_place_of_one(server: InProcess, member: Member) -> None:
    repositories = server.components.registry.repositories
    await repositories.create(APP, tags={"Env": "prod"}, by=BY)
    answer = await member("TagResource", resourceArn=APP.arn, tags=[{"Key": "env", "Value": "dev"}])
    assert code(answer) == "InvalidTagParameterException"
    assert await repositories.tags(APP) == {"Env": "prod"}
    assert code(await member("DeleteRepository", repositoryName=APP.name)) == "AccessDeniedException"
