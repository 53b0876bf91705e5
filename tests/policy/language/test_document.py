"""What is a policy of which kind, and its canonical text (docs/development/policy-engine.md §1)."""

import json

import pytest

from moorage.policy import Document, Kind, PolicyError, parse
from moorage.policy.language.canonical import canonical_text
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


def test_every_kind_of_value_has_its_canonical_text() -> None:
    condition = {"Bool": {"aws:a": False, "aws:b": []}, "Null": {"aws:c": [True, False, 1.5e3, -0.0]}}
    canonical = repository(text(grant("*", Condition=condition))).canonical()
    assert '"aws:a" : false,' in canonical
    assert '"aws:b" : [ ]\n' in canonical
    assert '"aws:c" : [ true, false, 1500.0, -0.0 ]\n' in canonical
    # No policy holds null; the printer knows it all the same.
    assert canonical_text({"Statement": {"Sid": None}}) == '{\n  "Statement" : {\n    "Sid" : null\n  }\n}'
    assert canonical_text({"Statement": {"Sid": "\b\t\n\f\r\x00\x1f\x7f/"}}).endswith(
        '"Sid" : "\\b\\t\\n\\f\\r\\u0000\\u001F\x7f/"\n  }\n}'
    )


def test_objects_in_arrays_stand_side_by_side() -> None:
    canonical = repository(text(grant("*"), grant({"AWS": OWNER}))).canonical()
    assert "\n  }, {\n" in canonical
    assert f'"AWS" : "arn:aws:iam::{OWNER}:root"' in canonical


def test_principals_go_to_ids_and_back() -> None:
    arn = f"arn:aws:iam::{OWNER}:user/alice"
    document = repository(text(grant({"AWS": [arn, OWNER]}), grant("*"), grant({"AWS": arn})))
    assert document.principals == (arn, OWNER, "*", arn)
    to_id, to_arn = {arn: "AIDAABCDEFGHIJKLMNOPQ"}, {"AIDAABCDEFGHIJKLMNOPQ": arn}
    stored = repository(document.canonical(to_id))
    assert stored.principals[0] == "AIDAABCDEFGHIJKLMNOPQ"
    assert document.principals[0] == arn
    again = repository(stored.canonical(to_arn))
    assert again.canonical() == document.canonical()


def test_principals_of_every_form_are_found_and_mapped() -> None:
    document = repository(
        text(
            {"Effect": "Deny", "NotPrincipal": {"Service": ["a.amazonaws.com"], "AWS": [OTHER]}, "Action": "ecr:*"},
            grant({"Service": "b.amazonaws.com"}),
            {"Effect": "Deny", "NotPrincipal": {"AWS": OWNER}, "Action": "ecr:*"},
            grant({"AWS": "*"}),
        )
    )
    assert document.principals == (OTHER, OWNER, "*")
    mapped = document.canonical({OTHER: OWNER, OWNER: OTHER})
    assert repository(mapped).principals == (OWNER, OTHER, "*")
    assert f'"AWS" : [ "{OWNER}" ]' in mapped
    assert f'"AWS" : "{OTHER}"' in mapped
    one = repository('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "ecr:*"}}')
    assert one.canonical({"*": OWNER}).startswith('{\n  "Statement" : {\n')


VALID = text(grant("*"))
STATEMENT = '"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]'
BAD = [
    ("[]", "DATA_TYPE_MISMATCH", "", "a policy is a JSON object"),
    ("null", "DATA_TYPE_MISMATCH", "", "a policy is a JSON object"),
    ("{}", "MISSING_STATEMENT", "", "the policy has no Statement"),
    ('{"Statement": []}', "MISSING_STATEMENT", "/Statement", "must not be empty"),
    ('{"Statement": [[]]}', "DATA_TYPE_MISMATCH", "/Statement/0", "must be an object"),
    ('{"Statement": "x"}', "DATA_TYPE_MISMATCH", "/Statement", "must be an object"),
    (
        '{"Statement":[{"Effect":"Allow","Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
        "DUPLICATE_ELEMENT",
        "/Statement/0/Effect",
        "the element Effect is there twice",
    ),
    (
        text(grant("*"), version="2020-01-01"),
        "INVALID_VERSION",
        "/Version",
        "the version is not one of 2008-10-17, 2012-10-17",
    ),
    (f'{{"Version": 2012, {STATEMENT}}}', "DATA_TYPE_MISMATCH", "/Version", "must be a string"),
    (f'{{"Id": 5, {STATEMENT}}}', "DATA_TYPE_MISMATCH", "/Id", "must be a string"),
    (f'{{"Id": "\\ud800", {STATEMENT}}}', "INVALID_TEXT", "/Id", "holds half a character"),
    (f'{{"Sid": "x", {STATEMENT}}}', "INVALID_POLICY_ELEMENT", "/Sid", "the policy element Sid is not valid"),
    (text(grant("*", Sid="\ud800")), "INVALID_TEXT", "/Statement/0/Sid", "holds half a character"),
    (text(grant("*", Sid="a\udfffb")), "INVALID_TEXT", "/Statement/0/Sid", "holds half a character"),
    (text(grant({"AWS": "\n"})), "INVALID_PRINCIPAL_FORMAT", "/Statement/0/Principal/AWS", "not an AWS principal: \n"),
    (
        text(grant({"AWS": f"arn:aws:iam::{OWNER}:root\n"})),
        "INVALID_PRINCIPAL_FORMAT",
        "/Statement/0/Principal/AWS",
        f"not an AWS principal: arn:aws:iam::{OWNER}:root\n",
    ),
    (
        text(grant("*", Condition={"StringLike": {"aws:\ud800": "a"}})),
        "INVALID_TEXT",
        "/Statement/0/Condition/StringLike/aws:\ud800",
        "holds half a character",
    ),
    (
        text(grant("*", Condition={"StringLike": {"aws:a": "a" * 2049}})),
        "VALUE_TOO_LONG",
        "/Statement/0/Condition/StringLike/aws:a",
        "longer than 2048 characters",
    ),
    (
        text(grant("*", action="ecr:" + "*" * 2045)),
        "VALUE_TOO_LONG",
        "/Statement/0/Action",
        "longer than 2048 characters",
    ),
]


@pytest.mark.parametrize(("source", "code", "pointer", "reason"), BAD, ids=range(len(BAD)))
def test_not_a_repository_policy(source: str, code: str, pointer: str, reason: str) -> None:
    with pytest.raises(PolicyError) as error:
        repository(source)
    assert (error.value.code, error.value.pointer, error.value.reason) == (code, pointer, reason)
    assert str(error.value) == f"{pointer or '/'}: {reason}"


NO_JSON = [
    "",
    "{",
    "'Version'",
    "{'Statement': [{'Effect': 'Allow'}]}",
    '{"Statement": NaN}',
    "\ufeff" + REFERENCE,
    REFERENCE + "x",
    "[" * 100_000,
    '{"Statement":' * 5000,
    '{"Statement":' + "[" * 40 + "]" * 40 + "}",
    " " * 200_000,
    '{"Statement": ' + "9" * 6000 + "}",
]


@pytest.mark.parametrize("source", NO_JSON, ids=range(len(NO_JSON)))
def test_not_even_json(source: str) -> None:
    with pytest.raises(PolicyError):
        repository(source)


def test_limits_are_inclusive() -> None:
    repository(text(grant("*", Condition={"StringLike": {"aws:a": "a" * 2048}})))
    repository(text(grant("*", action="ecr:" + "*" * 2044)))


def test_statement_ids_of_iam_are_unique_where_they_are_given() -> None:
    with pytest.raises(PolicyError) as error:
        parse(text(right(Sid="a"), right(), right(Sid="b"), right(Sid="a")), Kind.IDENTITY)
    assert (error.value.code, error.value.pointer) == ("DUPLICATE_SID", "/Statement/3/Sid")
    assert error.value.reason == "statement ids must be unique"
    parse(text(right(Sid=""), right(Sid=""), right(), right()), Kind.IDENTITY)


def test_a_document_knows_what_it_was_read_from() -> None:
    source = text(grant("*", Sid="One"), grant("*", "Deny", Condition={"Bool": {"aws:a": True}}), version="2008-10-17")
    document = repository(source.replace('"Version"', '"Id": "mine", "Version"', 1))
    assert (document.id, document.version, document.kind) == ("mine", "2008-10-17", Kind.REPOSITORY)
    assert document.text.startswith('{"Id": "mine"')
    first, second = document.statements
    assert (first.index, first.sid, first.effect, first.allow, first.conditions) == (0, "One", "Allow", True, ())
    assert (second.index, second.sid, second.effect, second.allow) == (1, None, "Deny", False)
    (test,) = second.conditions
    assert (test.operator, test.name, test.key, test.values) == ("Bool", "aws:a", "aws:a", ("true",))
    assert repository(VALID).id is None


def test_the_pointer_says_where() -> None:
    with pytest.raises(PolicyError) as error:
        repository(text(grant("*"), grant("*", action=["ecr:PutImage", "ecr:Nope"])))
    assert error.value.pointer == "/Statement/1/Action/1"


GOOD = [
    text(grant("*"), version=None),
    text(grant("*"), version="2008-10-17"),
    text(grant("*", Sid="new statement"), grant("*", Sid="new statement")),
    text(grant("*", action="*")),
    text(grant("*", action=["ECR:batchgetimage", "ecr:Get*", "ecr:ReplicateImage", "ecr:ListImageReferrers"])),
    text(grant("*", action=["ecr:PutImag?", "ecr:?ut*"])),
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
        text(
            grant(
                {"AWS": OTHER},
                action=["ecr:ReplicateImage", "ecr:GetAuthorizationToken", "ecr:listImageReferrers"],
                Resource=arn,
            )
        ),
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
