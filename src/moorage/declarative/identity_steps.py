"""The steps of changes to an account's identities and managed policies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Connection

from moorage.access.operations import iam_conditions, renamed
from moorage.access.principals import check_trust, stored_trust
from moorage.access.resources import NamedResource
from moorage.declarative.changes import Change
from moorage.declarative.declaration import DeclaredPolicy, Group, Role, User
from moorage.declarative.steps import Execution, IssuedKey, Run, Step
from moorage.errors import InvalidParameter
from moorage.identity import errors
from moorage.identity.arns import identity_arn, policy_arn
from moorage.identity.credentials import access_keys
from moorage.identity.policies import attachments, inline_policies, managed_policies
from moorage.identity.policies.managed_policies import VERSIONS, NewPolicy
from moorage.identity.principals import groups, lookup, roles, tags, users
from moorage.identity.principals.entity import GROUP, KINDS, ROLE, USER, Kind
from moorage.identity.principals.groups import NewGroup
from moorage.identity.principals.roles import NewRole
from moorage.identity.principals.users import NewUser
from moorage.names import AccountId

Holder: TypeAlias = Group | User | Role
_NAMED_USERS: Final = 20
"""How many users of a policy the refusal to delete it names."""


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """What the steps of a change depend on beside the change, as it is before the file is applied."""

    account: AccountId
    group_arns: Mapping[str, str] = field(default_factory=dict)
    """The ARNs of groups that exist or that the file creates, by name in lower case."""
    keys: Sequence[str] = ()
    """The ids of the access keys of a user that is deleted."""
    versions: Sequence[int] = ()
    """The versions of a managed policy other than its default, oldest first."""


class _Owner(NamedTuple):
    """A user, group, role or managed policy: as it is before the file, or as the file creates it."""

    account: AccountId
    kind: Kind | None
    """None: a managed policy."""
    name: str
    """The ARN of a managed policy, by which `identity` finds it."""
    arn: str
    tags: Mapping[str, str]
    boundary: str | None = None

    @property
    def title(self) -> str:
        """As in the names of operations."""
        return "Policy" if self.kind is None else self.kind.title

    def step(self, action: str, run: Run, aspect: str = "", *further_arns: str, **conditions: Any) -> Step:
        """Return a step on an entity that exists by then, so that its tags are among the condition keys.

        `conditions`: the other condition keys, as `iam_conditions` takes them.
        """
        resources = [NamedResource(self.account, arn) for arn in dict.fromkeys((self.arn, *further_arns))]
        return Step(f"iam:{action}", resources, iam_conditions(tags_there=self.tags, **conditions), run, aspect)

    def creation(self, action: str, run: Run) -> Step:
        """Return the step that creates it: its tags and boundary are those of the request."""
        conditions = iam_conditions(boundary=self.boundary, tags=self.tags)
        return Step(f"iam:{action}", (NamedResource(self.account, self.arn),), conditions, run)


def user_steps(change: Change, context: ChangeContext) -> Iterator[Step]:
    """Yield the steps of a user. One that is deleted loses its policies, groups and keys first."""
    account, name = context.account, change.name
    before: User | None = change.before
    after: User | None = change.after
    owner = _owner(USER, name, account, before or after)
    if before is None and after is not None:
        new = NewUser(account, name, after.path, after.tags, after.boundary)
        yield owner.creation("CreateUser", lambda e: users.create(e.conn, new, by=e.by, at=e.at))
    elif before is not None and after is not None:
        if before.path != after.path:
            path = after.path
            yield owner.step(
                "UpdateUser",
                lambda e: users.update(e.conn, account, name, new_path=path, by=e.by, at=e.at),
                "path",
                *renamed(USER, account, name, before.path, name, path),
            )
        yield from _boundary_steps(owner, USER, before.boundary, after.boundary)
        yield from _tag_steps(owner, before.tags, after.tags)
    was, now = before or User(), after or User()
    yield from _policies_steps(owner, USER, was, now)
    yield from _membership_steps(owner, context, was, now)
    if after is None:
        for key in context.keys:
            yield owner.step("DeleteAccessKey", _delete_key(account, name, key), f"keys/{key}")
        yield owner.step("DeleteUser", lambda e: users.delete(e.conn, account, name, by=e.by, at=e.at))


def key_step(account: AccountId, name: str, user: User, new: access_keys.NewKey) -> Step:
    """Return the step that creates an access key for a user who has none."""

    def create(e: Execution) -> IssuedKey | None:
        if access_keys.list_of(e.conn, account, name):
            return None  # created by somebody else since the file was planned
        access_keys.create(e.conn, account, name, new, by=e.by, at=e.at)
        return IssuedKey(account, name, new.id, new.secret)

    return _owner(USER, name, account, user).step("CreateAccessKey", create, "keys")


def group_steps(change: Change, context: ChangeContext) -> Iterator[Step]:
    """Yield the steps of a group."""
    account, name = context.account, change.name
    before: Group | None = change.before
    after: Group | None = change.after
    owner = _owner(GROUP, name, account, before or after)
    if before is None and after is not None:
        new = NewGroup(account, name, after.path)
        yield owner.creation("CreateGroup", lambda e: groups.create(e.conn, new, by=e.by, at=e.at))
    elif before is not None and after is not None and before.path != after.path:
        path = after.path
        yield owner.step(
            "UpdateGroup",
            lambda e: groups.update(e.conn, account, name, new_path=path, by=e.by, at=e.at),
            "path",
            *renamed(GROUP, account, name, before.path, name, path),
        )
    yield from _policies_steps(owner, GROUP, before or Group(), after or Group())
    if after is None:
        yield owner.step("DeleteGroup", lambda e: groups.delete(e.conn, account, name, by=e.by, at=e.at))


def role_steps(change: Change, context: ChangeContext) -> Iterator[Step]:
    """Yield the steps of a role. InvalidParameter for another path."""
    account, name = context.account, change.name
    before: Role | None = change.before
    after: Role | None = change.after
    owner = _owner(ROLE, name, account, before or after)
    if before is None and after is not None:
        yield owner.creation("CreateRole", _create_role(account, name, after))
    elif before is not None and after is not None:
        if before.path != after.path:
            raise InvalidParameter(f"roles/{name}: the path of a role cannot be changed. Delete the role first.")
        if before.trust != after.trust:
            yield owner.step("UpdateAssumeRolePolicy", _set_trust(account, name, after.trust), "trust")
        if (before.description, before.max_session_seconds) != (after.description, after.max_session_seconds):
            yield owner.step(
                "UpdateRole",
                _update_role(account, name, after),
                "description" if before.description != after.description else "max_session_seconds",
            )
        yield from _boundary_steps(owner, ROLE, before.boundary, after.boundary)
        yield from _tag_steps(owner, before.tags, after.tags)
    empty = Role(trust="")
    yield from _policies_steps(owner, ROLE, before or empty, after or empty)
    if after is None:
        yield owner.step("DeleteRole", lambda e: roles.delete(e.conn, account, name, by=e.by, at=e.at))


def policy_steps(change: Change, context: ChangeContext) -> Iterator[Step]:
    """Yield the steps of a managed policy. InvalidParameter for another path or description."""
    account, name = context.account, change.name
    before: DeclaredPolicy | None = change.before
    after: DeclaredPolicy | None = change.after
    there = before or after
    assert there is not None  # noqa: S101 - a change has a before or an after
    arn = policy_arn(account, there.path, name)
    owner = _Owner(account, None, arn, arn, there.tags)
    if before is None:
        new = NewPolicy(account, name, there.document, there.path, there.description, there.tags)
        yield owner.creation("CreatePolicy", lambda e: managed_policies.create(e.conn, new, by=e.by, at=e.at))
    elif after is None:
        for number in context.versions:
            yield _delete_version(owner, number)

        def delete(e: Execution) -> None:
            _refuse_in_use(e.conn, account, arn)
            managed_policies.delete(e.conn, account, arn, by=e.by, at=e.at)

        yield owner.step("DeletePolicy", delete)
    else:
        for aspect in ("path", "description"):
            if getattr(before, aspect) != getattr(after, aspect):
                raise InvalidParameter(
                    f"policies/{name}: the {aspect} of a managed policy cannot be changed. Delete the policy first."
                )
        if before.document != after.document:
            if len(context.versions) + 1 >= VERSIONS:
                yield _delete_version(owner, context.versions[0])
            yield owner.step("CreatePolicyVersion", _create_version(account, arn, after.document), "document")
        yield from _tag_steps(owner, before.tags, after.tags)


def _owner(kind: Kind, name: str, account: AccountId, one: Holder | None) -> _Owner:
    assert one is not None  # noqa: S101 - a change has a before or an after
    arn = identity_arn(kind.name, account, one.path, name)
    if isinstance(one, Group):
        return _Owner(account, kind, name, arn, {})
    return _Owner(account, kind, name, arn, one.tags, one.boundary)


def _policies_steps(owner: _Owner, kind: Kind, before: Holder, after: Holder) -> Iterator[Step]:
    account, name = owner.account, owner.name

    def changed(operation: str, aspect: str, run: Run, policy_arn: str | None = None) -> Step:
        return owner.step(operation, run, aspect, boundary=owner.boundary, policy=policy_arn)

    def detach(arn: str) -> Run:
        return lambda e: attachments.detach(e.conn, kind, account, name, arn, by=e.by, at=e.at)

    def attach(arn: str) -> Run:
        return lambda e: attachments.attach(e.conn, kind, account, name, arn, by=e.by, at=e.at)

    def delete(inline: str) -> Run:
        return lambda e: inline_policies.delete(e.conn, kind, account, name, inline, by=e.by, at=e.at)

    def put(inline: str, text: str) -> Run:
        return lambda e: inline_policies.put(e.conn, kind, account, name, inline, text, by=e.by, at=e.at)

    for arn in sorted({*before.attached} - {*after.attached}):
        yield changed(f"Detach{kind.title}Policy", f"attached/{arn}", detach(arn), arn)
    for arn in sorted({*after.attached} - {*before.attached}):
        yield changed(f"Attach{kind.title}Policy", f"attached/{arn}", attach(arn), arn)
    for inline in sorted({*before.inline} - {*after.inline}):
        yield changed(f"Delete{kind.title}Policy", f"inline/{inline}", delete(inline))
    for inline, text in sorted(after.inline.items()):
        if before.inline.get(inline) != text:
            yield changed(f"Put{kind.title}Policy", f"inline/{inline}", put(inline, text))


def _membership_steps(owner: _Owner, context: ChangeContext, before: User, after: User) -> Iterator[Step]:
    """Yield steps that are decided on the group. IAM has no condition keys for its tags or members."""
    account, name = owner.account, owner.name

    def changed(operation: str, group: str, run: Run) -> Step:
        arn = context.group_arns.get(group.lower()) or identity_arn(GROUP.name, account, "/", group)
        return Step(f"iam:{operation}", (NamedResource(account, arn),), {}, run, f"groups/{group}")

    def remove(group: str) -> Run:
        return lambda e: groups.remove_user(e.conn, account, group, name, by=e.by, at=e.at)

    def add(group: str) -> Run:
        return lambda e: groups.add_user(e.conn, account, group, name, by=e.by, at=e.at)

    for group in sorted({*before.groups} - {*after.groups}):
        yield changed("RemoveUserFromGroup", group, remove(group))
    for group in sorted({*after.groups} - {*before.groups}):
        yield changed("AddUserToGroup", group, add(group))


def _boundary_steps(owner: _Owner, kind: Kind, before: str | None, after: str | None) -> Iterator[Step]:
    """Setting a boundary is decided on the new one, removing it on the one in force."""
    account, name = owner.account, owner.name
    if before == after:
        return
    if after is None:
        yield owner.step(
            f"Delete{kind.title}PermissionsBoundary",
            lambda e: attachments.remove_boundary(e.conn, kind, account, name, by=e.by, at=e.at),
            "boundary",
            boundary=before,
        )
    else:
        yield owner.step(
            f"Put{kind.title}PermissionsBoundary",
            lambda e: attachments.set_boundary(e.conn, kind, account, name, after, by=e.by, at=e.at),
            "boundary",
            boundary=after,
        )


def _tag_steps(owner: _Owner, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Step]:
    """Only tags that differ are in the request, and so in its condition keys."""
    account, name, kind = owner.account, owner.name, owner.title.lower()
    removed = sorted({*before} - {*after})
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    if removed:
        yield owner.step(
            f"Untag{owner.title}",
            lambda e: tags.remove(e.conn, kind, account, name, removed, by=e.by, at=e.at),
            "tags",
            tag_keys=removed,
        )
    if changed:
        yield owner.step(
            f"Tag{owner.title}",
            lambda e: tags.put(e.conn, kind, account, name, changed, by=e.by, at=e.at),
            "tags",
            tags=changed,
        )


def _delete_key(account: AccountId, name: str, key: str) -> Run:
    return lambda e: access_keys.delete(e.conn, account, name, key, by=e.by, at=e.at)


def _create_version(account: AccountId, arn: str, text: str) -> Run:
    return lambda e: managed_policies.create_version(e.conn, account, arn, text, as_default=True, by=e.by, at=e.at)


def _delete_version(owner: _Owner, number: int) -> Step:
    return owner.step(
        "DeletePolicyVersion",
        lambda e: managed_policies.delete_version(e.conn, owner.account, owner.arn, number, by=e.by, at=e.at),
        f"versions/v{number}",
    )


def _create_role(account: AccountId, name: str, role: Role) -> Run:
    def run(e: Execution) -> None:
        trust = stored_trust(e.conn, check_trust(role.trust), role.trust)
        new = NewRole(
            account,
            name,
            trust,
            role.path,
            role.max_session_seconds,
            role.description,
            role.tags,
            role.boundary,
        )
        roles.create(e.conn, new, by=e.by, at=e.at)

    return run


def _update_role(account: AccountId, name: str, role: Role) -> Run:
    seconds, description = role.max_session_seconds, role.description
    return lambda e: roles.update(
        e.conn, account, name, max_session_seconds=seconds, description=description, by=e.by, at=e.at
    )


def _set_trust(account: AccountId, name: str, text: str) -> Run:
    def run(e: Execution) -> None:
        in_force = lookup.get_role(e.conn, account, name).trust
        trust = stored_trust(e.conn, check_trust(text), text, in_force)
        roles.set_trust(e.conn, account, name, trust, by=e.by, at=e.at)

    return run


def _refuse_in_use(conn: Connection, account: AccountId, arn: str) -> None:
    """Raise IAM's refusal to delete a policy, naming those that use it: the file keeps them, and what they have."""
    some = _NAMED_USERS + 1
    attached = attachments.users_of(conn, account, arn, [*KINDS], attached=True, bounded=False, limit=some)
    bounded = attachments.users_of(conn, account, arn, [*KINDS], attached=False, bounded=True, limit=some)
    uses = [f"attached to {each.kind} {each.name}" for each in attached]
    uses += [f"the boundary of {each.kind} {each.name}" for each in bounded]
    if uses:
        more = " and others" if len(uses) > _NAMED_USERS else ""
        listed = ", ".join(uses[:_NAMED_USERS])
        raise errors.delete_conflict(f"Cannot delete a policy attached to entities: it is {listed}{more}.")
