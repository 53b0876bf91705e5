"""What holds of lint for every text: it agrees with the parser, never raises, points into the text, and is bounded."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.policy import Kind, PolicyError, parse
from moorage.policy.language.kind import Needs
from moorage.policy.lint import CODES, Finding, Severity, guess_kind, lint
from moorage.policy.lint.lint import MAX_FINDINGS
from tests.policy.build import OTHER, OWNER, grant, right, text

kinds = st.sampled_from(list(Kind))
ARN = f"arn:aws:ecr:us-east-1:{OWNER}:repository/team/app"
junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, "", "x", [], {}, [[]], {"a": "b"}, "\ud800", "*", "a" * 3000]
)


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, max_size=3)


actions = st.sampled_from(
    [
        "*",
        "ecr:*",
        "ecr:Get*",
        "ECR:putimage",
        "ecr:PutImage",
        "ecr:PutImages",
        "ecr:PutImage ",
        "ecr:a,ecr:b",
        "ecr:",
        "ecr:GetAuthorizationToken",
        "ecr:ListImageReferrers",
        "ec*:X",
        "*:*",
        "*:PutImage",
        "s3:GetObject",
        "ercr:X",
        "sts:AssumeRole",
        "ecr:${aws:username}",
        "ecr:Zz*",
        "nocolon",
    ]
)
principals = st.sampled_from(
    [
        "*",
        OWNER,
        OTHER,
        f"arn:aws:iam::{OWNER}:root",
        f"arn:aws:iam::{OWNER}:role/*",
        f"arn:aws:iam::{OTHER}:user/a",
        "AIDAABCDEFGHIJKLMNOPQ",
        "AROAABCDEFGHIJKLMNOPQ",
        "ecr",
        "codebuild.amazonaws.com",
        "x",
    ]
)
resources = st.sampled_from(
    [
        "*",
        ARN,
        "arn:aws:ecr",
        "arn:aws:ecr:*:*:repository/*",
        f"arn:aws:ecr:x:{OWNER}:repository/a:b",
        "repository/x",
        "arn:aws:s3:::b",
        "arn:aws:ecr:us-east-1:1:team",
        ARN + "/${aws:username",
        "arn:aws:ecr:${a}:x:y/z",
        ARN + "/*",
        f"arn:aws:ecr:us-east-1:{OWNER}:*/app",
        f"arn:aws:ecr:us-east-1:{OWNER}:rep*",
    ]
)
values = st.sampled_from(
    [
        "a",
        "*",
        "10.1.2.3/8",
        "10.0.0.0/8",
        "true",
        "${aws:username}",
        "${",
        "${}",
        "${aws:x,b}",
        "2026",
        "31.12.",
        ARN,
        "",
    ]
)
operators = st.sampled_from(
    [
        "StringEquals",
        "stringlike",
        "ForAllValues:StringLike",
        "ForAnyValue:Null",
        "NullIfExists",
        "Bool",
        "BoolIfExists",
        "IpAddress",
        "DateLessThan",
        "NumericEquals",
        "ArnNotLike",
        "ArnLike",
        "BinaryEquals",
        "StringIs",
        "Null",
    ]
)
keys = st.sampled_from(
    [
        "aws:SourceIp",
        "aws:TagKeys",
        "aws:tagkeys",
        "aws:ResourceTag",
        "aws:ResourceTag/a",
        "ecr:Nope",
        "aws:Nope",
        "aws:SourceVpce",
        "aws:MultiFactorAuthPresent",
        "aws:RequestTag/a",
        "s3:prefix",
        "nocolon",
        "a/b:~c",
        ":",
    ]
)
conditions = st.dictionaries(operators, st.dictionaries(keys, lists(values) | junk, max_size=2) | junk, max_size=2)
named = lists(principals) | st.dictionaries(
    st.sampled_from(["AWS", "Service", "Federated", "aws"]), lists(principals) | junk, max_size=2
)
statements = st.fixed_dictionaries(
    {},
    optional={
        "Sid": st.sampled_from(["a", "b", "", "two words"]) | junk,
        "Effect": st.sampled_from(["Allow", "Deny", "allow"]) | junk,
        "Principal": named | junk,
        "NotPrincipal": named,
        "Action": lists(actions) | junk,
        "NotAction": lists(actions),
        "Resource": lists(resources) | junk,
        "NotResource": lists(resources),
        "Condition": conditions | junk,
        "action": actions,
    },
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "Version": st.sampled_from(["2012-10-17", "2008-10-17", "2024-01-01"]) | junk,
        "Id": st.just("id") | junk,
        "Statement": lists(statements) | junk,
        "version": st.just("2012-10-17"),
    },
)
likely = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Action": lists(actions)},
    optional={
        "Sid": st.sampled_from(["a", "b"]),
        "Principal": st.just("*") | st.dictionaries(st.just("AWS"), principals, min_size=1),
        "Resource": lists(resources),
        "Condition": conditions,
    },
)
likely_documents = st.fixed_dictionaries({"Statement": lists(likely)}, optional={"Version": st.just("2012-10-17")})
texts = (documents | likely_documents).flatmap(
    lambda one: st.sampled_from([json.dumps(one), json.dumps(one, indent=2), json.dumps(one)[:-1]])
)


def errors(found: tuple[Finding, ...]) -> list[str]:
    return [one.code for one in found if one.severity is Severity.ERROR]


def is_refused(source: str, kind: Kind) -> bool:
    try:
        parse(source, kind)
    except PolicyError:
        return True
    return False


@settings(max_examples=400)
@given(texts | st.text(max_size=40), kinds, st.none() | st.just(OWNER))
def test_there_is_an_error_if_and_only_if_the_parser_refuses(source: str, kind: Kind, account: str | None) -> None:
    report = lint(source, kind, account=account)
    assert bool(errors(report.findings)) is is_refused(source, kind)
    for finding in report.findings:
        assert finding.code in CODES
        assert 0 <= finding.start.offset <= finding.end.offset <= len(source)
        assert source[: finding.start.offset].count("\n") + 1 == finding.start.line
        assert finding.message
        assert finding.fix.words
        assert finding.message.isprintable()
        for edit in finding.fix.edits:
            assert 0 <= edit.start <= edit.end <= len(source)


@given(texts | st.text(max_size=40))
def test_a_kind_that_is_guessed_for_a_valid_policy_is_one_that_takes_it(source: str) -> None:
    kind = guess_kind(source).kind
    # Trust policies and those of other services may name every action, which is no reason to guess them.
    kinds = [one for one in Kind if one not in {Kind.TRUST, Kind.RESOURCE} or kind is one]
    if kind is not None and any(not is_refused(source, one) for one in kinds):
        assert not is_refused(source, kind)


def test_all_faults_are_found_at_once_each_where_it_stands() -> None:
    source = text(
        grant({"AWS": f"arn:aws:iam::{OWNER}:role/*"}, "allow", ["ecr:Nope", "ecr:PutImage", "s3:GetObject"]),
        grant("*", Resource="*", Condition={"StringIs": {"aws:username": "a"}, "Bool": {"nocolon": "a"}}),
        version="2024-01-01",
    )
    found = [(one.code, one.pointer) for one in lint(source, Kind.REPOSITORY).findings if one.severity.rank == 0]
    assert found == [
        ("INVALID_VERSION", "/Version"),
        ("INVALID_EFFECT", "/Statement/0/Effect"),
        ("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", "/Statement/0/Principal/AWS"),
        ("INVALID_ACTION", "/Statement/0/Action/0"),
        ("UNSUPPORTED_ACTION_IN_POLICY", "/Statement/0/Action/2"),
        ("RESOURCE_NOT_ALLOWED", "/Statement/1/Resource"),
        ("INVALID_CONDITION_OPERATOR", "/Statement/1/Condition/StringIs"),
        ("INVALID_CONDITION_KEY_FORMAT", "/Statement/1/Condition/Bool/nocolon"),
    ]


@pytest.mark.parametrize(
    ("kind", "statement", "code", "said"),
    [
        (Kind.IDENTITY, {"Action": "moorage:ReadAudit"}, None, ""),
        (Kind.IDENTITY, {"Action": "moorage:*"}, None, ""),
        (Kind.IDENTITY, {"Action": "moorage:ReadAudits"}, "UNKNOWN_ACTION", "Did you mean moorage:ReadAudit?"),
        (Kind.IDENTITY, {"Action": "moorage:Write*"}, "ACTION_MATCHES_NOTHING", "No action of Moorage matches"),
        (Kind.REPOSITORY, {"Action": "moorage:Purge"}, None, ""),
        (Kind.REPOSITORY, {"Action": ["*", "moorage:Purge", "moorage:Re*"]}, None, ""),
        (Kind.REGISTRY, {"Action": ["*", "moorage:Purge"]}, None, ""),
        (Kind.REPOSITORY, {"Action": ["*", "ecr:PutImage"]}, "REDUNDANT_ACTION", "ecr:PutImage is covered by *"),
        (Kind.REPOSITORY, {"Action": ["*", "ecr:Put*"]}, "REDUNDANT_ACTION", "ecr:Put* is covered by *"),
        (Kind.REPOSITORY, {"Action": ["moorage:*", "moorage:Purge"]}, "REDUNDANT_ACTION", "moorage:Purge is covered"),
        (
            Kind.REPOSITORY,
            {"Effect": "Deny", "Action": ["*", "moorage:Purge"]},
            "REDUNDANT_ACTION",
            "moorage:Purge is covered by *",
        ),
        (
            Kind.RCP,
            {"Effect": "Deny", "Action": ["*", "moorage:Purge"]},
            "REDUNDANT_ACTION",
            "moorage:Purge is covered",
        ),
        (Kind.RCP, {"Effect": "Deny", "Action": "ECR:*"}, "MOORAGE_ACTIONS_NOT_DENIED", "moorage:Purge"),
        (Kind.RCP, {"Effect": "Deny", "Action": ["ecr:*", "moorage:Purge"]}, None, ""),
        (Kind.RCP, {"Effect": "Deny", "Action": "ecr:Put*"}, None, ""),
        (Kind.RCP, {"Effect": "Deny", "NotAction": "ecr:*"}, None, ""),
        (Kind.REGISTRY, {"Effect": "Deny", "Action": "ecr:*"}, None, ""),
        (Kind.REPOSITORY, {"Action": "moorage:*Audit"}, "ACTION_MATCHES_NOTHING", "on a repository matches"),
        (Kind.REPOSITORY, {"Action": "moorage:Purg"}, "INVALID_ACTION", "Did you mean moorage:Purge?"),
        (Kind.REPOSITORY, {"Action": "moorage:Apply"}, "UNSUPPORTED_ACTION_IN_POLICY", "Remove it"),
        (Kind.REPOSITORY, {"NotAction": "ecr:PutImage"}, "ALLOW_WITH_NOT_ACTION", "every other action of ECR"),
        (Kind.IDENTITY, {"NotAction": "ecr:PutImage"}, "ALLOW_WITH_NOT_ACTION", "of every service"),
        (Kind.TRUST, {"Action": "moorage:Purge"}, "ACTION_MATCHES_NOTHING", "never asked"),
    ],
)
def test_actions_of_moorages_own(kind: Kind, statement: dict[str, Any], code: str | None, said: str) -> None:
    made: dict[str, Any] = {"Effect": "Allow", **statement}
    if kind.rules.principal is Needs.REQUIRED:
        made["Principal"] = "*" if kind is Kind.RCP else {"AWS": OTHER}
    if kind.rules.resource is Needs.REQUIRED:
        made["Resource"] = "*"
    found = lint(json.dumps({"Version": "2012-10-17", "Statement": made}), kind).findings
    about = [each for each in found if "ACTION" in each.code or each.code == "UNKNOWN_SERVICE"]
    assert [each.code for each in about] == ([] if code is None else [code])
    assert not about or said in about[0].message + about[0].fix.words


def test_lines_and_columns_count_characters_from_one() -> None:
    source = '{\n  "Statement": {"Sid": "é💡", "Effect": "allow",\n "Principal": "*", "Action": "ecr:Nope"}\n}'
    found = {one.code: one for one in lint(source, Kind.REPOSITORY).findings}
    effect, action = found["INVALID_EFFECT"], found["INVALID_ACTION"]
    assert (effect.start.line, effect.start.column, effect.start.offset) == (2, 40, source.index('"allow"'))
    assert (effect.end.line, effect.end.column) == (2, 47)
    assert (action.start.line, action.start.column) == (3, 30)


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("BatchGetImages", "BatchGetImage"),
        ("GetDownloadURLForLayers", "GetDownloadUrlForLayer"),
        ("PutImge", "PutImage"),
    ],
)
def test_near_misses_are_named(written: str, near: str) -> None:
    (found,) = [
        one
        for one in lint(text(grant({"AWS": OTHER}, action=f"ecr:{written}")), Kind.REPOSITORY).findings
        if one.code == "INVALID_ACTION"
    ]
    assert found.fix.words == f"Did you mean ecr:{near}?"


HOSTILE = [
    "[" * 131_000,
    '{"a":' * 20_000,
    '{"Statement":' + "[" * 14 + "]" * 14 + "}",
    text(grant("*", action=["ecr:" + "*a" * 500 + str(number) for number in range(300)]), version=None),
    text(grant("*", action=[f"ecr:{'?*' * 12}{chr(97 + number % 26)}" for number in range(300)])),
    text(grant("*", action=[f"ecr:BatchGetImag{number}" for number in range(1900)])),
    text(grant({"AWS": [f"{number:012}" for number in range(1900)]})),
    text(grant("*", Condition={"StringLike": {"aws:username": ["*a" * 900] * 60}})),
    text(grant("*", Condition={"StringLike": {f"aws:{number}": "${" * 900 for number in range(60)}})),
    text(*[right("Deny" if number % 2 else "Allow", f"ecr:{'*' * (number % 9)}a") for number in range(600)]),
    text(right(resource=[f"arn:aws:ecr:us-east-1:{OWNER}:repository/{'a' * number}*" for number in range(400)])),
    text(grant("*", action=["ecr:Nope"] * 1900)),
    json.dumps({"Statement": [{}] * 20_000}),
    json.dumps({"k" * 400: [1] * 40_000}),
    '{"Statement": {"Effect": ' + "9" * 20_000 + ', "Principal": "*", "Action": "ecr:*"}}',
    '{"a": 1' + ', "a": 1' * 10_000 + "}",
]


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", [Kind.REPOSITORY, Kind.IDENTITY])
def test_hostile_texts_are_answered_with_a_bounded_report(source: str, kind: Kind) -> None:
    report = lint(source, kind)
    assert len(report.findings) <= MAX_FINDINGS
    assert bool(errors(report.findings)) is is_refused(source, kind)
    assert sum(len(one.message) + len(one.fix.words) for one in report.findings) < 400 * MAX_FINDINGS


def test_the_gravest_findings_are_kept_when_there_are_too_many() -> None:
    sids = [grant({"AWS": OTHER}, action="ecr:DescribeImages", Sid="", Condition={"Bool": {}}) for _ in range(300)]
    report = lint(text(*sids, grant("*", "allow")), Kind.REPOSITORY)
    assert len(report.findings) == MAX_FINDINGS
    assert report.left_out > 0
    assert errors(report.findings) == ["INVALID_EFFECT"]
    assert report.worst() is Severity.ERROR


@pytest.mark.parametrize(
    ("action", "resource", "code", "says"),
    [
        ("*:PutImage", ARN, "WILDCARD_IN_SERVICE_NAME", "matches nothing, and IAM refuses it"),
        ("ec*:PutImage", ARN, "WILDCARD_IN_SERVICE_NAME", "matches nothing, and IAM refuses it"),
        ("*:*", ARN, "WILDCARD_IN_SERVICE_NAME", "is read as *"),
        ("ecr:PutImage", ARN.replace("repository/", "*/"), "WILDCARD_IN_RESOURCE_TYPE", "matches nothing"),
        ("ecr:PutImage", ARN.replace("repository/", "rep?/"), "WILDCARD_IN_RESOURCE_TYPE", "matches nothing"),
        ("ec2:*", "arn:aws:ec2:*:*:*/i-1", "WILDCARD_IN_RESOURCE_TYPE", "matches nothing"),
        ("ecr:PutImage", ARN.replace("repository/team/app", "repo*"), "WILDCARD_IN_RESOURCE_TYPE", "AWS allows no"),
    ],
)
def test_wildcards_that_aws_does_not_document_are_found(action: str, resource: str, code: str, says: str) -> None:
    found = lint(text(right(action=action, resource=resource)), Kind.IDENTITY).findings
    (finding,) = [each for each in found if each.code.startswith("WILDCARD")]
    assert finding.code == code
    assert says in finding.message


@pytest.mark.parametrize(
    "resource", ["*", f"{ARN}*", "arn:aws:ecr:*:*:*", "arn:aws:s3:::bucket*", "arn:aws:s3:::*/key"]
)
def test_wildcards_that_aws_documents_are_not_found(resource: str) -> None:
    found = lint(text(right(action="ecr:PutImage", resource=resource)), Kind.IDENTITY).findings
    assert not [each for each in found if each.code.startswith("WILDCARD")]


@pytest.mark.parametrize(
    ("effect", "condition", "found"),
    [
        ("Allow", {"StringNotEquals": {"aws:PrincipalTag/team": "x"}}, True),
        ("Allow", {"StringNotLikeIfExists": {"aws:SourceIdentity": "x"}}, True),
        ("Allow", {"ArnNotLike": {"aws:SourceArn": "arn:aws:ecr:*:*:repository/x"}}, True),
        ("Deny", {"StringNotEquals": {"aws:PrincipalTag/team": "x"}}, False),
        ("Allow", {"StringNotEquals": {"aws:PrincipalAccount": "444455556666"}}, False),
        ("Allow", {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ("Allow", {"ForAnyValue:StringNotEquals": {"aws:TagKeys": "x"}}, False),
        ("Allow", {"StringNotEquals": {"aws:username": "x"}, "StringLike": {"aws:UserName": "*"}}, False),
        ("Allow", {"StringNotEquals": {"aws:username": "x"}, "Null": {"aws:username": "false"}}, False),
        ("Allow", {"StringNotEquals": {"aws:username": "x"}, "Null": {"aws:username": "true"}}, True),
    ],
)
def test_negated_conditions_on_keys_that_may_be_absent(effect: str, condition: dict[str, Any], found: bool) -> None:
    statement = {"Effect": effect, "Action": "ecr:ListImages", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    codes = {each.code for each in lint(text, Kind.IDENTITY).findings}
    assert ("NEGATED_KEY_MAY_BE_ABSENT" in codes) is found


@pytest.mark.parametrize(
    ("kind", "condition", "found"),
    [
        (Kind.REPOSITORY, {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}, True),
        (Kind.REGISTRY, {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/*"}}, True),
        (Kind.TRUST, {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}, True),
        (Kind.RCP, {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}, False),
        (Kind.REPOSITORY, {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}, False),  # open to everyone
        (
            Kind.REPOSITORY,
            {
                "StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
                "StringNotEquals": {"aws:PrincipalAccount": "111122223333"},
            },
            False,
        ),
    ],
)
def test_organization_wide_grants_that_go_past_boundaries(kind: Kind, condition: dict[str, Any], found: bool) -> None:
    action = "sts:AssumeRole" if kind is Kind.TRUST else "ecr:BatchGetImage"
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Condition": condition}
    if kind in {Kind.REGISTRY, Kind.RCP}:
        statement["Resource"] = "*"
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    codes = {each.code for each in lint(text, kind).findings}
    assert ("ORGANIZATION_GRANT_SKIPS_BOUNDARIES" in codes) is found
