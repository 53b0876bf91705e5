"""Findings on Principal and NotPrincipal: who is named, and whether that is too broad."""

from collections.abc import Iterator
from typing import Final

from moorage.policy.catalog.actions import ECR_ACTIONS
from moorage.policy.language.elements import ConditionTest, Entry, Listed, StatementElements
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.coverage import ON_REPOSITORY, PERMISSIONS, covered
from moorage.policy.lint.finding import Finding, Fix
from moorage.policy.lint.subject import OF_ECR, Subject, shown
from moorage.policy.matching.principal import account_named, is_unique_id

_NARROWING: Final = frozenset(
    {
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:userid",
        "aws:username",
        "aws:sourceip",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:vpcsourceip",
        "aws:principalservicename",
        "aws:sourceidentity",
        "aws:federatedprovider",
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "sts:externalid",
    }
)
"""Keys that identify the caller or where the request comes from."""
_ORGANIZATION: Final = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
_WHO: Final = frozenset({"aws:principalaccount", "aws:principalarn", "aws:userid", "aws:username"})
"""Keys by which a statement excludes or selects callers of an organization."""
_OF_SOURCE: Final = frozenset({"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"})


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    for one in subject.statements:
        principal = one.principal
        if principal is None:
            continue
        yield from _references(subject, principal)
        yield from _redundant(subject, principal)
        if subject.kind is Kind.RCP:
            continue
        if principal.negated:
            yield from _negated(subject, one, principal)
        elif one.effect == "Allow":
            yield from _public(subject, one, principal)
            yield from _organization(subject, one, principal)
            yield from _services(subject, one, principal)
            if subject.kind in OF_ECR:
                yield from _other_accounts(subject, one, principal)


def _references(subject: Subject, principal: Listed) -> Iterator[Finding]:
    for entry in principal.entries:
        if entry.key == "AWS" and is_unique_id(entry.text):
            what = "user" if entry.text.startswith("AIDA") else "role"
            message = (
                f"{shown(entry.text)} is the id that a deleted {what} leaves behind; it names no {what} made since."
            )
            yield subject.finding(f"INVALID_{what.upper()}_REFERENCE", entry.at, message)


def _redundant(subject: Subject, principal: Listed) -> Iterator[Finding]:
    if len(principal.entries) < 2:
        return
    seen: set[tuple[str, str]] = set()
    everyone = any(entry.text == "*" for entry in principal.entries)
    for entry in principal.entries:
        name = (entry.key, account_named(entry.text) or entry.text)
        covered_by_everyone = everyone and entry.key == "AWS" and entry.text != "*"
        if name in seen or covered_by_everyone:
            by = "* names everyone already" if covered_by_everyone else "it is named twice"
            edits = (subject.removed(entry.at),) if subject.among_others(entry.at) else ()
            fix = Fix(CODES["REDUNDANT_PRINCIPAL"].fix, edits, safe=bool(edits))
            yield subject.finding("REDUNDANT_PRINCIPAL", entry.at, f"{shown(entry.text)}: {by}.", fix)
        seen.add(name)


def _negated(subject: Subject, one: StatementElements, principal: Listed) -> Iterator[Finding]:
    if one.effect == "Allow":
        message = "Using Allow with NotPrincipal allows everyone else, anonymous callers too."
        yield subject.finding("ALLOW_WITH_NOT_PRINCIPAL", principal.at, message, key=True)
    elif one.effect == "Deny":
        message = "Deny with NotPrincipal hits every caller that has a permissions boundary, listed here or not."
        yield subject.finding("DENY_WITH_NOT_PRINCIPAL", principal.at, message, key=True)


def _public(subject: Subject, one: StatementElements, principal: Listed) -> Iterator[Finding]:
    everyone = [entry for entry in principal.entries if entry.text == "*" and entry.key == "AWS"]
    if not everyone or any(_narrows(test) for test in one.tests):
        return
    message = "Everyone in every account is allowed this, and where anonymous pull is on, the whole network."
    if subject.kind is Kind.TRUST:
        message = "Everyone in every account may assume this role."
    yield subject.finding("PUBLIC_PRINCIPAL", everyone[0].at, message)


def _organization(subject: Subject, one: StatementElements, principal: Listed) -> Iterator[Finding]:
    """Yield findings on grants to `*`, which in the resource's own account apply without the caller's policies.

    See docs/development/policy-engine.md §2.3, steps 5a and 7: identity policies, permissions boundaries and session
    policies are not evaluated.
    """
    everyone = [entry for entry in principal.entries if entry.text == "*" and entry.key == "AWS"]
    keys = {test.key.lower() for test in one.tests}
    by_organization = [test for test in one.tests if test.key.lower() in _ORGANIZATION and _narrows(test)]
    if not everyone or not by_organization or keys & _WHO:
        return
    whose = f"account {subject.account}" if subject.account else "the account that owns it"
    message = (
        f"In {whose} this grant needs no identity policy, and goes past permissions boundaries and session policies."
    )
    yield subject.finding("ORGANIZATION_GRANT_SKIPS_BOUNDARIES", everyone[0].at, message)


def _narrows(test: ConditionTest) -> bool:
    """Return whether only some callers can pass this test: a positive operator that no missing key and no wildcard
    passes."""
    operator = test.operator
    if test.key.lower() not in _NARROWING or operator.base is None or operator.base.negated or operator.if_exists:
        return False
    if operator.qualifier == "ForAllValues:":
        return False
    return all(value.text.strip("*?") and not value.text.endswith("/0") for value in test.values)


def _services(subject: Subject, one: StatementElements, principal: Listed) -> Iterator[Finding]:
    services = [entry for entry in principal.entries if entry.key == "Service"]
    if not services or subject.kind not in OF_ECR or any(test.key.lower() in _OF_SOURCE for test in one.tests):
        return
    for entry in services:
        message = f"{shown(entry.text)} may act here for anyone's resources, in any account."
        yield subject.finding("RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", entry.at, message)


def _other_accounts(subject: Subject, one: StatementElements, principal: Listed) -> Iterator[Finding]:
    actions = covered(one.action)
    dangerous = actions & PERMISSIONS & ON_REPOSITORY if subject.kind is Kind.REPOSITORY else actions & PERMISSIONS
    if not dangerous:
        return
    what = "every action" if actions >= ON_REPOSITORY else ", ".join(f"ecr:{name}" for name in _in_order(dangerous))
    others: dict[str, str] = {}
    for entry in principal.entries:
        account = _account_of(entry)
        if account is not None and account != subject.account:
            others.setdefault(account, entry.at)
    if others:
        unless = "" if subject.account else "; if the owner is meant, name it with --account"
        message = f"{_listed(list(others))} allowed {what}, and so to rewrite this policy{unless}."
        yield subject.finding("OVERBROAD_CROSS_ACCOUNT", next(iter(others.values())), message)


def _listed(accounts: list[str]) -> str:
    if len(accounts) == 1:
        return f"Account {accounts[0]} is"
    return f"{len(accounts)} accounts ({', '.join(accounts[:2])}{', …' if len(accounts) > 2 else ''}) are"


def _account_of(entry: Entry) -> str | None:
    if entry.key != "AWS" or entry.text == "*" or is_unique_id(entry.text):
        return None
    return account_named(entry.text) or entry.text.split(":")[4]


def _in_order(names: frozenset[str]) -> list[str]:
    return [name for name in ECR_ACTIONS if name in names]
