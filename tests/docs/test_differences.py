"""docs/reference/differences.md is true: every line of its tables names a test that is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> list[str]:
    """The rows of every table, without the heads."""
    lines = (ROOT / "docs" / "reference" / "differences.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    heads = {number for number, line in enumerate(table) if set(line) <= set("|-: ")}
    return [line for number, line in enumerate(table) if number not in heads and number + 1 not in heads]


def names_in(file: Path) -> set[str]:
    return {
        each.name
        for each in ast.walk(ast.parse(file.read_text()))
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_every_difference_is_shown_by_a_test() -> None:
    assert len(rows()) > 20
    for row in rows():
        named = _NAMED.findall(row.split("|")[-2])
        assert named, f"no test in: {row}"
        for file, name in named:
            assert name in names_in(ROOT / "tests" / file), f"{file} has no {name}"
