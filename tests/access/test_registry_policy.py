"""What PutRegistryPolicy asks of a text, and whom a registry policy stops and lets in."""

import json
from typing import Any

import pytest

from moorage.access.authorize import Registry
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.errors import InvalidParameter
from moorage.names import Region, RepositoryName
from tests.access.house import APP, BY, HERE, OTHER, OWNER, House, connection, document, statement

PULL, MAKE = "ecr:BatchGetImage", "ecr:CreateRepository"
ALL = f"arn:aws:ecr:{HERE}:{OWNER}:repository/*"
NEW = APP._replace(name=RepositoryName("team/new"))
WHOLE = Registry(OWNER, HERE)


def check(house: House) -> RegistryPolicyCheck:
    return RegistryPolicyCheck(house.principals, house.registry.registry_policies)


async def put(house: House, *statements: dict[str, Any]) -> str:
    stored = await check(house).check_and_canonicalise(OWNER, HERE, document(*statements))
    await house.registry.registry_policies.set(OWNER, HERE, stored, by=BY)
    return stored


async def scope(house: House, value: str) -> None:
    await house.registry.account_settings.put(OWNER, HERE, "REGISTRY_POLICY_SCOPE", value, by=BY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        document(),
        document(statement("Allow", PULL, Principal="*")),
        document(statement("Allow", PULL, Resource=ALL)),
        document(statement("Allow", "s3:GetObject", Principal="*", Resource=ALL)),
        document(statement("Allow", "ecr:NoSuchThing", Principal="*", Resource=ALL)),
        document(statement("Allow", PULL, Principal="*", Resource="arn:aws:ecr:*")),
    ],
)
async def test_what_is_no_registry_policy_is_refused(house: House, text: str) -> None:
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await check(house).check_and_canonicalise(OWNER, HERE, text)


async def test_users_are_kept_by_their_id_and_must_be_there(house: House) -> None:
    ann = await house.user("ann")
    allow = statement("Allow", PULL, Principal={"AWS": ann.principal.arn}, Resource=ALL)
    text = await put(house, allow)
    assert ann.principal.id in text
    assert json.loads(await check(house).shown(text))["Statement"][0]["Principal"] == {"AWS": ann.principal.arn}
    await house.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await house.identity.users.delete(OWNER, "ann", BY)
    await house.user("ben")
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await put(house, allow)
    await put(house, {**allow, "Principal": {"AWS": ann.principal.id}})  # it stands in the policy in force


@pytest.mark.parametrize("action", [PULL, "ecr:*Image", "*", [MAKE, PULL]])
async def test_scope_v1_knows_three_actions(house: House, action: Any) -> None:
    await scope(house, "V1")
    for fine in (MAKE, ["ecr:replicateImage", "ecr:BatchImportUpstreamImage"], "ecr:*"):
        await put(house, statement("Allow", fine, Principal={"AWS": OTHER}, Resource=ALL))
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await put(house, statement("Allow", action, Principal={"AWS": OTHER}, Resource=ALL))
    without = {"Effect": "Deny", "NotAction": MAKE, "Principal": "*", "Resource": ALL}
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await put(house, without)
    await scope(house, "V2")
    await put(house, without)
    await put(house, statement("Allow", action, Principal={"AWS": OTHER}, Resource=ALL))


async def test_v2_lets_in_and_a_deny_beats_the_repository_policy(house: House) -> None:
    theirs = await house.user("eve", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    assert not await house.may(theirs, PULL)
    await put(house, statement("Allow", PULL, Principal={"AWS": OTHER}, Resource=ALL))
    assert await house.may(theirs, PULL)
    assert not await house.may(theirs, "ecr:PutImage")
    elsewhere = f"arn:aws:ecr:{HERE}:{OWNER}:repository/other/*"
    await put(house, statement("Allow", PULL, Principal={"AWS": OTHER}, Resource=elsewhere))
    assert not await house.may(theirs, PULL)
    await house.policy(statement("Allow", PULL, Principal="*"))
    assert await house.may(theirs, PULL)
    await put(house, statement("Deny", PULL, Principal={"AWS": OTHER}, Resource=ALL))
    assert not await house.may(theirs, PULL)
    assert await house.may(await house.root(), PULL)


async def test_v1_reaches_three_actions_alone(house: House) -> None:
    root = await house.root()
    await put(house, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    assert not await house.may(root, PULL)
    await scope(house, "V1")
    assert await house.may(root, PULL)
    assert not await house.may(root, MAKE, NEW)
    assert await house.access.allows(root, connection(), "ecr:GetAuthorizationToken", WHOLE)


async def test_v2_reaches_requests_on_no_repository_through_the_resource_star(house: House) -> None:
    ann = await house.user("ann", statement("Allow", "ecr:*", Resource="*"))

    async def signs_in() -> bool:
        return await house.access.allows(ann, connection(), "ecr:GetAuthorizationToken", WHOLE)

    await put(house, statement("Deny", "ecr:*", Principal="*", Resource=ALL))
    assert await signs_in()
    assert not await house.may(ann, MAKE, NEW)
    await put(house, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    assert not await signs_in()
    elsewhere = Registry(OWNER, Region("us-east-1"))
    assert await house.access.allows(ann, connection(), "ecr:GetAuthorizationToken", elsewhere)


async def test_v2_reaches_moorages_own_actions_on_repositories(house: House) -> None:
    root, outsider = await house.root(), await house.root(OTHER)
    await put(house, statement("Deny", "ecr:*", Principal="*", Resource=ALL))
    assert await house.may(root, "moorage:Restore")
    await put(house, statement("Deny", "moorage:*", Principal="*", Resource=ALL))
    assert not await house.may(root, "moorage:Restore")
    await scope(house, "V1")
    assert await house.may(root, "moorage:Restore")
    await scope(house, "V2")
    await put(house, statement("Allow", ["*", "moorage:Purge"], Principal="*", Resource=ALL))
    assert await house.may(outsider, "moorage:Purge")
    assert not await house.may(outsider, "moorage:Restore")


async def test_root_recovers_the_policies_and_nothing_else(house: House) -> None:
    root, ann = await house.root(), await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await put(house, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    for action in ("ecr:GetRegistryPolicy", "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy"):
        assert await house.access.allows(root, connection(), action, WHOLE)
        assert not await house.access.allows(ann, connection(), action, WHOLE)
    assert await house.may(root, "ecr:SetRepositoryPolicy")
    assert not await house.may(root, PULL)
    assert not await house.access.allows(root, connection(), "ecr:DescribeRegistry", WHOLE)
    other = await house.root(OTHER)
    assert not await house.access.allows(other, connection(), "ecr:DeleteRegistryPolicy", WHOLE)


async def test_a_repository_policy_is_checked_for_a_lock_out_beside_the_registrys(house: House) -> None:
    ann = await house.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await put(house, statement("Deny", "ecr:SetRepositoryPolicy", Principal="*", Resource=ALL))
    with pytest.raises(InvalidParameter, match="set force to true"):
        await house.check.check_and_canonicalise(
            ann, connection(), APP, document(statement("Allow", PULL, Principal="*")), False
        )
