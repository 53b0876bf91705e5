"""Findings on the policy as a whole: version, size, lockout."""

from collections.abc import Iterator, Mapping
from typing import Final

from moorage.policy.engine.lockout import stops
from moorage.policy.language.elements import WITH_VARIABLES
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.finding import Edit, Finding, Fix
from moorage.policy.lint.subject import OF_ECR, Subject

_QUOTAS: Final[Mapping[Kind, int]] = {
    Kind.REPOSITORY: 10240,
    Kind.REGISTRY: 10240,
    # The largest of IAM's quotas for each kind. All but ECR's do not count white space. Not verified against AWS.
    Kind.IDENTITY: 10240,
    Kind.BOUNDARY: 6144,
    Kind.SESSION: 2048,
    Kind.SCP: 5120,
    Kind.RCP: 5120,
    Kind.TRUST: 4096,
    Kind.RESOURCE: 20480,
}
"""Characters."""
_NO_ACCOUNT: Final = "000000000000"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    yield from _version(subject)
    yield from _size(subject)
    if subject.kind is Kind.REPOSITORY and subject.all_sound:
        yield from _lock_out(subject)


def _version(subject: Subject) -> Iterator[Finding]:
    # Without `${` the two versions have the same meaning, so changing the version is safe.
    safe = "${" not in subject.text
    if not any(key.lower() == "version" for key in subject.document):
        start = subject.places[""].start + 1
        gap = subject.text[
            start : min((place.key for place in subject.places.values() if place.key >= start), default=start)
        ]
        edit = Edit(start, start, f'{gap}"Version": "{WITH_VARIABLES}",{"" if gap else " "}')
        fix = Fix(CODES["MISSING_VERSION"].fix, (edit,) if subject.document else (), safe=safe)
        yield subject.finding(
            "MISSING_VERSION",
            "",
            "The policy has no Version, so it is read by the rules of 2008-10-17.",
            fix,
            offset=start - 1,
        )
    elif "Version" in subject.document and subject.version not in {None, WITH_VARIABLES}:
        fix = Fix(CODES["OLD_VERSION"].fix, (subject.replaced("/Version", WITH_VARIABLES),), safe=safe)
        yield subject.finding("OLD_VERSION", "/Version", "2008-10-17 is the old version of the policy language.", fix)


def _size(subject: Subject) -> Iterator[Finding]:
    quota = _QUOTAS[subject.kind]
    size = len(subject.text) if subject.kind in OF_ECR else sum(not one.isspace() for one in subject.text)
    if size > quota:
        yield subject.finding(
            "POLICY_SIZE_EXCEEDS_QUOTA", "", f"The policy has {size} characters; the quota is {quota}.", offset=0
        )


def _lock_out(subject: Subject) -> Iterator[Finding]:
    for statement, found in zip(subject.policy.document().statements, subject.statements, strict=True):
        principals = statement.principals
        # Whether a NotPrincipal exempts the owner is known only if the owner is known.
        known = subject.account is not None or (principals is not None and not principals.negated)
        if known and stops(statement, subject.account or _NO_ACCOUNT):
            yield subject.finding(
                "LOCK_OUT",
                f"{found.at}/Effect",
                "This Deny keeps the whole account, its root too, from ever setting another policy;"
                " SetRepositoryPolicy takes it with force only.",
            )
