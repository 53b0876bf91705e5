"""`moorage jobs`: the background jobs of a deployment."""

import enum
import itertools
import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moorage.cli import options
from moorage.cli.client.calls import acting, call, connect, pages

app = typer.Typer(
    help="Background jobs: what the server deletes and delivers by itself. For administrators of the deployment.",
    no_args_is_help=True,
)


class State(enum.StrEnum):
    """The states of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELED = "canceled"


Id = Annotated[int, typer.Argument(help="Id of the job, as `moorage jobs list` prints it.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")]
_STYLES = {"queued": "cyan", "running": "bold cyan", "done": "green", "dead": "bold red", "canceled": "yellow"}
_PAGE = 100


@app.command("list")
def list_jobs(
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind, such as trash.empty.")] = None,
    state: Annotated[
        list[State] | None, typer.Option("--state", "-s", help="Only jobs in this state. May be given again.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Show at most N jobs, newest first.", min=1)] = 50,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """List jobs, newest first. Dead ones have used up their attempts: fix the cause, then retry them.

    Examples:

      moorage jobs list --state dead

      moorage jobs list --state queued --state running
    """
    asked: dict[str, Any] = {"states": list(state or []), "limit": min(limit, _PAGE)}
    asked |= {} if kind is None else {"kind": kind}
    client = connect(data=data, port=port, profile=profile)
    found = itertools.chain.from_iterable(page["jobs"] for page in pages(client, "/_moorage/jobs/list", asked))
    jobs = list(itertools.islice(found, limit))
    if as_json:
        typer.echo(json.dumps({"jobs": jobs}, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("ID", "KIND", "STATE", "CREATED", "TOOK", "ATTEMPTS", "PROGRESS"):
        table.add_column(head, overflow="fold")
    for job in jobs:
        cells = [_moment(job["created_at"]), _duration(job), str(job["attempts"]), _progress(job)]
        table.add_row(str(job["id"]), escape(job["kind"]), _state(job), *map(escape, cells))
    Console().print(table)


@app.command()
def show(
    job: Id,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Show a job: its state, its progress, and why its last attempt failed."""
    _print(call(connect(data=data, port=port, profile=profile), "POST", "/_moorage/jobs/show", {"id": job}), as_json)


@app.command()
def cancel(
    job: Id,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Cancel a job. A queued job is canceled at once, a running one after the step it is at."""
    client = acting(connect(data=data, port=port, profile=profile))
    _print(call(client, "POST", "/_moorage/jobs/cancel", {"id": job}), as_json)


@app.command()
def retry(
    job: Id,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Queue a dead or canceled job again, with all its attempts."""
    client = acting(connect(data=data, port=port, profile=profile))
    _print(call(client, "POST", "/_moorage/jobs/retry", {"id": job}), as_json)


def _print(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(job, indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "Job": str(job["id"]),
        "Kind": escape(job["kind"]),
        "State": _state(job),
        "Created": _moment(job["created_at"]),
        "Not before": _moment(job["run_at"]) if job["state"] == "queued" else "",
        "Started": "" if job["started_at"] is None else _moment(job["started_at"]),
        "Ended": "" if job["ended_at"] is None else _moment(job["ended_at"]),
        "Took": _duration(job),
        "Attempts": str(job["attempts"]),
        "Progress": escape(_progress(job)),
        "Payload": escape(json.dumps(job["payload"])),
        "Error": escape(job["error"] or ""),
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, text)
    Console().print(table)


def _state(job: dict[str, Any]) -> str:
    state = job["state"]
    text = f"[{_STYLES[state]}]{state}[/]"
    return f"{text} (canceling)" if state == "running" and job["cancel_requested"] else text


def _duration(job: dict[str, Any]) -> str:
    if job["started_at"] is None or job["ended_at"] is None:
        return ""
    return f"{max(0.0, job['ended_at'] - job['started_at']):.1f} s"


def _progress(job: dict[str, Any]) -> str:
    progress = job["progress"]
    if isinstance(progress, dict):
        return ", ".join(f"{name}: {value}" for name, value in progress.items())
    return "" if progress is None else json.dumps(progress)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
