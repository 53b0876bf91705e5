"""Console blocks of a page: what to run, what it must print, and what the page tells the tests in HTML comments.

A block begins with a fence of the language `console`; its commands begin with `$ `, the lines below one are its output.
Comments directly above the fence, which Markdown does not show, may say:

    <!-- not run: REASON -->     the block cannot run in a test
    <!-- output: REASON -->      its output cannot be compared
    <!-- exit: 1 -->             the exit status of its last command; 0 when not said, "not 0" for any other
    <!-- before: COMMAND -->     a command to run first, which the page has no need to show; one comment for each

A block of another language with the comment

    <!-- file: NAME -->          is written to that file of the shell's directory

In the output `…` stands for any text. White space counts as one space, since pages wrap long lines. Dates, digests
and tokens may differ, and so may ids; an id that was printed stands for the page's in later commands.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"(?P<indent> *)```(?P<language>\w*)")
_COMMENT: Final = re.compile(r"<!--\s*(?P<kind>not run|output|exit|before|file):\s*(?P<text>.*?)\s*-->\s*$", re.DOTALL)
_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FREE: Final = {
    r"sha256:[0-9a-f]{64}": r"sha256:[0-9a-f]{64}",
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?Z?)?": r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?Z?)?",
    r"mrg_\w+": r"mrg_\w+",
    r" ?… ?": r".*",
}
_PARTS: Final = re.compile("|".join([f"(?P<id>{_ID})", *_FREE]))


@dataclass
class Command:
    """A command and what the page shows of its output; an empty output is not compared."""

    text: str
    output: str = ""


@dataclass
class Block:
    """A block of a page: commands, or a file."""

    line: int
    language: str
    commands: list[Command] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    content: str = ""

    def allows(self, status: int, *, last: bool) -> bool:
        """Whether a command may end with this exit status; the comment is about the last one."""
        wanted = self.comments.get("exit", "0") if last else "0"
        return status != 0 if wanted == "not 0" else status == int(wanted)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of the page that have commands or are files, in their order."""
    lines = page.read_text().splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        start = number
        indent = opening["indent"]
        inside = []
        number += 1
        while lines[number].strip() != "```":
            inside.append(lines[number].removeprefix(indent))
            number += 1
        number += 1
        content = "\n".join(inside) + "\n"
        block = Block(start + 1, opening["language"], _commands(inside), _comments(lines[:start]), content)
        if block.commands or "file" in block.comments:
            found.append(block)
    return found


def _commands(lines: list[str]) -> list[Command]:
    commands: list[Command] = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        if line.startswith("$ "):
            text = line[2:]
            while rest and not _is_whole(text):
                text += "\n" + rest.pop(0)
            commands.append(Command(text))
        elif commands:
            commands[-1].output += line + "\n"
    return commands


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode == 0


def _comments(above: list[str]) -> dict[str, str]:
    """The comments at the end of these lines."""
    comments: dict[str, str] = {}
    text = "\n".join(above).rstrip()
    while text.endswith("-->"):
        start = text.rindex("<!--")
        comment = _COMMENT.match(text[start:])
        if comment is None:
            break
        later = comments.get(comment["kind"])
        comments[comment["kind"]] = comment["text"] if later is None else f"{comment['text']}\n\n{later}"
        text = text[:start].rstrip()
    return comments


class Output:
    """Compares outputs, and knows which id of this run stands for which one of the page."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def matches(self, expected: str, actual: str) -> bool:
        """Whether `actual` is what the page shows; then its ids are known."""
        names: list[str] = []
        pattern = ""
        position = 0
        expected = _spaced(expected)
        for part in _PARTS.finditer(expected):
            pattern += re.escape(expected[position : part.start()])
            position = part.end()
            if part["id"] is None:
                pattern += next(free for page, free in _FREE.items() if re.fullmatch(page, part[0]))
            elif part[0] in self._ids:
                pattern += re.escape(self._ids[part[0]])
            elif part[0] in names:
                pattern += f"(?P=id{names.index(part[0])})"
            else:
                pattern += f"(?P<id{len(names)}>{_ID})"
                names.append(part[0])
        found = re.fullmatch(pattern + re.escape(expected[position:]), _spaced(actual))
        if found is None:
            return False
        self._ids |= {name: found[f"id{number}"] for number, name in enumerate(names)}
        return True

    def translated(self, command: str) -> str:
        """The command with the ids of this run."""
        for of_page, of_run in self._ids.items():
            command = command.replace(of_page, of_run)
        return command


def _spaced(text: str) -> str:
    return " ".join(text.split())
