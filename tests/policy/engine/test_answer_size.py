"""How many bytes a cached result is counted with."""

import pytest

from moorage.policy import Kind, Policies, Request, answer_size, evaluate
from moorage.policy.engine.decision import PolicyTrace, SetTrace
from tests.policy.build import OWNER, grant, named, root

ARN = f"arn:aws:ecr:us-east-1:{OWNER}:repository/app"


@pytest.fixture
def trace() -> tuple[SetTrace, ...]:
    """The trace of one set with one policy of three statements."""
    statements = [grant("*"), grant("*"), grant("*")]
    decision = evaluate(
        Request(root(), "ecr:PutImage", ARN, OWNER, {}), Policies(resource=named(Kind.REPOSITORY, *statements))
    )
    assert [len(policy.statements) for one in decision.trace for policy in one.policies] == [3]
    return decision.trace


def test_a_result_of_findings(trace: tuple[SetTrace, ...]) -> None:
    (policy,) = trace[0].policies
    assert answer_size((7, None), policy.statements) == 500 + 40 * 2 + 170 * 3
    assert answer_size(("abc", 7, "defgh"), policy.statements[:1]) == 500 + 40 * 3 + 4 * 3 + 4 * 5 + 170


def test_a_conclusion_counts_its_sets_and_policies(trace: tuple[SetTrace, ...]) -> None:
    assert answer_size((7, "ab"), ("ruling", trace)) == 500 + 80 + 8 + 200 + 200 + 170 * 3
    assert answer_size((), ("ruling", (*trace, *trace))) == 500 + 2 * (400 + 170 * 3)
    policies: tuple[PolicyTrace, ...] = trace[0].policies * 2
    two = SetTrace(set="resource", result="allow", policies=policies)
    assert answer_size((), ("ruling", (two,))) == 500 + 200 + 2 * (200 + 170 * 3)
