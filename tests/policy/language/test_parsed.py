"""One reading of a policy serves everything: what the quick reader takes, the strict one reads the same."""

import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import Kind, PolicyError, parse
from moorage.policy.language.json_reader import MAX_POINTER, MAX_TEXT, read, read_quickly
from moorage.policy.language.parsed import _parsed_strictly, parsed
from moorage.policy.matching.errors import ErrorCollector
from tests.policy.build import OTHER, OWNER, grant, text
from tests.policy.language.test_json_reader import json_objects, texts

VALUES: Any = st.sampled_from(
    [
        "*",
        "Allow",
        "Deny",
        "2012-10-17",
        "ecr:*",
        "ecr:BatchGetImage",
        {"AWS": "*"},
        {"AWS": OWNER},
        {"StringEquals": {"aws:a": "b"}},
        {"StringEquals": {"aws:a": ["b", 1, True], "aws:" + "k" * MAX_POINTER: "b"}},
        [],
        {},
        None,
        1.5,
        "\ud800",
        [["*"]],
        "x" * 3000,
    ]
)
KEYS: Any = st.sampled_from(["Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "Condition", "Other"])
SOUND: Any = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Principal": st.just("*"), "Action": st.just("ecr:*")}
)
STATEMENTS: Any = st.lists(
    SOUND | st.builds(dict.__or__, SOUND, st.dictionaries(KEYS, VALUES | json_objects, max_size=2)), max_size=3
)


@given(texts | json_objects.map(json.dumps))
def test_what_the_quick_reader_takes_the_strict_one_reads_the_same(source: str) -> None:
    found = read_quickly(source)
    if found is not None:
        assert found == read(source, {}, ErrorCollector(keep=False))


@given(
    st.fixed_dictionaries({"Statement": STATEMENTS}, optional={"Version": VALUES, "Id": VALUES}), st.sampled_from(Kind)
)
def test_a_policy_is_the_same_whoever_read_it(document: dict[str, Any], kind: Kind) -> None:
    source = json.dumps(document)
    quick, strict = parsed(source, kind), _parsed_strictly(source, kind)
    assert (quick.members, quick.elements, quick.complete) == (strict.members, strict.elements, strict.complete)
    assert [vars_of(each) for each in quick.errors] == [vars_of(each) for each in strict.errors]
    assert quick.places == strict.places


def vars_of(error: PolicyError) -> tuple[Any, ...]:
    return error.code, error.reason, error.pointer, error.at


@pytest.mark.parametrize(
    "source",
    [
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        "[]",
        "{} {}",
        "{" + " " * MAX_TEXT + "}",
        '{"a":' * 50_000,
        "[" * 100_000,
        '{"a": "\n"}',
        "\ufeff{}",
    ],
)
def test_the_quick_reader_leaves_what_is_irregular_to_the_strict_one(source: str) -> None:
    assert read_quickly(source) is None


def test_faults_keep_no_frames_and_each_raising_is_a_new_one() -> None:
    found = parsed('{"Statement": [{"Effect": "allow"}, []]}', Kind.REPOSITORY)
    assert len(found.errors) > 2
    assert all(each.__traceback__ is None and each.__context__ is None for each in found.errors)
    raised = []
    for _ in range(2):
        with pytest.raises(PolicyError) as error:
            found.document()
        raised.append(error.value)
    assert raised[0] is not raised[1]
    assert vars_of(raised[0]) == vars_of(found.errors[0])
    assert found.errors[0].__traceback__ is None


def test_a_document_is_compiled_once_for_a_reading() -> None:
    found = parsed(text(grant("*")), Kind.REPOSITORY)
    assert found.document() is found.document()
    assert found.canonical({}) == found.document().canonical()


def shape(document: Any) -> Any:
    """What a compiled document says, without its text."""
    return [
        (
            one.index,
            one.sid,
            one.effect,
            one.actions.entries,
            one.actions.negated,
            one.principals
            and (
                one.principals.negated,
                one.principals.anyone,
                one.principals.accounts,
                one.principals.entities,
                one.principals.services,
            ),
            [(test.operator, test.name, test.values) for test in one.conditions],
            one.reads,
        )
        for one in document.statements
    ]


def test_a_stored_document_is_what_its_text_would_be_read_as() -> None:
    arn, identifier = f"arn:aws:iam::{OWNER}:user/alice", "AIDAABCDEFGHIJKLMNOPQ"
    document = parse(
        text(
            grant({"AWS": [arn, OTHER, "*"], "Service": "a.amazonaws.com"}),
            {"Effect": "Deny", "NotPrincipal": {"AWS": arn}, "Action": ["ecr:*"], "Sid": "not"},
            grant({"AWS": OTHER}, Condition={"StringLike": {"aws:UserAgent": ["${aws:username}", "a?"]}}),
            grant("*"),
        ),
        Kind.REPOSITORY,
    )
    for renamed in ({}, {arn: identifier}, {"arn:of:nobody": identifier}):
        stored = document.canonical(renamed)
        made, read_again = document.stored_as(stored, renamed), parse(stored, Kind.REPOSITORY)
        assert shape(made) == shape(read_again)
        assert (made.text, made.kind, made.version, made.id) == (stored, Kind.REPOSITORY, document.version, None)
        assert made.principals == read_again.principals
        assert abs(made.size - read_again.size) <= 2 * len(stored)
    made = document.stored_as(document.canonical({arn: identifier}), {arn: identifier})
    assert document.statements[3] is made.statements[3]
    assert document.statements[0].principals is not None
    assert document.statements[0].principals.entities == {arn, "*"}


@pytest.mark.parametrize("shape_of", range(5))
def test_a_document_counts_at_least_the_bytes_it_takes_and_not_many_more(shape_of: int) -> None:
    sources = [_source(shape_of, number) for number in range(20)]
    parse(sources[0], Kind.REPOSITORY)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        documents = [parse(each, Kind.REPOSITORY) for each in sources]
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = sum(each.size for each in documents)
    assert 0.8 * taken < counted < 4 * taken


def _source(shape_of: int, number: int) -> str:
    like = {"StringLike": {"aws:b": [f"${{aws:c}}?*{at}" for at in range(300)]}}
    keys = {"StringLike": {f"aws:{at}": ["${aws:c}?*"] * 3 for at in range(150)}}
    ordinary = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    one = [
        [grant({"AWS": f"{at:012}"}, Sid=f"{at}x{number}", Condition=ordinary) for at in range(20)],
        [grant("*", action=[f"ecr:{chr(97 + at % 26)}{chr(97 + at // 26)}*" for at in range(600)])],
        [grant("*", action="ecr:a*")] * 100,
        [grant("*", Condition=like)],
        [grant("*", Condition=keys)],
    ]
    return text(*one[shape_of])
