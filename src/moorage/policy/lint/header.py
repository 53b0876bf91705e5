"""Findings as one response header: a list in the syntax of structured fields (RFC 9651), ASCII and bounded."""

from typing import Final
from urllib.parse import quote

from moorage.policy.lint.codes import Severity
from moorage.policy.lint.finding import Finding
from moorage.policy.lint.lint import Report

MAX_LENGTH: Final = 2048
"""Characters. Proxies commonly stop at 4 or 8 kB for all headers of a response."""


def as_header(report: Report) -> str:
    """`2;error=1, CODE;severity=error;at="POINTER";line=1;column=9, …`: first how many, then the gravest that fit.

    The pointer is percent-encoded where it is not ASCII, as in a URI fragment (RFC 6901 §6).
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
