"""`moorage why`: explains a decision as a tree of the evaluated policies, with changes that would allow it."""

import re
import sys
from typing import Annotated

import typer
from rich.console import Console

from moorage.analysis.explanation import ExplainedDecision
from moorage.cli import options
from moorage.cli.access import decision_tree
from moorage.cli.client.calls import call_as, connect
from moorage.cli.json_text import indented

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def why(
    decision: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Decision or request id, as the client reported it. Default: your last denial."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole explanation as JSON.")] = False,
    policy: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Print the policy of the Nth suggestion, ready to be set."),
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Explain why a request was allowed or denied, and show the smallest change that would have allowed it.

    For each statement, the explanation says that it matches, or which of its elements did not match and with which
    value. You see the policies of your own account, and the repository's policy if you may read it.

    Examples:

      moorage why

      moorage why 8f98299d-cefd-4c15-b3c1-2befd6f51775

      moorage why --policy 1 > fixed.json
    """
    client = connect(data=data, port=port, profile=profile)
    if decision is not None and _ID.fullmatch(decision) is None:
        raise typer.BadParameter(f"{decision!r} is not the id of a decision")
    path = "/_moorage/explain" if decision is None else f"/_moorage/explain/{decision}"
    explained = call_as(ExplainedDecision, client, "GET", path)
    if as_json:
        typer.echo(indented(explained))
    elif policy is not None:
        _print_policy(explained, policy)
    else:
        decision_tree.show(Console(soft_wrap=False), explained)


def _print_policy(explained: ExplainedDecision, number: int) -> None:
    suggestions = explained.suggestions
    if number > len(suggestions):
        raise typer.BadParameter(f"there are {len(suggestions)} suggestions")
    last = {(change.set, change.level, change.policy): change for change in suggestions[number - 1].changes}
    for each in last.values():
        print(f"# {each.summary}", file=sys.stderr)  # noqa: T201 - beside the document
        typer.echo(each.document)
