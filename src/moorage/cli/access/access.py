"""`moorage access`: shows who can pull, push, delete and administer, and whether a change widens access."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from moorage.analysis.access_report import (
    AccessMatrix,
    AccessPage,
    AccessRequest,
    AccessRow,
    PolicyVersion,
    WidenedAccess,
)
from moorage.cli import options
from moorage.cli.access import html_page, matrix_of_files, matrix_table
from moorage.cli.access import on_host as access_on_host
from moorage.cli.audit import times
from moorage.cli.client.calls import connect, pages_as
from moorage.cli.json_text import indented
from moorage.cli.policy.files import read_policy

_HASH: Final = re.compile(r"[0-9a-f]{6,64}")
_IN_FORCE: Final = "in-force"


def access(
    repository: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="Show who can reach this repository.")
    ] = None,
    principal: Annotated[
        str | None, typer.Option("--principal", "-p", help="Show what this user, role or account (ARN) can reach.")
    ] = None,
    proposed: Annotated[
        str | None, typer.Option("--policy", help="Use this policy file in place of the repository's policy.")
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option("--identity", help="Without a server: ARN=FILE, the identity policy of a user or role."),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            help="Compare with a policy file or hash, in-force, a time (7d, 2026-11-25), or another repository.",
        ),
    ] = None,
    fail_on_widening: Annotated[
        bool, typer.Option("--fail-on-widening", help="With --diff: exit 1 if anyone may do more than before.")
    ] = False,
    given: Annotated[
        list[str] | None, typer.Option("--given", help="A known value of the requests: aws:SourceIp=10.0.0.1.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account of the repositories. Default: your own.")] = None,
    on_host: Annotated[
        bool, typer.Option("--on-host", help="Read the database itself, and show every account that is stored in it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the matrix as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the matrix to a self-contained HTML page.", dir_okay=False)
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Show who can pull, push, delete and administer: yes, no, or what it depends on (address, tags, time).

    Asks the running server, where you need moorage:ReadAccess (the account's root user has it). Without REPO and
    --principal, it evaluates policy files alone, for CI. With --on-host, the operator of the machine sees all accounts.

    Examples:

      moorage access team/app

      moorage access --principal arn:aws:iam::111122223333:user/ann

      moorage access team/app --policy new.json --diff in-force --fail-on-widening

      moorage access --principal arn:aws:iam::111122223333:user/ann --on-host

      moorage access --policy new.json --diff old.json --account 111122223333 --fail-on-widening
    """
    if fail_on_widening and diff is None:
        raise typer.BadParameter("goes with --diff", param_hint="--fail-on-widening")
    known = _pairs(given or [], "--given", "KEY=VALUE")
    if repository is not None and principal is not None:
        raise typer.BadParameter("name a repository or a principal, not both")
    if on_host and repository is None and principal is None:
        raise typer.BadParameter("goes with a repository or a --principal", param_hint="--on-host")
    if repository is None and principal is None:
        identities = _pairs(identity or [], "--identity", "ARN=FILE")
        matrix = matrix_of_files.matrix(proposed, identities, diff, account, known)
    else:
        if identity:
            raise typer.BadParameter("the server knows its identities", param_hint="--identity")
        if principal is not None and (proposed is not None or diff is not None):
            raise typer.BadParameter("--policy and --diff go with a repository")
        request = AccessRequest(
            repository=repository,
            principal=principal,
            account=account,
            version=PolicyVersion(text=None if proposed is None else read_policy(proposed)),
            before=None if diff is None else _version(diff),
            given=known,
        )
        pages: Iterable[AccessPage]
        if on_host:
            pages = access_on_host.pages(data, database_url, request)
        else:
            client = connect(data=data, port=port, profile=profile)
            pages = pages_as(AccessPage, client, "/_moorage/access", msgspec.to_builtins(request))
        matrix = _joined(pages)
    title = f"Access of {principal}" if principal is not None else f"Access to {repository or proposed}"
    if html is not None:
        html.write_text(html_page.page(title, matrix, by_principal=principal is not None))
    if as_json:
        typer.echo(indented(matrix))
    elif html is None:
        matrix_table.show(Console(highlight=False), title, matrix, by_principal=principal is not None)
    if fail_on_widening and matrix.widened:
        raise typer.Exit(1)


def _joined(pages: Iterable[AccessPage]) -> AccessMatrix:
    """Return the matrix of all pages."""
    rows: list[AccessRow] = []
    widened: list[WidenedAccess] | None = None
    for page in pages:
        rows += page.rows
        if page.widened is not None:
            widened = [*(widened or []), *page.widened]
    return AccessMatrix(rows, widened)


def _version(text: str) -> PolicyVersion:
    """Return the policy version that --diff names."""
    if text == _IN_FORCE:
        return PolicyVersion()
    if Path(text).is_file():
        return PolicyVersion(text=read_policy(text))
    if _HASH.fullmatch(text) and not text.isdigit():
        return PolicyVersion(hash=text)
    try:
        return PolicyVersion(at=times.moment(text, time.time()))
    except typer.BadParameter:
        return PolicyVersion(repository=text)


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not {form}", param_hint=option)
        pairs[name] = value
    return pairs
