"""`moorage access` on files alone."""

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from moorage.analysis.access_report import CAPABILITIES, AccessMatrix
from moorage.cli import app
from moorage.cli.access import html_page

OWNER, OTHER = "111122223333", "444455556666"
ANN = f"arn:aws:iam::{OWNER}:user/ann"
DEPLOY = f"arn:aws:iam::{OTHER}:role/deploy"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def written(path: Path, *statements: dict[str, Any]) -> str:
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["access", "--account", OWNER, *arguments])


def test_files_are_enough(tmp_path: Path) -> None:
    new = written(tmp_path / "new.json", {"Effect": "Allow", "Principal": {"AWS": [DEPLOY, OTHER]}, "Action": PULL})
    mine = written(
        tmp_path / "ann.json", {"Effect": "Allow", "Action": ["ecr:Put*", "ecr:BatchDeleteImage"], "Resource": "*"}
    )
    said = run("--policy", new, "--identity", f"{ANN}={mine}", "--json")
    assert said.exit_code == 0, said.output
    rows = {row["who"]: row["cells"] for row in json.loads(said.stdout)["rows"]}
    assert rows[ANN]["delete"]["answer"] == "yes"
    assert rows[ANN]["pull"]["missing"] == ["ecr:GetAuthorizationToken", *PULL]
    assert rows[DEPLOY]["pull"]["answer"] == "depends"
    assert rows[DEPLOY]["pull"]["conditions"] == ["the policies of the caller's account, which are not stored here"]
    assert rows[f"account {OTHER} (those it allows)"]["pull"]["answer"] == "yes"


def test_a_widening_fails_and_a_narrowing_does_not(tmp_path: Path) -> None:
    wide = written(tmp_path / "wide.json", {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"})
    network = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    narrow = written(
        tmp_path / "narrow.json", {"Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Condition": network}
    )
    assert run("--policy", wide, "--diff", narrow, "--fail-on-widening").exit_code == 1
    assert run("--policy", narrow, "--diff", wide, "--fail-on-widening").exit_code == 0
    assert run("--policy", narrow, "--diff", narrow, "--fail-on-widening").exit_code == 0


def test_what_is_said_wrongly_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    good = written(tmp_path / "good.json", {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"})
    for arguments in (
        [],
        ["--policy", str(bad)],
        ["--policy", good, "--fail-on-widening"],
        ["--policy", good, "--given", "aws:SourceIp"],
        ["--policy", good, "--identity", f"nobody={good}"],
        ["REPO", "--principal", ANN],
    ):
        assert run(*arguments).exit_code == 2, arguments


def test_the_page_escapes_what_others_named() -> None:
    cell = {"answer": "depends", "conditions": ["<script>alert(1)</script>"], "missing": []}
    cells = dict.fromkeys(("pull", "push", "delete", "administer"), cell)
    row = {"who": '"><img src=x>', "kind": "user", "repository": "r", "cells": cells, "before": None, "note": "<i>"}
    arn = {**row, "who": "arn:aws:iam::111122223333:user/<u>", "before": {**cells, "pull": {**cell, "answer": "no"}}}
    gain = {"who": "<q>", "action": "<s>", "before": "no", "after": "yes", "conditions": [], "certain": True}
    matrix = msgspec.convert({"rows": [row, arn], "widened": [gain]}, AccessMatrix)
    page = html_page.page("<b>", matrix, by_principal=False)
    for tag in ("<script", "<img", "<b>", "<i>", "<u>", "<q>", "<s>"):
        assert tag not in page
    assert page.count("&lt;i&gt;") == 2


def test_the_page_marks_what_is_answered_and_what_is_gained_not_by_color_alone() -> None:
    def cells(answer: str) -> dict[str, Any]:
        return {key: {"answer": answer, "conditions": [], "missing": []} for key in CAPABILITIES}

    row = {"who": "w", "kind": "user", "repository": "arn:aws:ecr:us-east-1:1:repository/r", "note": ""}
    for before, after, is_gain in (("no", "depends", True), ("yes", "no", False), ("yes", "yes", False)):
        compared = {**row, "cells": cells(after), "before": cells(before)}
        matrix = msgspec.convert({"rows": [compared], "widened": None}, AccessMatrix)
        page = html_page.page("t", matrix, by_principal=True)
        body = page.partition("<tbody>")[2]
        assert body.count({"no": "–", "depends": "?", "yes": "✓"}[after]) == len(CAPABILITIES)
        assert body.count(f"<del>{before}</del>") == (0 if before == after else len(CAPABILITIES))
        assert ('class="more"' in body) is is_gain


STATEMENTS = st.builds(
    lambda effect, principal, action, network: {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        **({"Condition": {"IpAddress": {"aws:SourceIp": network}}} if network else {}),
    },
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["*", {"AWS": OTHER}, {"AWS": DEPLOY}, {"AWS": ANN}]),
    st.sampled_from(["ecr:*", "ecr:PutImage", "ecr:BatchGetImage"]),
    st.sampled_from([None, "10.0.0.0/8"]),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(STATEMENTS, min_size=1, max_size=4))
def test_a_policy_is_no_wider_than_itself(tmp_path: Path, statements: list[dict[str, Any]]) -> None:
    one, other = written(tmp_path / "one.json", *statements), written(tmp_path / "other.json", *reversed(statements))
    for before in (one, other):
        said = run("--policy", one, "--diff", before, "--json")
        assert json.loads(said.stdout)["widened"] == []
