"""From the JSON of one statement to a compiled `Statement`, or a PolicyError that says what is wrong and where."""

import re
from collections.abc import Mapping
from typing import Final

from moorage.policy.action import EVERYTHING, Actions
from moorage.policy.actions import may_stand_in_registry_policy, may_stand_in_repository_policy
from moorage.policy.arn import is_arn
from moorage.policy.canonical import STATEMENT_ELEMENTS, Json, Number
from moorage.policy.conditions import OperatorName, Test, operator_name
from moorage.policy.fault import PolicyError
from moorage.policy.kind import Needs, Rules, Scope
from moorage.policy.principal import Principals, is_aws_principal, is_service_principal
from moorage.policy.reading import as_list, as_object, as_text, as_texts, member
from moorage.policy.resource import Resources
from moorage.policy.statement import Effect, Statement

MAX_PATTERN: Final = 2048
"""Characters of one action, resource or condition value; longer patterns would be slow to match and name nothing."""

_PLAIN_SID: Final = re.compile(r"[A-Za-z0-9]*")
_ECR_PATTERN: Final = re.compile(r"[A-Za-z*?]+")


def statement(index: int, element: Json, pointer: str, rules: Rules, *, variables: bool) -> Statement:
    """The compiled statement. `variables`: whether the document's version has them."""
    members = as_object(element, pointer)
    for key in members:
        if key not in STATEMENT_ELEMENTS:
            raise PolicyError(f"the policy element {key} is not valid", member(pointer, key))
    return Statement(
        index,
        _sid(members, pointer, rules),
        _effect(members, pointer),
        _principals(members, pointer, rules),
        _actions(members, pointer, rules),
        _resources(members, pointer, rules, variables),
        _conditions(members, pointer, variables),
    )


def _sid(members: Mapping[str, Json], pointer: str, rules: Rules) -> str | None:
    if "Sid" not in members:
        return None
    at = member(pointer, "Sid")
    sid = as_text(members["Sid"], at)
    if rules.plain_sids and _PLAIN_SID.fullmatch(sid) is None:
        raise PolicyError("a statement id is made of A-Z, a-z and 0-9", at)
    return sid


def _effect(members: Mapping[str, Json], pointer: str) -> Effect:
    effect = members.get("Effect")
    if effect == "Allow":
        return "Allow"
    if effect == "Deny":
        return "Deny"
    if effect is None:
        raise PolicyError("the statement has no Effect", pointer)
    raise PolicyError("the effect is not valid: use Allow or Deny", member(pointer, "Effect"))


def _one_of(members: Mapping[str, Json], pointer: str, name: str, needs: Needs) -> str | None:
    """Which of `name` and `Not<name>` the statement has; None when it has neither and need not."""
    there = [one for one in (name, f"Not{name}") if one in members]
    if needs is Needs.FORBIDDEN:
        if there:
            raise PolicyError(f"a policy of this kind has no {there[0]}", member(pointer, there[0]))
        return None
    if len(there) != 1:
        raise PolicyError(f"a statement needs exactly one of {name} and Not{name}", pointer)
    return there[0]


def _principals(members: Mapping[str, Json], pointer: str, rules: Rules) -> Principals | None:
    name = _one_of(members, pointer, "Principal", rules.principal)
    if name is None:
        return None
    at, negated, value = member(pointer, name), name == "NotPrincipal", members[name]
    if rules.everyone_only and (negated or value != "*"):
        raise PolicyError("the Principal of a policy of this kind is *", at)
    if isinstance(value, str):
        if value != "*":
            raise PolicyError('a Principal is * or an object such as {"AWS": …}', at)
        return Principals(("*",), (), negated=negated)
    named: dict[str, list[str]] = {"AWS": [], "Service": []}
    if rules.federated:
        named["Federated"] = []
    for key, entries in as_object(value, at).items():
        if key not in named:
            raise PolicyError(f"{key} principals cannot be named here", member(at, key))
        for text, entry_at in as_texts(entries, member(at, key)):
            if key == "AWS" and not is_aws_principal(text):
                raise PolicyError(f"not an AWS principal: {text}", entry_at)
            if key == "Service" and not is_service_principal(text):
                raise PolicyError(f"not a service principal: {text}", entry_at)
            named[key].append(text)
    if not any(named.values()):
        raise PolicyError("names nobody", at)
    return Principals(named["AWS"], named["Service"], negated=negated)


def _actions(members: Mapping[str, Json], pointer: str, rules: Rules) -> Actions:
    name = _one_of(members, pointer, "Action", Needs.REQUIRED)
    if name is None:
        raise PolicyError("the statement has no Action", pointer)
    entries = as_texts(members[name], member(pointer, name))
    for text, at in entries:
        _check_length(text, at)
        _check_action(text, at, rules.scope)
    return Actions([text for text, _ in entries], negated=name == "NotAction")


def _check_action(text: str, at: str, scope: Scope) -> None:
    if text == EVERYTHING:
        return
    service, colon, name = text.partition(":")
    if not colon or not service:
        raise PolicyError(f"an action is * or service:name, not {text}", at)
    if scope is Scope.ANY:
        return
    if service.lower() != "ecr":
        raise PolicyError(f"not an action of ECR: {text}", at)
    if ("*" in name or "?" in name) and _ECR_PATTERN.fullmatch(name):
        return
    known = may_stand_in_repository_policy if scope is Scope.REPOSITORY else may_stand_in_registry_policy
    if not known(name):
        raise PolicyError(f"{text} is not among the {scope.value}", at)


def _resources(members: Mapping[str, Json], pointer: str, rules: Rules, variables: bool) -> Resources | None:
    name = _one_of(members, pointer, "Resource", rules.resource)
    if name is None:
        return None
    entries = as_texts(members[name], member(pointer, name))
    for text, at in entries:
        _check_length(text, at)
        if not text.startswith(("arn:", "*")) or (rules.scope is Scope.REGISTRY and not is_arn(text) and text != "*"):
            raise PolicyError(f"a resource is an ARN or *, not {text}", at)
    return Resources([text for text, _ in entries], negated=name == "NotResource", variables=variables)


def _conditions(members: Mapping[str, Json], pointer: str, variables: bool) -> tuple[Test, ...]:
    if "Condition" not in members:
        return ()
    at = member(pointer, "Condition")
    tests: list[Test] = []
    for operator_text, keys in as_object(members["Condition"], at).items():
        operator_at = member(at, operator_text)
        operator = operator_name(operator_text)
        if operator is None:
            raise PolicyError(f"the condition operator {operator_text} is not valid", operator_at)
        tests += _tests(operator, as_object(keys, operator_at), operator_at, variables)
    return tuple(tests)


def _tests(operator: OperatorName, keys: Mapping[str, Json], pointer: str, variables: bool) -> list[Test]:
    if len({key.lower() for key in keys}) != len(keys):
        raise PolicyError("the same condition key is there twice, in different case", pointer)
    tests = []
    for key, value in keys.items():
        at = member(pointer, key)
        prefix, colon, name = as_text(key, at).partition(":")
        if not (prefix and colon and name):
            raise PolicyError(f"a condition key is prefix:name, not {key}", at)
        values = [_condition_value(item, item_at, operator, variables) for item, item_at in as_list(value, at)]
        tests.append(Test(operator, key, values, variables=variables))
    return tests


def _condition_value(item: Json, at: str, operator: OperatorName, variables: bool) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, Number):
        return str(item)
    text = as_text(item, at)
    _check_length(text, at)
    base = operator.base
    negated_arn = base is not None and base.negated and base.name.startswith("Arn")
    if negated_arn and not is_arn(text) and not (variables and "${" in text):
        # In evaluation such a value could only make the whole condition fail.
        raise PolicyError(f"not an ARN pattern: {text}", at)
    return text


def _check_length(text: str, at: str) -> None:
    if len(text) > MAX_PATTERN:
        raise PolicyError(f"longer than {MAX_PATTERN} characters", at)
