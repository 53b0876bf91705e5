"""Lint: what is wrong, dangerous or pointless in a policy, where it stands, and what to do about it. Pure."""

from moorage.policy.lint.codes import CODES, Code, Severity
from moorage.policy.lint.finding import Edit, Finding, Fix, Position
from moorage.policy.lint.fixing import applied, fixed
from moorage.policy.lint.guess import guess_kind
from moorage.policy.lint.lint import Report, lint

__all__ = [
    "CODES",
    "Code",
    "Edit",
    "Finding",
    "Fix",
    "Position",
    "Report",
    "Severity",
    "applied",
    "fixed",
    "guess_kind",
    "lint",
]
