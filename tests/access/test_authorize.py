"""Every decision: whose policies it rests on, how it is told, and that the latest of them count."""

from dataclasses import replace

import pytest

from moorage.access.authorize import Access
from moorage.access.resources import NamedResource, RegistryResource
from moorage.errors import AccessDenied
from moorage.names import RepositoryName
from moorage.policy.catalog.actions import POLICY_RECOVERY
from tests.support.backend import APP, BY, HERE, OTHER, OWNER, Backend, connection, statement

PULL = "ecr:BatchGetImage"


async def test_nothing_is_allowed_that_no_policy_allows(backend: Backend) -> None:
    ann = await backend.user("ann")
    with pytest.raises(AccessDenied) as denied:
        await backend.access.require(ann, connection(), PULL, APP, decision_id="the-id")
    assert denied.value.message == (
        f"User: {ann.principal.arn} is not authorized to perform: {PULL} on resource: {APP.arn} "
        f"because no identity-based policy allows the {PULL} action"
    )
    assert denied.value.decision_id == "the-id"
    assert "identity" in denied.value.short


async def test_an_identity_policy_or_the_repositorys_is_enough_within_an_account(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", PULL, Resource=APP.arn))
    ben = await backend.user("ben")
    assert (await backend.may(ann, PULL), await backend.may(ben, PULL)) == (True, False)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": ben.principal.arn}))
    assert (await backend.may(ann, PULL), await backend.may(ben, PULL)) == (True, True)
    await backend.policy(statement("Deny", PULL, Principal="*"))
    assert (await backend.may(ann, PULL), await backend.may(ben, PULL)) == (False, False)


async def test_another_account_needs_both(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", PULL, Resource="*"), account=OTHER)
    ben = await backend.user("ben", account=OTHER)
    assert not await backend.may(ann, PULL)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    assert await backend.may(ann, PULL)
    assert not await backend.may(ben, PULL)
    assert await backend.may(await backend.root(OTHER), PULL)


async def test_a_change_of_either_policy_counts_for_the_next_decision(backend: Backend) -> None:
    ann = await backend.user("ann")
    for _ in range(3):
        await backend.policy(statement("Allow", PULL, Principal={"AWS": ann.principal.arn}))
        assert await backend.may(ann, PULL)
        await backend.registry.repository_policies.delete(APP, by=BY)
        assert not await backend.may(ann, PULL)
    await backend.allow("ann", statement("Allow", "ecr:*", Resource="*"))
    assert await backend.may(await backend.holder(ann.key_id), PULL)


async def test_a_repository_that_is_not_there_is_decided_all_the_same(backend: Backend) -> None:
    nowhere = APP._replace(name=RepositoryName("no/where"))
    ann = await backend.user("ann", statement("Allow", PULL, Resource=APP.arn))
    assert not await backend.may(ann, PULL, nowhere)
    assert await backend.may(await backend.root(), PULL, nowhere)


async def test_a_deleted_repositorys_policy_does_not_speak_for_its_successor(backend: Backend) -> None:
    await backend.policy(statement("Allow", PULL, Principal="*"))
    stranger = await backend.root(OTHER)
    assert await backend.may(stranger, PULL)
    await backend.registry.repositories.delete(APP, force=True, by=BY)
    assert not await backend.may(stranger, PULL)
    await backend.registry.repositories.create(APP, by=BY)
    assert not await backend.may(stranger, PULL)
    await backend.registry.repositories.delete(APP, force=True, by=BY)


async def test_conditions_see_tags_and_connection(backend: Backend) -> None:
    await backend.registry.repositories.tag(APP, {"Team": "a"}, by=BY)
    condition = {"StringEquals": {"aws:ResourceTag/team": "a"}, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    ann = await backend.user("ann", statement("Allow", PULL, Resource="*", Condition=condition))
    assert await backend.may(ann, PULL)
    assert not await backend.may(ann, PULL, source_ip="198.51.100.1")
    await backend.registry.repositories.tag(APP, {"Team": "b"}, by=BY)
    assert not await backend.may(ann, PULL)


async def test_a_repository_to_be_made_has_the_tags_of_the_request(backend: Backend) -> None:
    condition = {"StringEquals": {"ecr:ResourceTag/team": "a"}}
    ann = await backend.user("ann", statement("Allow", "ecr:CreateRepository", Resource="*", Condition=condition))
    new = APP._replace(name=RepositoryName("team/new"))
    for value, allowed in (("a", True), ("b", False)):
        extra = {"aws:requesttag/team": value}
        assert await backend.access.allows(ann, connection(), "ecr:CreateRepository", new, extra=extra) is allowed


async def test_registries_and_other_resources(backend: Backend) -> None:
    every = RegistryResource(OWNER, HERE, all_repositories=True)
    ann = await backend.user("ann", statement("Allow", "ecr:DescribeRepositories", Resource=APP.arn))
    assert not await backend.access.allows(ann, connection(), "ecr:DescribeRepositories", every)
    ben = await backend.user(
        "ben", statement("Allow", "ecr:*", Resource=f"arn:aws:ecr:{HERE}:{OWNER}:repository/*"),
        statement("Allow", "iam:GetUser", Resource=f"arn:aws:iam::{OWNER}:user/ben"),
    )  # fmt: skip
    assert await backend.access.allows(ben, connection(), "ecr:DescribeRepositories", every)
    whole = RegistryResource(OWNER, HERE)
    assert not await backend.access.allows(ben, connection(), "ecr:GetAuthorizationToken", whole)
    for name, allowed in (("ben", True), ("ann", False)):
        user = NamedResource(OWNER, f"arn:aws:iam::{OWNER}:user/{name}")
        assert await backend.access.allows(ben, connection(), "iam:GetUser", user) is allowed


async def test_the_verified_root_of_the_owner_finds_a_way_out_of_a_lock_out(backend: Backend) -> None:
    root, stranger = await backend.root(), await backend.root(OTHER)
    await backend.policy(statement("Deny", "ecr:*", Principal="*"))
    assert not await backend.may(root, PULL)
    for action in POLICY_RECOVERY:
        assert await backend.may(root, action)
        assert not await backend.may(stranger, action)
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    assert not await backend.may(ann, "ecr:SetRepositoryPolicy")


async def test_an_open_key_is_no_verified_root(backend: Backend) -> None:
    dev = Backend.over(
        backend.registry.repositories._db, backend.recorder._store, replace(backend.settings, mode="dev")
    )
    opened = await dev.authenticator.open_caller(OWNER)
    assert opened is not None
    await backend.policy(statement("Deny", "ecr:*", Principal="*"))
    assert not await dev.may(opened, "ecr:SetRepositoryPolicy")


async def test_the_way_out_can_be_closed(backend: Backend) -> None:
    closed = replace(backend.settings, root_recovers=False)
    access = Access(backend.registry, backend.identity.organizations, backend.recorder, backend.clock, closed)
    await backend.policy(statement("Deny", "ecr:*", Principal="*"))
    assert not await access.allows(await backend.root(), connection(), "ecr:SetRepositoryPolicy", APP)
