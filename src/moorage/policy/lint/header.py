"""Findings as a response header: a list of structured fields (RFC 9651), ASCII and bounded."""

from typing import Final
from urllib.parse import quote

from moorage.policy.lint.codes import Severity
from moorage.policy.lint.finding import Finding
from moorage.policy.lint.lint import Report

MAX_LENGTH: Final = 2048
"""Characters. Proxies commonly limit all headers of a response to 4 or 8 kB."""


def as_header(report: Report) -> str:
    """Return `2;error=1, CODE;severity=error;at="POINTER";line=1;column=9, …`: the counts, then the most severe that
    fit.

    Non-ASCII characters of the pointer are percent-encoded, as in a URI fragment (RFC 6901, section 6).
    """
    total = len(report.findings) + report.left_out
    if not total:
        return "0"
    counts = [(_token(severity), report.count(severity)) for severity in Severity]
    header = "".join([str(total), *(f";{name}={count}" for name, count in counts if count)])
    for finding in sorted(report.findings, key=lambda one: one.severity.rank):
        item = _item(finding)
        if len(header) + 2 + len(item) > MAX_LENGTH:
            break
        header += f", {item}"
    return header


def _token(severity: Severity) -> str:
    return severity.value.lower()


def _item(finding: Finding) -> str:
    at = quote(finding.pointer, safe="/~:${}*,.-_=+@ ", errors="surrogatepass")
    start = finding.start
    return f'{finding.code};severity={_token(finding.severity)};at="{at}";line={start.line};column={start.column}'
