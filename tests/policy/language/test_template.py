"""Statements that are read by a template say the same as those that are read the first time."""

import itertools
import json
from typing import Any

import pytest

from moorage.policy import Kind
from moorage.policy.language.parsed import parsed
from moorage.policy.language.template import LONGEST, MOST, _template, template_of
from moorage.policy.lint import lint_parsed

OWNER = "111122223333"
PRINCIPALS: list[dict[str, Any]] = [
    {"Principal": "*"},
    {"Principal": {"AWS": OWNER}},
    {"Principal": {"AWS": [f"arn:aws:iam::{OWNER}:user/a", "444455556666"], "Service": "a.amazonaws.com"}},
    {"NotPrincipal": {"AWS": [f"arn:aws:iam::{OWNER}:root"]}},
    {"Principal": {"AWS": "nobody"}},
    {},
]
RESTS = [
    '"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]',
    '"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Effect":"Allow","Sid":"a"',
    '"Effect":"Deny","Action":"ecr:*","Sid":""',
    '"Effect":"Deny","Action":["ecr:*"],"Condition":{}',
    '"Effect":"Allow","NotAction":["ecr:PutImage"]',
    '"Effect":"Allow","Action":"ecr:PutImages"',
    '"Effect":"Allow","Action":["ecr:PutImage","ecr:Put*"],"Resource":"*"',
    '"Effect":"allow","Action":[]',
    '"Effect":"Allow","Action":"ecr:PutImage","Condition":{"NumericEquals":{"aws:a":1.50}}',
    '"Effect":"Allow","Action":"ecr:PutImage","Condition":{"NumericEquals":{"aws:a":"1.50"}}',
    '"Effect":"Allow","Action":"ecr:PutImage","Condition":{"Bool":{"aws:SecureTransport":true}}',
    '"Effect":"Allow","Action":"ecr:PutImage","Condition":{"Bool":{"aws:SecureTransport":["true"]}}',
    '"Effect":"Allow","Action":"ecr:PutImage","Condition":{"StringLike":{"aws:username":"${aws:userid}\\u0007"}}',
    '"Effect":"Allow","Action":"ecr:PutImage","Action":"ecr:PutImage"',
]


def policies() -> list[str]:
    texts = []
    for rest, principal in itertools.product(RESTS, PRINCIPALS):
        statement = f"{{{','.join(filter(None, [json.dumps(principal)[1:-1], rest]))}}}"
        for version, statements in itertools.product(
            ("2012-10-17", "2008-10-17"), (statement, f"[{statement}]", f"[{{{RESTS[0]}}},{statement}]")
        ):
            texts.append(f'{{"Version":"{version}","Statement":{statements}}}')
    return texts


def told(text: str) -> tuple[object, ...]:
    """All that is made of a text."""
    read = parsed(text, Kind.REPOSITORY)
    report = lint_parsed(read, account=OWNER)
    errors = [(error.code, error.reason, error.pointer, error.at) for error in read.errors]
    if errors:
        return read.elements, report, errors
    document = read.document()
    compiled = [
        (one.index, one.sid, one.effect, one.actions.entries, one.actions.negated, one.reads, one.principals is None)
        for one in document.statements
    ]
    tests = [
        [(test.operator, test.name, test.values, test.reads) for test in one.conditions] for one in document.statements
    ]
    return read.elements, report, compiled, tests, read.canonical({"444455556666": 'x"y'}), document.size


@pytest.mark.parametrize("backwards", [False, True])
def test_a_text_reads_the_same_whatever_was_read_before(*, backwards: bool) -> None:
    expected = {}
    for text in policies():
        _template.cache_clear()
        expected[text] = told(text)
    _template.cache_clear()
    for text in sorted(expected, reverse=backwards) * 2:
        assert told(text) == expected[text], text
    assert _template.cache_info().hits > len(expected)


def test_statements_that_differ_in_their_principals_share_a_template() -> None:
    one, other = ({"Effect": "Allow", "Action": "ecr:PutImage", **each} for each in PRINCIPALS[1:3])
    assert template_of(one, "/Statement/0", variables=True) is template_of(other, "/Statement/0", variables=True)
    assert template_of(one, "/Statement/0", variables=True) is not template_of(one, "/Statement/1", variables=True)
    assert template_of(one, "/Statement/0", variables=True) is not template_of(one, "/Statement/0", variables=False)


def test_templates_are_few_and_short() -> None:
    assert template_of({"Sid": "x" * LONGEST}, "/Statement", variables=True) is None
    for number in range(MOST + 10):
        assert template_of({"Sid": str(number)}, "/Statement", variables=True) is not None
    assert _template.cache_info().currsize == MOST
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    assert template_of({"Sid": nested}, "/Statement", variables=True) is None
