"""What holds for every policy and request (docs/development/policy-engine.md §9), and for every text given to the
parser."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import (
    Decision,
    Kind,
    Named,
    Policies,
    PolicyError,
    Principal,
    Request,
    evaluate,
    parse,
    sentence,
    short,
)
from tests.policy import worlds as w
from tests.policy.build import OWNER, right
from tests.policy.worlds import Statement, World


def verdict(decision: Decision) -> tuple[object, ...]:
    return decision.allowed, decision.explicit, decision.decided_by, decision.rule


def decided(request: Request, world: World, version: str = "2012-10-17") -> tuple[object, ...]:
    return verdict(evaluate(request, w.policies(world, version)))


@given(w.requests, w.worlds, st.data())
def test_order_does_not_matter(request: Request, world: World, data: st.DataObject) -> None:
    turned = {name: data.draw(st.permutations(made)) for name, made in world.items()}
    assert decided(request, turned) == decided(request, world)


@given(w.requests, w.worlds, st.data())
def test_statements_of_one_policy_or_of_several_are_the_same(
    request: Request, world: World, data: st.DataObject
) -> None:
    apart = {name: data.draw(st.permutations([[one] for one in made])) for name, made in world.items()}
    assert verdict(evaluate(request, w.in_policies(apart))) == decided(request, world)


@given(w.requests, w.worlds)
def test_saying_everything_twice_changes_nothing(request: Request, world: World) -> None:
    assert decided(request, {name: made * 2 for name, made in world.items()}) == decided(request, world)


@given(w.requests, w.worlds, st.data())
def test_adding_a_deny_never_allows_and_adding_an_allow_never_denies(
    request: Request, world: World, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(world)))
    more = data.draw(w.statements(name))
    before = evaluate(request, w.policies(world)).allowed
    with_deny = evaluate(request, w.policies({**world, name: [*world[name], {**more, "Effect": "Deny"}]})).allowed
    with_allow = evaluate(request, w.policies({**world, name: [*world[name], {**more, "Effect": "Allow"}]})).allowed
    assert not (with_deny and not before)
    assert not (before and not with_allow)


@given(w.requests, w.worlds, st.data())
def test_attaching_a_boundary_session_policy_or_guard_rail_never_allows(
    request: Request, world: World, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["boundary", "session", "scp", "rcp"]))
    # A federated session has no rights without a session policy; for it one is a grant.
    if name == "session" and request.principal.kind == "federated":
        return
    without = {one: made for one, made in world.items() if one != name}
    attached = {**without, name: [data.draw(w.statements(name))]}
    before, after = evaluate(request, w.policies(without)), evaluate(request, w.policies(attached))
    assert before.allowed or not after.allowed


@given(w.requests, w.worlds)
def test_an_explicit_deny_wins(request: Request, world: World) -> None:
    decision = evaluate(request, w.policies(world))
    denying = {
        one.set
        for one in decision.trace
        for policy in one.policies
        for finding in policy.statements
        if finding.matched and finding.effect == "Deny"
    }
    assert decision.explicit is bool(denying)
    if denying:
        assert not decision.allowed
        assert decision.decided_by in denying


@given(w.requests, w.worlds)
def test_the_explanation_is_the_decision(request: Request, world: World) -> None:
    plain = evaluate(request, w.policies(world))
    detailed = evaluate(request, w.policies(world), detail=True)
    assert verdict(detailed) == verdict(plain)
    for one in detailed.trace:
        matched = set()
        for policy in one.policies:
            for finding in policy.statements:
                detail = finding.detail
                assert detail is not None
                parts = [detail.principal, detail.action, detail.resource]
                parts += [test.matched for test in detail.conditions]
                assert finding.matched is all(part is not False for part in parts)
                if finding.matched:
                    matched.add(finding.effect)
        assert one.result == ("deny" if "Deny" in matched else "allow" if "Allow" in matched else "none")
    assert short(plain) == short(detailed)
    assert sentence(request, plain) == sentence(request, detailed)


# Equivalent rewritings: each takes a statement apart or writes it otherwise, and must change no decision.


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def in_lists(statement: Statement) -> list[Statement]:
    """One-element arrays in place of scalars."""
    made = dict(statement)
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        if element in made:
            made[element] = _listed(made[element])
    for element in ("Principal", "NotPrincipal"):
        if isinstance(made.get(element), dict):
            made[element] = {kind: _listed(names) for kind, names in made[element].items()}
    return [made]


def in_scalars(statement: Statement) -> list[Statement]:
    """Scalars in place of one-element arrays of condition values."""
    tests = {
        operator: {key: values[0] if len(values) == 1 else values for key, values in keys.items()}
        for operator, keys in statement.get("Condition", {}).items()
    }
    return [{**statement, "Condition": tests}]


def as_root_arns(statement: Statement) -> list[Statement]:
    """Accounts as root ARNs in place of ids."""
    made = dict(statement)
    for element in ("Principal", "NotPrincipal"):
        principal = made.get(element)
        if isinstance(principal, dict) and "AWS" in principal:
            names = [f"arn:aws:iam::{name}:root" if name.isdigit() else name for name in _listed(principal["AWS"])]
            made[element] = {**principal, "AWS": names}
    return [made]


def in_other_case(statement: Statement) -> list[Statement]:
    """Actions, operators and condition keys in the other case."""
    made = dict(statement)
    for element in ("Action", "NotAction"):
        if element in made:
            made[element] = [action.swapcase() for action in _listed(made[element])]
    made["Condition"] = {
        operator.swapcase(): {key.swapcase(): values for key, values in keys.items()}
        for operator, keys in statement.get("Condition", {}).items()
    }
    return [made]


def an_action_a_statement(statement: Statement) -> list[Statement]:
    """A statement of several actions as several statements."""
    if "Action" not in statement:
        return [statement]
    return [{**statement, "Action": action} for action in _listed(statement["Action"])]


def a_resource_a_statement(statement: Statement) -> list[Statement]:
    """A statement of several resources as several statements."""
    if "Resource" not in statement:
        return [statement]
    return [{**statement, "Resource": resource} for resource in _listed(statement["Resource"])]


def a_principal_a_statement(statement: Statement) -> list[Statement]:
    """A statement of several principals as several statements."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return [statement]
    return [{**statement, "Principal": {kind: name}} for kind, names in principal.items() for name in _listed(names)]


def a_value_a_statement(statement: Statement) -> list[Statement]:
    """A condition of several values, which are alternatives, as several statements. Not where all or none count."""
    made = [{**statement, "Condition": {}}]
    for operator, keys in statement.get("Condition", {}).items():
        together = "Not" in operator or operator.startswith("ForAllValues:")
        for key, values in keys.items():
            made = [
                {**one, "Condition": {**one["Condition"], operator: {**one["Condition"].get(operator, {}), key: value}}}
                for one in made
                for value in ([values] if together else values)
            ]
    return made


def arn_equals(statement: Statement) -> list[Statement]:
    """ArnEquals and ArnLike are one operator."""
    tests = {
        operator.replace("ArnLike", "ArnEquals").replace("ArnNotLike", "ArnNotEquals"): keys
        for operator, keys in statement.get("Condition", {}).items()
    }
    return [{**statement, "Condition": tests}]


REWRITINGS = [
    in_lists,
    in_scalars,
    as_root_arns,
    in_other_case,
    an_action_a_statement,
    a_resource_a_statement,
    a_principal_a_statement,
    a_value_a_statement,
    arn_equals,
]


@pytest.mark.parametrize("rewrite", REWRITINGS, ids=lambda rewrite: rewrite.__name__)
@given(w.requests, w.worlds)
def test_equivalent_rewritings(rewrite: Any, request: Request, world: World) -> None:
    rewritten = {name: [other for one in made for other in rewrite(one)] for name, made in world.items()}
    assert decided(request, rewritten) == decided(request, world)


@given(w.requests, w.worlds)
def test_the_case_of_the_requests_action_does_not_matter(request: Request, world: World) -> None:
    other = Request(
        request.principal, request.action.swapcase(), request.resource, request.resource_account, request.context
    )
    assert decided(other, world) == decided(request, world)


@given(w.requests, w.worlds)
def test_canonical_text_decides_alike(request: Request, world: World) -> None:
    policies = w.policies(world)

    def again(several: Any) -> Any:
        return several and [Named(one.name, "", parse(one.document.canonical(), one.document.kind)) for one in several]

    canonical = Policies(
        identity=again(policies.identity),
        resource=again(policies.resource),
        boundary=again(policies.boundary),
        session=again(policies.session),
        scp=policies.scp and [again(policies.scp[0])],
        rcp=policies.rcp and [again(policies.rcp[0])],
    )
    assert verdict(evaluate(request, canonical)) == verdict(evaluate(request, policies))


@given(w.requests, w.worlds)
def test_without_variables_the_version_does_not_matter(request: Request, world: World) -> None:
    if "${" not in json.dumps(world):
        assert decided(request, world, "2008-10-17") == decided(request, world)


def holds(request: Request, *tests: tuple[str, str, list[str]]) -> bool:
    """Whether all the tests hold, each in a spelling of its own so that none overwrites another."""
    condition = {
        "".join(letter.upper() if index == at else letter.lower() for at, letter in enumerate(operator)): {key: given}
        for index, (operator, key, given) in enumerate(tests)
    }
    caller = Principal("user", OWNER, f"arn:aws:iam::{OWNER}:user/alice", "AIDAABCDEFGHIJKLMNOPQ")
    asked = Request(caller, "ecr:PutImage", "*", OWNER, request.context)
    statement = right(action="*", Condition=condition)
    return evaluate(asked, w.policies({"identity": [statement]})).allowed


@given(w.requests, w.tests_([*w.POSITIVE, *w.NEGATED]))
def test_if_exists_is_the_operator_or_no_key(request: Request, test: tuple[str, str, list[str]]) -> None:
    operator, key, given = test
    plain = operator.removesuffix("IfExists")
    missing = holds(request, ("Null", key, ["true"]))
    assert holds(request, (f"{plain}IfExists", key, given)) is (missing or holds(request, (plain, key, given)))


@given(w.requests, w.tests_(w.NEGATED))
def test_negated_values_must_all_fail(request: Request, test: tuple[str, str, list[str]]) -> None:
    operator, key, given = test
    if not operator.startswith("ForAnyValue:"):
        one_by_one = all(holds(request, (operator, key, [value])) for value in given)
        assert holds(request, (operator, key, given)) is one_by_one


@given(w.requests, st.sampled_from(["StringEquals", "StringLike", "StringEqualsIgnoreCase"]), st.data())
def test_a_negated_operator_is_the_opposite(request: Request, operator: str, data: st.DataObject) -> None:
    _, key, given = data.draw(w.tests_([operator]))
    negated = operator.replace("String", "StringNot")
    several = isinstance(request.context.get(key.lower()), tuple) and request.context[key.lower()] != ()
    held = holds(request, (operator, key, given)), holds(request, (negated, key, given))
    assert held == (False, False) if several else held[0] is not held[1]


@given(w.requests, w.any_test, w.any_test)
def test_tests_are_joined_by_and(
    request: Request, one: tuple[str, str, list[str]], two: tuple[str, str, list[str]]
) -> None:
    assert holds(request, one, two) is (holds(request, one) and holds(request, two))


@given(w.requests, w.tests_([*w.POSITIVE, *w.NEGATED]))
def test_a_single_value_is_a_list_of_one(request: Request, test: tuple[str, str, list[str]]) -> None:
    operator, key, given = test
    value = request.context.get(key.lower())
    refers_to_context = any("${" in each for each in given)  # a variable has no value while its key is a list
    if isinstance(value, str) and value and ":" in operator and not refers_to_context:
        listed = Request(request.principal, "", "", "", {**request.context, key.lower(): (value,)})
        assert holds(listed, test) is holds(request, test)
        assert holds(request, test) is holds(request, (operator.partition(":")[2], key, given))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Principal", "Action", "Condition", "AWS", "StringLike", "aws:a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text() | json_values.map(json.dumps), st.sampled_from(list(Kind)))
def test_the_parser_raises_policy_errors_only(source: str, kind: Kind) -> None:
    try:
        document = parse(source, kind)
    except PolicyError:
        return
    assert parse(document.canonical(), kind).canonical() == document.canonical()


@given(w.worlds, st.sampled_from(["2008-10-17", "2012-10-17"]))
def test_canonical_text_is_stable(world: World, version: str) -> None:
    for name, made in world.items():
        document = parse(w.text(made, version), w.KINDS[name])
        canonical = document.canonical()
        assert parse(canonical, document.kind).canonical() == canonical


@given(
    st.text("ab:/-${}*'?", max_size=12),
    st.sampled_from(["StringLike", "StringEquals", "ArnLike", "NumericEquals", "DateEquals", "IpAddress", "Bool"]),
    st.text("ab:/-*0129.TZ", max_size=12) | st.tuples(st.text(max_size=4)),
    st.text(max_size=6),
)
def test_no_condition_raises(value: str, operator: str, given_value: str | tuple[str, ...], name: str) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"aws:a": value}}}
    document = parse(w.text([statement]), Kind.IDENTITY)
    caller = Principal("user", OWNER, name, name)
    request = Request(caller, name, name, name, {"aws:a": given_value, "a": "b"})
    assert evaluate(request, Policies(identity=[Named("", "", document)])).rule != "0-unfit-request"


anything: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=5),
    st.lists(st.text(max_size=2), max_size=2),
    st.tuples(st.integers()),
    st.dictionaries(st.sampled_from([key.lower() for key in w.KEYS]), st.none() | st.binary(max_size=1), max_size=3),
)


@given(w.requests, w.worlds, st.sampled_from(Request.__struct_fields__), anything)
def test_a_request_that_is_none_of_a_kind_is_denied(request: Request, world: World, field: str, given: Any) -> None:
    broken = msgspec.structs.replace(request, **{field: given})
    decision = evaluate(broken, w.policies(world))
    wanted = {"principal": Principal, "context": dict}.get(field, str)
    if not isinstance(given, wanted):
        assert verdict(decision) == (False, False, "request", "0-unfit-request")
    assert verdict(evaluate(broken, w.policies(world), detail=True)) == verdict(decision)


@given(w.requests, w.worlds, st.sampled_from(Principal.__struct_fields__), anything)
def test_no_caller_raises_and_one_of_no_kind_is_denied(request: Request, world: World, field: str, given: Any) -> None:
    caller: Any = msgspec.structs.replace(request.principal, **{field: given})
    decision = evaluate(msgspec.structs.replace(request, principal=caller), w.policies(world))
    if field == "kind" or isinstance(given, list | dict):
        assert verdict(decision) == (False, False, "request", "0-unfit-request")
