"""Findings as SARIF 2.1.0, the format of code scanning."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from moorage.policy.lint.codes import CODES, Code, Severity
from moorage.policy.lint.finding import Finding

_LEVELS: Final[Mapping[Severity, str]] = {
    Severity.ERROR: "error",
    Severity.SECURITY_WARNING: "warning",
    Severity.WARNING: "warning",
    Severity.SUGGESTION: "note",
}


def as_sarif(found: Iterable[tuple[str, Sequence[Finding]]], version: str) -> dict[str, object]:
    """Return one log with one run: (path of a policy relative to the working directory, its findings)… `version`:
    Moorage's."""
    numbers = {name: number for number, name in enumerate(CODES)}
    driver = {"name": "moorage policy lint", "version": version, "rules": [_rule(code) for code in CODES.values()]}
    results = [_result(path, finding, numbers) for path, findings in found for finding in findings]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _rule(code: Code) -> dict[str, object]:
    properties: dict[str, object] = {"tags": ["iam", "policy"]}
    if code.severity is Severity.SECURITY_WARNING:
        # Code scanning sorts alerts by this number; 7.0 and above count as high.
        properties = {"tags": ["iam", "policy", "security"], "security-severity": "7.5"}
    return {
        "id": code.name,
        "name": "".join(word.capitalize() for word in code.name.split("_")),
        "shortDescription": {"text": f"{code.title}."},
        "help": {"text": code.fix},
        "defaultConfiguration": {"level": _LEVELS[code.severity]},
        "properties": properties,
    }


def _result(path: str, finding: Finding, numbers: Mapping[str, int]) -> dict[str, object]:
    artifact = {"uri": quote(path.replace("\\", "/"))}
    start, end = finding.start, finding.end
    region = {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
        "charOffset": start.offset,
        "charLength": end.offset - start.offset,
    }
    result: dict[str, object] = {
        "ruleId": finding.code,
        "ruleIndex": numbers[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message} {finding.fix.words}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": artifact, "region": region},
                "logicalLocations": [{"fullyQualifiedName": finding.pointer}],
            }
        ],
    }
    if finding.fix.edits:
        replacements = [
            {
                "deletedRegion": {"charOffset": edit.start, "charLength": edit.end - edit.start},
                "insertedContent": {"text": edit.text},
            }
            for edit in finding.fix.edits
        ]
        change = {"artifactLocation": artifact, "replacements": replacements}
        result["fixes"] = [{"description": {"text": finding.fix.words}, "artifactChanges": [change]}]
    return result
