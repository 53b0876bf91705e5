"""`moorage apply`: make accounts match a file, or show the difference."""

import contextlib
import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from moorage.cli import options
from moorage.cli.client.calls import ServerSaidNoError, acting, call, connect
from moorage.cli.declarative import on_host as apply_on_host
from moorage.cli.on_host import OnHost
from moorage.cli.policy.files import read_policy

_MARKS: Final = {"create": "[bold green]+[/]", "update": "[bold yellow]~[/]", "delete": "[bold red]-[/]"}
_DOCUMENTS: Final = frozenset({"document", "trust", "policy"})
_MOST_BYTES: Final = 1 << 21
"""More bytes than the server accepts of a file."""
_MOST_REFUSALS: Final = 100
"""How many refusals the server lists."""
_TIMEOUT: Final = 900.0
"""Seconds. A file of thousands of users can take a minute."""


def apply(
    file: Annotated[Path, typer.Argument(help="The declarative file (YAML).", exists=True, dir_okay=False)],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and what you may not do.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also delete what the file does not name, in the accounts that it names.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Create a key for each user who has none, and print it once.")
    ] = False,
    keys_to: Annotated[
        Path | None,
        typer.Option("--keys-to", help="Like --keys, but write the keys to this new file (mode 0600).", dir_okay=False),
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Apply only the part about this account. Can be repeated.")
    ] = None,
    on_host: OnHost = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Make accounts match a file: users, groups, roles, policies, repositories, and the organization.

    All changes are made, or none. A second run changes nothing. What the file does not name stays as it is, unless you
    add --prune. The file contains no secrets. A server applies the part about your own account. --on-host applies the
    whole file, and creates accounts that do not exist.

    Examples:

      moorage export > identities.yaml

      moorage apply identities.yaml --dry-run

      moorage apply identities.yaml --keys-to keys.json
    """
    request: dict[str, Any] = {
        "text": read_policy(str(file), most=_MOST_BYTES),
        "dry_run": dry_run,
        "prune": prune,
        "keys": keys or keys_to is not None,
        "accounts": account or [],
    }

    client = None if on_host else connect(data=data, port=port, profile=profile)
    if client is not None and not dry_run:
        acting(client)

    def send(**other: bool) -> dict[str, Any]:
        if client is None:
            return apply_on_host.apply(data, database_url, request | other)
        answer: dict[str, Any] = call(client, "POST", "/_moorage/apply", request | other, timeout=_TIMEOUT)
        return answer

    out = Console()
    if prune and not yes and not dry_run:
        planned = send(dry_run=True)
        if planned["failed"] is not None:
            # Otherwise a deletion that the dry run did not reach could happen without a question.
            _print_result(out, planned, dry_run=True)
            raise typer.Exit(1)
        deletions = [each for each in planned["changes"] if each["operation"] == "delete"]
        if deletions and not planned["refused"]:  # else the server explains why it refuses the file
            for each in deletions:
                _print_change(out, each, _names_accounts(planned))
            typer.confirm(f"Delete {len(deletions)}?", abort=True)
    with _new(None if dry_run else keys_to) as kept:
        answer = send()
        if kept is not None:
            json.dump(answer["keys"], kept, indent=2)
    roots = [each["account"] for each in answer["keys"] if each["user"] is None]
    if not keys or keys_to is not None:
        answer["keys"] = []
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print_result(out, answer, dry_run=dry_run)
        for each in roots:
            typer.echo(f"The key of the root of {each} is in the data directory, as `moorage init` keeps it.")
        for key in answer["keys"]:
            owner = f"{key['account']}/{key['user'] or '(root)'}"
            typer.echo(f"{owner}  {key['accessKeyId']}  {key['secretAccessKey']}")
    if answer["failed"] is not None or answer["refused"]:
        raise typer.Exit(1)


@contextlib.contextmanager
def _new(path: Path | None) -> Iterator[IO[str] | None]:
    """Open a new file for writing (mode 0600), and delete it again if an error occurs."""
    if path is None:
        yield None
        return
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except OSError as error:
        raise ServerSaidNoError(f"keys go into a new file: {path}: {error.strerror}") from error
    with file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


def _names_accounts(answer: dict[str, Any]) -> bool:
    """Return whether the output must name the accounts, because there are several."""
    return len({each["account"] for each in (*answer["changes"], answer["failed"] or {"account": None})} - {None}) > 1


def _print_result(out: Console, answer: dict[str, Any], *, dry_run: bool) -> None:
    """Show the changes, and what failed or was refused."""
    named = _names_accounts(answer)
    for change in answer["changes"]:
        _print_change(out, change, named)
    if answer["failed"] is not None:
        _print_failure(out, answer["failed"], named, dry_run=dry_run)
    if answer["refused"]:
        _print_refusals(out, answer["refused"], named)
    if answer["failed"] is not None or answer["refused"]:
        return
    if not answer["changes"]:
        out.print("nothing to change", highlight=False)
        return
    text = "would change" if dry_run else "changed"
    out.print(f"{len(answer['changes'])} {text}", highlight=False)


def _print_failure(out: Console, failed: dict[str, Any], named: bool, *, dry_run: bool) -> None:
    """Show the change that failed, or in a dry run would fail."""
    _print_change(out, failed, named)
    failing, end = (
        ("would fail", "Nothing would be changed. Changes after this one were not tried.")
        if dry_run
        else ("failed", "Nothing was changed: the changes above were undone, and those after it were not tried.")
    )
    text = escape(f"{failed['code']}: {failed['message']}")
    out.print(f"[bold red]{failing}:[/] {text}", highlight=False, soft_wrap=True)
    out.print(end, highlight=False)


def _print_refusals(out: Console, refused: list[dict[str, Any]], named: bool) -> None:
    """Show what the caller of a dry run may not do."""
    for each in refused:
        of = f"{each['account']}/" if named and each["account"] is not None else ""
        aspect = f", {each['aspect']}" if each["aspect"] else ""
        text = escape(f"{of}{each['section']}/{each['name']}{aspect}: {each['message']}")
        out.print(f"[bold red]refused:[/] {text}", highlight=False, soft_wrap=True)
    more = " or more" if len(refused) >= _MOST_REFUSALS else ""
    out.print(f"Nothing would be changed: you may not do {len(refused)}{more} of this.", highlight=False)


def _print_change(out: Console, change: dict[str, Any], named: bool) -> None:
    """Show a change with its differences and the findings of lint."""
    of = f"{change['account']}/" if named and change["account"] not in {None, change["name"]} else ""
    text = escape(f"{of}{change['section']}/{change['name']}")
    out.print(f"{_MARKS[change['operation']]} {text}", highlight=False, soft_wrap=True)
    if change["operation"] != "delete":
        for name, (before, after) in change["aspects"].items():
            for line in _difference(name, before, after):
                color = {"+": "green", "-": "red"}.get(line[:1], "dim")
                out.print(f"    [{color}]{escape(line)}[/]", highlight=False, soft_wrap=True)
    for each in change["warnings"]:
        text = f"{each['severity'].lower()} in {each['aspect']}: {each['message']}"
        out.print(f"    [yellow]! {escape(text)}[/]", highlight=False, soft_wrap=True)


def _difference(name: str, before: Any, after: Any) -> list[str]:
    """Return the lines of the difference, which begin with `+`, `-` or a space."""
    if name in _DOCUMENTS:
        return [f"  {name}:", *_texts(before, after)]
    if isinstance(before, dict) or isinstance(after, dict):
        was, now = before or {}, after or {}
        lines = []
        for key in sorted({*was, *now}):
            if was.get(key) == now.get(key):
                continue
            if name == "inline":
                lines += [f"  inline {key}:", *_texts(was.get(key), now.get(key))]
                continue
            lines += [f"- {name} {key}={was[key]}"] if key in was else []
            lines += [f"+ {name} {key}={now[key]}"] if key in now else []
        return lines
    if isinstance(before, list) or isinstance(after, list):
        was_there, is_there = before or [], after or []
        gone = [f"- {name} {each}" for each in was_there if each not in is_there]
        return gone + [f"+ {name} {each}" for each in is_there if each not in was_there]
    lines = [] if before in {None, ""} else [f"- {name} {_as_yaml(before)}"]
    return lines if after in {None, ""} else [*lines, f"+ {name} {_as_yaml(after)}"]


def _as_yaml(value: Any) -> str:
    """Return a scalar as it is written in the file."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(before: str | None, after: str | None) -> list[str]:
    """Return the lines of the difference between two texts."""
    compared = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), n=2, lineterm="")
    return [f"{line[0]}   {line[1:]}" for line in compared if not line.startswith(("---", "+++", "@@"))]
