"""Policies made to be slow or to break something: each is refused with a clear error, or decided like any other.

What would take exponential time never answers, so that the client's own time limit fails the test; nothing is timed.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.server_process import Error, ServerProcess

ACCOUNT = "676767676767"
NESTED = "[" * 4000 + "]" * 4000
REPOSITORY = "bad/" + "a" * 200


def statement(**elements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **elements}]})


def trust(**elements: Any) -> str:
    return statement(**{"Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"} | elements)


def conditions(number: int) -> dict[str, Any]:
    return {"StringEquals": {f"aws:PrincipalTag/k{each}": "v" for each in range(number)}}


def nested_condition(depth: int) -> dict[str, Any]:
    inner: Any = "v"
    for _ in range(depth):
        inner = {"StringEquals": inner}
    return {"StringEquals": {"aws:username": inner}}


def refused(call: Callable[..., Any], **fields: Any) -> tuple[str, str]:
    with pytest.raises(Error) as error:
        call(**fields)
    told = error.value.response
    assert 400 <= told["ResponseMetadata"]["HTTPStatusCode"] < 500
    return told["Error"]["Code"], told["Error"]["Message"]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "null",
        NESTED,
        '{"Statement":' + NESTED + "}",
        trust(Condition=nested_condition(300)),
        trust(Resource="*"),
        statement(Action="sts:AssumeRole"),
        statement(Principal={"AWS": ACCOUNT}),
        trust(Principal={"AWS": "arn:aws:iam::676767676767:role/*"}),
        trust(Principal={"AWS": "****"}),
        trust(Principal={"Nobody": "x"}),
        trust(Condition={"StringMatches": {"aws:username": "x"}}),
        trust(Condition={"DateLessThan": {"aws:CurrentTime": {"a": 1}}}),
        trust(Effect="Perhaps"),
        trust().replace("2012-10-17", "2026-01-01"),
        trust()[:-1],
    ],
    ids=range(16),
)
def test_a_malformed_trust_policy_makes_no_role(server: ServerProcess, document: str) -> None:
    iam = server.client("iam", ACCOUNT)
    code, message = refused(iam.create_role, RoleName="malformed", AssumeRolePolicyDocument=document)
    assert code in {"MalformedPolicyDocument", "ValidationError"}
    assert 0 < len(message) < 1000
    assert refused(iam.get_role, RoleName="malformed")[0] == "NoSuchEntity"


def test_documents_over_their_limit_are_refused(server: ServerProcess) -> None:
    iam, ecr = server.client("iam", ACCOUNT), server.client("ecr", ACCOUNT)
    iam.create_user(UserName="long")
    ecr.create_repository(repositoryName="bad/long")
    long = statement(Action="ecr:*", Resource=["arn:aws:ecr:*:*:repository/" + "x" * 90] * 100)
    for call, named in (
        (iam.put_user_policy, {"UserName": "long", "PolicyName": "p", "PolicyDocument": long}),
        (iam.create_policy, {"PolicyName": "long", "PolicyDocument": long}),
        (iam.create_role, {"RoleName": "long", "AssumeRolePolicyDocument": trust(Condition=conditions(200))}),
    ):
        assert refused(call, **named)[0] == "LimitExceeded"
    policy = statement(Principal="*", Action="ecr:BatchGetImage", Condition=conditions(400))
    code, message = refused(ecr.set_repository_policy, repositoryName="bad/long", policyText=policy)
    assert code == "InvalidParameterException"
    assert "less than or equal to 10240" in message
    huge = statement(Action="ecr:*", Resource="x" * 3_000_000)
    refused(iam.put_user_policy, UserName="long", PolicyName="p", PolicyDocument=huge)
    assert iam.list_user_policies(UserName="long")["PolicyNames"] == []


@pytest.mark.parametrize(
    ("name", "allowed", "elements"),
    [
        ("stars", True, {"Action": "ecr:*" + "*" * 1500, "Resource": "*"}),
        ("backtracking", False, {"Action": "ecr:*", "Resource": "arn:aws:ecr:*:*:repository/" + "*a" * 600 + "*b"}),
        ("all-stars", True, {"Action": "ecr:*", "Resource": "arn:aws:ecr:*:*:repository/" + "*" * 1500}),
        ("questions", False, {"Action": "ecr:*" + "*?" * 500, "Resource": "*"}),
        ("condition", False, {"Condition": {"StringLike": {"aws:UserAgent": "*a" * 600 + "*b"}}}),
        ("negated", True, {"Condition": {"StringNotLike": {"aws:UserAgent": "*a" * 600 + "*b"}}}),
    ],
)
def test_wildcards_made_to_be_slow_are_decided(
    server: ServerProcess, name: str, allowed: bool, elements: dict[str, Any]
) -> None:
    iam = server.client("iam", ACCOUNT)
    iam.create_user(UserName=name)
    document = statement(**{"Action": "ecr:*", "Resource": "*"} | elements)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    long_agent = {"user_agent": "a" * 2000}
    ecr = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"], config=long_agent)
    code, _ = refused(ecr.list_images, repositoryName=REPOSITORY)  # which is not there
    assert code == ("RepositoryNotFoundException" if allowed else "AccessDeniedException")


def test_many_conditions_within_the_limit_are_decided(server: ServerProcess) -> None:
    ecr = server.client("ecr", ACCOUNT)
    ecr.create_repository(repositoryName="bad/many")
    policy = statement(Principal={"AWS": "787878787878"}, Action="ecr:ListImages", Condition=conditions(250))
    ecr.set_repository_policy(repositoryName="bad/many", policyText=policy)
    other = server.client("ecr", "787878787878")
    code, message = refused(other.list_images, registryId=ACCOUNT, repositoryName="bad/many")
    assert code == "AccessDeniedException"
    assert "no resource-based policy allows" in message
