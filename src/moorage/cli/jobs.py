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
from moorage.cli.client.calls import Client, acting, call_as, connect, pages_as
from moorage.cli.json_text import indented
from moorage.jobs.job import MAX_PAGE, Job, Page

app = typer.Typer(
    help="Background jobs: what the server deletes and delivers by itself. For administrators of the deployment.",
    no_args_is_help=True,
)


class StateOption(enum.StrEnum):
    """`moorage.jobs.job.State` as an enumeration, the only form in which typer takes several of a few values."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELED = "canceled"


Id = Annotated[int, typer.Argument(help="Id of the job, as `moorage jobs list` prints it.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")]
_STYLES = {"queued": "cyan", "running": "bold cyan", "done": "green", "dead": "bold red", "canceled": "yellow"}


@app.command("list")
def list_jobs(
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind, such as trash.empty.")] = None,
    state: Annotated[
        list[StateOption] | None, typer.Option("--state", "-s", help="Only jobs in this state. May be given again.")
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
    asked: dict[str, Any] = {"states": list(state or []), "limit": min(limit, MAX_PAGE)}
    asked |= {} if kind is None else {"kind": kind}
    client = connect(data=data, port=port, profile=profile)
    found = itertools.chain.from_iterable(page.jobs for page in pages_as(Page, client, "/_moorage/jobs/list", asked))
    jobs = list(itertools.islice(found, limit))
    if as_json:
        typer.echo(indented({"jobs": jobs}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("ID", "KIND", "STATE", "CREATED", "TOOK", "ATTEMPTS", "PROGRESS"):
        table.add_column(head, overflow="fold")
    for job in jobs:
        cells = [_moment(job.created_at), _duration(job), str(job.attempts), _progress(job)]
        table.add_row(str(job.id), escape(job.kind), _state(job), *map(escape, cells))
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
    _ask(connect(data=data, port=port, profile=profile), "show", job, as_json)


@app.command()
def cancel(
    job: Id,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Cancel a job. A queued job is canceled at once, a running one after the step it is at."""
    _ask(acting(connect(data=data, port=port, profile=profile)), "cancel", job, as_json)


@app.command()
def retry(
    job: Id,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Queue a dead or canceled job again, with all its attempts."""
    _ask(acting(connect(data=data, port=port, profile=profile)), "retry", job, as_json)


def _ask(client: Client, operation: str, job_id: int, as_json: bool) -> None:
    """Call an operation on one job, and print the job that it returns."""
    job = call_as(Job, client, "POST", f"/_moorage/jobs/{operation}", {"id": job_id})
    if as_json:
        typer.echo(indented(job))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = {
        "Job": str(job.id),
        "Kind": escape(job.kind),
        "State": _state(job),
        "Created": _moment(job.created_at),
        "Not before": _moment(job.run_at) if job.state == "queued" else "",
        "Started": "" if job.started_at is None else _moment(job.started_at),
        "Ended": "" if job.ended_at is None else _moment(job.ended_at),
        "Took": _duration(job),
        "Attempts": str(job.attempts),
        "Progress": escape(_progress(job)),
        "Payload": escape(json.dumps(job.payload)),
        "Error": escape(job.error or ""),
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, text)
    Console().print(table)


def _state(job: Job) -> str:
    state = job.state
    text = f"[{_STYLES[state]}]{state}[/]"
    return f"{text} (canceling)" if state == "running" and job.cancel_requested else text


def _duration(job: Job) -> str:
    if job.started_at is None or job.ended_at is None:
        return ""
    return f"{max(0.0, job.ended_at - job.started_at):.1f} s"


def _progress(job: Job) -> str:
    progress = job.progress
    if isinstance(progress, dict):
        return ", ".join(f"{name}: {value}" for name, value in progress.items())
    return "" if progress is None else json.dumps(progress)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
