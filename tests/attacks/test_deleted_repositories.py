"""A deleted repository is brought back or destroyed only by whoever its own tags and policy allow to.

Not those of a repository that has its name now, and not as if it had none.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moorage.identity.identity import Identity
from moorage.identity.principals.entity import USER
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry
from moorage.settings import Settings
from tests.attacks.requests import OWNER, Answer, Request, Signer, ask
from tests.support.in_process import InProcess, in_process

ACCOUNT = AccountId(OWNER)
BY = f"arn:aws:iam::{OWNER}:root"
APP = RepositoryRef(ACCOUNT, Region("us-east-1"), RepositoryName("team/app"))
CALLS = {"purge": {}, "restore": {"as": "team/other"}}
DEVELOPER = {"Effect": "Allow", "Action": "moorage:*", "Resource": "*"}
OF_DEV = {"Condition": {"StringEquals": {"aws:ResourceTag/env": "dev"}}}
HELD = {
    "Effect": "Deny",
    "Action": "moorage:*",
    "Resource": "*",
    "Condition": {"StringEquals": {"ecr:ResourceTag/hold": "yes"}},
}


@dataclass
class Deployment:
    """An application, and a member whose one policy the tests write."""

    app: InProcess
    identity: Identity
    registry: Registry
    member: Signer

    async def let(self, *statements: dict[str, Any]) -> None:
        text = json.dumps({"Version": "2012-10-17", "Statement": statements})
        await self.identity.inline.put(USER, ACCOUNT, "member", "own", text, BY)

    async def delete(self, policy: str | None = None, **tags: str) -> None:
        """A repository with these tags and that policy, which then goes to the trash."""
        await self.registry.repositories.create(APP, tags=tags, by=BY)
        if policy is not None:
            await self.registry.repository_policies.set(APP, policy, by=BY)
        await self.registry.repositories.delete(APP, force=True, by=BY)

    async def call(self, name: str) -> Answer:
        body = json.dumps({"repository": APP.name, **CALLS[name]}).encode()
        return await ask(self.app.asgi, Request("POST", f"/_moorage/{name}", "moorage", body), self.member)

    async def trash(self) -> list[str]:
        return [each.name for each in await self.registry.trash.repositories(ACCOUNT, APP.region)]


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data", default_account=ACCOUNT)) as made:
        identity = made.components.identity
        await identity.accounts.ensure(ACCOUNT, by="tests")
        await identity.users.create(ACCOUNT, "/", "member", BY)
        key, secret = await identity.keys.create(ACCOUNT, "member", by="tests")
        yield Deployment(made, identity, made.components.registry, Signer(key.id, secret, ""))


@pytest.mark.parametrize("call", CALLS)
async def test_a_new_repository_of_the_name_lends_no_tags(deployment: Deployment, call: str) -> None:
    """The member makes a repository in the place of the deleted one, with the tag that lets it go on."""
    await deployment.let({**DEVELOPER, **OF_DEV})
    await deployment.delete(env="prod")
    await deployment.registry.repositories.create(APP, tags={"env": "dev"}, by=BY)
    answer = await deployment.call(call)
    assert answer.denied_action == f"moorage:{call.capitalize()}", answer.body
    assert await deployment.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_a_deny_by_tag_goes_on(deployment: Deployment, call: str) -> None:
    await deployment.let(DEVELOPER, HELD)
    await deployment.delete(hold="yes")
    assert (await deployment.call(call)).denied_action == f"moorage:{call.capitalize()}"
    assert await deployment.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_its_own_policy_goes_on(deployment: Deployment, call: str) -> None:
    await deployment.let(DEVELOPER)
    deny = {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{OWNER}:user/member"}, "Action": "*"}
    await deployment.delete(json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert (await deployment.call(call)).denied_action == f"moorage:{call.capitalize()}"
    assert await deployment.trash() == [APP.name]


async def test_of_several_of_one_name_each_is_decided_on_its_own(deployment: Deployment) -> None:
    await deployment.let({**DEVELOPER, **OF_DEV})
    for stage in ("prod", "dev"):
        await deployment.delete(env=stage)
    assert (await deployment.call("purge")).status == 200
    assert (await deployment.call("purge")).denied_action == "moorage:Purge"
    assert await deployment.trash() == [APP.name]


async def test_what_was_decided_on_is_what_goes(deployment: Deployment) -> None:
    """Of two calls at once, the second must not find what lies under the one that both were allowed to destroy."""
    await deployment.let({**DEVELOPER, **OF_DEV})
    for stage in ("prod", "dev"):
        await deployment.delete(env=stage)
    answers = await asyncio.gather(*[deployment.call("purge") for _ in range(8)])
    assert 200 in {each.status for each in answers}
    assert await deployment.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_by_its_own_tags_it_is_allowed(deployment: Deployment, call: str) -> None:
    await deployment.let({**DEVELOPER, **OF_DEV}, {**DEVELOPER, "Resource": f"{APP.arn[: -len('team/app')]}team/other"})
    await deployment.delete(env="dev")
    assert (await deployment.call(call)).status == 200
    assert await deployment.trash() == []
