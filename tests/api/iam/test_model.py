"""IAM's operations held against botocore's model: names, and the constraints of their fields."""

from typing import Any

import pytest
from botocore.model import Shape, StringShape

from moorage.api.iam import IAM
from tests.support.query_client import MODELS, QueryClient

MODEL = MODELS["iam"]
TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"x.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)
ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'
VALUES: dict[str, Any] = {
    "PolicyDocument": ALLOW,
    "AssumeRolePolicyDocument": TRUST,
    "PolicyArn": "arn:aws:iam::012345678910:policy/p",
    "PermissionsBoundary": "arn:aws:iam::012345678910:policy/p",
    "PolicySourceArn": "arn:aws:iam::012345678910:user/ann",
    "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA",
    "Status": "Active",
    "VersionId": "v1",
    "Path": "/",
    "PathPrefix": "/",
    "AWSServiceName": "replication.ecr.amazonaws.com",
    "DeletionTaskId": "task/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication/1",
    "PolicyInputList": [ALLOW],
    "ActionNames": ["ecr:PutImage"],
    "Tags": [{"Key": "a", "Value": "b"}],
    "TagKeys": ["a"],
    "AccountAlias": "mine",
    "SAMLProviderArn": "arn:aws:iam::012345678910:saml-provider/idp",
    "OpenIDConnectProviderArn": "arn:aws:iam::012345678910:oidc-provider/token.example.com",
    "SSHPublicKeyId": "APKAAAAAAAAAAAAAAAAA",
    "Encoding": "SSH",
}


def fields_of(operation: str) -> dict[str, Any]:
    """A request that keeps to the model: the required members."""
    shape = MODEL.operation_model(operation).input_shape
    return {} if shape is None else {name: VALUES.get(name, "name") for name in shape.required_members}


def members() -> list[tuple[str, str, Shape]]:
    found = []
    for operation in sorted(IAM.operations):
        shape = MODEL.operation_model(operation).input_shape
        for name, member in (shape.members if shape is not None else {}).items():
            found.append((operation, name, member))
    return found


def test_every_operation_is_in_the_model() -> None:
    assert set(IAM.operations) <= set(MODEL.operation_names)


def test_every_operation_is_decided_by_the_action_of_its_name() -> None:
    assert {name: operation.action for name, operation in IAM.operations.items()} == {
        name: f"iam:{name}" for name in IAM.operations
    }


async def test_what_is_required_must_be_there(root: QueryClient) -> None:
    for operation in sorted(IAM.operations):
        fields = fields_of(operation)
        for name in fields:
            rest = {key: value for key, value in fields.items() if key != name}
            assert (await root.refused(operation, **rest))[:2] == (400, "ValidationError"), (operation, name)


async def test_lengths_and_numbers_are_held(root: QueryClient) -> None:
    for operation, name, member in members():
        bad: list[Any] = []
        least, most = member.metadata.get("min"), member.metadata.get("max")
        if name == "UserName" and operation != "CreateUser":
            most = 128  # the model has 64 for some, which no name of an existing user can exceed
        if isinstance(member, StringShape):
            if most is not None and not member.enum:
                bad.append("/" + "x" * most + "/" if "Path" in name else "x" * (most + 1))
            if member.enum:
                bad.append("NotOneOfThem")
        elif member.type_name == "integer":
            bad += [] if least is None else [least - 1]
            bad += [] if most is None else [most + 1]
        elif member.type_name == "boolean":
            bad.append("perhaps")
        elif member.type_name == "list" and name in {"Tags", "TagKeys"}:
            one = {"Key": "k{}", "Value": "v"} if name == "Tags" else "k{}"
            bad.append([{"Key": f"k{n}", "Value": "v"} if isinstance(one, dict) else f"k{n}" for n in range(most + 1)])
        for value in bad:
            given = {**fields_of(operation), name: value}
            if member.type_name == "boolean":
                given.pop(name)
                given[f"{name} "] = value
                continue
            status, code, _ = await root.refused(operation, **given)
            assert (status, code) == (400, "ValidationError"), (operation, name, str(value)[:40])


@pytest.mark.parametrize("pattern_breaker", ["é", "a b", "a/b", "a*b"])
async def test_names_are_held_to_their_pattern(root: QueryClient, pattern_breaker: str) -> None:
    for operation, name, _ in members():
        if name.endswith("Name") and name != "ServiceName":  # the model has no pattern for it
            status, code, _ = await root.refused(operation, **{**fields_of(operation), name: pattern_breaker})
            assert (status, code) == (400, "ValidationError"), (operation, name)
