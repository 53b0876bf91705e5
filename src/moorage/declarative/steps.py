"""A step: one operation of an API that a change carries out, with everything that it is decided on.

The plan of a file is a list of steps. The list is decided as a whole, and then carried out in one transaction, so
nothing is done that was not decided.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection as SqlConnection

from moorage.access.caller import Caller, Connection
from moorage.access.operations import Conditions
from moorage.access.resources import Resource
from moorage.declarative.changes import Change
from moorage.names import AccountId
from moorage.settings import Settings

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
"""Every action that a step may be decided on. Only the operator, who needs no decision, may CreateAccount."""


class Author(NamedTuple):
    """Who applies a file."""

    by: str
    """The name in histories and events."""
    call: tuple[Caller, Connection] | None
    """The caller and the connection. None: the operator of the machine, whom no policy binds."""


class IssuedKey(NamedTuple):
    """An access key with its secret, which is shown once."""

    account: AccountId
    user: str | None
    """None: a key of the root."""
    id: str
    secret: str


class Execution(NamedTuple):
    """The transaction in which a plan is carried out."""

    conn: SqlConnection
    settings: Settings
    by: str
    """The author, for histories and events."""
    at: float
    """When, in seconds since the epoch."""


Run: TypeAlias = Callable[[Execution], object]
"""Carries a step out. It does nothing but talk to the connection, because a transaction may run more than once.

An IssuedKey that it returns is shown to the author; any other result is dropped.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. ValueError without an action or a resource, so that no step goes undecided."""

    action: str
    """One of `ACTIONS`."""
    resources: Sequence[Resource]
    """The action must be allowed on each."""
    conditions: Conditions
    """The condition keys that the operation of the API would add, in lower case."""
    run: Run
    aspect: str = ""
    """Which part of the entity it changes (`attached/ARN`, `boundary`, …); empty for the entity itself."""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS or not self.resources:
            raise ValueError(f"a step is decided on an action and a resource: {self.action!r}, {self.resources!r}")


class PlannedChange(NamedTuple):
    """A change with its steps."""

    change: Change
    steps: Sequence[Step]

    def where(self, step: Step) -> str:
        """Return the entity and its aspect, for messages."""
        named = f"{self.change.section}/{self.change.label}"
        return f"{named}, {step.aspect}" if step.aspect else named


class Plan(NamedTuple):
    """Everything that a file does."""

    changes: Sequence[PlannedChange]
    keys: Sequence[PlannedChange] = ()
    """Access keys of declared users, created after all changes."""

    @property
    def everything(self) -> Sequence[PlannedChange]:
        return (*self.changes, *self.keys)
