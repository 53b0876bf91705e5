"""What is a policy of which kind, and its canonical text (policy-engine.md §1)."""

import json

import pytest

from moorage.policy import Document, Kind, PolicyError, parse
from tests.policy.build import OTHER, OWNER, grant, right, text

REFERENCE = (
    '{"Version":"2012-10-17","Statement":[{"Sid":"AllowPull","Effect":"Allow",'
    '"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Principal":"*"}]}\n'
)
CANONICAL = """{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Sid" : "AllowPull",
    "Effect" : "Allow",
    "Principal" : "*",
    "Action" : [ "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ]
  } ]
}"""


def repository(source: str) -> Document:
    return parse(source, Kind.REPOSITORY)


def test_the_api_references_policy_comes_back_byte_for_byte() -> None:
    assert repository(REFERENCE).canonical() == CANONICAL
    answer = json.dumps(
        {"policyText": CANONICAL, "registryId": "012345678910", "repositoryName": "ubuntu"}, separators=(",", ":")
    )
    assert len(answer.encode()) == 301


def test_canonical_text_is_stable_and_keeps_forms() -> None:
    source = """{"Statement": {"Condition": {"StringLike": {"aws:b": ["x", 1.50, true], "aws:a": "\\u0007\\"é/\\\\"},
        "Bool": {}}, "NotAction": ["ecr:PutImage"], "NotPrincipal": {"Service": ["a.amazonaws.com"],
        "AWS": ["111122223333", "arn:aws:iam::444455556666:user/x"]}, "Effect": "Deny"}, "Id": "my policy"}"""
    expected = """{
  "Id" : "my policy",
  "Statement" : {
    "Effect" : "Deny",
    "NotPrincipal" : {
      "Service" : [ "a.amazonaws.com" ],
      "AWS" : [ "arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:user/x" ]
    },
    "NotAction" : [ "ecr:PutImage" ],
    "Condition" : {
      "StringLike" : {
        "aws:b" : [ "x", 1.50, true ],
        "aws:a" : "\\u0007\\"é/\\\\"
      },
      "Bool" : { }
    }
  }
}"""
    document = repository(source)
    assert document.canonical() == expected
    assert repository(expected).canonical() == expected


def test_objects_in_arrays_stand_side_by_side() -> None:
    canonical = repository(text(grant("*"), grant({"AWS": OWNER}))).canonical()
    assert "\n  }, {\n" in canonical
    assert f'"AWS" : "arn:aws:iam::{OWNER}:root"' in canonical


def test_principals_go_to_ids_and_back() -> None:
    arn = f"arn:aws:iam::{OWNER}:user/alice"
    document = repository(text(grant({"AWS": [arn, OWNER]}), grant("*"), grant({"AWS": arn})))
    assert document.principals() == [arn, OWNER, "*", arn]
    to_id, to_arn = {arn: "AIDAABCDEFGHIJKLMNOPQ"}, {"AIDAABCDEFGHIJKLMNOPQ": arn}
    stored = document.with_principals(lambda one: to_id.get(one, one))
    assert stored.principals()[0] == "AIDAABCDEFGHIJKLMNOPQ"
    assert document.principals()[0] == arn
    again = repository(stored.canonical()).with_principals(lambda one: to_arn.get(one, one))
    assert again.canonical() == document.canonical()


BAD = [
    "",
    "{",
    "[]",
    "null",
    "'Version'",
    "{}",
    '{"Statement": []}',
    '{"Statement": [[]]}',
    '{"Statement": "x"}',
    '{"Statement": NaN}',
    "{'Statement': [{'Effect': 'Allow'}]}",
    "\ufeff" + REFERENCE,
    REFERENCE + "x",
    '{"Statement":[{"Effect":"Allow","Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
    '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
    text(grant("*"), version="2020-01-01"),
    '{"Version": 2012, "Statement": [{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
    '{"Id": 5, "Statement": [{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
    '{"Sid": "x", "Statement": [{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
    text(grant("*", "allow")),
    text(grant("*", Sid=1)),
    text(grant("*", Sid="\ud800")),
    text(grant(1)),
    text(grant("*", Resource="*")),
    text(grant("*", NotResource="*")),
    text(grant("*", NotPrincipal="*")),
    text(grant("*", NotAction="ecr:*")),
    text({"Effect": "Allow", "Action": "ecr:*"}),
    text({"Effect": "Allow", "Principal": "*"}),
    text({"Principal": "*", "Action": "ecr:*"}),
    text(grant(OWNER)),
    text(grant(["*"])),
    text(grant({})),
    text(grant({"AWS": []})),
    text(grant({"AWS": ""})),
    text(grant({"AWS": 111122223333})),
    text(grant({"aws": "*"})),
    text(grant({"AWS": "1234"})),
    text(grant({"AWS": "١٢٣٤٥٦٧٨٩٠١٢"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:role/*"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:*"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:user/a?"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:group/g"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:user/"})),
    text(grant({"AWS": f"arn:aws:iam::{OWNER}:root\n"})),
    text(grant({"AWS": f"arn:aws:sts::{OWNER}:assumed-role/r"})),
    text(grant({"AWS": "arn:aws:iam::*:root"})),
    text(grant({"Service": "*"})),
    text(grant({"Service": "ecr"})),
    text(grant({"Federated": "cognito-identity.amazonaws.com"})),
    text(grant({"CanonicalUser": "79a59d"})),
    text(grant("*", action=[])),
    text(grant("*", action="")),
    text(grant("*", action=7)),
    text(grant("*", action={"ecr": "*"})),
    text(grant("*", action="ecr:GetAuthorizationToken")),
    text(grant("*", action="ecr:getauthorizationtoken")),
    text(grant("*", action="ecr:NoSuchThing")),
    text(grant("*", action="ecr:PutImage ")),
    text(grant("*", action="ecr:Put Image*")),
    text(grant("*", action="s3:GetObject")),
    text(grant("*", action="s3:*")),
    text(grant("*", action="*:*")),
    text(grant("*", action="ecr")),
    text(grant("*", action="ecr:")),
    text(grant("*", Condition=[])),
    text(grant("*", Condition={"StringEquals": "x"})),
    text(grant("*", Condition={"StringEquals": {"aws:a": None}})),
    text(grant("*", Condition={"StringEquals": {"aws:a": [["x"]]}})),
    text(grant("*", Condition={"StringEquals": {"aws:a": {"b": "c"}}})),
    text(grant("*", Condition={"StringEquals": {"nocolon": "x"}})),
    text(grant("*", Condition={"StringEquals": {"aws:A": "x", "aws:a": "x"}})),
    text(grant("*", Condition={"StringIs": {"aws:a": "x"}})),
    text(grant("*", Condition={"NullIfExists": {"aws:a": "true"}})),
    text(grant("*", Condition={"ForSome:StringLike": {"aws:a": "x"}})),
    text(grant("*", Condition={"ArnNotLike": {"aws:a": "x"}})),
    text(grant("*", Condition={"StringLike": {"aws:a": "*a" * 1025}})),
    "[" * 100_000,
    '{"Statement":' * 5000,
    '{"Statement":' + "[" * 40 + "]" * 40 + "}",
    " " * 200_000,
    '{"Statement": ' + "9" * 6000 + "}",
]


@pytest.mark.parametrize("source", BAD, ids=range(len(BAD)))
def test_not_a_repository_policy(source: str) -> None:
    with pytest.raises(PolicyError) as fault:
        repository(source)
    assert fault.value.reason


def test_the_pointer_says_where() -> None:
    with pytest.raises(PolicyError) as fault:
        repository(text(grant("*"), grant("*", action=["ecr:PutImage", "ecr:Nope"])))
    assert fault.value.pointer == "/Statement/1/Action/1"


GOOD = [
    text(grant("*"), version=None),
    text(grant("*"), version="2008-10-17"),
    text(grant("*", Sid="new statement"), grant("*", Sid="new statement")),
    text(grant("*", action="*")),
    text(grant("*", action=["ECR:batchgetimage", "ecr:Get*", "ecr:ReplicateImage", "ecr:ListImageReferrers"])),
    text(grant({"AWS": ["*", OWNER, f"arn:aws:iam::{OWNER}:role/a/b/c", f"arn:aws-cn:iam::{OWNER}:root"]})),
    text(grant({"AWS": f"arn:aws:sts::{OWNER}:assumed-role/r/s"})),
    text(grant({"Service": "replication.ecr.amazonaws.com"})),
    text(grant("*", Condition={})),
    text(grant("*", Condition={"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": ["a", 1, True]}})),
]


@pytest.mark.parametrize("source", GOOD, ids=range(len(GOOD)))
def test_a_repository_policy(source: str) -> None:
    assert repository(source).statements


@pytest.mark.parametrize("kind", [Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.SCP])
def test_attached_kinds_need_a_resource_and_have_no_principal(kind: Kind) -> None:
    parse(text(right(action="s3:GetObject", resource="arn:aws:s3:::b/*")), kind)
    for bad in (
        grant("*", Resource="*"),
        {"Effect": "Allow", "Action": "*"},
        right(Sid="two words"),
        right(resource="repository/x"),
        right(action="GetObject"),
    ):
        with pytest.raises(PolicyError):
            parse(text(bad), kind)
    with pytest.raises(PolicyError):
        parse(text(right(Sid="a"), right(Sid="a")), kind)


def test_registry_policies_need_principal_and_resource() -> None:
    arn = f"arn:aws:ecr:us-east-1:{OWNER}:repository/*"
    parse(
        text(grant({"AWS": OTHER}, action=["ecr:ReplicateImage", "ecr:GetAuthorizationToken"], Resource=arn)),
        Kind.REGISTRY,
    )
    for bad in (grant("*"), right(), grant("*", Resource="repository/*"), grant("*", action="s3:*", Resource=arn)):
        with pytest.raises(PolicyError):
            parse(text(bad), Kind.REGISTRY)


def test_resource_control_policies_speak_of_everyone() -> None:
    parse(text(grant("*", "Deny", action="*", Resource="*")), Kind.RCP)
    for bad in (
        grant({"AWS": "*"}, Resource="*"),
        {"Effect": "Deny", "NotPrincipal": "*", "Action": "*", "Resource": "*"},
    ):
        with pytest.raises(PolicyError):
            parse(text(bad), Kind.RCP)
