"""The steps of changes to an account's repositories and registries."""

from collections.abc import Iterator

from moorage import policy
from moorage.access.operations import Conditions, resource_tags, tag_conditions
from moorage.access.registry_policy import stored_registry_policy
from moorage.access.repository_policy import Submission
from moorage.access.resources import RegistryResource
from moorage.declarative.changes import Change
from moorage.declarative.declaration import Registry, Repository
from moorage.declarative.steps import Execution, Run, Step
from moorage.names import AccountId, Region, RepositoryRef
from moorage.registry.account_settings import rules as account_settings
from moorage.registry.registry_policies import rules as registry_policies
from moorage.registry.repositories import rules as repositories
from moorage.registry.repositories.types import NewRepository, TagMutability
from moorage.registry.repository_policies import rules as repository_policies
from moorage.store.metadata.policies.registry_policies import SCOPE

_NO_CONDITIONS: Conditions = {}


def repository_steps(change: Change, account: AccountId, submission: Submission | None) -> Iterator[Step]:
    """Yield the steps of a repository. A file never deletes one that has images.

    `submission`: the declared policy, prepared for the transaction; None where none is declared.
    """
    ref = RepositoryRef(account, *change.name)
    before: Repository | None = change.before
    after: Repository | None = change.after

    def step(operation: str, run: Run, aspect: str = "", conditions: Conditions = _NO_CONDITIONS) -> Step:
        return Step(f"ecr:{operation}", (ref,), conditions, run, aspect)

    if after is None:
        yield step("DeleteRepository", lambda e: repositories.delete(e.conn, ref, force=False, by=e.by, at=e.at))
        return
    if before is None:
        yield step("CreateRepository", _create(ref, after), conditions=tag_conditions(after.tags.items()))
    else:
        yield from _update_steps(ref, before, after)
    policy_before = None if before is None else before.policy
    if after.policy is None and policy_before is not None:
        yield step(
            "DeleteRepositoryPolicy", lambda e: repository_policies.delete(e.conn, ref, by=e.by, at=e.at), "policy"
        )
    elif submission is not None and after.policy != policy_before:
        # Decisions know the tags of a repository that exists, but not of one that the file creates.
        tags = resource_tags("ecr", after.tags) if before is None else _NO_CONDITIONS
        yield step("SetRepositoryPolicy", _set_policy(ref, submission), "policy", tags)


def _update_steps(ref: RepositoryRef, before: Repository, after: Repository) -> Iterator[Step]:
    """Yield the steps of a repository that exists, other than those of its policy."""
    if before.scan_on_push != after.scan_on_push:
        scan = after.scan_on_push
        yield Step(
            "ecr:PutImageScanningConfiguration",
            (ref,),
            {},
            lambda e: repositories.set_scan_on_push(e.conn, ref, scan, by=e.by, at=e.at),
            "scan_on_push",
        )
    if (before.mutability, before.exclusions) != (after.mutability, after.exclusions):
        yield Step(
            "ecr:PutImageTagMutability",
            (ref,),
            {},
            lambda e: repositories.set_mutability(e.conn, ref, _mutability(after), by=e.by, at=e.at),
            "mutability" if before.mutability != after.mutability else "exclusions",
        )
    removed = sorted({*before.tags} - {*after.tags})
    changed = {key: value for key, value in after.tags.items() if before.tags.get(key) != value}
    if removed:
        yield Step(
            "ecr:UntagResource",
            (ref,),
            tag_conditions((), *removed),
            lambda e: repositories.untag(e.conn, ref, removed, by=e.by, at=e.at),
            "tags",
        )
    if changed:
        yield Step(
            "ecr:TagResource",
            (ref,),
            tag_conditions(changed.items()),
            lambda e: repositories.tag(e.conn, ref, changed, by=e.by, at=e.at),
            "tags",
        )


def registry_steps(change: Change, account: AccountId) -> Iterator[Step]:
    """Yield the steps of a registry. The scope comes first: it determines which policies are valid."""
    region: Region = change.name
    before: Registry = change.before or Registry()
    after: Registry = change.after or Registry()
    resources = (RegistryResource(account, region),)
    if before.policy_scope != after.policy_scope:
        scope = after.policy_scope
        yield Step(
            "ecr:PutAccountSetting",
            resources,
            {"ecr:accountsetting": SCOPE},
            lambda e: account_settings.put(e.conn, account, region, SCOPE, scope, by=e.by, at=e.at),
            "policy_scope",
        )
    if before.policy == after.policy:
        return
    if after.policy is None:
        yield Step(
            "ecr:DeleteRegistryPolicy",
            resources,
            {},
            lambda e: registry_policies.delete(e.conn, account, region, by=e.by, at=e.at),
            "policy",
        )
        return
    declared = after.policy

    def put(e: Execution) -> None:
        parsed = policy.parsed(declared, policy.Kind.REGISTRY)
        text = stored_registry_policy(e.conn, account, region, parsed)
        registry_policies.put(e.conn, account, region, text, by=e.by, at=e.at)

    yield Step("ecr:PutRegistryPolicy", resources, {}, put, "policy")


def _create(ref: RepositoryRef, declared: Repository) -> Run:
    def run(e: Execution) -> None:
        new = NewRepository(ref, _mutability(declared), scan_on_push=declared.scan_on_push, tags=declared.tags)
        repositories.create(e.conn, new, e.settings, by=e.by, at=e.at)

    return run


def _mutability(declared: Repository) -> TagMutability:
    return TagMutability(declared.mutability, declared.exclusions)


def _set_policy(ref: RepositoryRef, submission: Submission) -> Run:
    return lambda e: repository_policies.put(e.conn, ref, submission.stored(e.conn), by=e.by, at=e.at)
