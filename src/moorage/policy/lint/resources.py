"""Findings on Resource and NotResource: ARNs that match nothing, and resources that cover everything."""

import re
from collections.abc import Iterator
from typing import Final

from moorage.policy.language.elements import WITH_VARIABLES, Entry, Listed, StatementElements
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.coverage import ON_REPOSITORY, covered
from moorage.policy.lint.finding import Finding, Fix
from moorage.policy.lint.subject import Subject, shown
from moorage.policy.matching.arn import PARTS, has_wildcard_in_type

_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ARN: Final = "arn:aws:ecr:REGION:ACCOUNT:repository/NAME"
_TAG_KEYS: Final = ("aws:resourcetag/", "ecr:resourcetag/", "aws:resourceaccount")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    for one in subject.unsettled:
        if one.resource is None:
            continue
        only_ecr = all(text.lower().startswith("ecr:") for text in one.action.texts)
        for entry in one.resource.entries:
            yield from _entry(subject, entry, only_ecr and bool(one.action.entries))
        yield from _redundant(subject, one.resource)
        yield from _everything(subject, one, one.resource)
        yield from _registry_action(subject, one, one.resource)


def _entry(subject: Subject, entry: Entry, only_ecr: bool) -> Iterator[Finding]:
    text = entry.text
    if not text.strip("*"):
        return
    fields = text.split(":", PARTS - 1)
    if len(fields) < PARTS:
        message = f"{shown(text)} has {len(fields)} of an ARN's {PARTS} fields."
        yield subject.finding("INCOMPLETE_ARN", entry.at, message, Fix(f"Write {_ARN}; missing fields are read as *."))
        return
    _, _, service, region, account, resource = fields
    if any("${" in field for field in fields[:-1]):
        message = "A variable is read in the last field of an ARN only; this one is plain text."
        yield subject.finding("VARIABLE_UNSUPPORTED_IN_ELEMENT", entry.at, message)
    elif has_wildcard_in_type(service, resource, variables=subject.version == WITH_VARIABLES):
        message = f"AWS allows no wildcard in the resource type of an ARN: {shown(text)} matches nothing."
        yield subject.finding("WILDCARD_IN_RESOURCE_TYPE", entry.at, message)
    elif service == "ecr" and _wild(resource) and resource.strip("*") and not re.search(r"[/:$]", resource):
        message = f"AWS allows no wildcard in the resource type of an ARN, such as {shown(resource)}."
        yield subject.finding("WILDCARD_IN_RESOURCE_TYPE", entry.at, message)
    elif service != "ecr":
        if only_ecr and not _wild(service):
            message = f"The statement's actions are ECR's, and {shown(text)} is no resource of ECR."
            yield subject.finding("NO_EFFECT", entry.at, message, Fix(f"Write {_ARN}."))
    elif not _wild(region) and _REGION.fullmatch(region) is None:
        yield subject.finding("INVALID_ARN_REGION", entry.at, f"{shown(region) or 'An empty field'} is no region.")
    elif not _wild(account) and _ACCOUNT.fullmatch(account) is None:
        yield subject.finding(
            "INVALID_ARN_ACCOUNT", entry.at, f"{shown(account) or 'An empty field'} is no account id."
        )
    elif subject.kind is Kind.REGISTRY and subject.account not in {None, account} and not _wild(account):
        message = f"The registry is account {subject.account}'s, and {shown(text)} is another's."
        yield subject.finding("NO_EFFECT", entry.at, message, Fix(f"Write {subject.account} in its place."))
    else:
        yield from _repository(subject, entry, resource)


def _repository(subject: Subject, entry: Entry, resource: str) -> Iterator[Finding]:
    kind, slash, name = resource.partition("/")
    plain = re.sub(r"\$\{[^}]*\}", "", name)
    if (not slash and not _wild(kind)) or (slash and not _wild(kind) and kind != "repository"):
        message = f"{shown(resource)} is no resource of ECR; a repository is repository/NAME."
        meant = "repository/" + re.split(r"[:@]", resource, maxsplit=1)[0]
        edit = subject.replaced(entry.at, entry.text.removesuffix(resource) + meant)
        fix = Fix(f"Did you mean {shown(meant)}?", (edit,)) if "${" not in resource and kind else None
        yield subject.finding("INVALID_ARN_RESOURCE", entry.at, message, fix)
    elif ":" in plain or "@" in plain:
        message = "A repository's ARN has no tag or digest: policies speak of whole repositories."
        yield subject.finding("INVALID_ARN_RESOURCE", entry.at, message)
    elif plain != plain.lower():
        message = "Names of repositories are lower-case, and ARNs are compared by case."
        edit = subject.replaced(entry.at, entry.text.removesuffix(resource) + resource.lower())
        fix = Fix(f"Did you mean {shown(resource.lower())}?", () if "${" in resource else (edit,))
        yield subject.finding("INVALID_ARN_RESOURCE", entry.at, message, fix)


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


def _redundant(subject: Subject, resource: Listed) -> Iterator[Finding]:
    starts = [
        (entry, entry.text[:-1])
        for entry in resource.entries
        if entry.text.endswith("*") and not _wild(entry.text[:-1]) and "${" not in entry.text
    ]
    # A star matches colons in the last field only.
    starts = [(entry, start) for entry, start in starts if not start or start.count(":") >= PARTS - 1]
    seen: set[str] = set()
    for entry in resource.entries:
        by = entry.text if entry.text in seen else None
        seen.add(entry.text)
        for pattern, start in starts[:100]:
            if by is None and pattern.text != entry.text and entry.text.startswith(start) and "${" not in entry.text:
                by = pattern.text
        if by is not None and subject.among_others(entry.at):
            fix = Fix(CODES["REDUNDANT_RESOURCE"].fix, (subject.removed(entry.at),), safe=True)
            message = f"{shown(entry.text)} is covered by {'itself' if by == entry.text else shown(by)}."
            yield subject.finding("REDUNDANT_RESOURCE", entry.at, message, fix)


def _everything(subject: Subject, one: StatementElements, resource: Listed) -> Iterator[Finding]:
    if subject.kind is not Kind.IDENTITY or one.effect != "Allow" or resource.negated:
        return
    if not covered(one.action) & ON_REPOSITORY or any(test.key.lower().startswith(_TAG_KEYS) for test in one.tests):
        return
    for entry in resource.entries:
        fields = entry.text.split(":", PARTS - 1)
        if all(not field.removeprefix("repository/").strip("*") for field in fields[3:]) and fields[-1].endswith("*"):
            message = "Actions on repositories are allowed on every repository of every account that trusts the caller."
            yield subject.finding("RESOURCE_STAR", entry.at, message)


def _registry_action(subject: Subject, one: StatementElements, resource: Listed) -> Iterator[Finding]:
    """Yield findings on actions on the registry: they have no resource, so no ARN matches
    (docs/development/policy-engine.md §2.5)."""
    actions = covered(one.action)
    named = all(text.lower().startswith("ecr:") for text in one.action.texts)
    if one not in subject.sound or not named or not actions or one.action.negated or resource.negated:
        return
    if (
        actions & ON_REPOSITORY
        or "GetAuthorizationToken" in actions
        or any(not one.strip("*") for one in resource.texts)
    ):
        return
    message = "These are actions on the registry: they have no resource, and no ARN matches them."
    yield subject.finding("NO_EFFECT", resource.at, message, Fix('Use "Resource": "*".'))
