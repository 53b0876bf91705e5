"""Lint: what is wrong, dangerous or pointless in a policy, where it is, and how to fix it. It does no I/O."""

from moorage.policy.lint.access_analyzer import as_validate_policy
from moorage.policy.lint.codes import CODES, Code, Severity
from moorage.policy.lint.finding import Edit, Finding, Fix, Position
from moorage.policy.lint.fixing import applied, fixed
from moorage.policy.lint.guess import guess_kind
from moorage.policy.lint.header import as_header
from moorage.policy.lint.lint import Report, lint, lint_parsed
from moorage.policy.lint.sarif import as_sarif

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
    "as_header",
    "as_sarif",
    "as_validate_policy",
    "fixed",
    "guess_kind",
    "lint",
    "lint_parsed",
]
