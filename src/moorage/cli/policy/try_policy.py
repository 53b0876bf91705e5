"""`moorage policy try`: who would lose access and who would gain it, had a proposed policy been in force."""

import enum
import json
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import ServerSaidNoError, connect, stream
from moorage.cli.policy.files import read_policy

_SHOWN: Final = 20


class Against(enum.StrEnum):
    """What the proposed policy is compared with."""

    IN_FORCE = "in-force"
    RECORDED = "recorded"


def try_(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository whose policy it would be.")],
    policy: Annotated[
        str | None, typer.Argument(metavar="POLICY.json", help="The proposed policy; - is standard input.")
    ] = None,
    no_policy: Annotated[bool, typer.Option("--no-policy", help="Try what deleting the policy would change.")] = False,
    last: Annotated[str, typer.Option("--last", "-l", help="How far back: 24h, 7d, 4w.")] = "7d",
    since: Annotated[str | None, typer.Option("--since", help="From then, in place of --last: 2026-11-25.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to then. Default: now.")] = None,
    against: Annotated[
        Against,
        typer.Option(help="Compare with the policy in force now, or with what was decided at the time."),
    ] = Against.IN_FORCE,
    account: Annotated[str | None, typer.Option(help="Account of the repository. Default: your own.")] = None,
    fail_on_loss: Annotated[bool, typer.Option("--fail-on-loss", help="Exit 1 when somebody loses access.")] = False,
    fail_on_gain: Annotated[bool, typer.Option("--fail-on-gain", help="Exit 1 when somebody gains access.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report, as JSON.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Try a repository policy on the requests that were really made: who would lose access, who would gain it.

    The recorded requests are decided again, by the engine that decides them, with the proposed policy in place of the
    repository's. Nothing is changed. Needs moorage:ReplayPolicy on the repository; the account's root has it.

    Examples:

      moorage policy try team/app policy.json --last 30d

      moorage policy try team/app policy.json --fail-on-loss --json

      moorage policy try team/app --no-policy
    """
    if (policy is None) is not no_policy:
        raise typer.BadParameter("name the file with the proposed policy, or say --no-policy", param_hint="POLICY.json")
    client = connect(data=data, port=port, profile=profile)
    now = time.time()
    asked = {
        "repository": repository,
        "policy": None if policy is None else read_policy(policy),
        "account": account,
        "since": times.moment(since, now) if since is not None else now - times.span(last),
        "until": None if until is None else times.moment(until, now),
        "against": against.value,
    }
    report = followed(stream(client, "POST", "/_moorage/policy/try", asked), "replaying")["report"]
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _show(Console(highlight=False, soft_wrap=True), report, against)
    if (fail_on_loss and report["lostRequests"]) or (fail_on_gain and report["gainedRequests"]):
        raise typer.Exit(1)


def followed(told: Iterable[dict[str, Any]], doing: str) -> dict[str, Any]:
    """The last line that was told, after a progress bar for whoever waits at a terminal."""
    result: dict[str, Any] | None = None
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        for line in told:
            if "progress" in line:
                bar.update(task, completed=line["progress"]["read"], total=line["progress"]["of"] or None)
            elif "end" not in line:
                result = line
    if result is None:
        raise ServerSaidNoError("the server told no result")
    return result


def _show(console: Console, report: dict[str, Any], against: Against) -> None:
    than = "now" if against is Against.IN_FORCE else "when they were made"
    if not report["requests"]:
        console.print("No request to this repository is recorded in that time: there is nothing to try it on.")
        return
    console.print(
        f"{_counted(report['requests'], 'request')} tried ({_counted(report['decisions'], 'recorded decision')}), "
        f"compared with how they are decided {than}:"
    )
    _show_changes(console, report, "lost", "lose access", "red")
    _show_changes(console, report, "gained", "gain access", "yellow")
    console.print(
        f"\nNothing changes for {_counted(report['unchangedPrincipals'], 'principal')}: of their requests "
        f"{report['stillAllowed']:,} stay allowed, {report['stillDenied']:,} stay denied"
    )
    for each in report["unchanged"][:_SHOWN]:
        console.print(f"  {each['principal']}  {each['allowed']:,} allowed, {each['denied']:,} denied", style="dim")
    if report["decidedOtherwise"] and against is Against.IN_FORCE:
        console.print(
            f"\nDecided otherwise when they were made: {_counted(report['decidedOtherwise'], 'request')}; the policy "
            "has changed since. Compare with that instead: --against recorded"
        )
    if report["unreadable"]:
        console.print(f"\nLeft out, for no longer recorded whole: {_counted(report['unreadable'], 'decision')}")


def _show_changes(console: Console, report: dict[str, Any], kind: str, what: str, colour: str) -> None:
    principals, requests, changes = report[f"{kind}Principals"], report[f"{kind}Requests"], report[kind]
    if not principals:
        console.print(f"\n[green]Nobody would {what}[/]")
        return
    who = _counted(principals, "principal")
    console.print(f"\n[bold {colour}]{who} would {what}[/], {_counted(requests, 'request')}")
    for line in _lines(changes[:_SHOWN]):
        console.print(line)
    if len(changes) > _SHOWN:
        console.print(f"  … and {len(changes) - _SHOWN:,} more (--json tells all)", style="dim")


def _lines(changes: list[dict[str, Any]]) -> Iterator[Text]:
    principal = None
    for each in changes:
        if each["principal"] != principal:
            principal = each["principal"]
            yield Text(f"  {principal}", "bold")
        yield Text(f"    {each['action']}  {each['requests']:,}×, {each['first']} to {each['last']}")
        example = each["examples"][0]
        yield Text(f"      {example['reason']}", "dim")
        came = f" from {example['sourceIp']}" if example["sourceIp"] else ""
        yield Text(f"      e.g. {example['time']}{came}: moorage why {example['decision']}", "dim")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
