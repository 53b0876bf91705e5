"""The request and the answer of `POST /_moorage/access`: who may do what with which repositories."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

CAPABILITIES: Final = ("pull", "push", "delete", "administer")
"""The columns of the matrix. A principal with one of the administrative actions may administer; of the other
capabilities it needs all actions."""

AccessAnswer = Literal["yes", "no", "depends"]


class PolicyVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names a policy of a repository; by default the one in force."""

    text: str | None = None
    hash: str | None = None
    at: float | None = None
    """The policy that was in force at that time, in seconds since the epoch."""
    repository: str | None = None
    """The policy of another repository in the same account and region."""


class AccessRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Name a repository or a principal (ARN). `given`: condition keys with fixed values."""

    repository: str | None = None
    principal: str | None = None
    account: str | None = None
    version: PolicyVersion = PolicyVersion()
    before: PolicyVersion | None = None
    given: dict[str, str] = msgspec.field(default_factory=dict)
    after: str = ""
    """`next` of the previous page."""


class AccessCell(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a principal has one capability."""

    answer: AccessAnswer
    conditions: list[str]
    """What the answer depends on, in words."""
    missing: list[str]
    """Actions that are denied in every case."""


class AccessRow(msgspec.Struct, frozen=True, rename="camel"):
    """The capabilities of one principal in one repository."""

    who: str
    """ARN, or what the row stands for, such as `any other account`."""
    kind: str
    repository: str
    """ARN."""
    cells: Mapping[str, AccessCell]
    """By capability."""
    before: Mapping[str, AccessCell] | None = None
    """Of a comparison: the cells under the policy that is compared with."""
    note: str = ""


class WidenedAccess(msgspec.Struct, frozen=True, rename="camel"):
    """A principal that may use an action under more conditions than before."""

    who: str
    action: str
    before: AccessAnswer
    after: AccessAnswer
    conditions: list[str]
    certain: bool
    """Whether more is allowed in any case; otherwise it could not be ruled out."""


class AccessPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of the matrix."""

    rows: list[AccessRow]
    widened: list[WidenedAccess] | None
    """Of a comparison: which of these principals may do more than before."""
    next: str | None
    """`after` of the request for the next page; None for the last page."""


class AccessMatrix(msgspec.Struct, frozen=True, rename="camel"):
    """All pages of a matrix in one."""

    rows: list[AccessRow]
    widened: list[WidenedAccess] | None
