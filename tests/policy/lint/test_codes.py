"""docs/reference/lint.md explains every code; the first of its examples has the finding, the second has not."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from moorage.policy import Kind, PolicyError, parse
from moorage.policy.lint import CODES, Severity, lint

_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "lint.md"
_SECTION = re.compile(r"^### ([A-Z_]+)\n\n\*\*([A-Z_]+)\*\* · (.+)\n\n(.+)\n", re.MULTILINE)
_EXAMPLE = re.compile(r"```json ([a-z]+)\n(.+)\n(.+)\n```")
_PATTERNS = [f"ecr:Get{'?' * number}*" for number in range(1, 302)]
GRANT = '"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "ecr:DescribeImages"'
TOO_LONG = {
    "POLICY_TOO_LARGE": " " * 131_073,
    "VALUE_TOO_LONG": f'{{{GRANT}, "Condition": {{"StringEquals": {{"aws:username": "{"a" * 2049}"}}}}}}',
    "POLICY_SIZE_EXCEEDS_QUOTA": f"{{{GRANT}{' ' * 10240}}}",
    "TOO_LONG_TO_ANALYZE": json.dumps({"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": _PATTERNS}),
}
"""Examples that no page has room for."""


class Example(NamedTuple):
    code: str
    kind: Kind
    found: str
    instead: str


def sections() -> dict[str, tuple[str, str, str]]:
    page = _PAGE.read_text()
    starts = list(_SECTION.finditer(page))
    ends = [*(found.start() for found in starts[1:]), len(page)]
    return {found[1]: (found[2], found[3], page[found.end() : end]) for found, end in zip(starts, ends, strict=True)}


def examples() -> list[Example]:
    listed = []
    for code, (_, _, body) in sections().items():
        found = _EXAMPLE.search(body)
        if code in TOO_LONG:
            listed.append(Example(code, Kind.REPOSITORY, TOO_LONG[code], f"{{{GRANT}}}"))
        elif found is not None:
            listed.append(Example(code, Kind(found[1]), found[2], found[3]))
    return listed


def policy(example: str) -> str:
    """The example as a whole policy."""
    if '"Statement"' in example or not example.strip():
        return example
    return f'{{"Version": "2012-10-17", "Statement": {example}}}'


def codes(text: str, kind: Kind) -> set[str]:
    return {finding.code for finding in lint(text, kind).findings}


def test_the_page_has_every_code_with_its_severity_title_and_fix_in_order() -> None:
    assert {code: (severity, words) for code, (severity, words, _) in sections().items()} == {
        name: (code.severity.value, f"{code.title}. {code.fix}") for name, code in CODES.items()
    }
    assert list(sections()) == list(CODES)
    assert {example.code for example in examples()} == set(CODES)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.code)
def test_the_example_has_the_finding_and_the_one_below_has_not(example: Example) -> None:
    assert example.code in codes(policy(example.found), example.kind)
    assert example.code not in codes(policy(example.instead), example.kind)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.code)
def test_what_is_advised_can_be_set_and_what_is_an_error_cannot(example: Example) -> None:
    parse(policy(example.instead), example.kind)
    errors = [one for one in lint(policy(example.found), example.kind).findings if one.severity is Severity.ERROR]
    assert bool(errors) is (CODES[example.code].severity is Severity.ERROR)
    if errors:
        with pytest.raises(PolicyError):
            parse(policy(example.found), example.kind)
    else:
        parse(policy(example.found), example.kind)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.code)
def test_what_is_advised_is_clean(example: Example) -> None:
    """No advice leads to another finding."""
    assert codes(policy(example.instead), example.kind) == set()
