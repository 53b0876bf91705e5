"""Prints lint findings: the line with a caret below it, the fix and a summary; or as GitHub annotations."""

import difflib
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from moorage.policy.lint import Finding, Report, Severity

_STYLES = {
    Severity.ERROR: "bold red",
    Severity.SECURITY_WARNING: "bold magenta",
    Severity.WARNING: "bold yellow",
    Severity.SUGGESTION: "bold cyan",
}
_NAMES = {
    Severity.ERROR: ("error", "errors"),
    Severity.SECURITY_WARNING: ("security warning", "security warnings"),
    Severity.WARNING: ("warning", "warnings"),
    Severity.SUGGESTION: ("suggestion", "suggestions"),
}
_COMMANDS = {
    Severity.ERROR: "error",
    Severity.SECURITY_WARNING: "warning",
    Severity.WARNING: "warning",
    Severity.SUGGESTION: "notice",
}
_LEAST_WIDTH = 20


def print_report(console: Console, name: str, text: str, kind: str, guessed: str | None, report: Report) -> None:
    """Print all findings of one policy, then a summary."""
    lines = text.split("\n")
    if guessed is not None:
        console.print(Text(f"{name} is read as a policy of type {kind}: {guessed}.", "dim"), soft_wrap=True)
    for finding in report.findings:
        for line in _block(name, lines, finding, console.width):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(_summary(name, report), soft_wrap=True)


def print_fixes(name: str, made: Sequence[Finding], *, written: bool) -> None:
    """Print a line for each fixed finding to standard error, with its position in the policy."""
    console = Console(stderr=True, highlight=False)
    for each in made:
        done = "fixed" if written else "would fix"
        said = _printable(f"{done} {each.code}{each.pointer and f' at {each.pointer}'}: {each.message}")
        console.print(Text.assemble((f"{name}: ", "dim"), said), soft_wrap=True)


def _block(name: str, lines: list[str], finding: Finding, width: int) -> Iterator[Text]:
    style, start = _STYLES[finding.severity], finding.start
    yield Text.assemble(
        (finding.severity.value.replace("_", " "), style),
        (f" {finding.code}", "bold"),
        (f"  {name}:{start.line}:{start.column}", "dim"),
        (f"  {_printable(finding.pointer)}" if finding.pointer else "", "dim"),
    )
    yield Text(f"  {finding.message}")
    number = str(start.line)
    line = lines[start.line - 1].rstrip("\r")
    end = finding.end.column - 1 if finding.end.line == start.line else len(line)
    shown, before, marked = _window(line, start.column - 1, end, max(width - len(number) - 5, _LEAST_WIDTH))
    yield Text.assemble((f"  {number} │ ", "dim"), shown)
    yield Text.assemble((f"  {' ' * len(number)} │ ", "dim"), " " * before, ("^" * max(marked, 1), style))
    yield Text.assemble(("  fix: ", "green"), finding.fix.words)


def _window(line: str, start: int, end: int, width: int) -> tuple[str, int, int]:
    """Return the part of a line with the marked part that fits `width` cells, and the cells before and in the mark."""
    left, ahead = 0, ""
    if cell_len(_printable(line[:end])) > width - 2:
        left = max(start - width // 4, 0)
        ahead = "…" if left else ""
    shown = _printable(line[left : left + width - 2])
    tail = "…" if len(line) > left + width - 2 else ""
    while cell_len(shown) > width - 2:
        shown, tail = shown[:-1], "…"
    before = cell_len(ahead + _printable(line[left:start]))
    return ahead + shown + tail, before, min(cell_len(_printable(line[start:end])), width - before)


def _printable(text: str) -> str:
    """Return the text with control characters replaced, one for one, so that it cannot control the terminal."""
    return "".join(character if character.isprintable() else "·" if character != "\t" else " " for character in text)


def _summary(name: str, report: Report) -> Text:
    if not report.findings:
        return Text(f"{name}: no findings.", "green")
    counts = [(severity, report.count(severity)) for severity in Severity]
    parts = [f"{count} {_NAMES[severity][count != 1]}" for severity, count in counts if count]
    summary = Text(f"{name}: {', '.join(parts)}", "bold")
    if report.left_out:
        summary.append(f", and {report.left_out} more")
    summary.append(".")
    safe = sum(bool(finding.fix.edits) and finding.fix.safe for finding in report.findings)
    other = sum(bool(finding.fix.edits) and not finding.fix.safe for finding in report.findings)
    if safe:
        summary.append(f" --fix corrects {safe}.", "not bold")
    if other:
        summary.append(f" --fix --unsafe-fixes proposes edits for {other}{' more' if safe else ''}.", "not bold")
    return summary


def print_diff(name: str, before: str, after: str) -> None:
    """Print a unified diff to standard output, if there are differences."""
    console = Console(highlight=False)
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in difflib.unified_diff(before.split("\n"), after.split("\n"), f"a/{name}", f"b/{name}", lineterm=""):
        console.print(Text("\t".join(map(_printable, line.split("\t"))), styles.get(line[:1], "")), soft_wrap=True)


def annotation(name: str, finding: Finding) -> str:
    """Return a finding as a workflow command of GitHub Actions, which shows it beside the line."""
    start, end = finding.start, finding.end
    place = f"file={_escaped(name)},line={start.line},endLine={end.line}"
    if end.line == start.line:  # columns of a span of several lines are not read
        place += f",col={start.column},endColumn={end.column}"
    words = _data(f"{finding.message} {finding.fix.words}")
    return f"::{_COMMANDS[finding.severity]} {place},title={finding.code}::{words}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
