"""Which policies can be changed to allow a denied request."""

import json

import pytest

from moorage.policy import Document, Kind, Named, parse, root_of
from moorage.policy.analysis.changeable import Changeable, is_inline, resource_policies
from moorage.policy.engine.decision import SetName
from moorage.policy.engine.request import Request

ACCOUNT = "111122223333"
REGISTRY = f"arn:aws:ecr:us-east-1:{ACCOUNT}"


def named(name: str, kind: Kind = Kind.IDENTITY) -> Named:
    return Named(name, "hash", document(kind))


def document(kind: Kind) -> Document:
    statement = {"Effect": "Allow", "Action": "ecr:*"}
    statement |= {"Resource": "*"} if kind in {Kind.IDENTITY, Kind.REGISTRY} else {}
    statement |= {"Principal": "*"} if kind in {Kind.REPOSITORY, Kind.REGISTRY} else {}
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), kind)


@pytest.mark.parametrize(
    ("set_name", "name", "fixed"),
    [
        ("identity", "mine", False),
        ("identity", f"arn:aws:iam::{ACCOUNT}:policy/mine", False),
        ("identity", "arn:aws:iam::aws:policy/ReadOnlyAccess", True),
        ("identity", "arn:aws-cn:iam::aws:policy/service-role/X", True),
        ("identity", "FullAWSAccess", False),
        ("boundary", "arn:aws:iam::aws:policy/ReadOnlyAccess", True),
        ("boundary", f"arn:aws:iam::{ACCOUNT}:policy/mine", False),
        ("session", "arn:aws:iam::aws:policy/ReadOnlyAccess", True),
        ("scp", "FullAWSAccess", True),
        ("scp", "FullAWSAccess (r-1)", True),
        ("scp", "FullAWSAccess-of-mine", False),
        ("rcp", "RCPFullAWSAccess (ou-1)", True),
        ("rcp", "mine (ou-1)", False),
        ("scp", "arn:aws:iam::aws:policy/x", False),
    ],
)
def test_policies_of_aws_cannot_be_changed(set_name: SetName, name: str, fixed: bool) -> None:
    assert Changeable().is_fixed(set_name, named(name)) is fixed


@pytest.mark.parametrize("set_name", ["identity", "boundary"])
def test_the_policies_of_a_service_linked_role_cannot_be_changed(set_name: SetName) -> None:
    assert Changeable(own=False).is_fixed(set_name, named("mine"))
    assert not Changeable(own=False).is_fixed("session", named("mine"))
    assert not Changeable(own=False).is_fixed("scp", named("mine"))


def test_only_resource_policies_of_a_kind_that_applies_can_be_changed() -> None:
    only_registry = Changeable(resource=(Kind.REGISTRY,))
    assert only_registry.is_fixed("resource", named("x", Kind.REPOSITORY))
    assert not only_registry.is_fixed("resource", named("x", Kind.REGISTRY))
    assert not Changeable().is_fixed("resource", named("arn:aws:iam::aws:policy/x", Kind.REPOSITORY))


def test_managed_policies_and_those_of_groups_are_not_inline_policies_of_the_caller() -> None:
    assert is_inline(named("my+policy=1,2.3@x-y_z"))
    assert not is_inline(named(f"arn:aws:iam::{ACCOUNT}:policy/mine"))
    assert not is_inline(named("devs/mine"))
    assert not is_inline(named(""))


@pytest.mark.parametrize(
    ("action", "resource", "kinds"),
    [
        ("ecr:PutImage", f"{REGISTRY}:repository/app", (Kind.REPOSITORY, Kind.REGISTRY)),
        ("ECR:PutImage", f"{REGISTRY}:repository/app", (Kind.REPOSITORY, Kind.REGISTRY)),
        ("moorage:Restore", f"{REGISTRY}:repository/app", (Kind.REPOSITORY, Kind.REGISTRY)),
        ("ecr:CreateRepository", f"{REGISTRY}:repository/app", (Kind.REGISTRY,)),
        ("ecr:DescribeRepositories", f"{REGISTRY}:repository/*", (Kind.REGISTRY,)),
        ("ecr:GetAuthorizationToken", "*", (Kind.REGISTRY,)),
        ("moorage:ReadAudit", "*", ()),
        ("iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/ann", ()),
        ("s3:GetObject", "arn:aws:s3:::b:repository/x", ()),
    ],
)
def test_resource_policies_that_can_apply(action: str, resource: str, kinds: tuple[Kind, ...]) -> None:
    request = Request(root_of(ACCOUNT), action, resource, ACCOUNT, {})
    assert resource_policies(request) == kinds
