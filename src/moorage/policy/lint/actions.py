"""Findings on Action and NotAction: unknown names, patterns that match nothing, and actions that are too broad."""

from collections.abc import Iterator, Mapping
from typing import Final

from moorage.policy.catalog.actions import (
    ECR_ACTIONS,
    MOORAGE,
    MOORAGE_ACTIONS,
    authorizing_action,
    ecr_action,
    is_on_repository,
    moorage_action,
    operation_without_action,
)
from moorage.policy.catalog.services import SERVICES, is_service
from moorage.policy.language.elements import Entry, StatementElements
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.coverage import ON_REPOSITORY, listed
from moorage.policy.lint.finding import Finding, Fix
from moorage.policy.lint.subject import OF_ECR, Subject, shown
from moorage.policy.matching.action import EVERYTHING, Actions

_EVERY_OF_ECR = "ecr:*"
_PLAIN_ANYWHERE: Final = frozenset(f"ecr:{name}" for name in ECR_ACTIONS)
_PLAIN: Final[Mapping[Kind, frozenset[str]]] = {Kind.TRUST: frozenset()}
"""Actions without findings: in AWS's spelling, in a policy of a kind that may name them."""
_COMPARED: Final = 50
"""Patterns with a wildcard before the end that each action is compared with."""


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    for one in subject.unsettled:
        plain = _PLAIN.get(subject.kind, _PLAIN_ANYWHERE)
        for entry in one.action.entries:
            if entry.text not in plain:
                yield from _entry(subject, entry)
        yield from _redundant(subject, one)
        yield from _not_denied(subject, one)
        if one.action.negated and one.effect == "Allow":
            message = "Allow with NotAction allows every other action, of every service and of those still to come."
            if subject.kind in OF_ECR:
                message = "Allow with NotAction allows every other action of ECR, and those still to come."
            yield subject.finding("ALLOW_WITH_NOT_ACTION", one.action.at, message, key=True)


def _entry(subject: Subject, entry: Entry) -> Iterator[Finding]:
    """Yield the finding on one entry: at most one, the first that applies."""
    text = entry.text
    service, _, name = text.partition(":")
    if text == EVERYTHING:
        return
    if "${" in text:
        yield subject.finding(
            "VARIABLE_UNSUPPORTED_IN_ELEMENT", entry.at, "Action has no variables: this is plain text."
        )
    elif text != "".join(text.split()) or "," in text:
        yield subject.finding("UNKNOWN_ACTION", entry.at, f"{shown(text)} has a space or comma, so it matches nothing.")
    elif _wild(service):
        yield _wild_service(subject, entry, service, name)
    elif service.lower() == "ecr" and (operation := operation_without_action(name)) is not None:
        action = authorizing_action(operation)
        message = f"ecr:{operation} is an operation but no action; {action} decides it."
        fix = Fix(f"Use {action}.", (subject.replaced(entry.at, action),))
        yield subject.finding("REFERRERS_NEED_BATCH_GET_IMAGE", entry.at, message, fix)
    elif service.lower() == MOORAGE and subject.kind is not Kind.TRUST:
        yield from _moorage(subject, entry, name)
    elif _wild(name):
        yield from _pattern(subject, entry, service)
    elif service.lower() == "ecr" and ecr_action(name) is None:
        near = subject.suggestion(name, ECR_ACTIONS)
        meant = None if near is None else Fix(f"Did you mean ecr:{near}?", (subject.replaced(entry.at, f"ecr:{near}"),))
        yield subject.finding("UNKNOWN_ACTION", entry.at, f"ECR has no action {shown(name) or '(empty)'}.", meant)
    elif subject.kind is Kind.TRUST and service.lower() != "sts":
        message = f"A trust policy is asked for actions of sts only; {shown(text)} is never asked."
        yield subject.finding("ACTION_MATCHES_NOTHING", entry.at, message)
    elif not is_service(service):
        near = subject.suggestion(service, SERVICES)
        meant = None if near is None else Fix(f"Did you mean {near}:{shown(name)}?")
        yield subject.finding("UNKNOWN_SERVICE", entry.at, f"No service {shown(service)} is known here.", meant)


def _wild_service(subject: Subject, entry: Entry, service: str, name: str) -> Finding:
    if service == "*" and name and not name.strip("*"):
        fix = Fix("Use *.", (subject.replaced(entry.at, "*"),), safe=True)
        message = f"{shown(entry.text)} is read as *; IAM refuses a wildcard in the service of an action."
        return subject.finding("WILDCARD_IN_SERVICE_NAME", entry.at, message, fix)
    message = f"A wildcard in the service name is not read: {shown(entry.text)} matches nothing, and IAM refuses it."
    return subject.finding("WILDCARD_IN_SERVICE_NAME", entry.at, message)


def _moorage(subject: Subject, entry: Entry, name: str) -> Iterator[Finding]:
    """Yield the finding on one of Moorage's own actions: an unknown name, or a pattern that matches none of those
    allowed."""
    if _wild(name):
        actions = Actions((entry.text,), negated=False)
        found = {known for known in MOORAGE_ACTIONS if actions.match(f"{MOORAGE}:{known.lower()}")}
        if subject.kind in OF_ECR:
            found = {known for known in found if is_on_repository(known)}
        if not found:
            where = " on a repository" if subject.kind in OF_ECR else ""
            message = f"No action of Moorage{where} matches {shown(entry.text)}."
            yield subject.finding("ACTION_MATCHES_NOTHING", entry.at, message)
    elif moorage_action(name) is None:
        near = subject.suggestion(name, MOORAGE_ACTIONS)
        meant = None
        if near is not None:
            action = f"{MOORAGE}:{near}"
            meant = Fix(f"Did you mean {action}?", (subject.replaced(entry.at, action),))
        yield subject.finding("UNKNOWN_ACTION", entry.at, f"Moorage has no action {shown(name) or '(empty)'}.", meant)


def _not_denied(subject: Subject, one: StatementElements) -> Iterator[Finding]:
    """Yield findings on a Deny that denies all of ECR on repositories, and forgets Moorage's own actions."""
    if subject.kind is not Kind.RCP or one.effect != "Deny" or one.action.negated:
        return
    every = next((entry for entry in one.action.entries if entry.text.lower() == _EVERY_OF_ECR), None)
    others = {entry.text.lower().partition(":")[0] for entry in one.action.entries} & {EVERYTHING, MOORAGE}
    if every is not None and not others:
        message = f"{every.text} does not cover Moorage's own actions on repositories, such as {MOORAGE}:Purge."
        fix = Fix(CODES["MOORAGE_ACTIONS_NOT_DENIED"].fix, (subject.added(one.action, [f"{MOORAGE}:*"]),))
        yield subject.finding("MOORAGE_ACTIONS_NOT_DENIED", every.at, message, fix)


def _pattern(subject: Subject, entry: Entry, service: str) -> Iterator[Finding]:
    if service.lower() != "ecr":
        return
    found = listed(entry.text)
    if subject.kind is Kind.REPOSITORY and found and not found & ON_REPOSITORY:
        message = f"{shown(entry.text)} matches only actions on the registry, which no repository policy grants."
        yield subject.finding("ACTION_MATCHES_NOTHING", entry.at, message)
    elif not found:
        yield subject.finding("ACTION_MATCHES_NOTHING", entry.at, f"No action of ECR matches {shown(entry.text)}.")


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


def _redundant(subject: Subject, one: StatementElements) -> Iterator[Finding]:
    """Yield findings on entries that another entry covers: an equal one, or a pattern. The place decides."""
    entries = one.action.entries
    lowered = [entry.text.lower() for entry in entries]
    patterns = [place for place, text in enumerate(lowered) if _wild(text)]
    if not patterns and len(set(lowered)) == len(entries):
        return
    service = subject.kind.rules.granted_service if one.effect == "Allow" and not one.action.negated else None
    everything = next((place for place in patterns if lowered[place] == EVERYTHING), len(entries))
    starts: dict[str, int] = {}
    others: list[tuple[int, Actions]] = []
    for place in patterns:
        text = lowered[place]
        if text == EVERYTHING:
            continue
        if text.endswith("*") and not _wild(text[:-1]):
            starts.setdefault(text[:-1], place)
        elif len(others) < _COMPARED:
            others.append((place, Actions((text,), negated=False, service=service)))
    seen: set[str] = set()
    for entry, text in zip(entries, lowered, strict=True):
        by = None
        if text in seen:
            by = text
        else:
            covering = [everything] if service is None or text.startswith(f"{service}:") else []
            found = [text[:end] for end in range(len(text) + 1) if text[:end] in starts]
            if _wild(text):
                covering += [starts[start] for start in found]
            else:  # a pattern matches only actions of its own service
                covering += [starts[start] for start in found if ":" in start]
                covering += [place for place, actions in others if actions.match(text)]
            first = min((place for place in covering if place < len(entries) and lowered[place] != text), default=None)
            by = None if first is None else entries[first].text
        seen.add(text)
        if by is not None and subject.among_others(entry.at):
            message = f"{shown(entry.text)} is covered by {'itself' if by == text else shown(by)} in the same element."
            fix = Fix(CODES["REDUNDANT_ACTION"].fix, (subject.removed(entry.at),), safe=True)
            yield subject.finding("REDUNDANT_ACTION", entry.at, message, fix)
