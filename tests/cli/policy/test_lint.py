"""`moorage policy lint` as a command: exit codes, what it prints, what it writes."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from moorage.cli import app

GOOD = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", '
    '"Principal": {"AWS": "444455556666"}, "Action": "ecr:ListImages"}}'
)
PUBLIC = GOOD.replace('{"AWS": "444455556666"}', '"*"')
BAD = GOOD.replace("Allow", "allow").replace("ListImages", "ListImage")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, given: str = "", width: int = 100) -> Done:
    environment = {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(app, ["policy", "lint", *arguments], input=given, env=environment)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.json"
    path.write_text(BAD)
    return path


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (GOOD, "suggestion", 0),
        (PUBLIC, "error", 0),
        (PUBLIC, "security-warning", 1),
        (PUBLIC, "warning", 1),
        (BAD, "error", 1),
        (BAD, "never", 0),
    ],
)
def test_the_exit_code_follows_the_worst_finding(text: str, fail_on: str, code: int) -> None:
    assert run("--type", "repository", "--fail-on", fail_on, given=text).returncode == code


def test_a_finding_shows_its_line_a_caret_and_the_fix(bad: Path) -> None:
    done = run(str(bad))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "is read as a policy of type repository" in lines[0]
    effect = next(number for number, line in enumerate(lines) if line.startswith("ERROR INVALID_EFFECT"))
    assert f"{bad}:1:51" in "".join(lines[effect : effect + 2])
    source = next(line for line in lines[effect:] if "│" in line)
    caret = lines[lines.index(source) + 1]
    assert source[caret.index("^") : caret.rindex("^") + 1] == '"allow"'
    assert "  fix: Did you mean Allow?" in lines
    assert lines[-1].startswith(f"{bad}: 2 errors. --fix corrects 1.")


def test_nothing_of_a_policy_drives_the_terminal() -> None:
    text = BAD.replace("ListImage", "\x1b[31mList\u202eImage\\u001b")
    done = run("--type", "repository", given=text)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_a_long_line_is_cut_around_what_it_shows() -> None:
    many = ", ".join(f'"{number:012}"' for number in range(200))
    text = GOOD.replace('"444455556666"', f"[{many}]").replace("ListImages", "ListImage")
    done = run("--type", "repository", given=text, width=60)
    caret = next(line for line in done.stdout.splitlines() if "^" in line)
    source = done.stdout.splitlines()[done.stdout.splitlines().index(caret) - 1]
    assert len(source) <= 60
    assert source[caret.index("^") : caret.rindex("^") + 1] == '"ecr:ListImage"'


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("no-such-file.json",), "", "No such file"),
        (("--type", "bucket"), GOOD, "bucket"),
        (("--account", "12"), GOOD, "12 digits"),
        (("--unsafe-fixes",), GOOD, "--fix"),
        ((), '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}', "--type"),
    ],
)
def test_what_is_not_understood_exits_with_two(arguments: tuple[str, ...], given: str, words: str) -> None:
    done = run(*arguments, given=given)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_file_that_is_no_text_exits_with_two(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"\xff\xfe")
    done = run(str(path))
    assert done.returncode == 2
    assert "UTF-8" in done.stderr


def test_fix_writes_the_safe_edits_and_reports_what_is_left(bad: Path) -> None:
    done = run(str(bad), "--fix")
    assert done.returncode == 1
    assert bad.read_text() == BAD.replace("allow", "Allow")
    assert "INVALID_EFFECT" not in done.stdout
    assert run(str(bad), "--fix", "--unsafe-fixes").returncode == 0
    assert bad.read_text() == GOOD


def test_diff_shows_and_writes_nothing(bad: Path) -> None:
    done = run(str(bad), "--diff")
    assert bad.read_text() == BAD
    assert f"-{BAD}" in done.stdout.splitlines()
    assert f"+{BAD.replace('allow', 'Allow')}" in done.stdout.splitlines()
    assert "INVALID_EFFECT" in done.stderr


def test_standard_input_is_fixed_to_standard_output() -> None:
    done = run("-", "--fix", given=BAD)
    assert done.stdout == BAD.replace("allow", "Allow")
    assert "INVALID_ACTION" in done.stderr


def test_line_ends_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_bytes(BAD.replace(", ", ",\r\n").encode())
    run(str(path), "--fix")
    assert path.read_bytes() == BAD.replace("allow", "Allow").replace(", ", ",\r\n").encode()


def test_other_formats_say_the_same(bad: Path) -> None:
    found = json.loads(run(str(bad), "--format", "json").stdout)["findings"]
    assert [(one["issueCode"], one["file"]) for one in found] == [
        ("INVALID_EFFECT", str(bad)),
        ("INVALID_ACTION", str(bad)),
    ]
    results = json.loads(run(str(bad), "--format", "sarif").stdout)["runs"][0]["results"]
    assert [one["ruleId"] for one in results] == ["INVALID_EFFECT", "INVALID_ACTION"]
    github = run(str(bad), "--format", "github").stdout.splitlines()
    assert github[0].startswith(
        f"::error file={bad},line=1,endLine=1,col=51,endColumn=58,title=INVALID_EFFECT::The effect"
    )


def test_fix_says_what_it_changed(bad: Path) -> None:
    shown = run(str(bad), "--diff")
    assert f"{bad}: would fix INVALID_EFFECT at /Statement/Effect: " in shown.stderr
    done = run(str(bad), "--fix")
    assert bad.read_text() == BAD.replace('"allow"', '"Allow"')
    assert f"{bad}: fixed INVALID_EFFECT at /Statement/Effect: " in done.stderr
    assert run(str(bad), "--fix").stderr == ""
    piped = run("--type", "repository", "--fix", given=BAD)
    assert piped.stdout == bad.read_text()
    assert "-: fixed INVALID_EFFECT" in piped.stderr
