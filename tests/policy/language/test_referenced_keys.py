"""Which condition keys a policy refers to."""

import pytest

from moorage.policy import Kind, context_keys, parse
from tests.policy.build import ARN, grant, right, text


def test_keys_of_conditions_and_variables_once_each_as_first_written() -> None:
    statements = (
        right(
            resource=[ARN, "arn:aws:ecr:*:*:repository/${aws:username}/${aws:PrincipalTag/Team, 'none'}"],
            Condition={
                "StringEquals": {
                    "ecr:ResourceTag/Team": ["${aws:PrincipalTag/Team}", "${*}${?}${$}", "${ aws:userid }"]
                },
                "Bool": {"aws:SecureTransport": True},
            },
        ),
        {"Effect": "Deny", "Action": "*", "NotResource": "*", "Condition": {"Null": {"AWS:UserName": "true"}}},
    )
    assert context_keys(parse(text(*statements), Kind.IDENTITY)) == (
        "ecr:ResourceTag/Team",
        "aws:SecureTransport",
        "aws:username",
        "aws:PrincipalTag/Team",
        "aws:userid",
    )


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_before_2012_a_variable_is_text(version: str | None) -> None:
    statement = right(resource="arn:aws:ecr:*:*:repository/${aws:username}", Condition={"Bool": {"aws:a": "${aws:b}"}})
    assert context_keys(parse(text(statement, version=version), Kind.IDENTITY)) == ("aws:a",)


def test_a_policy_without_conditions_and_resources_refers_to_no_key() -> None:
    assert context_keys(parse(text(grant("*")), Kind.REPOSITORY)) == ()
