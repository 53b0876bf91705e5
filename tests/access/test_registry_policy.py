"""What PutRegistryPolicy asks of a text, and whom a registry policy stops and lets in."""

import json
from typing import Any

import pytest

from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.resources import RegistryResource
from moorage.errors import InvalidParameter
from moorage.names import Region, RepositoryName
from tests.support.backend import APP, BY, HERE, OTHER, OWNER, Backend, connection, document, statement

PULL, MAKE = "ecr:BatchGetImage", "ecr:CreateRepository"
ALL = f"arn:aws:ecr:{HERE}:{OWNER}:repository/*"
NEW = APP._replace(name=RepositoryName("team/new"))
WHOLE = RegistryResource(OWNER, HERE)


def check(backend: Backend) -> RegistryPolicyCheck:
    return RegistryPolicyCheck(backend.principals, backend.registry.registry_policies)


async def put(backend: Backend, *statements: dict[str, Any]) -> str:
    stored = await check(backend).check_and_canonicalize(OWNER, HERE, document(*statements))
    await backend.registry.registry_policies.set(OWNER, HERE, stored, by=BY)
    return stored


async def scope(backend: Backend, value: str) -> None:
    await backend.registry.account_settings.put(OWNER, HERE, "REGISTRY_POLICY_SCOPE", value, by=BY)


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
async def test_what_is_no_registry_policy_is_refused(backend: Backend, text: str) -> None:
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await check(backend).check_and_canonicalize(OWNER, HERE, text)


async def test_users_are_kept_by_their_id_and_must_be_there(backend: Backend) -> None:
    ann = await backend.user("ann")
    allow = statement("Allow", PULL, Principal={"AWS": ann.principal.arn}, Resource=ALL)
    text = await put(backend, allow)
    assert ann.principal.id in text
    assert json.loads(await check(backend).shown(text))["Statement"][0]["Principal"] == {"AWS": ann.principal.arn}
    await backend.identity.keys.delete(OWNER, "ann", ann.key_id, by="tests")
    await backend.identity.users.delete(OWNER, "ann", BY)
    await backend.user("ben")
    with pytest.raises(InvalidParameter, match="'Principal not found'"):
        await put(backend, allow)
    await put(backend, {**allow, "Principal": {"AWS": ann.principal.id}})  # it stands in the policy in force


@pytest.mark.parametrize("action", [PULL, "ecr:*Image", "*", [MAKE, PULL]])
async def test_scope_v1_knows_three_actions(backend: Backend, action: Any) -> None:
    await scope(backend, "V1")
    for fine in (MAKE, ["ecr:replicateImage", "ecr:BatchImportUpstreamImage"], "ecr:*"):
        await put(backend, statement("Allow", fine, Principal={"AWS": OTHER}, Resource=ALL))
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await put(backend, statement("Allow", action, Principal={"AWS": OTHER}, Resource=ALL))
    without = {"Effect": "Deny", "NotAction": MAKE, "Principal": "*", "Resource": ALL}
    with pytest.raises(InvalidParameter, match="'Invalid registry policy provided'"):
        await put(backend, without)
    await scope(backend, "V2")
    await put(backend, without)
    await put(backend, statement("Allow", action, Principal={"AWS": OTHER}, Resource=ALL))


async def test_v2_lets_in_and_a_deny_beats_the_repository_policy(backend: Backend) -> None:
    theirs = await backend.user("eve", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    assert not await backend.may(theirs, PULL)
    await put(backend, statement("Allow", PULL, Principal={"AWS": OTHER}, Resource=ALL))
    assert await backend.may(theirs, PULL)
    assert not await backend.may(theirs, "ecr:PutImage")
    elsewhere = f"arn:aws:ecr:{HERE}:{OWNER}:repository/other/*"
    await put(backend, statement("Allow", PULL, Principal={"AWS": OTHER}, Resource=elsewhere))
    assert not await backend.may(theirs, PULL)
    await backend.policy(statement("Allow", PULL, Principal="*"))
    assert await backend.may(theirs, PULL)
    await put(backend, statement("Deny", PULL, Principal={"AWS": OTHER}, Resource=ALL))
    assert not await backend.may(theirs, PULL)
    assert await backend.may(await backend.root(), PULL)


async def test_v1_reaches_three_actions_alone(backend: Backend) -> None:
    root = await backend.root()
    await put(backend, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    assert not await backend.may(root, PULL)
    await scope(backend, "V1")
    assert await backend.may(root, PULL)
    assert not await backend.may(root, MAKE, NEW)
    assert await backend.access.allows(root, connection(), "ecr:GetAuthorizationToken", WHOLE)


async def test_v2_reaches_requests_on_no_repository_through_the_resource_star(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))

    async def signs_in() -> bool:
        return await backend.access.allows(ann, connection(), "ecr:GetAuthorizationToken", WHOLE)

    await put(backend, statement("Deny", "ecr:*", Principal="*", Resource=ALL))
    assert await signs_in()
    assert not await backend.may(ann, MAKE, NEW)
    await put(backend, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    assert not await signs_in()
    elsewhere = RegistryResource(OWNER, Region("us-east-1"))
    assert await backend.access.allows(ann, connection(), "ecr:GetAuthorizationToken", elsewhere)


async def test_v2_reaches_moorages_own_actions_on_repositories(backend: Backend) -> None:
    root, outsider = await backend.root(), await backend.root(OTHER)
    await put(backend, statement("Deny", "ecr:*", Principal="*", Resource=ALL))
    assert await backend.may(root, "moorage:Restore")
    await put(backend, statement("Deny", "moorage:*", Principal="*", Resource=ALL))
    assert not await backend.may(root, "moorage:Restore")
    await scope(backend, "V1")
    assert await backend.may(root, "moorage:Restore")
    await scope(backend, "V2")
    await put(backend, statement("Allow", ["*", "moorage:Purge"], Principal="*", Resource=ALL))
    assert await backend.may(outsider, "moorage:Purge")
    assert not await backend.may(outsider, "moorage:Restore")


async def test_root_recovers_the_policies_and_nothing_else(backend: Backend) -> None:
    root, ann = await backend.root(), await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await put(backend, statement("Deny", "ecr:*", Principal="*", Resource="*"))
    for action in ("ecr:GetRegistryPolicy", "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy"):
        assert await backend.access.allows(root, connection(), action, WHOLE)
        assert not await backend.access.allows(ann, connection(), action, WHOLE)
    assert await backend.may(root, "ecr:SetRepositoryPolicy")
    assert not await backend.may(root, PULL)
    assert not await backend.access.allows(root, connection(), "ecr:DescribeRegistry", WHOLE)
    other = await backend.root(OTHER)
    assert not await backend.access.allows(other, connection(), "ecr:DeleteRegistryPolicy", WHOLE)


async def test_a_repository_policy_is_checked_for_a_lock_out_beside_the_registrys(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    await put(backend, statement("Deny", "ecr:SetRepositoryPolicy", Principal="*", Resource=ALL))
    with pytest.raises(InvalidParameter, match="set force to true"):
        await backend.check.check_and_canonicalize(
            ann, connection(), APP, document(statement("Allow", PULL, Principal="*")), False
        )
