"""Hypothesis' policies, callers and requests: small alphabets, so that statements match often enough to matter."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from moorage.policy import Kind, Named, Policies, Request, parse
from moorage.policy.matching.operators import is_address
from tests.policy.build import ARN, OTHER, OWNER, role, user
from tests.policy.cases import CALLERS

Statement = dict[str, Any]
World = dict[str, list[Statement]]
"""Statements by policy set; a set that is not there is not attached. SCPs and RCPs have one level."""

KINDS = {
    "identity": Kind.IDENTITY,
    "resource": Kind.REPOSITORY,
    "boundary": Kind.BOUNDARY,
    "session": Kind.SESSION,
    "scp": Kind.SCP,
    "rcp": Kind.RCP,
}

effects = st.sampled_from(["Allow", "Allow", "Deny"])
ACTIONS = ["*", "ecr:*", "ecr:BatchGetImage", "ecr:Put*", ["ecr:PutImage", "ecr:BatchGetImage"], "ECR:putimage"]
RESOURCES = [
    "*",
    ARN,
    f"arn:aws:ecr:*:{OWNER}:repository/team/*",
    "arn:aws:ecr:*:*:repository/${aws:username}/*",
    "arn:aws:ecr:*:*:repository/x",
    [ARN, "arn:aws:ecr:*:*:repository/${aws:none}"],
]
NAMES = [
    "*",
    {"AWS": OWNER},
    {"AWS": OTHER},
    {"AWS": user().arn},
    {"AWS": user(OTHER).arn},
    {"AWS": [role().arn, OTHER]},
    {"AWS": role().role_arn},
    {"AWS": str(user().id)},
    {"Service": CALLERS["replication"].arn},
]
TEXT_OPERATORS = ["StringEquals", "StringLike", "StringEqualsIgnoreCase"]
POSITIVE = [*TEXT_OPERATORS, "NumericEquals", "NumericLessThan", "DateGreaterThan", "Bool", "IpAddress", "ArnLike"]
NEGATED = ["StringNotEquals", "StringNotLike", "StringNotEqualsIgnoreCase", "NumericNotEquals", "DateNotEquals"]
NEGATED = [*NEGATED, "NotIpAddress", "ArnNotLike"]
ENDINGS = ["", "", "IfExists"]
QUALIFIERS = ["", "", "ForAllValues:", "ForAnyValue:"]
KEYS = ["aws:username", "aws:SourceIp", "aws:TagKeys", "aws:EpochTime", "aws:PrincipalArn", "aws:none"]
VALUES = ["alice", "ALICE", "a*", "", "10.0.0.0/8", "10.0.0.1", "${aws:username}", "${aws:none}", "*", "true", "a", "b"]
VALUES = [*VALUES, "1777629600", "2026-05-01", "7", "arn:aws:iam::*:user/*", "arn:aws:iam::*:user/${aws:username}"]
GIVEN = ["alice", "10.0.0.1", "::1", "true", "a", "", "7", "1777629600", "arn:aws:iam::1:user/alice"]

values = st.sampled_from(VALUES)
arns = st.sampled_from([value for value in VALUES if value.startswith("arn:")])


def value_lists(operator: str) -> st.SearchStrategy[list[str]]:
    """Values an operator may have: a negated one of ARNs takes nothing else."""
    return st.lists(arns if "ArnNot" in operator else values, min_size=1, max_size=3)


@st.composite
def tests_(draw: st.DrawFn, operators: Sequence[str]) -> tuple[str, str, list[str]]:
    """(operator in full, key, values)"""
    base = draw(st.sampled_from(operators))
    given = draw(value_lists(base))
    key = draw(st.sampled_from(KEYS))
    if base == "Null":
        return base, key, draw(st.sampled_from([["true"], ["false"], ["true", "false"]]))
    return draw(st.sampled_from(QUALIFIERS)) + base + draw(st.sampled_from(ENDINGS)), key, given


def as_condition(tests: Sequence[tuple[str, str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    condition: dict[str, dict[str, list[str]]] = {}
    for operator, key, given in tests:
        condition.setdefault(operator, {})[key] = given
    return condition


any_test = tests_([*POSITIVE, *NEGATED, "Null"])
conditions = st.lists(any_test, max_size=3).map(as_condition)


def _with_an_address(context: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
    """A request whose source is no address is denied as a whole where that is asked for: test_plan.py shows it."""
    source = context.get("aws:sourceip")
    return {**context, "aws:sourceip": "10.0.0.1"} if isinstance(source, str) and not is_address(source) else context


contexts = st.dictionaries(
    st.sampled_from([key.lower() for key in KEYS if key != "aws:none"]),
    st.sampled_from(GIVEN) | st.lists(st.sampled_from(GIVEN), max_size=3).map(tuple),
).map(_with_an_address)
requests = st.builds(
    Request,
    st.sampled_from(list(CALLERS.values())),
    st.sampled_from(["ecr:BatchGetImage", "ecr:PutImage"]),
    st.sampled_from([ARN, f"arn:aws:ecr:us-east-1:{OWNER}:repository/alice/app", "*"]),
    st.just(OWNER),
    contexts,
)


@st.composite
def statements(draw: st.DrawFn, name: str) -> Statement:
    made: Statement = {"Effect": draw(effects), draw(st.sampled_from(["Action", "Action", "NotAction"])): None}
    made[list(made)[1]] = draw(st.sampled_from(ACTIONS))
    if name == "resource":
        made[draw(st.sampled_from(["Principal", "Principal", "NotPrincipal"]))] = draw(st.sampled_from(NAMES))
    else:
        made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(st.sampled_from(RESOURCES))
    if name == "rcp":
        made["Principal"] = "*"
    if draw(st.booleans()):
        made["Condition"] = draw(conditions)
    return made


def _set(name: str) -> st.SearchStrategy[list[Statement]]:
    return st.lists(statements(name), min_size=1, max_size=3)


worlds = st.fixed_dictionaries(
    {"identity": _set("identity"), "resource": _set("resource")},
    optional={name: _set(name) for name in ("boundary", "session", "scp", "rcp")},
)
"""Whole sets of policies."""


def text(made: Sequence[Statement], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(made)})


def policies(world: Mapping[str, Sequence[Statement]], version: str = "2012-10-17") -> Policies:
    """Each set as one policy."""
    return in_policies({name: [made] for name, made in world.items()}, version)


def in_policies(world: Mapping[str, Sequence[Sequence[Statement]]], version: str = "2012-10-17") -> Policies:
    """Each set as several policies."""
    parsed = {
        name: [Named(name, "", parse(text(made, version), KINDS[name])) for made in several]
        for name, several in world.items()
    }
    levels = {name: [parsed.pop(name)] for name in ("scp", "rcp") if name in parsed}
    return Policies(**parsed, **levels)  # type: ignore[arg-type]
