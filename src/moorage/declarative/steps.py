"""A step: one operation of an API that a change carries out, with everything that it is decided on.

The plan of a file is a list of steps. The same list is first decided, all of it, and then carried out, so nothing is
done that was not decided.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from moorage.access.authorize import Resource
from moorage.access.caller import Caller, Connection
from moorage.access.operations import Conditions
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.declarative.changes import Change
from moorage.declarative.nouns import Nouns
from moorage.errors import MoorageError
from moorage.names import AccountId

ACTIONS: Final = frozenset(
    {
        "ecr:CreateRepository",
        "ecr:DeleteRegistryPolicy",
        "ecr:DeleteRepository",
        "ecr:DeleteRepositoryPolicy",
        "ecr:PutAccountSetting",
        "ecr:PutImageScanningConfiguration",
        "ecr:PutImageTagMutability",
        "ecr:PutRegistryPolicy",
        "ecr:SetRepositoryPolicy",
        "ecr:TagResource",
        "ecr:UntagResource",
        "iam:AddUserToGroup",
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:CreateAccessKey",
        "iam:CreateGroup",
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:CreateRole",
        "iam:CreateUser",
        "iam:DeleteAccessKey",
        "iam:DeleteGroup",
        "iam:DeleteGroupPolicy",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:DeleteRole",
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteRolePolicy",
        "iam:DeleteUser",
        "iam:DeleteUserPermissionsBoundary",
        "iam:DeleteUserPolicy",
        "iam:DetachGroupPolicy",
        "iam:DetachRolePolicy",
        "iam:DetachUserPolicy",
        "iam:PutGroupPolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:PutUserPermissionsBoundary",
        "iam:PutUserPolicy",
        "iam:RemoveUserFromGroup",
        "iam:TagPolicy",
        "iam:TagRole",
        "iam:TagUser",
        "iam:UntagPolicy",
        "iam:UntagRole",
        "iam:UntagUser",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateGroup",
        "iam:UpdateRole",
        "iam:UpdateUser",
        "moorage:DeleteOrganization",
        "moorage:PutOrganization",
        "organizations:CreateAccount",
    }
)
"""Every action that a step may be decided on. CreateAccount is the operator's alone, who is not decided on."""


class Author(NamedTuple):
    """Who applies a file."""

    by: str
    """For the records."""
    call: tuple[Caller, Connection] | None
    """Who calls, and over which connection. None: the operator of the machine, whom no policy binds."""


class NewKey(NamedTuple):
    """An access key with its secret, which is shown once."""

    account: AccountId
    user: str | None
    """None: the root's."""
    id: str
    secret: str


Run: TypeAlias = Callable[[Nouns], Awaitable[object]]
"""Carries a step out over the open transaction that `Nouns` stand for, and awaits nothing else.

A NewKey that it returns is shown to the author; any other result is dropped.
"""
Prepare: TypeAlias = Callable[[RepositoryPolicyCheck, Author], Awaitable[Run]]
"""Does before the transaction what cannot be done within: decisions know nothing of an open one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. ValueError without an action or a resource, so that a step that nobody decides cannot be made."""

    action: str
    """One of `ACTIONS`."""
    resources: Sequence[Resource]
    """The action must be allowed on each."""
    conditions: Conditions
    """The condition keys that the operation of the API would add, in lower case."""
    run: Run | None
    """None where `prepare` makes it."""
    aspect: str = ""
    """Which part of the entity it concerns (`attached/ARN`, `boundary`, …); empty for the entity itself."""
    prepare: Prepare | None = None

    async def ready(self, check: RepositoryPolicyCheck, author: Author) -> Run:
        """What carries it out; called before the transaction."""
        if self.prepare is not None:
            return await self.prepare(check, author)
        assert self.run is not None  # noqa: S101 - it has one of the two
        return self.run

    def __post_init__(self) -> None:
        if self.action not in ACTIONS or not self.resources:
            raise ValueError(f"a step is decided on an action and a resource: {self.action!r}, {self.resources!r}")
        if (self.run is None) == (self.prepare is None):
            raise ValueError("a step has either `run` or `prepare`")


class Planned(NamedTuple):
    """A change with its steps, which are carried out in one transaction."""

    change: Change
    steps: Sequence[Step]

    def where(self, step: Step) -> str:
        """The entity and its aspect, for messages."""
        named = f"{self.change.section}/{self.change.label}"
        return f"{named}, {step.aspect}" if step.aspect else named


class Plan(NamedTuple):
    """All that a file does."""

    changes: Sequence[Planned]
    keys: Sequence[Planned] = ()
    """Access keys of declared users, made after all changes."""
    failure: tuple[Change, MoorageError] | None = None
    """The first change that is known to fail."""

    @property
    def everything(self) -> Sequence[Planned]:
        return (*self.changes, *self.keys)
