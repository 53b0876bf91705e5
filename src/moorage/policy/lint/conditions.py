"""Findings on conditions: operators, keys, and whether key, operator and values fit each other."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from moorage.policy.catalog.condition_keys import (
    CONDITION_KEYS,
    ConditionKey,
    KeyType,
    condition_key,
    is_family_without_tag,
)
from moorage.policy.language.elements import ConditionTest, Entry, StatementElements
from moorage.policy.language.kind import Kind
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.coverage import EVERY, ON_REPOSITORY, listed
from moorage.policy.lint.finding import Edit, Finding, Fix
from moorage.policy.lint.subject import OF_ECR, Subject, shown
from moorage.policy.matching.arn import is_arn
from moorage.policy.matching.operators import OPERATORS, instant, is_exact_network, number

_READS: Final[Mapping[str, KeyType]] = {
    "String": "String",
    "Numeric": "Numeric",
    "Date": "Date",
    "Bool": "Bool",
    "IpAddress": "IpAddress",
    "NotIpAddress": "IpAddress",
    "Arn": "Arn",
}
"""The type that an operator reads, by the beginning of its name."""
_TYPES: Final = {
    operator.name: next((kind for start, kind in _READS.items() if operator.name.startswith(start)), None)
    for operator in OPERATORS.values()
}
"""The type that an operator reads, by its whole name."""
_MFA: Final = "aws:multifactorauthpresent"
_LIKE: Final[Mapping[str, str]] = {"StringEquals": "StringLike", "StringNotEquals": "StringNotLike"}


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    for one in subject.unsettled:
        yield from _empty(subject, one)
        spelt: set[str] = set()
        for test in one.tests:
            if test.operator_at not in spelt:
                spelt.add(test.operator_at)
                yield from _operator(subject, test)
            key = condition_key(test.key)
            yield from _key(subject, one, test, key)
            if key is not None:
                yield from _fit(subject, one, test, key)
                yield from _absent(subject, one, test, key)
            yield from _values(subject, test)


def _empty(subject: Subject, one: StatementElements) -> Iterator[Finding]:
    statement = subject.json[one.number]
    if not isinstance(statement, Mapping) or "Condition" not in statement:
        return
    at, condition = f"{one.at}/Condition", statement["Condition"]
    empty = [at] if condition == {} else []
    if isinstance(condition, Mapping):
        empty += [f"{at}/{name}" for name, keys in condition.items() if keys == {}]
    for pointer in empty:
        if pointer in subject.places:
            fix = Fix(CODES["EMPTY_OBJECT_CONDITION"].fix, (subject.removed(pointer),), safe=True)
            yield subject.finding("EMPTY_OBJECT_CONDITION", pointer, "An empty condition always holds.", fix)


def _operator(subject: Subject, test: ConditionTest) -> Iterator[Finding]:
    operator = test.operator
    if operator.base is None and operator.qualifier:
        edit = subject.renamed(test.operator_at, "Null")
        fix = Fix(CODES["NULL_WITH_QUALIFIER"].fix, () if edit is None else (edit,), safe=True)
        message = f"Null asks whether the key is there; {operator.qualifier} changes nothing."
        yield subject.finding("NULL_WITH_QUALIFIER", test.operator_at, message, fix, key=True)
    elif operator.text != test.operator_text:
        edit = subject.renamed(test.operator_at, operator.text)
        fix = Fix(f"Write {operator.text}.", () if edit is None else (edit,), safe=True)
        message = f"{shown(test.operator_text)} is read, but spelt {operator.text}."
        yield subject.finding("OPERATOR_SPELLING", test.operator_at, message, fix, key=True)


def _key(subject: Subject, one: StatementElements, test: ConditionTest, key: ConditionKey | None) -> Iterator[Finding]:
    if key is None:
        name = shown(test.key)
        prefix = test.key.partition(":")[0].lower()
        if is_family_without_tag(test.key):
            message = f"{name} needs the key of a tag: {name.rstrip('/')}/KEY."
            yield subject.finding("MISSING_TAG_KEY_IN_CONDITION", test.at, message, key=True)
        elif prefix in {"aws", "ecr"}:
            code = "INVALID_GLOBAL_CONDITION_KEY" if prefix == "aws" else "INVALID_SERVICE_CONDITION_KEY"
            near = subject.suggestion(test.key.partition("/")[0], [known.rstrip("/") for known in CONDITION_KEYS])
            fix = None if near is None else Fix(f"Did you mean {near}?", _renamed(subject, test, near))
            yield subject.finding(code, test.at, f"There is no condition key {name}.", fix, key=True)
        elif subject.kind in OF_ECR or _only_ecr(subject, one):
            message = f"No request to ECR has the key {name}."
            yield subject.finding("INVALID_SERVICE_CONDITION_KEY", test.at, message, key=True)
    elif not key.populated:
        message = f"{key.name} exists on AWS only ({key.source}); no request here has it."
        yield subject.finding("CONDITION_KEY_NEVER_SET", test.at, message, key=True)
    elif test.operator.base is not None and not test.operator.if_exists:
        yield from _unsupported(subject, one, test, key)


def _renamed(subject: Subject, test: ConditionTest, near: str) -> tuple[Edit, ...]:
    tag = test.key.partition("/")[1:]
    edit = subject.renamed(test.at, near + "".join(tag))
    return () if edit is None else (edit,)


def _only_ecr(subject: Subject, one: StatementElements) -> bool:
    texts = one.action.texts
    return subject.kind is not Kind.TRUST and bool(texts) and all(text.lower().startswith("ecr:") for text in texts)


def _unsupported(subject: Subject, one: StatementElements, test: ConditionTest, key: ConditionKey) -> Iterator[Finding]:
    having = key.actions if key.actions is not None else ON_REPOSITORY if key.on_repository else EVERY
    if having == EVERY or one.action.negated:
        return
    for entry in one.action.entries:
        named = listed(entry.text)
        if named and not named & having:
            message = f"Requests for {shown(entry.text)} never have the key {shown(test.key)}."
            yield subject.finding("UNSUPPORTED_ACTION_FOR_CONDITION_KEY", test.at, message, key=True)
            return


def _fit(subject: Subject, one: StatementElements, test: ConditionTest, key: ConditionKey) -> Iterator[Finding]:
    operator, base = test.operator, test.operator.base
    if base is None:
        return
    if key.multivalued and not operator.qualifier:
        edit = subject.renamed(test.operator_at, f"ForAnyValue:{operator.text}")
        fix = Fix(CODES["MISSING_QUALIFIER"].fix, () if edit is None or _shared(one, test) else (edit,))
        message = f"{key.name} has several values, and {operator.text} without a qualifier never holds for it."
        yield subject.finding("MISSING_QUALIFIER", test.operator_at, message, fix, key=True)
    if operator.qualifier == "ForAllValues:" and not key.multivalued and one.effect == "Allow":
        message = f"ForAllValues holds when {key.name} is missing, and so allows more than the values say."
        edit = subject.renamed(test.operator_at, operator.text.removeprefix("ForAllValues:"))
        fix = Fix(
            CODES["FORALLVALUES_WITH_SINGLE_VALUED_KEY"].fix, () if edit is None or _shared(one, test) else (edit,)
        )
        yield subject.finding("FORALLVALUES_WITH_SINGLE_VALUED_KEY", test.operator_at, message, fix, key=True)
    if _TYPES[base.name] not in key.types:
        allowed = " or ".join(key.types)
        message = f"{operator.text} reads another type than {key.name} has."
        fix = Fix(f"Use an operator of type {allowed} instead of {operator.text} for {key.name}.")
        yield subject.finding("TYPE_MISMATCH", test.operator_at, message, fix, key=True)
    if key.name.lower() == _MFA and base.name == "Bool":
        yield from _mfa(subject, one, test)


def _absent(subject: Subject, one: StatementElements, test: ConditionTest, key: ConditionKey) -> Iterator[Finding]:
    """Yield findings on negated operators, which hold for requests without the key: an Allow applies to them."""
    base = test.operator.base
    if one.effect != "Allow" or base is None or not base.negated or not key.may_be_absent:
        return
    if test.operator.qualifier or any(_needs(other, test.key) for other in one.tests):
        return
    message = f"{test.operator.text} holds for every request without {shown(test.key)}, and so allows it."
    yield subject.finding("NEGATED_KEY_MAY_BE_ABSENT", test.at, message, key=True)


def _needs(test: ConditionTest, key: str) -> bool:
    """Return whether no request without the key passes the test."""
    operator = test.operator
    if test.key.lower() != key.lower():
        return False
    if operator.base is None:
        return {entry.text.lower() for entry in test.values} == {"false"}
    return not (operator.base.negated or operator.if_exists or operator.qualifier == "ForAllValues:")


def _shared(one: StatementElements, test: ConditionTest) -> bool:
    """Return whether the same operator has other keys, which renaming it would affect too."""
    return sum(other.operator_at == test.operator_at for other in one.tests) > 1


def _mfa(subject: Subject, one: StatementElements, test: ConditionTest) -> Iterator[Finding]:
    values = {entry.text.lower() for entry in test.values}
    if one.effect == "Deny" and values == {"false"} and not test.operator.if_exists:
        message = "Long-term keys have no aws:MultiFactorAuthPresent, so this Deny does not meet them."
        edit = subject.renamed(test.operator_at, f"{test.operator.text}IfExists")
        fix = Fix("Use BoolIfExists.", () if edit is None or _shared(one, test) else (edit,))
        yield subject.finding("MFA_KEY_MAY_BE_ABSENT", test.operator_at, message, fix, key=True)
    elif one.effect == "Allow" and values == {"true"} and test.operator.if_exists:
        message = "Long-term keys have no aws:MultiFactorAuthPresent, and IfExists lets them pass."
        yield subject.finding("MFA_KEY_MAY_BE_ABSENT", test.operator_at, message, Fix("Use Bool."), key=True)


def _values(subject: Subject, test: ConditionTest) -> Iterator[Finding]:
    base = test.operator.base
    name = "Bool" if base is None else base.name
    if not test.values:
        holds = "always" if base is not None and base.negated else "never"
        yield subject.finding("EMPTY_ARRAY_CONDITION", test.at, f"A key without values {holds} holds.")
    if name == "Bool" and len(test.values) > 1:
        message = "Several Booleans are one of them, and so any value."
        yield subject.finding("INVALID_CONDITION_MULTIPLE_BOOLEAN", test.at, message)
    check = _CHECK_OF[name]
    seen: set[str] = set()
    every = name in {"StringLike", "StringNotLike"} and any(entry.text == "*" for entry in test.values)
    for entry in test.values:
        if entry.text in seen or (every and entry.text != "*"):
            by = "is there twice" if entry.text in seen else "is covered by *"
            edits = (subject.removed(entry.at),) if subject.among_others(entry.at) else ()
            fix = Fix(CODES["REDUNDANT_CONDITION_VALUE"].fix, edits, safe=bool(edits) and "${" not in entry.text)
            yield subject.finding("REDUNDANT_CONDITION_VALUE", entry.at, f"{shown(entry.text)} {by}.", fix)
        seen.add(entry.text)
        if check is not None:
            yield from check(subject, test, entry)


def _boolean(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    if entry.text.lower() not in {"true", "false"} and "${" not in entry.text:
        yield subject.finding("TYPE_MISMATCH_BOOLEAN", entry.at, f"{shown(entry.text) or 'Nothing'} is no Boolean.")


def _numeric(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    if number(entry.text) is None and "${" not in entry.text:
        yield subject.finding("TYPE_MISMATCH_NUMBER", entry.at, f"{shown(entry.text) or 'Nothing'} is no number.")


def _date(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    if instant(entry.text) is None and "${" not in entry.text:
        yield subject.finding("INVALID_DATE_VALUE", entry.at, f"{shown(entry.text) or 'Nothing'} is no date.")


def _address(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    text = entry.text
    if "${" in text or is_exact_network(text):
        return
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        message = f"{shown(entry.text) or 'Nothing'} is no address or range."
        yield subject.finding("TYPE_MISMATCH_IP_RANGE", entry.at, message)
        return
    first = entry.text.partition("/")[0]
    if "/" in entry.text and ipaddress.ip_address(first) != network.network_address:
        message = f"{entry.text} is read as {network}: the address has bits beyond its mask."
        fix = Fix(f"Write {network}, or {first} alone.", (subject.replaced(entry.at, str(network)),), safe=True)
        yield subject.finding("IMPROVE_IP_RANGE", entry.at, message, fix)


def _arn(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    if not is_arn(entry.text) and "${" not in entry.text:
        yield subject.finding(
            "TYPE_MISMATCH_ARN", entry.at, f"{shown(entry.text) or 'Nothing'} is no ARN of six fields."
        )


def _binary(subject: Subject, _test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    if len(entry.text) % 4 or not entry.text.rstrip("=").replace("+", "").replace("/", "").isalnum():
        yield subject.finding("TYPE_MISMATCH_BINARY", entry.at, f"{shown(entry.text) or 'Nothing'} is no base64.")


def _text(subject: Subject, test: ConditionTest, entry: Entry) -> Iterator[Finding]:
    name = "" if test.operator.base is None else test.operator.base.name
    plain = entry.text.replace("${*}", "").replace("${?}", "")
    key = condition_key(test.key)
    other_type = key is not None and "String" not in key.types
    if "Like" in name or other_type or not ("*" in plain or "?" in plain):
        return
    like = _LIKE.get(name)
    fix = Fix(f"Use {like}, if a wildcard is meant.") if like else Fix("Use StringLike, if a wildcard is meant.")
    message = f"{name} reads {shown(entry.text)} literally: its * and ? are no wildcards."
    yield subject.finding("WILDCARD_WITHOUT_LIKE_OPERATOR", entry.at, message, fix)


_CHECKS: Final[Mapping[str, Callable[[Subject, ConditionTest, Entry], Iterator[Finding]]]] = {
    "Bool": _boolean,
    "Numeric": _numeric,
    "Date": _date,
    "IpAddress": _address,
    "NotIpAddress": _address,
    "Arn": _arn,
    "BinaryEquals": _binary,
    "String": _text,
}
_CHECK_OF: Final = {
    name: next((check for start, check in _CHECKS.items() if name.startswith(start)), None)
    for name in ("Bool", *(operator.name for operator in OPERATORS.values()))
}
"""Return the type by the whole name of the operator; Null reads Bool."""
