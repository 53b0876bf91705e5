"""The grammar: from a policy's JSON to its elements, each text with its place, or what is wrong and where.

`parse` compiles the elements; `lint` inspects them. Every check is made under `with errors`, so that one reader serves
both: either the first error ends it, or all errors are kept and what is valid is read on
(docs/development/policy-engine.md §1.1).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from moorage.policy.catalog.actions import ECR_ACTIONS, may_stand_in_registry_policy, may_stand_in_repository_policy
from moorage.policy.language.action_names import check_action
from moorage.policy.language.canonical import ELEMENTS, STATEMENT_ELEMENTS, Json, Number
from moorage.policy.language.json_reader import MAX_POINTER, as_list, as_object, as_text, member
from moorage.policy.language.kind import Needs, Rules, Scope
from moorage.policy.language.template import Template, template_of
from moorage.policy.matching.arn import is_arn
from moorage.policy.matching.conditions import OperatorName, operator_name
from moorage.policy.matching.errors import ErrorCollector, PolicyError
from moorage.policy.matching.principal import is_aws_principal, is_service_principal
from moorage.policy.matching.statement import Effect

VERSIONS: Final = ("2008-10-17", "2012-10-17")
WITH_VARIABLES: Final = "2012-10-17"
MAX_PATTERN: Final = 2048
"""Characters of one action, resource or condition value; longer patterns would be slow to match and name nothing."""

_PLAIN_SID: Final = re.compile(r"[A-Za-z0-9]*")


class Entry(NamedTuple):
    """One text of the policy. `key`: what a principal is listed under: `AWS`, `Service`, `Federated`."""

    text: str
    at: str
    key: str = ""


class Listed(NamedTuple):
    """A Principal, Action or Resource element, or its Not form."""

    name: str
    at: str
    entries: tuple[Entry, ...]

    @property
    def negated(self) -> bool:
        return self.name[:3] == "Not"

    @property
    def texts(self) -> list[str]:
        return [entry.text for entry in self.entries]


class ConditionTest(NamedTuple):
    """One key under one operator."""

    operator: OperatorName
    operator_text: str
    operator_at: str
    key: str
    at: str
    values: tuple[Entry, ...]


class StatementElements(NamedTuple):
    """A statement. A parsed one has everything that its kind needs; in a linted one, what is not valid is missing."""

    number: int
    """From 0."""
    at: str
    sid: str | None
    effect: Effect | None
    principal: Listed | None
    action: Listed
    resource: Listed | None
    tests: tuple[ConditionTest, ...]


class PolicyElements(NamedTuple):
    """A whole policy. `version` None: it has none, or none that is valid."""

    version: str | None
    id: str | None
    statements: tuple[StatementElements, ...]


class _Grammar(NamedTuple):
    """The rules for a statement."""

    rules: Rules
    variables: bool
    """Whether the version of the document has variables."""
    errors: ErrorCollector


def elements(
    document: Mapping[str, Json], rules: Rules, errors: ErrorCollector, templates: list[Template | None] | None = None
) -> PolicyElements:
    """Return the elements of `document`. Raise PolicyError, or keep every error in `errors`.

    `templates`: for a repository policy that is read until the first error, statements are read by their templates,
    which are appended here in order.
    """
    _only(document, "", ELEMENTS, errors)
    version = identifier = None
    if "Version" in document:
        with errors:
            version = _version(document["Version"])
    if "Id" in document:
        with errors:
            identifier = as_text(document["Id"], "/Id")
    statements: list[StatementElements] = []
    grammar = _Grammar(rules, version == WITH_VARIABLES, errors)
    with errors:
        if "Statement" not in document:
            raise PolicyError("MISSING_STATEMENT", "the policy has no Statement")
        items = as_list(document["Statement"], "/Statement")
        if not items:
            raise PolicyError("MISSING_STATEMENT", "must not be empty", "/Statement")
        for index, (item, at) in enumerate(items):
            with errors:
                members = as_object(item, at)
                if templates is None:
                    statements.append(_statement(index, members, at, grammar))
                else:
                    templates.append(template_of(members, at, variables=grammar.variables))
                    statements.append(_by_template(index, members, at, grammar, templates[-1]))
    if rules.plain_sids:
        _check_unique(statements, errors)
    return PolicyElements(version, identifier, tuple(statements))


def _only(members: Mapping[str, Json], at: str, known: tuple[str, ...], errors: ErrorCollector) -> None:
    for key in members:
        if key not in known:
            with errors:
                raise PolicyError("INVALID_POLICY_ELEMENT", f"the policy element {key} is not valid", member(at, key))


def _version(value: Json) -> str:
    version = as_text(value, "/Version")
    if version not in VERSIONS:
        raise PolicyError("INVALID_VERSION", f"the version is not one of {', '.join(VERSIONS)}", "/Version")
    return version


def _check_unique(statements: list[StatementElements], errors: ErrorCollector) -> None:
    seen: set[str | None] = set()
    for one in statements:
        if one.sid and one.sid in seen:
            with errors:
                raise PolicyError("DUPLICATE_SID", "statement ids must be unique", member(one.at, "Sid"))
        seen.add(one.sid)


def _statement(index: int, members: Mapping[str, Json], at: str, grammar: _Grammar) -> StatementElements:
    rules, errors = grammar.rules, grammar.errors
    _only(members, at, STATEMENT_ELEMENTS, errors)
    sid: str | None = None
    effect: Effect | None = None
    if "Sid" in members:
        with errors:
            sid = _sid(members["Sid"], member(at, "Sid"), rules)
    with errors:
        effect = _effect(members, at)
    principal = _principal(members, at, rules, errors)
    action = _actions(members, at, rules, errors)
    resource = _resources(members, at, rules, errors)
    tests: list[ConditionTest] = []
    if "Condition" in members:
        with errors:
            tests = _conditions(members["Condition"], member(at, "Condition"), grammar)
    return StatementElements(index, at, sid, effect, principal, action, resource, tuple(tests))


def _by_template(
    index: int, members: Mapping[str, Json], at: str, grammar: _Grammar, template: Template | None
) -> StatementElements:
    """Return the same for a statement of a repository policy, whose template is read once."""
    if template is None or template.elements is None:
        one = _statement(index, members, at, grammar)
        if template is not None:
            template.elements = one.sid, one.effect, one.action, one.tests
        return one
    sid, effect, action, tests = template.elements
    principal = _principal(members, at, grammar.rules, grammar.errors)
    return StatementElements(index, at, sid, effect, principal, action, None, tests)


def _sid(value: Json, at: str, rules: Rules) -> str:
    sid = as_text(value, at)
    if rules.plain_sids and _PLAIN_SID.fullmatch(sid) is None:
        raise PolicyError("UNSUPPORTED_SID", "a statement id is made of A-Z, a-z and 0-9", at)
    return sid


def _effect(members: Mapping[str, Json], at: str) -> Effect:
    if "Effect" not in members:
        raise PolicyError("MISSING_EFFECT", "the statement has no Effect", at)
    effect = members["Effect"]
    if effect == "Allow":
        return "Allow"
    if effect == "Deny":
        return "Deny"
    raise PolicyError("INVALID_EFFECT", "the effect is not valid: use Allow or Deny", member(at, "Effect"))


def _one_of(members: Mapping[str, Json], at: str, name: str, errors: ErrorCollector) -> str | None:
    """Return which of `name` and `Not<name>` the statement has; it needs one of them."""
    negated = f"Not{name}"
    if name in members:
        if negated in members:
            with errors:
                raise PolicyError(
                    "UNSUPPORTED_ELEMENT_COMBINATION", f"{name} and {negated} stand side by side", member(at, negated)
                )
        return name
    if negated in members:
        return negated
    with errors:
        raise PolicyError(f"MISSING_{name.upper()}", f"the statement has no {name}", at)
    return None


def _forbid(members: Mapping[str, Json], at: str, name: str, code: str, errors: ErrorCollector) -> None:
    for one in (name, f"Not{name}"):
        if one in members:
            with errors:
                raise PolicyError(code, f"a policy of this kind has no {one}", member(at, one))


def _texts(
    value: Json, at: str, what: str, errors: ErrorCollector, check: Callable[[str, str], None], key: str = ""
) -> tuple[Entry, ...]:
    """Return a string or a non-empty array of non-empty strings, each of which passes `check(text, at)`.

    `what`: what the array contains, capitalized.
    """
    if type(value) is str and value and value.isascii():  # most values are texts
        with errors:
            check(value, at)
            return (Entry(value, at, key),)
        return ()
    items = as_list(value, at)
    if not items:
        with errors:
            raise PolicyError(f"EMPTY_ARRAY_{what}", "must not be empty", at)
    entries = []
    for item, item_at in items:
        with errors:
            text = item if type(item) is str and item.isascii() else as_text(item, item_at)
            if not text:
                raise PolicyError("EMPTY_TEXT", "must not be empty", item_at)
            check(text, item_at)
            entries.append(Entry(text, item_at, key))
    return tuple(entries)


def _principal(members: Mapping[str, Json], at: str, rules: Rules, errors: ErrorCollector) -> Listed | None:
    if rules.principal is Needs.FORBIDDEN:
        _forbid(members, at, "Principal", "UNSUPPORTED_PRINCIPAL", errors)
        return None
    name = _one_of(members, at, "Principal", errors)
    if name is None:
        return None
    at, value = member(at, name), members[name]
    entries: tuple[Entry, ...] = ()
    with errors:
        if rules.everyone_only and (name == "NotPrincipal" or value != "*"):
            raise PolicyError("PRINCIPAL_NOT_EVERYONE", "the Principal of a policy of this kind is *", at)
        if value == "*":
            entries = (Entry("*", at, "AWS"),)
        elif isinstance(value, str):
            raise PolicyError("INVALID_PRINCIPAL_FORMAT", 'a Principal is * or an object such as {"AWS": …}', at)
        else:
            entries = _principals(as_object(value, at), at, rules, errors)
    return Listed(name, at, entries)


def _principals(members: Mapping[str, Json], at: str, rules: Rules, errors: ErrorCollector) -> tuple[Entry, ...]:
    if not members:
        raise PolicyError("EMPTY_OBJECT_PRINCIPAL", "names nobody", at)
    entries: list[Entry] = []
    for key, value in members.items():
        here = member(at, key)
        with errors:
            if key == "Federated" and not rules.federated:
                raise PolicyError(
                    "FEDERATED_PRINCIPAL_NOT_SUPPORTED", "Federated principals cannot be named here", here
                )
            if key not in _PRINCIPAL_CHECKS or (key == "CanonicalUser" and not rules.canonical_users):
                raise PolicyError("INVALID_PRINCIPAL_KEY", f"{key} principals cannot be named here", here)
            entries += _texts(value, here, "PRINCIPAL", errors, _PRINCIPAL_CHECKS[key], key)
    return tuple(entries)


def _check_aws(text: str, at: str) -> None:
    if is_aws_principal(text):
        return
    if "*" in text or "?" in text:
        raise PolicyError("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", f"wildcards inside a principal are not read: {text}", at)
    raise PolicyError("INVALID_PRINCIPAL_FORMAT", f"not an AWS principal: {text}", at)


def _check_service(text: str, at: str) -> None:
    if not is_service_principal(text):
        raise PolicyError("INVALID_SERVICE_PRINCIPAL_FORMAT", f"not a service principal: {text}", at)


def _take(_text: str, _at: str) -> None:
    pass


_PRINCIPAL_CHECKS: Final[Mapping[str, Callable[[str, str], None]]] = {
    "AWS": _check_aws,
    "Service": _check_service,
    "Federated": _take,
    "CanonicalUser": _take,
}


def _actions(members: Mapping[str, Json], at: str, rules: Rules, errors: ErrorCollector) -> Listed:
    name = _one_of(members, at, "Action", errors)
    if name is None:
        return Listed("Action", at, ())

    here, plain = member(at, name), _PLAIN_ACTIONS[rules.scope]

    def check(text: str, text_at: str) -> None:
        if text not in plain:
            _check_length(text, text_at)
            check_action(text, text_at, rules.scope)

    return Listed(name, here, _texts(members[name], here, "ACTION", errors, check))


_PLAIN_ACTIONS: Final[Mapping[Scope, frozenset[str]]] = {
    Scope.ANY: frozenset(f"ecr:{name}" for name in ECR_ACTIONS),
    Scope.REGISTRY: frozenset(f"ecr:{name}" for name in ECR_ACTIONS if may_stand_in_registry_policy(name)),
    Scope.REPOSITORY: frozenset(f"ecr:{name}" for name in ECR_ACTIONS if may_stand_in_repository_policy(name)),
}
"""Actions as most policies write them, which need no further check."""


def _resources(members: Mapping[str, Json], at: str, rules: Rules, errors: ErrorCollector) -> Listed | None:
    if rules.resource is Needs.FORBIDDEN:
        _forbid(members, at, "Resource", "RESOURCE_NOT_ALLOWED", errors)
        return None
    if rules.resource is Needs.OPTIONAL and "Resource" not in members and "NotResource" not in members:
        return None
    name = _one_of(members, at, "Resource", errors)
    if name is None:
        return None

    def check(text: str, text_at: str) -> None:
        _check_length(text, text_at)
        if not text.startswith(("arn:", "*")):
            raise PolicyError("INVALID_ARN_PREFIX", f"a resource is an ARN or *, not {text}", text_at)
        if rules.scope is Scope.REGISTRY and not is_arn(text) and text != "*":
            raise PolicyError("MISSING_ARN_FIELD", f"an ARN has six fields, not as in {text}", text_at)

    return Listed(name, member(at, name), _texts(members[name], member(at, name), "RESOURCE", errors, check))


def _conditions(value: Json, at: str, grammar: _Grammar) -> list[ConditionTest]:
    tests: list[ConditionTest] = []
    for text, keys in as_object(value, at).items():
        here = member(at, text)
        with grammar.errors:
            operator = operator_name(text)
            if operator is None:
                code = "NULL_WITH_IF_EXISTS" if text.lower().endswith("nullifexists") else "INVALID_CONDITION_OPERATOR"
                raise PolicyError(code, f"the condition operator {text} is not valid", here)
            tests += _tests(operator, text, as_object(keys, here), here, grammar)
    return tests


def _tests(
    operator: OperatorName, operator_text: str, keys: Mapping[str, Json], at: str, grammar: _Grammar
) -> list[ConditionTest]:
    errors = grammar.errors
    tests = []
    seen: set[str] = set()
    for key, value in keys.items():
        here = member(at, key)
        with errors:
            prefix, colon, name = as_text(key, here).partition(":")
            if not (prefix and colon and name):
                raise PolicyError("INVALID_CONDITION_KEY_FORMAT", f"a condition key is prefix:name, not {key}", here)
            if key.lower() in seen:
                raise PolicyError(
                    "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
                    f"the condition key {key} is there twice, in different case",
                    here,
                )
            if len(here) > MAX_POINTER:
                raise PolicyError("VALUE_TOO_LONG", f"no path is longer than {MAX_POINTER} characters", at)
            seen.add(key.lower())
            values = []
            for item, item_at in as_list(value, here):
                with errors:
                    values.append(Entry(_condition_value(item, item_at, operator, grammar.variables), item_at))
            tests.append(ConditionTest(operator, operator_text, at, key, here, tuple(values)))
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
        # In evaluation, such a value could only make the whole condition fail.
        raise PolicyError("MISSING_ARN_FIELD", f"not an ARN pattern: {text}", at)
    return text


def _check_length(text: str, at: str) -> None:
    if len(text) > MAX_PATTERN:
        raise PolicyError("VALUE_TOO_LONG", f"longer than {MAX_PATTERN} characters", at)
