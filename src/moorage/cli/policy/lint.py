"""`moorage policy lint`: finds problems in policies and fixes them. Needs no server."""

import json
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from moorage import __version__, policy
from moorage.cli.policy import lint_text
from moorage.cli.policy.files import STDIN, read_policy
from moorage.policy import lint as linting

_MAX_BYTES = 1 << 20
"""More than the length of any policy. A longer file is cut, and then too long to be a policy."""


class Format(Enum):
    """The output format of findings."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


class FailOn(Enum):
    """The lowest severity that fails the command."""

    ERROR = "error"
    SECURITY_WARNING = "security-warning"
    WARNING = "warning"
    SUGGESTION = "suggestion"
    NEVER = "never"


class Linted(NamedTuple):
    """A policy with its findings."""

    name: str
    text: str
    kind: policy.Kind
    guessed: str | None
    """Why this kind was chosen; None if it was given."""
    report: linting.Report


def lint(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE…|-]", help="Policy files; - or no file reads standard input.")
    ] = None,
    kind: Annotated[
        policy.Kind | None, typer.Option("--type", help="Type of the policies. Default: guessed from the text.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account that owns the repository (12 digits).")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Write the safe fixes into the files.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change, without writing.")] = False,
    unsafe_fixes: Annotated[
        bool, typer.Option("--unsafe-fixes", help="Also apply fixes that may change what is allowed.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TEXT,
    fail_on: Annotated[FailOn, typer.Option(help="Exit 1 for findings of this severity or higher.")] = FailOn.ERROR,
) -> None:
    """Report errors, security risks and redundancies in policies, and how to fix them. See docs/reference/lint.md."""
    if account is not None and policy.account_named(account) != account:
        raise typer.BadParameter("an account is 12 digits", param_hint="--account")
    if unsafe_fixes and not (fix or diff):
        raise typer.BadParameter("goes with --fix or --diff", param_hint="--unsafe-fixes")
    linted = [_linted(name, kind, account) for name in files or [_default()]]
    to_stdout = (fix or diff) and any(one.name == STDIN or diff for one in linted)
    if fix or diff:
        linted = [_fixed(one, account, write=not diff, proposals=unsafe_fixes) for one in linted]
    _WRITERS[form](linted, to_stdout)
    if any(_fails(one.report, fail_on) for one in linted):
        raise typer.Exit(1)


def _default() -> str:
    if sys.stdin.isatty():
        raise typer.BadParameter("name a file, or - for standard input", param_hint="FILE")
    return STDIN


def _linted(name: str, kind: policy.Kind | None, account: str | None) -> Linted:
    text = read_policy(name, most=_MAX_BYTES, param_hint="FILE")
    guessed = None
    if kind is None:
        kind, guessed = linting.guess_kind(text)
        if kind is None:
            raise typer.BadParameter(f"give the type of {name}: {guessed}", param_hint="--type")
    return Linted(name, text, kind, guessed or None, linting.lint(text, kind, account=account))


def _fixed(one: Linted, account: str | None, *, write: bool, proposals: bool) -> Linted:
    """Return the policy after its fixes. Without `write`, only print the difference."""

    def find(text: str) -> tuple[linting.Finding, ...]:
        return linting.lint(text, one.kind, account=account).findings

    made: list[linting.Finding] = []
    text = linting.fixed(one.text, find, proposals=proposals, made=made)
    lint_text.print_fixes(one.name, made, written=write)
    if not write:
        lint_text.print_diff(one.name, one.text, text)
        return one
    if one.name == STDIN:
        sys.stdout.write(text)
    elif text != one.text:
        Path(one.name).write_bytes(text.encode())
    return one._replace(text=text, report=linting.lint(text, one.kind, account=account))


def _fails(report: linting.Report, fail_on: FailOn) -> bool:
    worst = report.worst()
    if worst is None or fail_on is FailOn.NEVER:
        return False
    return worst.rank <= linting.Severity[fail_on.name].rank


def _write_text(linted: list[Linted], to_stderr: bool) -> None:
    console = Console(stderr=to_stderr, highlight=False)
    for one in linted:
        lint_text.print_report(console, one.name, one.text, one.kind.value, one.guessed, one.report)


def _write_json(linted: list[Linted], to_stderr: bool) -> None:
    findings = [
        {**linting.as_validate_policy(finding), "file": one.name} for one in linted for finding in one.report.findings
    ]
    typer.echo(json.dumps({"findings": findings}, indent=2), err=to_stderr)


def _write_sarif(linted: list[Linted], to_stderr: bool) -> None:
    found = [("stdin" if one.name == STDIN else one.name, one.report.findings) for one in linted]
    typer.echo(json.dumps(linting.as_sarif(found, __version__), indent=2), err=to_stderr)


def _write_github(linted: list[Linted], to_stderr: bool) -> None:
    for one in linted:
        for finding in one.report.findings:
            typer.echo(lint_text.annotation(one.name, finding), err=to_stderr)


_WRITERS: dict[Format, Callable[[list[Linted], bool], None]] = {
    Format.TEXT: _write_text,
    Format.JSON: _write_json,
    Format.SARIF: _write_sarif,
    Format.GITHUB: _write_github,
}
