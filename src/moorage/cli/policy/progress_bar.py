"""A progress bar on the terminal for answers that take long."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec import UnsetType
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from moorage.analysis.progress import AnswerLine
from moorage.cli.client.calls import ServerSaidNoError

L = TypeVar("L", bound=AnswerLine)
R = TypeVar("R")


def last_line(lines: Iterable[L], description: str, result_of: Callable[[L], R | UnsetType]) -> R:
    """Return the result in the last line that has one; until then show a progress bar, if standard error is a terminal.

    Raise ServerSaidNoError if no line has a result.
    """
    result: R | None = None
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        for line in lines:
            found = result_of(line)
            if line.progress:
                bar.update(task, completed=line.progress.read, total=line.progress.of or None)
            elif not isinstance(found, UnsetType):
                result = found
    if result is None:
        raise ServerSaidNoError("The answer of the server contained no result.")
    return result
