"""`moorage why`: a decision explained, as a tree: every policy that was asked, and what would change the answer."""

import json
import re
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from moorage.cli import options
from moorage.cli.access import decision_tree
from moorage.cli.client.calls import call, connect

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def why(
    decision: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Decision or request id, as the client was told it. Default: your last denial."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    policy: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Print the policy of the Nth suggestion, ready to be set."),
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Say why a request was allowed or denied, and the smallest change that would have let it through.

    Of every statement: that it matched, or the first element of it that did not, with the value it saw. You see what
    your own account attached, and the repository's policy if you may read it.

    Examples:

      moorage why

      moorage why 8f98299d-cefd-4c15-b3c1-2befd6f51775

      moorage why --policy 1 > fixed.json
    """
    client = connect(data=data, port=port, profile=profile)
    if decision is not None and _ID.fullmatch(decision) is None:
        raise typer.BadParameter(f"{decision!r} is no decision id")
    path = "/_moorage/explain" if decision is None else f"/_moorage/explain/{decision}"
    told: dict[str, Any] = call(client, "GET", path)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif policy is not None:
        _print_policy(told, policy)
    else:
        decision_tree.show(Console(soft_wrap=False), told)


def _print_policy(told: dict[str, Any], number: int) -> None:
    suggestions = told["suggestions"]
    if number > len(suggestions):
        raise typer.BadParameter(f"there are {len(suggestions)} suggestions")
    changes = suggestions[number - 1]["changes"]
    last = {(change["set"], change["level"], change["policy"]): change for change in changes}
    for each in last.values():
        print(f"# {each['summary']}", file=sys.stderr)  # noqa: T201 - beside the document
        typer.echo(each["document"])
