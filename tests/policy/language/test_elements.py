"""What the grammar makes of a policy: every element with its place, and of one with faults all that is sound."""

import json
from typing import Any

import pytest

from moorage.policy import Kind, PolicyError
from moorage.policy.language.elements import ConditionTest, Entry, Listed, PolicyElements, StatementElements, elements
from moorage.policy.language.json_reader import read
from moorage.policy.matching.conditions import OperatorName
from moorage.policy.matching.errors import MOST, ErrorCollector
from moorage.policy.matching.operators import OPERATORS
from tests.policy.build import ARN, OTHER, OWNER, grant, right, text


def linted(kind: Kind, *statements: Any, **more: Any) -> tuple[PolicyElements, list[tuple[str, str]]]:
    """The elements, and the code and place of every fault."""
    errors = ErrorCollector(keep=True)
    document = read(json.dumps({**more, "Statement": list(statements)}), {}, errors)
    return elements(document, kind.rules, errors), [(error.code, error.pointer) for error in errors.found]


def test_every_element_of_a_repository_policy_has_its_place() -> None:
    statement = {
        "Sid": "one",
        "Effect": "Deny",
        "NotPrincipal": {"AWS": [OTHER, OWNER], "Service": "replication.ecr.amazonaws.com"},
        "NotAction": ["ecr:PutImage", "ecr:Batch*"],
        "Condition": {"stringlikeifexists": {"aws:a": ["x", True, 1]}, "Null": {"aws:b": "true"}},
    }
    found, errors = linted(Kind.REPOSITORY, grant("*"), statement, Version="2012-10-17", Id="mine")
    at = "/Statement/1"
    like, null = f"{at}/Condition/stringlikeifexists", f"{at}/Condition/Null"
    assert errors == []
    assert found == PolicyElements(
        "2012-10-17",
        "mine",
        (
            StatementElements(
                0,
                "/Statement/0",
                None,
                "Allow",
                Listed("Principal", "/Statement/0/Principal", (Entry("*", "/Statement/0/Principal", "AWS"),)),
                Listed("Action", "/Statement/0/Action", (Entry("ecr:*", "/Statement/0/Action"),)),
                None,
                (),
            ),
            StatementElements(
                1,
                at,
                "one",
                "Deny",
                Listed(
                    "NotPrincipal",
                    f"{at}/NotPrincipal",
                    (
                        Entry(OTHER, f"{at}/NotPrincipal/AWS/0", "AWS"),
                        Entry(OWNER, f"{at}/NotPrincipal/AWS/1", "AWS"),
                        Entry("replication.ecr.amazonaws.com", f"{at}/NotPrincipal/Service", "Service"),
                    ),
                ),
                Listed(
                    "NotAction",
                    f"{at}/NotAction",
                    (Entry("ecr:PutImage", f"{at}/NotAction/0"), Entry("ecr:Batch*", f"{at}/NotAction/1")),
                ),
                None,
                (
                    ConditionTest(
                        OperatorName("", OPERATORS["stringlike"], True, "StringLikeIfExists"),
                        "stringlikeifexists",
                        like,
                        "aws:a",
                        f"{like}/aws:a",
                        (
                            Entry("x", f"{like}/aws:a/0"),
                            Entry("true", f"{like}/aws:a/1"),
                            Entry("1", f"{like}/aws:a/2"),
                        ),
                    ),
                    ConditionTest(
                        OperatorName("", None, False, "Null"),
                        "Null",
                        null,
                        "aws:b",
                        f"{null}/aws:b",
                        (Entry("true", f"{null}/aws:b"),),
                    ),
                ),
            ),
        ),
    )
    assert [each.negated for each in (found.statements[1].action, found.statements[0].action)] == [True, False]
    assert found.statements[1].action.texts == ["ecr:PutImage", "ecr:Batch*"]


def test_resources_have_their_places() -> None:
    found, errors = linted(Kind.IDENTITY, right(resource=[ARN, "*"]), {**right(), "NotResource": "arn:a"})
    at = "/Statement/0/Resource"
    assert found.statements[0].resource == Listed("Resource", at, (Entry(ARN, f"{at}/0"), Entry("*", f"{at}/1")))
    assert found.statements[0].principal is None
    assert errors == [("UNSUPPORTED_ELEMENT_COMBINATION", "/Statement/1/NotResource")]
    assert found.statements[1].resource == Listed(
        "Resource", "/Statement/1/Resource", (Entry("*", "/Statement/1/Resource"),)
    )


def test_what_is_sound_is_kept_beside_what_is_not() -> None:
    found, errors = linted(
        Kind.REPOSITORY,
        {"Effect": "allow", "Sid": 1, "Principal": {"AWS": ["x", OWNER], "CanonicalUser": "y"}, "Condition": []},
        7,
        grant("text", action=["ecr:Nope", "ecr:PutImage", ""], Condition={"Is": {}, "Bool": {"aws:a": [None, True]}}),
        {"Effect": "Allow", "Action": []},
        Version="1",
        Id=2,
        Other=3,
    )
    assert errors == [
        ("INVALID_POLICY_ELEMENT", "/Other"),
        ("INVALID_VERSION", "/Version"),
        ("DATA_TYPE_MISMATCH", "/Id"),
        ("DATA_TYPE_MISMATCH", "/Statement/0/Sid"),
        ("INVALID_EFFECT", "/Statement/0/Effect"),
        ("INVALID_PRINCIPAL_FORMAT", "/Statement/0/Principal/AWS/0"),
        ("INVALID_PRINCIPAL_KEY", "/Statement/0/Principal/CanonicalUser"),
        ("MISSING_ACTION", "/Statement/0"),
        ("DATA_TYPE_MISMATCH", "/Statement/0/Condition"),
        ("DATA_TYPE_MISMATCH", "/Statement/1"),
        ("INVALID_PRINCIPAL_FORMAT", "/Statement/2/Principal"),
        ("INVALID_ACTION", "/Statement/2/Action/0"),
        ("EMPTY_TEXT", "/Statement/2/Action/2"),
        ("INVALID_CONDITION_OPERATOR", "/Statement/2/Condition/Is"),
        ("DATA_TYPE_MISMATCH", "/Statement/2/Condition/Bool/aws:a/0"),
        ("MISSING_PRINCIPAL", "/Statement/3"),
        ("EMPTY_ARRAY_ACTION", "/Statement/3/Action"),
    ]
    bool_at = "/Statement/2/Condition/Bool"
    test = ConditionTest(
        OperatorName("", OPERATORS["bool"], False, "Bool"),
        "Bool",
        bool_at,
        "aws:a",
        f"{bool_at}/aws:a",
        (Entry("true", f"{bool_at}/aws:a/1"),),
    )
    assert found == PolicyElements(
        None,
        None,
        (
            StatementElements(
                0,
                "/Statement/0",
                None,
                None,
                Listed("Principal", "/Statement/0/Principal", (Entry(OWNER, "/Statement/0/Principal/AWS/1", "AWS"),)),
                Listed("Action", "/Statement/0", ()),
                None,
                (),
            ),
            StatementElements(
                2,
                "/Statement/2",
                None,
                "Allow",
                Listed("Principal", "/Statement/2/Principal", ()),
                Listed("Action", "/Statement/2/Action", (Entry("ecr:PutImage", "/Statement/2/Action/1"),)),
                None,
                (test,),
            ),
            StatementElements(
                3, "/Statement/3", None, "Allow", None, Listed("Action", "/Statement/3/Action", ()), None, ()
            ),
        ),
    )


def test_a_statement_id_that_is_there_twice_is_kept_both_times() -> None:
    found, errors = linted(Kind.IDENTITY, right(Sid="a"), right(), right(Sid="a"), right(Sid="a"))
    assert [one.sid for one in found.statements] == ["a", None, "a", "a"]
    assert errors == [("DUPLICATE_SID", "/Statement/2/Sid"), ("DUPLICATE_SID", "/Statement/3/Sid")]


LONG = "arn:" + "a" * 2045


@pytest.mark.parametrize(
    ("statement", "pointer"),
    [
        (right(resource=["*", LONG]), "/Statement/0/Resource/1"),
        (right(action=["*", LONG]), "/Statement/0/Action/1"),
        (right(Condition={"ArnLike": {"aws:a": ["*", LONG]}}), "/Statement/0/Condition/ArnLike/aws:a/1"),
    ],
)
def test_what_is_too_long_is_told_with_its_place(statement: dict[str, object], pointer: str) -> None:
    _, errors = linted(Kind.IDENTITY, statement)
    assert errors == [("VALUE_TOO_LONG", pointer)]


def test_so_many_faults_are_kept_and_no_more() -> None:
    found, errors = linted(Kind.REPOSITORY, *[7] * MOST)
    assert (len(errors), found.statements) == (MOST, ())
    with pytest.raises(PolicyError) as last:
        linted(Kind.REPOSITORY, *[7] * (MOST + 1))
    assert last.value.pointer == f"/Statement/{MOST}"


def test_only_faults_of_policies_are_kept() -> None:
    errors = ErrorCollector(keep=True)
    with pytest.raises(ValueError, match="no fault of a policy"), errors:
        raise ValueError("no fault of a policy")
    assert errors.found == []


def test_the_first_fault_ends_a_reading_that_keeps_none() -> None:
    errors = ErrorCollector(keep=False)
    with pytest.raises(PolicyError) as first:
        elements(read(text(7, 8), {}, errors), Kind.REPOSITORY.rules, errors)  # type: ignore[arg-type]  # numbers for statements
    assert first.value.pointer == "/Statement/0"
    assert errors.found == []
