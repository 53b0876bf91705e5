"""`moorage audit`: the record of an account: filtered, followed, exported."""

import contextlib
import enum
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
from rich.console import Console
from rich.text import Text

from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import Client, call, connect

_PAGE: Final = 200
_FOLLOW_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 5.0
"""How late another worker may write what happened before what was shown: followers look so far back."""


class Verdict(enum.StrEnum):
    """What came of a request; failed: it was allowed, and then refused for another reason.

    Omitted: of several requests that have no event of their own.
    """

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"
    OMITTED = "omitted"


_COLOURS: Final = {
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
    account: Annotated[str | None, typer.Option(help="Whose record. Default: your own account's.")] = None,
    region: Annotated[str | None, typer.Option("--in-region", help="Only that region.")] = None,
    verdict: Annotated[Verdict | None, typer.Option("--verdict", "-v", help="What came of it.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="The same as --verdict denied.")] = False,
    error: Annotated[str | None, typer.Option("--error", help="Error code or pattern: *NotFound*.")] = None,
    source_ip: Annotated[str | None, typer.Option("--source-ip", help="Address or pattern: 10.0.*.")] = None,
    request_id: Annotated[str | None, typer.Option("--request-id", help="As the client was told it.")] = None,
    since: Annotated[str | None, typer.Option("--since", "-s", help="2h, 7d, yesterday, 2026-11-25T10:30Z.")] = None,
    until: Annotated[str | None, typer.Option("--until", "-u", help="The same, for the end.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help="So many, the newest.", show_default="50; all with --since"),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens next.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines in CloudTrail's shape.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", "-o", help="Write JSON lines to this file.", dir_okay=False)
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Show who did what, from where, and what came of it: the account's record of pushes, pulls and API calls.

    Needs moorage:ReadAudit; the account's root has it.

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
        show = _shower(stack, export, as_json)
        shown = 0
        last: deque[str] = deque(maxlen=_PAGE)
        for event in reader.all() if count is None else reader.newest(count):
            show(event)
            shown += 1
            last.append(event["eventID"])
        if follow:
            for event in reader.following(now, last):
                show(event)
    if export is not None:
        Console(stderr=True).print(f"{shown} events in {export}", highlight=False)
    elif not shown and not follow and not as_json:
        Console(stderr=True).print("Nothing in the record matches.", highlight=False)


def _principal(text: str | None) -> str | None:
    """`user/ann` is any ARN that ends so."""
    if text is None or text.startswith("arn:") or "*" in text or text == "anonymous":
        return text
    return f"*:{text}" if "/" in text or text == "root" else f"*/{text}"


class _Reader:
    """Asks the server for pages; holds one at a time."""

    def __init__(self, client: Client, query: dict[str, Any]) -> None:
        self._client = client
        self._query = query

    def _page(self, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = call(self._client, "POST", "/_moorage/audit", {**self._query, **more})
        return answer

    def all(self, after: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Everything, oldest first; after that position."""
        after = after or {}
        while True:
            page = self._page(limit=_PAGE, **after)
            yield from page["events"]
            if not page["more"]:
                return
            after = {"after": page["position"]}

    def newest(self, count: int) -> Iterator[dict[str, Any]]:
        """The newest `count`, oldest of them first. Keeps them all: `count` is a person's."""
        kept: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while len(kept) < count:
            page = self._page(limit=min(count - len(kept), _PAGE), newest_first=True, **after)
            kept += page["events"]
            if not page["more"]:
                break
            after = {"after": page["position"]}
        yield from reversed(kept)

    def following(self, since: float, shown: Iterable[str]) -> Iterator[dict[str, Any]]:
        """What happens from then on, for ever. Looks back a little, as workers write a moment after the fact."""
        seen = dict.fromkeys(shown, since)
        query = {name: value for name, value in self._query.items() if name not in {"since", "until"}}
        reader = _Reader(self._client, query)
        began = since
        while True:
            for event in reader.all({"after": f"{since!r} "}):
                if event["eventID"] not in seen:
                    seen[event["eventID"]] = time.time()
                    yield event
            since = max(began, time.time() - _LATE_SECONDS)
            seen = {name: at for name, at in seen.items() if at > since - 2 * _LATE_SECONDS}
            time.sleep(_FOLLOW_SECONDS)


def _shower(stack: contextlib.ExitStack, export: Path | None, as_json: bool) -> Callable[[dict[str, Any]], None]:
    """What is done with each event."""
    if export is not None or as_json:
        out: TextIO = sys.stdout if export is None else stack.enter_context(export.open("w"))

        def write(event: dict[str, Any]) -> None:
            out.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n")
            if export is None:
                out.flush()

        return write
    console = Console(highlight=False, soft_wrap=True)

    def show(event: dict[str, Any]) -> None:
        console.print(line(event))

    return show


def line(event: dict[str, Any]) -> Text:
    """An event as one line, with a second one that says why it was refused."""
    verdict = verdict_of(event)
    more = event.get("additionalEventData", {})
    at = datetime.fromisoformat(event["eventTime"]).astimezone()
    text = Text.assemble(
        (f"{at:%Y-%m-%d %H:%M:%S}", "dim"),
        "  ",
        (f"{verdict:7}", _COLOURS[verdict]),
        "  ",
        (f"{_name(event):30}", "bold"),
        f" {_who(event):24} {_what(event):36} ",
        (event["sourceIPAddress"], "dim"),
    )
    if more.get("count", 1) > 1:
        text.append(f"  ×{more['count']}", "cyan")
    if "errorCode" in event:
        text.append(f"\n{'':21}{event['errorCode']}", _COLOURS[verdict])
        text.append(f": {event['errorMessage']}")
        if verdict is Verdict.DENIED:
            text.append(f"\n{'':21}moorage why {event['requestID']}", "dim")
    return text


def verdict_of(event: dict[str, Any]) -> Verdict:
    """What came of the request."""
    code = event.get("errorCode")
    if code is None:
        return Verdict.OMITTED if event.get("additionalEventData", {}).get("omitted") else Verdict.ALLOWED
    return Verdict.DENIED if code.startswith("AccessDenied") else Verdict.FAILED


def _name(event: dict[str, Any]) -> str:
    return f"{event['eventSource'].partition('.')[0]}:{event['eventName']}"


def _who(event: dict[str, Any]) -> str:
    identity = event["userIdentity"]
    if identity.get("accountId") == "ANONYMOUS_PRINCIPAL":
        return "anonymous"
    arn: str = identity.get("arn", "")
    name = arn.split(":", 5)[-1]
    return name if identity.get("accountId") == event["recipientAccountId"] else f"{identity.get('accountId')} {name}"


def _what(event: dict[str, Any]) -> str:
    """The repository, and the image or layer asked for."""
    asked: dict[str, Any] = event["requestParameters"] or {}
    resources = event.get("resources")
    name: str = resources[0]["ARN"].split(":", 5)[-1].removeprefix("repository/") if resources else "*"
    if asked.get("repositoryName"):
        name = asked["repositoryName"]
    images = asked.get("imageIds") or [asked]
    image = images[0] if isinstance(images[0], dict) else {}
    digest = image.get("imageDigest") or asked.get("layerDigest") or next(iter(asked.get("layerDigests") or []), None)
    if image.get("imageTag"):
        name += f":{image['imageTag']}"
    elif digest:
        name += f"@{digest[:19]}"
    if resources and resources[0]["accountId"] != event["recipientAccountId"]:
        name = f"{resources[0]['accountId']} {name}"
    return name
