"""`moorage audit`: prints, follows and exports the audit record of an account."""

import contextlib
import enum
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from moorage.audit.cloudtrail_event import CloudTrailEvent, EventPage
from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import Client, call_as, connect

_PAGE: Final = 200
_FOLLOW_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 5.0
"""How late a worker may write an event. While following, events of this period are read again."""


class Verdict(enum.StrEnum):
    """The outcome of a request.

    Failed: it was allowed, but failed for another reason. Omitted: the event counts requests without own events.
    """

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"
    OMITTED = "omitted"


_COLORS: Final = {
    Verdict.ALLOWED: "green",
    Verdict.DENIED: "bold red",
    Verdict.FAILED: "yellow",
    Verdict.OMITTED: "dim",
}


def audit(
    principal: Annotated[
        str | None, typer.Option("--principal", "-p", help="ARN, a name such as user/ann, or a pattern: *ann*.")
    ] = None,
    action: Annotated[str | None, typer.Option("--action", "-a", help="PutImage, ecr:PutImage, Put*.")] = None,
    repository: Annotated[str | None, typer.Option("--repository", "-r", help="Name or pattern: team/*.")] = None,
    account: Annotated[str | None, typer.Option(help="Account of the record. Default: your own.")] = None,
    region: Annotated[str | None, typer.Option("--in-region", help="Show only events in this region.")] = None,
    verdict: Annotated[Verdict | None, typer.Option("--verdict", "-v", help="Outcome of the request.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="The same as --verdict denied.")] = False,
    error: Annotated[str | None, typer.Option("--error", help="Error code or pattern: *NotFound*.")] = None,
    source_ip: Annotated[str | None, typer.Option("--source-ip", help="Address or pattern: 10.0.*.")] = None,
    request_id: Annotated[str | None, typer.Option("--request-id", help="The id that the client was given.")] = None,
    since: Annotated[str | None, typer.Option("--since", "-s", help="2h, 7d, yesterday, 2026-11-25T10:30Z.")] = None,
    until: Annotated[str | None, typer.Option("--until", "-u", help="End, in the same forms.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", min=1, help="Show at most N events, the newest.", show_default="50; all with --since"
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new events.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print CloudTrail events as JSON lines.")] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export", "-o", help="Write CloudTrail events as JSON lines to this file.", dir_okay=False),
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Show who did what, from where and with which outcome: the record of an account's pushes, pulls and API calls.

    You need moorage:ReadAudit; the account's root user has it.

    Examples:

      moorage audit --denied --since 2h

      moorage audit -r team/app -a PutImage

      moorage audit -p user/ci --follow

      moorage audit --since 30d --export november.jsonl
    """
    client = connect(data=data, port=port, profile=profile)
    now = time.time()
    query = {
        "account": account,
        "id": request_id,
        "principal": _principal(principal),
        "action": action,
        "repository": repository,
        "region": region,
        "source_ip": source_ip,
        "verdict": Verdict.DENIED if denied else verdict,
        "error_code": error,
        "since": None if since is None else times.moment(since, now),
        "until": None if until is None else times.moment(until, now),
    }
    reader = _Reader(client, {name: value for name, value in query.items() if value is not None})
    whole = since is not None or export is not None
    count = limit if limit is not None else None if whole else 50
    with contextlib.ExitStack() as stack:
        show = _printer(stack, export, as_json)
        shown = 0
        last: deque[str] = deque(maxlen=_PAGE)
        for event in reader.all() if count is None else reader.newest(count):
            show(event)
            shown += 1
            last.append(_event_id(event))
        if follow:
            for event in reader.following(now, last):
                show(event)
    if export is not None:
        Console(stderr=True).print(f"{shown} events in {export}", highlight=False)
    elif not shown and not follow and not as_json:
        Console(stderr=True).print("Nothing in the record matches.", highlight=False)


def _principal(text: str | None) -> str | None:
    """Return the pattern for a principal: `user/ann` matches every ARN that ends in it."""
    if text is None or text.startswith("arn:") or "*" in text or text == "anonymous":
        return text
    return f"*:{text}" if "/" in text or text == "root" else f"*/{text}"


class _Reader:
    """Reads pages of events as JSON, one at a time."""

    def __init__(self, client: Client, query: dict[str, Any]) -> None:
        self._client = client
        self._query = query

    def _page(self, **more: Any) -> EventPage[msgspec.Raw]:
        return call_as(EventPage[msgspec.Raw], self._client, "POST", "/_moorage/audit", {**self._query, **more})

    def all(self, after: str | None = None) -> Iterator[msgspec.Raw]:
        """Yield all events behind the position `after`, oldest first."""
        while True:
            page = self._page(limit=_PAGE, after=after)
            yield from page.events
            if not page.more:
                return
            after = page.position

    def newest(self, count: int) -> Iterator[msgspec.Raw]:
        """Yield the newest `count` events, the oldest of them first. All of them are in memory."""
        kept: list[msgspec.Raw] = []
        after: str | None = None
        while len(kept) < count:
            page = self._page(limit=min(count - len(kept), _PAGE), newest_first=True, after=after)
            kept += page.events
            if not page.more:
                break
            after = page.position
        yield from reversed(kept)

    def following(self, since: float, shown: Iterable[str]) -> Iterator[msgspec.Raw]:
        """Yield new events forever. Looks back a little, because workers write events a moment later."""
        seen = dict.fromkeys(shown, since)
        query = {name: value for name, value in self._query.items() if name not in {"since", "until"}}
        reader = _Reader(self._client, query)
        began = since
        while True:
            for event in reader.all(f"{since!r} "):
                event_id = _event_id(event)
                if event_id not in seen:
                    seen[event_id] = time.time()
                    yield event
            since = max(began, time.time() - _LATE_SECONDS)
            seen = {name: at for name, at in seen.items() if at > since - 2 * _LATE_SECONDS}
            time.sleep(_FOLLOW_SECONDS)


class _Identified(msgspec.Struct):
    """The id of an event."""

    event_id: str = msgspec.field(name="eventID")


def _event_id(event: msgspec.Raw) -> str:
    return msgspec.json.decode(event, type=_Identified).event_id


def _printer(stack: contextlib.ExitStack, export: Path | None, as_json: bool) -> Callable[[msgspec.Raw], None]:
    """Return a function that prints or writes an event. JSON is written as the server encoded it."""
    if export is not None or as_json:
        out: TextIO = sys.stdout if export is None else stack.enter_context(export.open("w", encoding="utf-8"))

        def write(event: msgspec.Raw) -> None:
            out.write(bytes(event).decode() + "\n")
            if export is None:
                out.flush()

        return write
    console = Console(highlight=False, soft_wrap=True)

    def show(event: msgspec.Raw) -> None:
        console.print(line(msgspec.json.decode(event, type=CloudTrailEvent)))

    return show


def line(event: CloudTrailEvent) -> Text:
    """Return an event as one line; of a failed request with a second line that says why."""
    verdict = verdict_of(event)
    at = datetime.fromisoformat(event.event_time).astimezone()
    text = Text.assemble(
        (f"{at:%Y-%m-%d %H:%M:%S}", "dim"),
        "  ",
        (f"{verdict:7}", _COLORS[verdict]),
        "  ",
        (f"{_name(event):30}", "bold"),
        f" {_who(event):24} {_what(event):36} ",
        (event.source_ip_address, "dim"),
    )
    count = event.additional_event_data.count
    if count > 1:
        text.append(f"  ×{count}", "cyan")
    if event.error_code:
        text.append(f"\n{'':21}{event.error_code}", _COLORS[verdict])
        text.append(f": {event.error_message or ''}")
        if verdict is Verdict.DENIED:
            text.append(f"\n{'':21}moorage why {event.request_id}", "dim")
    return text


def verdict_of(event: CloudTrailEvent) -> Verdict:
    """Return the outcome of the request."""
    if not event.error_code:
        return Verdict.OMITTED if event.additional_event_data.omitted else Verdict.ALLOWED
    return Verdict.DENIED if event.error_code.startswith("AccessDenied") else Verdict.FAILED


def _name(event: CloudTrailEvent) -> str:
    return f"{event.event_source.partition('.')[0]}:{event.event_name}"


def _who(event: CloudTrailEvent) -> str:
    identity = event.user_identity
    if identity.account_id == "ANONYMOUS_PRINCIPAL":
        return "anonymous"
    name = (identity.arn or "").split(":", 5)[-1]
    if not identity.account_id or identity.account_id == event.recipient_account_id:
        return name
    return f"{identity.account_id} {name}"


def _what(event: CloudTrailEvent) -> str:
    """Return the repository, with the image or layer of the request."""
    parameters: dict[str, Any] = event.request_parameters or {}
    resource = event.resources[0] if event.resources else None
    name = "*" if resource is None else resource.arn.split(":", 5)[-1].removeprefix("repository/")
    if parameters.get("repositoryName"):
        name = parameters["repositoryName"]
    images = parameters.get("imageIds") or [parameters]
    image = images[0] if isinstance(images[0], dict) else {}
    layers = parameters.get("layerDigests") or []
    digest = image.get("imageDigest") or parameters.get("layerDigest") or next(iter(layers), None)
    if image.get("imageTag"):
        name += f":{image['imageTag']}"
    elif digest:
        name += f"@{digest[:19]}"
    if resource is not None and resource.account_id != event.recipient_account_id:
        name = f"{resource.account_id} {name}"
    return name
