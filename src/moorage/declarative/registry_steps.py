"""The steps of changes to an account's repositories and registries."""

from collections.abc import Iterator
from typing import Any

from moorage.access.authorize import Registry as RegistryResource
from moorage.access.operations import Conditions, resource_tags, tag_conditions
from moorage.access.principals import Principals
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.declarative.changes import Change
from moorage.declarative.declaration import Registry, Repository
from moorage.declarative.nouns import Nouns
from moorage.declarative.steps import Author, Prepare, Run, Step
from moorage.errors import InvalidParameter, RepositoryNotFound
from moorage.names import AccountId, Region, RepositoryRef
from moorage.store.metadata.policies.registry_policies import SCOPE

_NO_CONDITIONS: Conditions = {}


def repository_steps(change: Change, account: AccountId, by: str) -> Iterator[Step]:
    """Of a repository. One with images is never deleted by a file."""
    ref = RepositoryRef(account, *change.name)
    before: Repository | None = change.before
    after: Repository | None = change.after

    def step(operation: str, run: Run, aspect: str = "", conditions: Conditions = _NO_CONDITIONS) -> Step:
        return Step(f"ecr:{operation}", (ref,), conditions, run, aspect)

    if after is None:
        yield step("DeleteRepository", lambda on: on.registry.repositories.delete(ref, force=False, by=by))
        return
    new = after
    if before is None:
        mutability: Any = {"mutability": new.mutability, "exclusion_filters": new.exclusions}
        yield step(
            "CreateRepository",
            lambda on: on.registry.repositories.create(
                ref, **mutability, scan_on_push=new.scan_on_push, tags=new.tags, by=by
            ),
            conditions=tag_conditions(new.tags.items()),
        )
    else:
        if before.scan_on_push != new.scan_on_push:
            yield step(
                "PutImageScanningConfiguration",
                lambda on: on.registry.repositories.set_scan_on_push(ref, new.scan_on_push, by=by),
                "scan_on_push",
            )
        if (before.mutability, before.exclusions) != (new.mutability, new.exclusions):
            yield step(
                "PutImageTagMutability",
                lambda on: on.registry.repositories.set_mutability(ref, new.mutability, new.exclusions, by=by),
                "mutability" if before.mutability != new.mutability else "exclusions",
            )
        gone = sorted({*before.tags} - {*new.tags})
        given = {key: value for key, value in new.tags.items() if before.tags.get(key) != value}
        if gone:
            yield step(
                "UntagResource", lambda on: on.registry.repositories.untag(ref, gone, by=by), "tags",
                tag_conditions((), *gone),
            )  # fmt: skip
        if given:
            yield step(
                "TagResource", lambda on: on.registry.repositories.tag(ref, given, by=by), "tags",
                tag_conditions(given.items()),
            )  # fmt: skip
    was = None if before is None else before.policy
    if new.policy is None and was is not None:
        yield step("DeleteRepositoryPolicy", lambda on: on.registry.repository_policies.delete(ref, by=by), "policy")
    elif new.policy is not None and new.policy != was:
        # Of a repository that is there, decisions know the tags; of one that the file creates, they cannot yet.
        tags = resource_tags("ecr", new.tags) if before is None else _NO_CONDITIONS
        prepare = _checked(ref, new.policy, by)
        yield Step("ecr:SetRepositoryPolicy", (ref,), tags, None, "policy", prepare)


def registry_steps(change: Change, account: AccountId, by: str) -> Iterator[Step]:
    """Of a registry. The scope comes first: it says what the policy may be."""
    region: Region = change.name
    before: Registry = change.before or Registry()
    after: Registry = change.after or Registry()
    resources = (RegistryResource(account, region),)
    if before.policy_scope != after.policy_scope:
        yield Step(
            "ecr:PutAccountSetting",
            resources,
            {"ecr:accountsetting": SCOPE},
            lambda on: on.registry.account_settings.put(account, region, SCOPE, after.policy_scope, by=by),
            "policy_scope",
        )
    if before.policy == after.policy:
        return
    if after.policy is None:
        yield Step(
            "ecr:DeleteRegistryPolicy",
            resources,
            {},
            lambda on: on.registry.registry_policies.delete(account, region, by=by),
            "policy",
        )
        return
    text = after.policy

    async def put(on: Nouns) -> None:
        policies = on.registry.registry_policies
        check = RegistryPolicyCheck(Principals(on.identity), policies)
        await policies.set(account, region, await check.check_and_canonicalise(account, region, text), by=by)

    yield Step("ecr:PutRegistryPolicy", resources, {}, put, "policy")


def _checked(ref: RepositoryRef, wanted: str, by: str) -> Prepare:
    """Brings a repository policy into its stored form, and refuses a lock-out, when what it names is there."""

    async def prepare(check: RepositoryPolicyCheck, author: Author) -> Run:
        try:
            if author.call is None:
                accepted = await check.canonicalise_for_operator(ref, wanted)
            else:
                accepted = await check.check_and_canonicalise(*author.call, ref, wanted, False)
        except RepositoryNotFound as error:  # a new one's policy cannot go on naming a principal that was deleted
            raise InvalidParameter("The policy names the id of a user or role that is no more.") from error
        return lambda on: on.registry.repository_policies.set(ref, accepted.stored, by=by)

    return prepare
