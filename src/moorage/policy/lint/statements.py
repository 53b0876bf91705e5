"""Findings on statements: ids, redundancy, statements without effect, and actions that need each other."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from moorage.policy.catalog.actions import SIGN_IN
from moorage.policy.language.elements import Entry, Listed, StatementElements
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.coverage import PULL, PUSH, UPLOAD, covered, listed, union
from moorage.policy.lint.finding import Finding, Fix
from moorage.policy.lint.subject import OF_ECR, Subject, shown
from moorage.policy.matching.principal import account_named

_GRANTING: Final = frozenset({Kind.REPOSITORY, Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION})
_DENIES: Final = 50
"""Deny statements that each Allow is compared with."""
_LOGIN: Final = SIGN_IN.removeprefix("ecr:")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    yield from _sids(subject)
    yield from _redundant(subject)
    yield from _denied(subject)
    if subject.kind in OF_ECR and subject.account is not None:
        yield from _own_account(subject, subject.account)
    if subject.kind in _GRANTING and subject.all_sound:
        allows = [one for one in subject.sound if one.effect == "Allow"]
        yield from _incomplete(subject, allows)
        if subject.kind is Kind.IDENTITY:
            yield from _token(subject, allows)


def _sids(subject: Subject) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for one in subject.statements:
        at = f"{one.at}/Sid"
        if one.sid == "":
            fix = Fix(CODES["EMPTY_SID_VALUE"].fix, (subject.removed(at),), safe=True)
            yield subject.finding("EMPTY_SID_VALUE", at, "The Sid is empty.", fix)
        elif one.sid is not None and one.sid in seen and not subject.kind.rules.plain_sids:
            first = seen[one.sid] + 1
            yield subject.finding("UNIQUE_SIDS_RECOMMENDED", at, f"Statement {first} has the Sid {shown(one.sid)} too.")
        elif one.sid is not None:
            seen[one.sid] = one.number


def _redundant(subject: Subject) -> Iterator[Finding]:
    seen: dict[Hashable, int] = {}
    outlines = [_outline(one) for one in subject.sound]
    alike = Counter(outlines)
    if len(alike) == len(outlines):
        return
    for one, outline in zip(subject.sound, outlines, strict=True):
        if alike[outline] == 1:
            continue
        meaning = _meaning(one)
        if meaning in seen:
            fix = Fix(CODES["REDUNDANT_STATEMENT"].fix, (subject.removed(one.at),), safe=True)
            first = seen[meaning] + 1
            yield subject.finding("REDUNDANT_STATEMENT", one.at, f"Statement {first} says the same.", fix)
        else:
            seen[meaning] = one.number


def _outline(one: StatementElements) -> Hashable:
    """Return what statements with the same meaning share and most others do not; it is cheaper to compute than the
    meaning."""
    principal = one.principal
    return one.effect, principal and (principal.negated, min(principal.texts, default=""))


def _meaning(one: StatementElements) -> Hashable:
    tests = frozenset(
        (test.operator.text, test.key.lower(), frozenset(entry.text for entry in test.values)) for test in one.tests
    )
    action = (one.action.negated, frozenset(text.lower() for text in one.action.texts))
    return one.effect, _named(one.principal), action, _named(one.resource), tests


def _named(element: Listed | None) -> Hashable:
    return element and (element.negated, frozenset((entry.key, entry.text) for entry in element.entries))


def _denied(subject: Subject) -> Iterator[Finding]:
    """Yield findings on Allow statements that a Deny without a condition covers entirely."""
    denies = [one for one in subject.sound if one.effect == "Deny" and not one.tests][:_DENIES]
    for allow in subject.sound:
        if allow.effect != "Allow" or not denies:
            continue
        for deny in denies:
            if _covers_principal(deny, allow) and _covers_action(deny, allow) and _covers_resource(deny, allow):
                message = f"Statement {deny.number + 1} denies all that this statement allows."
                yield subject.finding("NO_EFFECT", f"{allow.at}/Effect", message)
                break


def _covers_principal(deny: StatementElements, allow: StatementElements) -> bool:
    if deny.principal is None or allow.principal is None:
        return deny.principal is allow.principal
    if deny.principal.negated:
        return False
    named = {(entry.key, entry.text) for entry in deny.principal.entries}
    wanted = {(entry.key, entry.text) for entry in allow.principal.entries}
    return ("AWS", "*") in named or (not allow.principal.negated and wanted <= named)


def _covers_action(deny: StatementElements, allow: StatementElements) -> bool:
    if deny.action.negated or allow.action.negated:
        return False
    named = {text.lower() for text in deny.action.texts}
    if "*" in named:
        return True
    wanted = {text.lower() for text in allow.action.texts}
    of_ecr = all(text.startswith("ecr:") for text in wanted)
    return wanted <= named or (of_ecr and bool(covered(allow.action)) and covered(allow.action) <= covered(deny.action))


def _covers_resource(deny: StatementElements, allow: StatementElements) -> bool:
    if deny.resource is None or allow.resource is None:
        return deny.resource is allow.resource
    if deny.resource.negated:
        return False
    named = set(deny.resource.texts)
    return "*" in named or (not allow.resource.negated and set(allow.resource.texts) <= named)


def _own_account(subject: Subject, account: str) -> Iterator[Finding]:
    for one in subject.sound:
        principal = one.principal
        if one.effect != "Allow" or principal is None or principal.negated:
            continue
        if all(entry.key == "AWS" and account_named(entry.text) == account for entry in principal.entries):
            yield subject.finding(
                "NO_EFFECT",
                principal.at,
                f"Account {account} owns the repository: naming it allows nothing that its identity policies do not.",
                Fix("Remove the statement, or name the users and roles that it is meant for."),
            )


def _incomplete(subject: Subject, allows: Sequence[StatementElements]) -> Iterator[Finding]:
    allowed = union(covered(one.action) for one in allows)
    lacking = [name for name in PULL if name not in allowed]
    if "BatchGetImage" in allowed and lacking:
        yield from _lacking(subject, allows, "INCOMPLETE_PULL", frozenset({"BatchGetImage"}), lacking, "pull")
    lacking = [name for name in PUSH if name not in allowed]
    if allowed & UPLOAD and lacking:
        yield from _lacking(subject, allows, "INCOMPLETE_PUSH", UPLOAD, lacking, "push")


def _lacking(
    subject: Subject,
    allows: Sequence[StatementElements],
    code: str,
    starts: frozenset[str],
    lacking: Sequence[str],
    what: str,
) -> Iterator[Finding]:
    names = ", ".join(f"ecr:{name}" for name in lacking)
    for one in allows:
        for entry in one.action.entries:
            if listed(entry.text) & starts and not one.action.negated:
                edit = subject.added(one.action, [f"ecr:{name}" for name in lacking])
                message = f"{shown(entry.text)} is allowed, but a {what} needs {names} as well."
                yield subject.finding(code, entry.at, message, Fix(f"Allow {names} too.", (edit,)))
                return


def _token(subject: Subject, allows: Sequence[StatementElements]) -> Iterator[Finding]:
    """Yield findings on GetAuthorizationToken, which has no resource: only Resource * allows it
    (docs/development/policy-engine.md §2.5)."""
    useful = [one for one in allows if _LOGIN in covered(one.action)]
    if any(_everything(one.resource) for one in useful):
        return
    for one in useful:
        for entry in one.action.entries:
            if entry.text.lower() == f"ecr:{_LOGIN}".lower():
                yield _token_on_arn(subject, entry)
                return
    clients = frozenset({*PULL, *PUSH})
    for one in allows:
        for entry in one.action.entries:
            if listed(entry.text) & clients and not one.action.negated:
                message = (
                    "Pulling or pushing is allowed, but not ecr:GetAuthorizationToken, without which no one logs in."
                )
                fix = Fix(
                    'Add {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},'
                    " unless another policy has it."
                )
                yield subject.finding("MISSING_AUTH_TOKEN", entry.at, message, fix)
                return


def _token_on_arn(subject: Subject, entry: Entry) -> Finding:
    message = "ecr:GetAuthorizationToken has no resource, so it is never allowed on an ARN."
    return subject.finding(
        "MISSING_AUTH_TOKEN", entry.at, message, Fix('Move it to a statement of its own with "Resource": "*".')
    )


def _everything(resource: Listed | None) -> bool:
    if resource is None:
        return True
    stars = any(not text.strip("*") for text in resource.texts)
    return stars is not resource.negated
