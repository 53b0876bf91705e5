"""What `--fix` does: safe edits change no decision, keep the layout, and come to an end."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.policy import Kind, Named, Policies, PolicyError, Request, evaluate, parse
from moorage.policy.lint import Severity, fixed, lint
from tests.policy.build import ARN, OTHER, OWNER, federated, role, root, user
from tests.policy.lint.test_lint import conditions, lists, principals, texts

CALLERS = [user(), user(OTHER), role(), role(OTHER), federated(), root(OTHER)]
CONTEXTS: list[dict[str, str | tuple[str, ...]]] = [
    {},
    {"aws:username": "a", "aws:sourceip": "10.9.9.9", "aws:tagkeys": ("a", "b"), "aws:multifactorauthpresent": "true"},
    {"aws:sourceip": "192.0.2.1", "aws:resourcetag/a": "*", "aws:multifactorauthpresent": "false"},
]
valid_actions = lists(st.sampled_from(["*", "ecr:*", "ecr:Get*", "ECR:putimage", "ecr:PutImage", "ecr:Put*"])).filter(
    bool
)
valid_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.just("*") | st.dictionaries(st.just("AWS"), lists(principals), min_size=1),
        "Action": valid_actions,
    },
    optional={"Sid": st.sampled_from(["", "a"]), "Condition": conditions},
)
valid_documents = st.fixed_dictionaries(
    {"Statement": st.lists(valid_statements, min_size=1, max_size=3)},
    optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"])},
).map(lambda one: json.dumps(one, indent=2))


def fix(source: str, kind: Kind = Kind.REPOSITORY, *, proposals: bool = False) -> str:
    return fixed(source, lambda text: lint(text, kind).findings, proposals=proposals)


def decisions(source: str) -> list[tuple[bool, str]]:
    policies = Policies(
        identity=[Named("i", "", parse('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}', Kind.IDENTITY))],
        resource=[Named("r", "", parse(source, Kind.REPOSITORY))],
    )
    return [
        (decision.allowed, decision.rule)
        for caller in CALLERS
        for action in ("ecr:PutImage", "ecr:GetDownloadUrlForLayer", "ecr:SetRepositoryPolicy")
        for context in CONTEXTS
        for decision in [evaluate(Request(caller, action, ARN, OWNER, context), policies)]
    ]


@settings(max_examples=300)
@given(valid_documents)
def test_safe_fixes_of_a_valid_policy_change_no_decision(source: str) -> None:
    try:
        before = decisions(source)
    except PolicyError:
        return
    after = fix(source)
    assert decisions(after) == before
    assert not [one for one in lint(after, Kind.REPOSITORY).findings if one.fix.safe and one.fix.edits]


@given(texts, st.sampled_from(list(Kind)), st.booleans())
def test_fixing_ends_and_leaves_json_json(source: str, kind: Kind, proposals: bool) -> None:
    after = fix(source, kind, proposals=proposals)
    try:
        json.loads(source)
    except ValueError:
        return
    json.loads(after)


def lines(*text: str) -> str:
    return "\n".join(text)


@pytest.mark.parametrize(
    ("source", "after"),
    [
        (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "deny",}]}',
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny"}]}',
        ),
        (
            lines("{", '  "Statement": {', '    "Effect": "Deny"', "  }", "}"),
            lines("{", '  "Version": "2012-10-17",', '  "Statement": {', '    "Effect": "Deny"', "  }", "}"),
        ),
        (
            lines("{", '  "version": "2012-10-17",', '  "Statement": {"Resource": "*", "effect": "Deny"}', "}"),
            lines("{", '  "Version": "2012-10-17",', '  "Statement": {"Effect": "Deny"}', "}"),
        ),
    ],
)
def test_edits_keep_the_layout(source: str, after: str) -> None:
    assert fix(source) == after


def test_commas_go_with_what_is_removed() -> None:
    def action(*names: str) -> str:
        listed = json.dumps(list(names))
        return f'{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", "Principal": "*", "Action": {listed}}}}}'

    assert fix(action("ecr:Get*", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:Get*")) == action(
        "ecr:Get*"
    )
    assert fix(action("ecr:PutImage", "ECR:putimage", "ecr:ListImages")) == action("ecr:PutImage", "ecr:ListImages")


def test_proposals_are_made_only_when_asked_for() -> None:
    def policy(*actions: str) -> str:
        statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": list(actions)}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    source = policy("ecr:BatchGetImages")
    assert fix(source) == source
    after = fix(source, proposals=True)
    assert after == policy("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    assert not [one for one in lint(after, Kind.REPOSITORY).findings if one.severity is not Severity.SUGGESTION]
