"""The result of `moorage policy generate`: a policy, with what is known about it."""

import msgspec
from msgspec import UNSET, UnsetType

from moorage.analysis.progress import AnswerLine
from moorage.analysis.replay_report import ReplayReport


class GeneratedPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """The smallest policy that allows the recorded requests."""

    policy: str | None
    """Its text; None if nothing has to be allowed."""
    requests: int
    """Number of allowed requests that it was generated from."""
    findings: list[str]
    """Lint findings: severity, code and message."""
    gone: list[str]
    """Principals that made requests and no longer exist. A policy cannot name them."""
    kept_denies: int
    """Number of Deny statements that were taken over from the policy in force."""
    too_long: bool
    """Whether it is longer than a repository policy may be."""
    replay: ReplayReport | None
    """How the recorded requests would be decided under it, compared with how they were; None for identity policies."""
    dropped: list[str] = msgspec.field(default_factory=list)
    """Conditions of existing Allow statements that the generated policy does not have. For an identity policy these are
    statements that allowed the recorded requests, otherwise those of the repository policy in force."""
    unallowed: int = 0
    """Of an identity policy: number of different allowed requests that it would not allow alone."""


class GenerateLine(AnswerLine, frozen=True, kw_only=True, rename="camel"):
    """A line of the answer of `POST /_moorage/policy/generate`."""

    generated: GeneratedPolicy | UnsetType = UNSET
