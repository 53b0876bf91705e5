"""The symbolic half of the lock-out check (docs/development/policy-engine.md §5, step 4)."""

import pytest

from moorage.policy import Kind, Principal, locks_out, parse, root_of
from tests.policy.build import OTHER, OWNER, grant, text

NOT_ONE = {"Effect": "Deny", "Action": "ecr:*"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (grant("*", "Deny"), True),
        (grant("*", "Deny", "*"), True),
        (grant("*", "Deny", "ECR:set*"), True),
        (grant({"AWS": OWNER}, "Deny"), True),
        (grant({"AWS": f"arn:aws:iam::{OWNER}:root"}, "Deny"), True),
        (grant({"AWS": OTHER}, "Deny"), False),
        (grant({"AWS": f"arn:aws:iam::{OWNER}:user/a"}, "Deny"), False),
        (grant("*", "Deny", "ecr:BatchGetImage"), False),
        (grant("*", "Deny", "ecr:Put*"), False),
        (grant("*", "Allow"), False),
        (grant("*", "Deny", Condition={}), True),
        (grant("*", "Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}), False),
        ({"Effect": "Deny", "Principal": "*", "NotAction": "ecr:GetRepositoryPolicy"}, True),
        ({"Effect": "Deny", "Principal": "*", "NotAction": ["ecr:Set*"]}, False),
        ({**NOT_ONE, "NotPrincipal": {"AWS": OTHER}}, True),
        ({**NOT_ONE, "NotPrincipal": {"AWS": OWNER}}, False),
    ],
)
def test_locks_out(statement: dict[str, object], expected: bool) -> None:
    document = parse(text(grant("*"), statement), Kind.REPOSITORY)
    assert locks_out(document, OWNER) is expected


def test_the_root_of_an_account() -> None:
    assert root_of(OWNER) == Principal("root", OWNER, f"arn:aws:iam::{OWNER}:root", OWNER)
