"""`moorage apply`: accounts become what a file says of them; first the difference is shown, on request nothing else."""

import difflib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from moorage.cli import options
from moorage.cli.client import call
from moorage.settings import Settings

_MARKS: Final = {"create": "[bold green]+[/]", "update": "[bold yellow]~[/]", "delete": "[bold red]-[/]"}
_DOCUMENTS: Final = frozenset({"document", "trust", "policy"})


def apply(
    file: Annotated[Path, typer.Argument(help="The declarative file (YAML).", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also delete what the file does not name, in the accounts that it names.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Make a key for each user that has none, and print it, once.")
    ] = False,
    keys_to: Annotated[
        Path | None, typer.Option("--keys-to", help="The same, into this new file (mode 0600).", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    data: options.Data = None,
    port: options.Port = None,
) -> None:
    """Make an account what a file says: users, groups, roles, policies, repositories.

    What is so already is left alone, so a second run changes nothing. What the file does not name stays, unless you say
    --prune. Secrets are never in the file.

    Examples:

      moorage export > identities.yaml

      moorage apply identities.yaml --dry-run

      moorage apply identities.yaml --keys-to keys.json
    """
    settings = Settings.from_environment(data=data, port=port)
    asked: dict[str, Any] = {"text": file.read_text(), "prune": prune}
    out = Console()
    if prune and not yes and not dry_run:
        planned = call(settings, "POST", "/_moorage/apply", asked | {"dry_run": True})
        doomed = [each for each in planned["changes"] if each["operation"] == "delete"]
        if doomed:
            for each in doomed:
                _show(out, each)
            typer.confirm(f"Delete {len(doomed)}?", abort=True)
    kept = None
    if keys_to is not None and not dry_run:
        kept = os.fdopen(os.open(keys_to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    answer = call(
        settings, "POST", "/_moorage/apply", asked | {"dry_run": dry_run, "keys": keys or keys_to is not None}
    )
    if kept is not None:
        with kept:
            json.dump(answer["keys"], kept, indent=2)
        answer["keys"] = []
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _say(out, answer, dry_run=dry_run)
        for key in answer["keys"]:
            typer.echo(f"{key['user']}  {key['accessKeyId']}  {key['secretAccessKey']}")
    if answer["failed"] is not None:
        raise typer.Exit(1)


def _say(out: Console, answer: dict[str, Any], *, dry_run: bool) -> None:
    for change in answer["changes"]:
        _show(out, change)
    if answer["failed"] is not None:
        failed = answer["failed"]
        _show(out, failed)
        said = f"{failed['code']}: {failed['message']}"
        out.print(f"[bold red]failed:[/] {escape(said)}", highlight=False, soft_wrap=True)
        out.print("What stands above it is done, what comes after it was not tried.", highlight=False)
    elif not answer["changes"]:
        out.print("nothing to change", highlight=False)
    else:
        count = len(answer["changes"])
        said = "would change" if dry_run else "changed"
        out.print(f"{count} {said}", highlight=False)


def _show(out: Console, change: dict[str, Any]) -> None:
    out.print(f"{_MARKS[change['operation']]} {change['section']}/{escape(change['name'])}", highlight=False)
    if change["operation"] != "delete":
        for name, (before, after) in change["aspects"].items():
            for line in _difference(name, before, after):
                colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
                out.print(f"    [{colour}]{escape(line)}[/]", highlight=False, soft_wrap=True)
    for each in change["warnings"]:
        said = f"{each['severity'].lower()} in {each['aspect']}: {each['message']}"
        out.print(f"    [yellow]! {escape(said)}[/]", highlight=False, soft_wrap=True)


def _difference(name: str, before: Any, after: Any) -> list[str]:
    """Lines that begin with `+`, `-` or a space."""
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
    lines = [] if before in {None, ""} else [f"- {name} {before}"]
    return lines if after in {None, ""} else [*lines, f"+ {name} {after}"]


def _texts(before: str | None, after: str | None) -> list[str]:
    compared = difflib.unified_diff((before or "").splitlines(), (after or "").splitlines(), n=2, lineterm="")
    return [line for line in compared if not line.startswith(("---", "+++", "@@"))]
