"""Prints the access matrix as a table, with the conditions as numbered notes."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from moorage.analysis.access_report import CAPABILITIES, AccessAnswer, AccessMatrix, AccessRow, WidenedAccess
from moorage.cli.access.html_page import grouped

_COLORS: Final[Mapping[AccessAnswer, str]] = {"yes": "bold green", "no": "dim", "depends": "yellow"}


def show(console: Console, title: str, matrix: AccessMatrix, *, by_principal: bool) -> None:
    """Print the matrix. `by_principal`: its rows are repositories."""
    table = Table(title=title, title_justify="left", show_lines=False)
    table.add_column("repository" if by_principal else "who", overflow="fold")
    for name in CAPABILITIES:
        table.add_column(name)
    notes: dict[str, int] = {}
    for row in matrix.rows:
        cells = [_cell(row, name, notes) for name in CAPABILITIES]
        table.add_row(_name(row, notes, by_principal=by_principal), *cells)
    console.print(table)
    for note, number in notes.items():
        console.print(Text(f"  {number}  {note}"), soft_wrap=True)
    if matrix.widened is not None:
        _show_widened(console, matrix.widened)


def _name(row: AccessRow, notes: dict[str, int], *, by_principal: bool) -> Text:
    name = row.repository.partition("repository/")[2] if by_principal else row.who
    return Text.assemble(name, _numbers([row.note] if row.note else [], notes))


def _numbers(texts: list[str], notes: dict[str, int]) -> tuple[str, str]:
    """Return the numbers of the notes with those texts; new ones are added to `notes`."""
    numbers = [str(notes.setdefault(each, len(notes) + 1)) for each in texts]
    return (f" {','.join(numbers)}" if numbers else "", "dim")


def _cell(row: AccessRow, name: str, notes: dict[str, int]) -> Text:
    cell = row.cells[name]
    answer = Text.assemble((cell.answer, _COLORS[cell.answer]), _numbers(cell.conditions, notes))
    before = None if row.before is None else row.before[name].answer
    if before is not None and before != cell.answer:
        return Text.assemble((before, "strike dim"), " → ", answer)
    return answer


def _show_widened(console: Console, widened: list[WidenedAccess]) -> None:
    if not widened:
        console.print("[green]Nobody may do more than before[/]")
        return
    console.print(f"[bold red]{len({each.who for each in widened})} may do more than before[/]")
    for who, change, actions in grouped(widened):
        console.print(Text(f"  {who}: {change}\n    {', '.join(actions)}"), soft_wrap=True)
