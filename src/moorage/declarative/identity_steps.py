"""The steps of changes to an account's identities and managed policies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from moorage.access.authorize import NamedResource
from moorage.access.operations import iam_conditions, renamed
from moorage.access.principals import Principals
from moorage.declarative.changes import Change
from moorage.declarative.declaration import Group, Managed, Role, User
from moorage.declarative.nouns import Nouns
from moorage.declarative.steps import NewKey, Run, Step
from moorage.errors import InvalidParameter
from moorage.identity import errors
from moorage.identity.arns import identity_arn, policy_arn
from moorage.identity.policies.managed_policies import VERSIONS
from moorage.identity.principals.entity import GROUP, KINDS, ROLE, USER, Kind
from moorage.names import AccountId

Holder: TypeAlias = Group | User | Role
_NAMED_USERS: Final = 20
"""Users of a policy that the refusal to delete it names."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the steps of a change depend on beside the change itself, as it is before the file is applied."""

    account: AccountId
    by: str
    """Who applies the file, for the records."""
    group_arns: Mapping[str, str] = field(default_factory=dict)
    """Of groups that are there or that the file creates, by name in lower case."""
    keys: Sequence[str] = ()
    """Ids of the access keys of a user that is deleted."""
    versions: Sequence[int] = ()
    """Versions of a managed policy that are not its default, oldest first."""


class _Owner(NamedTuple):
    """A user, group, role or managed policy: as it is before the file, or as the file creates it."""

    account: AccountId
    by: str
    kind: Kind | None
    """None: a managed policy."""
    name: str
    """Of a managed policy its ARN, by which `identity` knows it."""
    arn: str
    tags: Mapping[str, str]
    boundary: str | None = None

    @property
    def title(self) -> str:
        """As in the names of operations."""
        return "Policy" if self.kind is None else self.kind.title

    def step(self, action: str, run: Run, aspect: str = "", *further_arns: str, **conditions: Any) -> Step:
        """A step on one that is there by then, so its tags are among the condition keys.

        `conditions`: the others, as `iam_conditions` takes them.
        """
        resources = [NamedResource(self.account, arn) for arn in dict.fromkeys((self.arn, *further_arns))]
        return Step(f"iam:{action}", resources, iam_conditions(tags_there=self.tags, **conditions), run, aspect)

    def creation(self, action: str, run: Run) -> Step:
        """The step that creates it: its tags and boundary are those of the request."""
        conditions = iam_conditions(boundary=self.boundary, tags=self.tags)
        return Step(f"iam:{action}", (NamedResource(self.account, self.arn),), conditions, run)


def user_steps(change: Change, around: Around) -> Iterator[Step]:
    """Of a user. One that is deleted loses its policies, groups and keys first."""
    account, name, by = around.account, change.name, around.by
    before: User | None = change.before
    after: User | None = change.after
    owner = _owner(USER, name, around, before or after)
    if before is None and after is not None:
        new = after
        yield owner.creation(
            "CreateUser",
            lambda on: on.identity.users.create(account, new.path, name, by, tags=new.tags, boundary=new.boundary),
        )
    elif before is not None and after is not None:
        if before.path != after.path:
            path = after.path
            yield owner.step(
                "UpdateUser",
                lambda on: on.identity.users.update(account, name, by, new_path=path),
                "path",
                *renamed(USER, account, name, before.path, name, path),
            )
        yield from _boundary_steps(owner, USER, before.boundary, after.boundary)
        yield from _tag_steps(owner, before.tags, after.tags)
    was, now = before or User(), after or User()
    yield from _policies_steps(owner, was, now)
    yield from _membership_steps(owner, around, was, now)
    if after is None:
        for key in around.keys:
            yield owner.step("DeleteAccessKey", _delete_key(account, name, key, by), f"keys/{key}")
        yield owner.step("DeleteUser", lambda on: on.identity.users.delete(account, name, by))


def key_steps(account: AccountId, name: str, user: User, by: str) -> Iterator[Step]:
    """The step that makes an access key for a user that has none."""

    async def create(on: Nouns) -> NewKey | None:
        if await on.identity.keys.list(account, name):
            return None  # made by somebody else since the file was planned
        key, secret = await on.identity.keys.create(account, name, by=by)
        return NewKey(account, name, key.id, secret)

    yield _owner(USER, name, Around(account, ""), user).step("CreateAccessKey", create, "keys")


def group_steps(change: Change, around: Around) -> Iterator[Step]:
    """Of a group."""
    account, name, by = around.account, change.name, around.by
    before: Group | None = change.before
    after: Group | None = change.after
    owner = _owner(GROUP, name, around, before or after)
    if before is None and after is not None:
        new = after
        yield owner.creation("CreateGroup", lambda on: on.identity.groups.create(account, new.path, name, by))
    elif before is not None and after is not None and before.path != after.path:
        path = after.path
        yield owner.step(
            "UpdateGroup",
            lambda on: on.identity.groups.update(account, name, by, new_path=path),
            "path",
            *renamed(GROUP, account, name, before.path, name, path),
        )
    yield from _policies_steps(owner, before or Group(), after or Group())
    if after is None:
        yield owner.step("DeleteGroup", lambda on: on.identity.groups.delete(account, name, by))


def role_steps(change: Change, around: Around) -> Iterator[Step]:
    """Of a role. InvalidParameter for another path."""
    account, name, by = around.account, change.name, around.by
    before: Role | None = change.before
    after: Role | None = change.after
    owner = _owner(ROLE, name, around, before or after)
    if before is None and after is not None:
        yield owner.creation("CreateRole", _create_role(account, name, after, by))
    elif before is not None and after is not None:
        if before.path != after.path:
            raise InvalidParameter(f"roles/{name}: the path of a role cannot be changed. Delete the role first.")
        if before.trust != after.trust:
            yield owner.step("UpdateAssumeRolePolicy", _set_trust(account, name, after.trust, by), "trust")
        if (before.description, before.max_session_seconds) != (after.description, after.max_session_seconds):
            seconds, description = after.max_session_seconds, after.description
            yield owner.step(
                "UpdateRole",
                lambda on: on.identity.roles.update(
                    account, name, by, max_session_seconds=seconds, description=description
                ),
                "description" if before.description != after.description else "max_session_seconds",
            )
        yield from _boundary_steps(owner, ROLE, before.boundary, after.boundary)
        yield from _tag_steps(owner, before.tags, after.tags)
    empty = Role(trust="")
    yield from _policies_steps(owner, before or empty, after or empty)
    if after is None:
        yield owner.step("DeleteRole", lambda on: on.identity.roles.delete(account, name, by))


def policy_steps(change: Change, around: Around) -> Iterator[Step]:
    """Of a managed policy. InvalidParameter for another path or description."""
    account, name, by = around.account, change.name, around.by
    before: Managed | None = change.before
    after: Managed | None = change.after
    there = before or after
    assert there is not None  # noqa: S101 - a change has a before or an after
    arn = policy_arn(account, there.path, name)
    owner = _Owner(account, by, None, arn, arn, there.tags)
    if before is None:
        yield owner.creation(
            "CreatePolicy",
            lambda on: on.identity.managed.create(
                account, there.path, name, there.document, by, description=there.description, tags=there.tags
            ),
        )
    elif after is None:
        for number in around.versions:
            yield _delete_version(owner, number)

        async def delete(on: Nouns) -> None:
            await _refuse_in_use(on, account, arn)
            await on.identity.managed.delete(account, arn, by)

        yield owner.step("DeletePolicy", delete)
    else:
        for aspect in ("path", "description"):
            if getattr(before, aspect) != getattr(after, aspect):
                raise InvalidParameter(
                    f"policies/{name}: the {aspect} of a managed policy cannot be changed. Delete the policy first."
                )
        if before.document != after.document:
            if len(around.versions) + 1 >= VERSIONS:
                yield _delete_version(owner, around.versions[0])
            text = after.document
            yield owner.step(
                "CreatePolicyVersion",
                lambda on: on.identity.managed.create_version(account, arn, text, by, as_default=True),
                "document",
            )
        yield from _tag_steps(owner, before.tags, after.tags)


def _owner(kind: Kind, name: str, around: Around, one: Holder | None) -> _Owner:
    assert one is not None  # noqa: S101 - a change has a before or an after
    arn = identity_arn(kind.name, around.account, one.path, name)
    tags: Mapping[str, str] = {} if isinstance(one, Group) else one.tags
    return _Owner(around.account, around.by, kind, name, arn, tags, None if isinstance(one, Group) else one.boundary)


def _policies_steps(owner: _Owner, before: Holder, after: Holder) -> Iterator[Step]:
    account, by, kind, name = owner.account, owner.by, owner.kind, owner.name
    assert kind is not None  # noqa: S101 - managed policies have none

    def changed(operation: str, aspect: str, run: Run, policy: str | None = None) -> Step:
        return owner.step(operation, run, aspect, boundary=owner.boundary, policy=policy)

    def detach(arn: str) -> Run:
        return lambda on: on.identity.attachments.detach(kind, account, name, arn, by)

    def attach(arn: str) -> Run:
        return lambda on: on.identity.attachments.attach(kind, account, name, arn, by)

    def delete(inline: str) -> Run:
        return lambda on: on.identity.inline.delete(kind, account, name, inline, by)

    def put(inline: str, text: str) -> Run:
        return lambda on: on.identity.inline.put(kind, account, name, inline, text, by)

    for arn in sorted({*before.attached} - {*after.attached}):
        yield changed(f"Detach{kind.title}Policy", f"attached/{arn}", detach(arn), arn)
    for arn in sorted({*after.attached} - {*before.attached}):
        yield changed(f"Attach{kind.title}Policy", f"attached/{arn}", attach(arn), arn)
    for inline in sorted({*before.inline} - {*after.inline}):
        yield changed(f"Delete{kind.title}Policy", f"inline/{inline}", delete(inline))
    for inline, text in sorted(after.inline.items()):
        if before.inline.get(inline) != text:
            yield changed(f"Put{kind.title}Policy", f"inline/{inline}", put(inline, text))


def _membership_steps(owner: _Owner, around: Around, before: User, after: User) -> Iterator[Step]:
    """Decided on the group, of whose tags and members IAM knows no condition keys."""
    account, by, name = owner.account, owner.by, owner.name

    def joined(operation: str, group: str, run: Run) -> Step:
        arn = around.group_arns.get(group.lower()) or identity_arn(GROUP.name, account, "/", group)
        return Step(f"iam:{operation}", (NamedResource(account, arn),), {}, run, f"groups/{group}")

    def remove(group: str) -> Run:
        return lambda on: on.identity.groups.remove_user(account, group, name, by)

    def add(group: str) -> Run:
        return lambda on: on.identity.groups.add_user(account, group, name, by)

    for group in sorted({*before.groups} - {*after.groups}):
        yield joined("RemoveUserFromGroup", group, remove(group))
    for group in sorted({*after.groups} - {*before.groups}):
        yield joined("AddUserToGroup", group, add(group))


def _boundary_steps(owner: _Owner, kind: Kind, before: str | None, after: str | None) -> Iterator[Step]:
    """Setting one is decided on the new one, removing it on that in force."""
    account, by, name = owner.account, owner.by, owner.name
    if before == after:
        return
    if after is None:
        yield owner.step(
            f"Delete{kind.title}PermissionsBoundary",
            lambda on: on.identity.attachments.remove_boundary(kind, account, name, by),
            "boundary",
            boundary=before,
        )
    else:
        yield owner.step(
            f"Put{kind.title}PermissionsBoundary",
            lambda on: on.identity.attachments.set_boundary(kind, account, name, after, by),
            "boundary",
            boundary=after,
        )


def _tag_steps(owner: _Owner, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Step]:
    """Only tags that differ are in the request, and so in its condition keys."""
    account, by, name, kind = owner.account, owner.by, owner.name, owner.title.lower()
    gone = sorted({*before} - {*after})
    given = {key: value for key, value in after.items() if before.get(key) != value}
    if gone:
        yield owner.step(
            f"Untag{owner.title}", lambda on: on.identity.tags.remove(kind, account, name, gone, by), "tags",
            tag_keys=gone,
        )  # fmt: skip
    if given:
        yield owner.step(
            f"Tag{owner.title}", lambda on: on.identity.tags.set(kind, account, name, given, by), "tags", tags=given
        )


def _delete_key(account: AccountId, name: str, key: str, by: str) -> Run:
    return lambda on: on.identity.keys.delete(account, name, key, by=by)


def _delete_version(owner: _Owner, number: int) -> Step:
    return owner.step(
        "DeletePolicyVersion",
        lambda on: on.identity.managed.delete_version(owner.account, owner.arn, number, owner.by),
        f"versions/v{number}",
    )


def _create_role(account: AccountId, name: str, role: Role, by: str) -> Run:
    async def run(on: Nouns) -> None:
        trust = await Principals(on.identity).trust(role.trust)
        await on.identity.roles.create(
            account, role.path, name, trust, by,
            max_session_seconds=role.max_session_seconds,
            description=role.description,
            tags=role.tags,
            boundary=role.boundary,
        )  # fmt: skip

    return run


def _set_trust(account: AccountId, name: str, wanted: str, by: str) -> Run:
    async def run(on: Nouns) -> None:
        in_force = (await on.identity.roles.get(account, name)).trust
        trust = await Principals(on.identity).trust(wanted, in_force=in_force)
        await on.identity.roles.set_trust(account, name, trust, by)

    return run


async def _refuse_in_use(on: Nouns, account: AccountId, arn: str) -> None:
    """IAM's refusal to delete a policy, with those that use it: the file keeps them, and what they have."""
    entities, some = on.identity.attachments.entities, _NAMED_USERS + 1
    attached = await entities(account, arn, [*KINDS], attached=True, bounded=False, limit=some)
    bounded = await entities(account, arn, [*KINDS], attached=False, bounded=True, limit=some)
    uses = [f"attached to {each.kind} {each.name}" for each in attached]
    uses += [f"the boundary of {each.kind} {each.name}" for each in bounded]
    if uses:
        more = " and others" if len(uses) > _NAMED_USERS else ""
        said = ", ".join(uses[:_NAMED_USERS])
        raise errors.delete_conflict(f"Cannot delete a policy attached to entities: it is {said}{more}.")
