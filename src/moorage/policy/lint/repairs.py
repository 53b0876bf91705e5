"""Converts errors of the grammar to findings, with a fix where there is one."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from moorage.policy.catalog.actions import (
    ECR_ACTIONS,
    MOORAGE,
    MOORAGE_ACTIONS,
    is_on_repository,
    may_stand_in_repository_policy,
)
from moorage.policy.catalog.services import SERVICES
from moorage.policy.language.canonical import ELEMENTS, STATEMENT_ELEMENTS
from moorage.policy.language.elements import WITH_VARIABLES
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.finding import Edit, Finding, Fix
from moorage.policy.lint.subject import Subject, shown
from moorage.policy.matching.errors import PolicyError
from moorage.policy.matching.operators import OPERATORS

Repair = Callable[[Subject, PolicyError], Fix | None]

_ON_KEY: Final = frozenset(
    {
        "INVALID_POLICY_ELEMENT",
        "INVALID_PRINCIPAL_KEY",
        "FEDERATED_PRINCIPAL_NOT_SUPPORTED",
        "INVALID_CONDITION_OPERATOR",
        "NULL_WITH_IF_EXISTS",
        "INVALID_CONDITION_KEY_FORMAT",
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
        "RESOURCE_NOT_ALLOWED",
        "UNSUPPORTED_PRINCIPAL",
        "UNSUPPORTED_ELEMENT_COMBINATION",
    }
)
"""Codes whose place is the key of the member, not its value."""
_ACCOUNT: Final = re.compile(r"[0-9]{12}|arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:.*", re.DOTALL)
_OPERATORS: Final = (*(operator.name for operator in OPERATORS.values()), "Null")
_QUALIFIERS: Final = ("forallvalues:", "foranyvalue:")


def explained(subject: Subject, error: PolicyError) -> Finding:
    """Return the finding for an error."""
    repair = _REPAIRS.get(error.code)
    fix = None if repair is None else repair(subject, error)
    # A position says where the text breaks off; a pointer, which is known if it was read to the end, says what is
    # wrong.
    offset = error.at if error.code != "DUPLICATE_ELEMENT" else None
    if error.code == "DUPLICATE_ELEMENT" and error.at is not None:
        return _twice(subject, error, error.at)
    return subject.finding(error.code, error.pointer, _sentence(error), fix, key=error.code in _ON_KEY, offset=offset)


def _twice(subject: Subject, error: PolicyError, at: int) -> Finding:
    finding = subject.finding(error.code, error.pointer, _sentence(error), offset=at)
    end = subject.finding(error.code, error.pointer, "", offset=at + len(_last(error.pointer)) + 1).end
    return finding._replace(end=end)


def _sentence(error: PolicyError) -> str:
    reason = shown(error.reason, 200)
    return f"{reason[0].upper()}{reason[1:]}."


def _last(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _text(subject: Subject, error: PolicyError) -> str:
    value = subject.value(error.pointer)
    return value if isinstance(value, str) else ""


def _comma(subject: Subject, error: PolicyError) -> Fix | None:
    at = error.at
    if at is not None and subject.text[at : at + 1] == "\ufeff":
        return Fix("Remove the byte order mark.", (Edit(at, at + 1, ""),), safe=True)
    if at is not None and "has nothing after it" in error.reason:
        return Fix("Remove the comma.", (Edit(at, at + 1, ""),), safe=True)
    return None


def _element(subject: Subject, error: PolicyError) -> Fix | None:
    name = _last(error.pointer)
    known = ELEMENTS if error.pointer.count("/") == 1 else STATEMENT_ELEMENTS
    near = subject.suggestion(name, known)
    if near is None:
        return None
    edit = subject.renamed(error.pointer, near)
    return Fix(f"Did you mean {near}?", () if edit is None else (edit,), safe=near.lower() == name.lower())


def _version(subject: Subject, error: PolicyError) -> Fix | None:
    return Fix(CODES[error.code].fix, (subject.replaced(error.pointer, WITH_VARIABLES),))


def _effect(subject: Subject, error: PolicyError) -> Fix | None:
    text = _text(subject, error)
    meant = {"allow": "Allow", "deny": "Deny"}.get(text.strip().lower())
    if meant is None:
        return None
    return Fix(f"Did you mean {meant}?", (subject.replaced(error.pointer, meant),), safe=True)


def _sid(subject: Subject, error: PolicyError) -> Fix | None:
    plain = re.sub(r"[^A-Za-z0-9]", "", "".join(word[:1].upper() + word[1:] for word in _text(subject, error).split()))
    return Fix(f"Use A-Z, a-z and 0-9 only: {shown(plain)}.", (subject.replaced(error.pointer, plain),), safe=True)


def _principal(subject: Subject, error: PolicyError) -> Fix | None:
    text = _text(subject, error)
    if error.pointer.endswith("Principal") and _ACCOUNT.fullmatch(text):
        return Fix(f'Write {{"AWS": "{shown(text)}"}}.', (subject.replaced(error.pointer, {"AWS": text}),), safe=True)
    if ":group/" in text:
        return Fix("A group is no principal: name its users, or a role that they assume.")
    return None


def _wildcard(subject: Subject, error: PolicyError) -> Fix | None:
    fields = _text(subject, error).split(":")
    account = fields[4] if len(fields) > 5 else ""
    if not re.fullmatch(r"[0-9]{12}", account):
        return Fix('Name the principals in full, or use "*" with a Condition on aws:PrincipalArn.')
    return Fix(
        f"Name the users or roles in full; or the account {account}, narrowed by a Condition ArnLike aws:PrincipalArn."
    )


def _action(subject: Subject, error: PolicyError) -> Fix | None:
    text = _text(subject, error)
    if "," in text:
        return Fix("Write several actions as an array of texts.")
    service, colon, name = text.strip().partition(":")
    prefix = MOORAGE if colon and service.strip().lower() == MOORAGE else "ecr"
    near = subject.suggestion(name.strip() if colon else service, _allowed(subject.kind, prefix))
    if near is None:
        return None
    meant = f"{prefix}:{near}"
    same = meant.lower() == "".join(text.split()).lower()
    return Fix(f"Did you mean {meant}?", (subject.replaced(error.pointer, meant),), safe=same)


def _allowed(kind: Kind, prefix: str) -> list[str]:
    if prefix == MOORAGE:
        return [name for name in MOORAGE_ACTIONS if is_on_repository(name)]
    return [name for name in ECR_ACTIONS if kind is not Kind.REPOSITORY or may_stand_in_repository_policy(name)]


def _service(subject: Subject, error: PolicyError) -> Fix | None:
    service, _, name = _text(subject, error).partition(":")
    if service.strip().lower() == "ecr" or subject.suggestion(service, SERVICES) == "ecr":
        edit = subject.replaced(error.pointer, f"ecr:{name}")
        return Fix(f"Did you mean ecr:{shown(name)}?", (edit,))
    return None


def _unsupported(subject: Subject, error: PolicyError) -> Fix | None:
    text = _text(subject, error)
    if text.lower() == "ecr:getauthorizationtoken":
        return Fix(
            "Remove it here: a token is asked of no repository."
            ' Allow it on Resource "*" in the caller\'s identity policy.',
            (subject.removed(error.pointer),) if subject.among_others(error.pointer) else (),
        )
    if not text.lower().startswith("ecr:"):
        return Fix("Remove it: a policy of this kind is asked for actions of ECR, and Moorage's on repositories, only.")
    return None


def _resource(subject: Subject, error: PolicyError) -> Fix | None:
    value = subject.value(error.pointer)
    # Only a resource that covers everything can be removed safely; an ARN may cover less than this repository.
    safe = error.pointer.endswith("/Resource") and value in ("*", ["*"])
    return Fix(CODES[error.code].fix, (subject.removed(error.pointer),), safe=safe)


def _removal(subject: Subject, error: PolicyError) -> Fix | None:
    return Fix(CODES[error.code].fix, (subject.removed(error.pointer),))


def _operator(subject: Subject, error: PolicyError) -> Fix | None:
    written = _last(error.pointer)
    qualifier = next((one for one in _QUALIFIERS if written.lower().startswith(one)), "")
    rest = written[len(qualifier) :]
    suffix = "IfExists" if rest.lower().endswith("ifexists") else ""
    near = subject.suggestion(rest[: len(rest) - len(suffix)], _OPERATORS)
    if near is None:
        return None
    name = f"{written[: len(qualifier)]}{near}{suffix if near != 'Null' else ''}"
    edit = subject.renamed(error.pointer, name)
    return Fix(f"Did you mean {shown(name)}?", () if edit is None else (edit,))


def _null(subject: Subject, error: PolicyError) -> Fix | None:
    edit = subject.renamed(error.pointer, "Null")
    return Fix(CODES[error.code].fix, () if edit is None else (edit,), safe=True)


_REPAIRS: Final[Mapping[str, Repair]] = {
    "JSON_SYNTAX_ERROR": _comma,
    "INVALID_POLICY_ELEMENT": _element,
    "INVALID_VERSION": _version,
    "INVALID_EFFECT": _effect,
    "UNSUPPORTED_SID": _sid,
    "INVALID_PRINCIPAL_FORMAT": _principal,
    "UNSUPPORTED_WILDCARD_IN_PRINCIPAL": _wildcard,
    "INVALID_ACTION": _action,
    "INVALID_SERVICE_IN_ACTION": _service,
    "UNSUPPORTED_ACTION_IN_POLICY": _unsupported,
    "RESOURCE_NOT_ALLOWED": _resource,
    "UNSUPPORTED_PRINCIPAL": _removal,
    "INVALID_CONDITION_OPERATOR": _operator,
    "NULL_WITH_IF_EXISTS": _null,
}
