"""`moorage doctor`: find out why pushes or pulls fail on this machine, and print the commands that fix it."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from moorage.cli import options
from moorage.cli.client import local_server, login
from moorage.cli.server.banner import as_called
from moorage.cli.server.initialized import Home
from moorage.doctor.checks import Named, examine
from moorage.doctor.target import Target
from moorage.login.hosts import region_of, region_of_environment
from moorage.login.server import find_place
from moorage.settings import Settings

_MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[bold red]✗[/]", "skip": "[dim]·[/]"}
_WIDTH = 18


def doctor(
    host: login.Host = None,
    repository: Annotated[str | None, typer.Option(help="Also check whether you may pull from and push to it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    profile: options.AwsProfile = None,
    account: login.Account = None,
    region: options.Region = None,
    endpoint_url: login.EndpointUrl = None,
    ca: login.Ca = None,
    data: options.Data = None,
    port: options.ServerPort = None,
) -> None:
    """Check the connection of this machine to a registry: docker's files, name, port, TLS, clock, key, password.

    The exit status is 1 if something prevents a push or pull.
    """
    settings = Settings.from_environment(port=port, data=data)
    here = local_server.served(settings, port)
    trust = str(ca) if ca is not None else None
    api = endpoint_url or (here.url if host is None and port is not None else None)
    known = trust or os.environ.get("AWS_CA_BUNDLE") or here.ca
    place = find_place(host, os.environ, here.url, endpoint=api, ca=known)
    home = Home.read(settings.data)
    target = Target(
        place=place,
        environment=os.environ,
        data=settings.data,
        region=region or region_of(place.hosts[0]) or (home.region if home else region_of_environment(os.environ)),
        ca=trust or local_server.ca_for(place.endpoint, here),
        profile=profile,
        account=account,
        repository=repository,
    )
    healthy = _as_json(target) if as_json else _as_text(target)
    if not healthy:
        raise typer.Exit(1)


def _as_json(target: Target) -> bool:
    found = list(examine(target))
    healthy = not any(each.finding.state == "fail" for each in found)
    findings = [
        {"check": check, "state": state, "text": text, "fix": [as_called(line) for line in fix]}
        for check, (state, text, fix) in found
    ]
    said = {"host": target.host, "endpoint": target.place.endpoint, "ok": healthy, "findings": findings}
    sys.stdout.write(json.dumps(said, indent=2) + "\n")
    return healthy


def _as_text(target: Target) -> bool:
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"[bold]{target.host}[/]  [dim]{target.place.endpoint}[/]\n")
    found = []
    for each in examine(target):
        found.append(each)
        _print(out, each)
    problems = sum(each.finding.state == "fail" for each in found)
    warnings = sum(each.finding.state == "warn" for each in found)
    counts = [_count(number, what) for number, what in ((problems, "problem"), (warnings, "warning")) if number]
    if not problems:
        out.print(f"\n[green]Nothing prevents a push or pull.[/]{f' ({counts[0]})' if counts else ''}")
    else:
        out.print(
            f"\n[bold red]{' and '.join(counts)}.[/] Fix the first problem and run moorage doctor again; "
            "the others may be caused by it."
        )
    return problems == 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _print(out: Console, each: Named) -> None:
    state, text, fix = each.finding
    out.print(f"{_MARKS[state]} {each.check:<{_WIDTH}}", end="")
    out.print(text, markup=False, style="dim" if state == "skip" else None)
    for line in fix:
        out.print(f"  {'':<{_WIDTH}}  {as_called(line)}", style="bold", markup=False)
