"""`moorage access`: who can pull, push, delete and administer; and whether a change lets somebody do more."""

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moorage import policy
from moorage.analysis import matrix
from moorage.analysis.matrix_principals import (
    Person,
    anonymous,
    distinct,
    named_in,
    other_accounts,
    principal_of,
    role,
    user,
)
from moorage.cli import options
from moorage.cli.access import html_page
from moorage.cli.access import on_host as access_on_host
from moorage.cli.audit import times
from moorage.cli.client.calls import connect, pages
from moorage.cli.policy.files import read_policy

_COLOURS: Final = {"yes": "bold green", "no": "dim", "depends": "yellow"}
_HASH: Final = re.compile(r"[0-9a-f]{6,64}")
_IN_FORCE: Final = "in-force"


def access(
    repository: Annotated[str | None, typer.Argument(metavar="[REPO]", help="Who can reach this repository?")] = None,
    principal: Annotated[
        str | None, typer.Option("--principal", "-p", help="What can this user, role or account (ARN) reach?")
    ] = None,
    proposed: Annotated[
        str | None, typer.Option("--policy", help="With this policy (a file) in place of the repository's.")
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option("--identity", help="Without a server: ARN=FILE, the identity policy of a user or role."),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            help="What it was before: a policy file or hash, in-force, a time (7d, 2026-11-25), another repository.",
        ),
    ] = None,
    fail_on_widening: Annotated[
        bool, typer.Option("--fail-on-widening", help="Exit 1 when somebody may do more than before (with --diff).")
    ] = False,
    given: Annotated[
        list[str] | None, typer.Option("--given", help="What is known of the requests: aws:SourceIp=10.0.0.1.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account of the repositories. Default: your own.")] = None,
    on_host: Annotated[
        bool, typer.Option("--on-host", help="Read the database itself: everybody in every account that is kept here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The matrix as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page.", dir_okay=False)] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Show who can pull, push, delete and administer: yes, no, or what it depends on (address, tags, time).

    Asks the running server (needs moorage:ReadAccess; the account's root has it), or, without REPO and --principal,
    decides on policy files alone: for CI. With --on-host, whoever runs the machine sees all accounts at once.

    Examples:

      moorage access team/app

      moorage access --principal arn:aws:iam::111122223333:user/ann

      moorage access team/app --policy new.json --diff in-force --fail-on-widening

      moorage access --principal arn:aws:iam::111122223333:user/ann --on-host

      moorage access --policy new.json --diff old.json --account 111122223333 --fail-on-widening
    """
    if fail_on_widening and diff is None:
        raise typer.BadParameter("goes with --diff", param_hint="--fail-on-widening")
    known = _pairs(given or [], "--given", "KEY=VALUE")
    if repository is not None and principal is not None:
        raise typer.BadParameter("name a repository or a principal, not both")
    if on_host and repository is None and principal is None:
        raise typer.BadParameter("goes with a repository or a --principal", param_hint="--on-host")
    if repository is None and principal is None:
        answer = _offline(proposed, identity or [], diff, account, known)
    else:
        if identity:
            raise typer.BadParameter("the server knows its identities", param_hint="--identity")
        if principal is not None and (proposed is not None or diff is not None):
            raise typer.BadParameter("--policy and --diff go with a repository")
        asked: dict[str, Any] = {"account": account, "given": known}
        if principal is not None:
            asked["principal"] = principal
        else:
            asked["repository"] = repository
            asked["version"] = {} if proposed is None else {"text": read_policy(proposed)}
            asked["before"] = None if diff is None else _version(diff)
        if on_host:
            found: Iterable[dict[str, Any]] = access_on_host.pages(data, database_url, asked)
        else:
            found = pages(connect(data=data, port=port, profile=profile), "/_moorage/access", asked)
        answer = _whole(found)
    title = f"Access of {principal}" if principal is not None else f"Access to {repository or proposed}"
    if html is not None:
        html.write_text(html_page.page(title, answer, by_principal=principal is not None))
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif html is None:
        _show(Console(highlight=False), title, answer, by_principal=principal is not None)
    if fail_on_widening and answer["widened"]:
        raise typer.Exit(1)


def _whole(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The matrix of all pages."""
    rows: list[dict[str, Any]] = []
    widened: list[dict[str, Any]] | None = None
    for page in found:
        rows += page["rows"]
        if page["widened"] is not None:
            widened = [*(widened or []), *page["widened"]]
    return {"rows": rows, "widened": widened}


def _version(text: str) -> dict[str, Any]:
    """What --diff names."""
    if text == _IN_FORCE:
        return {}
    if Path(text).is_file():
        return {"text": read_policy(text)}
    if _HASH.fullmatch(text) and not text.isdigit():
        return {"hash": text}
    try:
        return {"at": times.moment(text, time.time())}
    except typer.BadParameter:
        return {"repository": text}


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not {form}", param_hint=option)
        pairs[name] = value
    return pairs


def _offline(
    proposed: str | None, identities: list[str], diff: str | None, account: str | None, given: dict[str, str]
) -> dict[str, Any]:
    """The same matrix of policy files alone."""
    if proposed is None:
        raise typer.BadParameter("name a repository, a --principal, or a --policy file")
    if account is None or policy.account_named(account) != account:
        raise typer.BadParameter("say whose repository it is: 12 digits", param_hint="--account")
    after = _document(proposed, policy.Kind.REPOSITORY)
    before = None if diff is None else _document(diff, policy.Kind.REPOSITORY)
    people = [_person(arn, file) for arn, file in _pairs(identities, "--identity", "ARN=FILE").items()]
    named = named_in([each for each in (after, before) if each is not None], account)
    named += [*other_accounts(None), anonymous()]
    filled = matrix.Matrix(given)
    rows, widened = [], []
    for person in distinct([*people, *named]):
        row = filled.row(person, _place(after, account))
        past = None if before is None else filled.row(person, _place(before, account))
        line: dict[str, Any] = {
            "who": person.name,
            "kind": person.kind,
            "repository": row.place.arn,
            "note": person.note,
        }
        line["cells"] = {name: msgspec.to_builtins(row.cell(name)) for name in matrix.CAPABILITIES}
        line["before"] = None
        if past is not None:
            line["before"] = {name: msgspec.to_builtins(past.cell(name)) for name in matrix.CAPABILITIES}
            widened += [msgspec.to_builtins(each) for each in matrix.widened(past, row)]
        rows.append(line)
    return {"rows": rows, "widened": None if before is None else widened}


def _place(document: policy.Document, account: str) -> matrix.Place:
    arn = f"arn:aws:ecr:us-east-1:{account}:repository/the-repository"
    return matrix.Place(arn, account, "us-east-1", {}, policy.Named("RepositoryPolicy", "", document))


def _person(arn: str, file: str) -> Person:
    principal = principal_of(arn)
    if principal is None or principal.kind not in {"user", "role"}:
        raise typer.BadParameter(f"{arn} is not the ARN of a user or role", param_hint="--identity")
    named = policy.Named(file, "", _document(file, policy.Kind.IDENTITY))
    policies = policy.Policies(identity=(named,))
    if principal.kind == "role":
        return role(principal, policies)
    person = user(principal, policies, {})
    # The file says nothing of the user's tags and id.
    known = {key: value for key, value in person.known.items() if key != "aws:userid"}
    unknown = msgspec.structs.replace(
        person.unknown,
        keys=person.unknown.keys | {"aws:userid"},
        prefixes=(*person.unknown.prefixes, "aws:principaltag/"),
    )
    return msgspec.structs.replace(person, known=known, unknown=unknown)


def _document(name: str, kind: policy.Kind) -> policy.Document:
    try:
        return policy.parse(read_policy(name), kind)
    except policy.PolicyError as error:
        raise typer.BadParameter(f"{name}: {error.reason}, at {error.pointer or '/'}") from error


def _show(console: Console, title: str, answer: dict[str, Any], *, by_principal: bool) -> None:
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("repository" if by_principal else "who", overflow="fold")
    for name in matrix.CAPABILITIES:
        table.add_column(name)
    notes: dict[str, int] = {}
    for row in answer["rows"]:
        cells = [_cell(row, name, notes) for name in matrix.CAPABILITIES]
        table.add_row(_name(row, notes, by_principal=by_principal), *cells)
    console.print(table)
    for note, number in notes.items():
        console.print(Text(f"  {number}  {note}"), soft_wrap=True)
    if answer["widened"] is not None:
        _show_widened(console, answer["widened"])


def _name(row: dict[str, Any], notes: dict[str, int], *, by_principal: bool) -> Text:
    name = row["repository"].partition("repository/")[2] if by_principal else row["who"]
    return Text.assemble(name, _numbers([row["note"]] if row["note"] else [], notes))


def _numbers(said: list[str], notes: dict[str, int]) -> tuple[str, str]:
    """Of the notes below the table, new ones among them."""
    numbers = [str(notes.setdefault(each, len(notes) + 1)) for each in said]
    return (f" {','.join(numbers)}" if numbers else "", "dim")


def _cell(row: dict[str, Any], name: str, notes: dict[str, int]) -> Text:
    cell = row["cells"][name]
    said = Text.assemble((cell["answer"], _COLOURS[cell["answer"]]), _numbers(cell["conditions"], notes))
    before = None if row["before"] is None else row["before"][name]["answer"]
    if before is not None and before != cell["answer"]:
        return Text.assemble((before, "strike dim"), " → ", said)
    return said


def _show_widened(console: Console, widened: list[dict[str, Any]]) -> None:
    if not widened:
        console.print("[green]Nobody may do more than before[/]")
        return
    console.print(f"[bold red]{len({each['who'] for each in widened})} may do more than before[/]")
    for who, change, actions in html_page.grouped(widened):
        console.print(Text(f"  {who}: {change}\n    {', '.join(actions)}"), soft_wrap=True)
