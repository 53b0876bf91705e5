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
from tests.inside import Inside, inside

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
class House:
    """An application, and a member whose one policy the tests write."""

    inside: Inside
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
        return await ask(self.inside.application, Request("POST", f"/_moorage/{name}", "moorage", body), self.member)

    async def trash(self) -> list[str]:
        return [each.name for each in await self.registry.trash.repositories(ACCOUNT, APP.region)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with inside(Settings(mode="dev", data=tmp_path / "data", default_account=ACCOUNT)) as made:
        running = made.application._running
        assert running is not None
        identity = running.components.identity
        await identity.accounts.ensure(ACCOUNT, by="tests")
        await identity.users.create(ACCOUNT, "/", "member", BY)
        key, secret = await identity.keys.create(ACCOUNT, "member", by="tests")
        yield House(made, identity, running.components.registry, Signer(key.id, secret, ""))


@pytest.mark.parametrize("call", CALLS)
async def test_a_new_repository_of_the_name_lends_no_tags(house: House, call: str) -> None:
    """The member makes a repository in the place of the deleted one, with the tag that lets it go on."""
    await house.let({**DEVELOPER, **OF_DEV})
    await house.delete(env="prod")
    await house.registry.repositories.create(APP, tags={"env": "dev"}, by=BY)
    answer = await house.call(call)
    assert answer.denied_action == f"moorage:{call.capitalize()}", answer.body
    assert await house.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_a_deny_by_tag_goes_on(house: House, call: str) -> None:
    await house.let(DEVELOPER, HELD)
    await house.delete(hold="yes")
    assert (await house.call(call)).denied_action == f"moorage:{call.capitalize()}"
    assert await house.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_its_own_policy_goes_on(house: House, call: str) -> None:
    await house.let(DEVELOPER)
    deny = {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{OWNER}:user/member"}, "Action": "*"}
    await house.delete(json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert (await house.call(call)).denied_action == f"moorage:{call.capitalize()}"
    assert await house.trash() == [APP.name]


async def test_of_several_of_one_name_each_is_decided_on_its_own(house: House) -> None:
    await house.let({**DEVELOPER, **OF_DEV})
    for stage in ("prod", "dev"):
        await house.delete(env=stage)
    assert (await house.call("purge")).status == 200
    assert (await house.call("purge")).denied_action == "moorage:Purge"
    assert await house.trash() == [APP.name]


async def test_what_was_decided_on_is_what_goes(house: House) -> None:
    """Of two calls at once, the second must not find what lies under the one that both were allowed to destroy."""
    await house.let({**DEVELOPER, **OF_DEV})
    for stage in ("prod", "dev"):
        await house.delete(env=stage)
    answers = await asyncio.gather(*[house.call("purge") for _ in range(8)])
    assert 200 in {each.status for each in answers}
    assert await house.trash() == [APP.name]


@pytest.mark.parametrize("call", CALLS)
async def test_by_its_own_tags_it_is_allowed(house: House, call: str) -> None:
    await house.let({**DEVELOPER, **OF_DEV}, {**DEVELOPER, "Resource": f"{APP.arn[: -len('team/app')]}team/other"})
    await house.delete(env="dev")
    assert (await house.call(call)).status == 200
    assert await house.trash() == []
