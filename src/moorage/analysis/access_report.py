"""The answer of `moorage access` and `POST /_moorage/access`: who may do what with which repositories."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

CAPABILITIES: Final = ("pull", "push", "delete", "administer")
"""The columns of the matrix. A principal with one of the administrative actions may administer; of the other
capabilities it needs all actions."""

AccessAnswer = Literal["yes", "no", "depends"]


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
