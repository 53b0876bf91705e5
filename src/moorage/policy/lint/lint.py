"""Runs lint: every error of the grammar, then every rule on what is valid."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import Parsed, parsed
from moorage.policy.lint import actions, conditions, document, principals, resources, statements, variables
from moorage.policy.lint.codes import Severity
from moorage.policy.lint.finding import Finding
from moorage.policy.lint.repairs import explained
from moorage.policy.lint.subject import Subject, statements_of

MAX_FINDINGS: Final = 500
"""If there are more, the most severe are kept."""
MAX_ENTRIES: Final = 2000
"""Texts (actions, principals, resources, condition values) and statements that the rules look at."""
MAX_PATTERNS: Final = 300
"""The action patterns among them, each of which is compared with every action."""

Rule = Callable[[Subject], Iterator[Finding]]

_RULES: Final[tuple[Rule, ...]] = (document.check, statements.check, principals.check)
_TEMPLATE_RULES: Final[tuple[Rule, ...]] = (actions.check, resources.check, conditions.check, variables.check)
"""Rules that look at each statement by itself, without its principals."""


class Report(NamedTuple):
    """The findings, in the order of the text."""

    findings: tuple[Finding, ...]
    left_out: int
    """Findings beyond MAX_FINDINGS, the least severe. For a text with a thousand errors and more, it is a lower bound.
    """

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    def worst(self) -> Severity | None:
        return min((finding.severity for finding in self.findings), key=lambda one: one.rank, default=None)


_CLEAN: Final = Report((), 0)


def lint(text: str, kind: Kind, *, account: str | None = None) -> Report:
    """Lint `text` as a policy of `kind`. Never raise; take a bounded time for any text.

    There is an ERROR if and only if `parse` refuses the text, because both use the same grammar. `account` (12 digits):
    the owner of the repository, if known; some findings need it.
    """
    return lint_parsed(parsed(text, kind), account=account)


def lint_parsed(policy: Parsed, *, account: str | None = None) -> Report:
    """Lint a text that is parsed already."""
    subject = Subject(policy, account)
    findings = [explained(subject, error) for error in policy.errors]
    if _too_long(policy):
        findings.append(subject.finding("TOO_LONG_TO_ANALYZE", "", "The policy lists more than lint looks at."))
    elif policy.complete:
        findings += (finding for rule in _RULES for finding in rule(subject))
        findings += _of_templates(subject)
    return _report(findings)


def _of_templates(subject: Subject) -> list[Finding]:
    """Yield the findings of the rules on templates, which look at a template once if they find nothing in it."""
    if not subject.unsettled:
        return []
    found = [finding for rule in _TEMPLATE_RULES for finding in rule(subject)]
    if subject.policy.templates:
        pointed = {at for finding in found for at in statements_of(finding.pointer)}
        for one, template in zip(subject.statements, subject.policy.templates, strict=True):
            if template is not None and one.at not in pointed:
                template.silent = True
    return found


def _too_long(policy: Parsed) -> bool:
    text = policy.text
    # Every JSON value follows one of these characters; the only value of a condition key counts twice, as its key does.
    most_entries = 2 * sum([text.count(mark) for mark in ":,[{"])
    if most_entries <= MAX_ENTRIES and "\\" not in text and text.count("*") + text.count("?") <= MAX_PATTERNS:
        return False  # nothing to count
    entries = patterns = 0
    for one in policy.elements.statements:
        listed = [element for element in (one.principal, one.action, one.resource) if element is not None]
        entries += 1 + sum(len(element.entries) for element in listed)
        entries += sum(1 + len(test.values) for test in one.tests)
        patterns += sum("*" in entry.text or "?" in entry.text for entry in one.action.entries)
    return entries > MAX_ENTRIES or patterns > MAX_PATTERNS


def _report(findings: list[Finding]) -> Report:
    if not findings:
        return _CLEAN
    unique = list(dict.fromkeys(findings))
    kept = sorted(unique, key=lambda one: one.severity.rank)[:MAX_FINDINGS]
    kept.sort(key=lambda one: (one.start.offset, one.severity.rank))
    return Report(tuple(kept), len(unique) - len(kept))
