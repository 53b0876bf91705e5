"""Findings in the format of IAM Access Analyzer's ValidatePolicy (docs/development/policy-engine.md §6.1)."""

from moorage.policy.lint.finding import Finding, Position


def as_validate_policy(finding: Finding) -> dict[str, object]:
    """Return one finding. Lines start at 1, columns and offsets at 0, as in ValidatePolicy. `fix` is an addition of
    Moorage."""
    return {
        "findingType": finding.severity.value,
        "issueCode": finding.code,
        "findingDetails": finding.message,
        "learnMoreLink": f"docs/reference/lint.md#{finding.code.lower()}",
        "locations": [
            {
                "path": [_step(part) for part in finding.pointer.split("/")[1:]],
                "span": {"start": _position(finding.start), "end": _position(finding.end)},
            }
        ],
        "fix": finding.fix.words,
    }


def _step(part: str) -> dict[str, object]:
    if part.isascii() and part.isdigit():
        return {"index": int(part)} if len(part) < 10 else {"value": part}
    return {"value": part.replace("~1", "/").replace("~0", "~")}


def _position(position: Position) -> dict[str, int]:
    return {"line": position.line, "column": position.column - 1, "offset": position.offset}
