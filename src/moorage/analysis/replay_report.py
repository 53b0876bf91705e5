"""The result of a replay: who would lose access, who would gain it, and for whom nothing would change."""

import msgspec
from msgspec import UNSET, UnsetType

from moorage.analysis.progress import AnswerLine


class ChangeExample(msgspec.Struct, frozen=True, rename="camel"):
    """A recorded decision that would be different."""

    decision: str
    time: str
    principal: str
    source_ip: str
    reason: str
    """Why it would be decided so, in a few words."""


class ChangedAccess(msgspec.Struct, frozen=True, rename="camel"):
    """Requests of one principal for one action that would be decided differently."""

    principal: str
    action: str
    requests: int
    first: str
    last: str
    examples: list[ChangeExample]
    """The newest."""


class UnchangedAccess(msgspec.Struct, frozen=True, rename="camel"):
    """A principal for whom nothing would change, with the numbers of its allowed and denied requests."""

    principal: str
    allowed: int
    denied: int


class ReplayReport(msgspec.Struct, frozen=True, rename="camel"):
    """What would change. Numbers count requests unless they say otherwise."""

    requests: int
    decisions: int
    """Rows of the audit record: equal allowed requests of an hour share one."""
    lost_requests: int
    gained_requests: int
    still_allowed: int
    still_denied: int
    lost_principals: int
    gained_principals: int
    unchanged_principals: int
    lost: list[ChangedAccess]
    gained: list[ChangedAccess]
    unchanged: list[UnchangedAccess]
    decided_otherwise: int
    """Requests that were decided differently when they were made than the policy they are compared with decides now."""
    unreadable: int
    """Decisions that cannot be evaluated again, because a shared value is no longer stored or a value that the policies
    read is truncated. They are not counted anywhere else."""


class ReplayLine(AnswerLine, frozen=True, kw_only=True, rename="camel"):
    """A line of the answer of `POST /_moorage/policy/try`."""

    report: ReplayReport | UnsetType = UNSET
