"""Findings in other tools' formats: ValidatePolicy's shape, SARIF 2.1.0, a response header."""

import json
import re
from typing import Any

from hypothesis import given

from moorage.policy import Kind
from moorage.policy.lint import CODES, as_header, as_sarif, as_validate_policy, lint
from moorage.policy.lint.header import MAX_LENGTH
from tests.policy.build import OTHER, grant, text
from tests.policy.lint.test_lint import texts

SOURCE = (
    '{"Version": "2012-10-17",\n "Statement": [' + json.dumps(grant({"AWS": OTHER}, "allow", "ecr:ListImages")) + "]}"
)
_LEVELS = {"none", "note", "warning", "error"}
_ITEM = re.compile(r'[A-Z_]+;severity=[a-z_]+;at="(?:[ !#-\[\]-~]|\\["\\])*";line=[0-9]+;column=[0-9]+')
"""A token with parameters of RFC 9651."""


def test_validate_policy_counts_columns_from_zero_and_walks_the_path() -> None:
    (finding,) = lint(SOURCE, Kind.REPOSITORY).findings
    start = SOURCE.index('"allow"')
    assert as_validate_policy(finding) == {
        "findingType": "ERROR",
        "issueCode": "INVALID_EFFECT",
        "findingDetails": "The effect is not valid: use Allow or Deny.",
        "learnMoreLink": "docs/reference/lint.md#invalid_effect",
        "locations": [
            {
                "path": [{"value": "Statement"}, {"index": 0}, {"value": "Effect"}],
                "span": {
                    "start": {"line": 2, "column": start - SOURCE.index("\n") - 1, "offset": start},
                    "end": {"line": 2, "column": start - SOURCE.index("\n") + 6, "offset": start + 7},
                },
            }
        ],
        "fix": "Did you mean Allow?",
    }


def check_sarif(log: dict[str, Any]) -> None:
    """What the schema of SARIF 2.1.0 requires of the members that we write."""
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    for run in log["runs"]:
        assert set(run) <= {"tool", "columnKind", "results"}
        assert run["columnKind"] == "unicodeCodePoints"
        driver = run["tool"]["driver"]
        assert driver["name"]
        assert driver["version"]
        rules = driver["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for rule in rules:
            assert set(rule) == {"id", "name", "shortDescription", "help", "defaultConfiguration", "properties"}
            assert rule["shortDescription"]["text"]
            assert rule["help"]["text"]
            assert rule["defaultConfiguration"]["level"] in _LEVELS
            assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"])
        for result in run["results"]:
            assert set(result) <= {"ruleId", "ruleIndex", "level", "message", "locations", "fixes"}
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["level"] in _LEVELS
            assert result["message"]["text"]
            for location in result["locations"]:
                check_region(location["physicalLocation"]["region"])
                check_artifact(location["physicalLocation"]["artifactLocation"])
            for fix in result.get("fixes", ()):
                assert fix["description"]["text"]
                for change in fix["artifactChanges"]:
                    check_artifact(change["artifactLocation"])
                    assert change["replacements"]
                    for replacement in change["replacements"]:
                        assert replacement["deletedRegion"]["charOffset"] >= 0
                        assert replacement["deletedRegion"]["charLength"] >= 0
                        assert isinstance(replacement["insertedContent"]["text"], str)


def check_region(region: dict[str, int]) -> None:
    assert min(region["startLine"], region["startColumn"], region["endLine"], region["endColumn"]) >= 1
    assert min(region["charOffset"], region["charLength"]) >= 0


def check_artifact(artifact: dict[str, str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", artifact["uri"])


def test_sarif_names_rule_place_and_replacement() -> None:
    log = as_sarif([("a b/é.json", lint(SOURCE, Kind.REPOSITORY).findings)], "1.2.3")
    check_sarif(log)
    (result,) = log["runs"][0]["results"]  # type: ignore[index]  # JSON
    assert (result["ruleId"], result["level"]) == ("INVALID_EFFECT", "error")
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": "a%20b/%C3%A9.json"}
    assert (location["region"]["startLine"], location["region"]["startColumn"]) == (2, 27)
    replacement = result["fixes"][0]["artifactChanges"][0]["replacements"][0]
    start = replacement["deletedRegion"]["charOffset"]
    assert SOURCE[start : start + replacement["deletedRegion"]["charLength"]] == '"allow"'
    assert replacement["insertedContent"] == {"text": '"Allow"'}


@given(texts)
def test_every_report_is_sarif_json_and_a_bounded_header(source: str) -> None:
    report = lint(source, Kind.REPOSITORY)
    check_sarif(as_sarif([("p.json", report.findings)], "1"))
    json.dumps([as_validate_policy(one) for one in report.findings]).encode("ascii")
    header = as_header(report)
    assert len(header) <= MAX_LENGTH
    assert header.isascii()
    assert header.isprintable()
    count, *items = header.split(", ")
    assert count.split(";")[0] == str(len(report.findings))
    assert all(_ITEM.fullmatch(item) for item in items)


def test_the_header_begins_with_the_gravest_and_keeps_its_length() -> None:
    statements = [grant({"AWS": OTHER}, action="ecr:ListImages", Sid="") for _ in range(40)]
    header = as_header(lint(text(*statements, grant("*", "allow", "ecr:ListImages")), Kind.REPOSITORY))
    assert header.startswith('80;error=1;suggestion=79, INVALID_EFFECT;severity=error;at="/Statement/40/Effect"')
    assert MAX_LENGTH - 100 < len(header) <= MAX_LENGTH
    assert as_header(lint(text(grant({"AWS": OTHER}, action="ecr:ListImages")), Kind.REPOSITORY)) == "0"


def test_every_rule_of_sarif_is_a_code() -> None:
    log: Any = as_sarif([], "1")
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == list(CODES)
