"""Write docs/reference/settings.md from the metadata of the settings (`make settings`).

With --check the page is only compared; the exit status is 1 if it differs.
"""

import dataclasses
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any, Final

import typer.main

from generated_page import write_or_compare
from moorage.cli import app
from moorage.settings import Settings

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
_HEAD: Final = """\
# Settings

Look up the name, default or unit of a setting of `moorage serve` and `moorage dev`.

A setting is an environment variable. Some also have an option, which takes precedence. Commands that work on the data
directory itself (`init`, `env`, `fsck`, `--on-host`) read the same variables. If a value is invalid, the command exits
with a message that names the variable.

This page is generated from `src/moorage/settings.py`. To change it, change the settings there and run `make settings`.

"""
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def page() -> str:
    """Return the text of docs/reference/settings.md."""
    kinds = typing.get_type_hints(Settings)
    options = _options()
    rows = ["| variable | default | value | option | meaning |", "|---|---|---|---|---|"]
    for each in dataclasses.fields(Settings):
        if each.name == "mode":
            continue  # the command sets it
        cells = (
            f"`MOORAGE_{each.name.upper()}`",
            _default(each.name, each.default),
            _values(each.name, kinds[each.name]),
            ", ".join(f"`{option}`" for option in options.get(each.name, [])),
            str(each.metadata["meaning"]),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _HEAD + "\n".join(rows) + "\n"


def _options() -> dict[str, list[str]]:
    """Return the long options of `serve` and `dev`, by the name of their setting."""
    found: dict[str, list[str]] = {}
    commands: Any = typer.main.get_command(app)
    for command in ("serve", "dev"):
        for parameter in commands.commands[command].params:
            options = [option for option in parameter.opts if option.startswith("--")]
            if options and parameter.name is not None:
                known = found.setdefault(parameter.name, [])
                known += [option for option in options if option not in known]
    return found


def _default(name: str, value: Any) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if name.endswith("_seconds"):
        return f"`{value:g}`{_spoken_time(value)}" if value < 1e5 else f"`{value:.0f}`{_spoken_time(value)}"
    if isinstance(value, int) and "bytes" in name and "per_second" not in name:
        return f"`{value}`{_spoken_size(value)}"
    return f"`{value}`"


def _spoken_time(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length and seconds % length == 0:
            number = round(seconds / length)
            return f" ({number} {unit}{'s' if number > 1 else ''})"
    return ""


def _spoken_size(size: int) -> str:
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= length:
            return f" ({size / length:.4g} {unit})"
    return ""


def _values(name: str, kind: Any) -> str:
    arguments = [each for each in typing.get_args(kind) if each is not types.NoneType]
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return _values(name, arguments[0] if len(arguments) == 1 else typing.Literal[tuple(arguments)])
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if typing.get_origin(kind) is tuple:
        return "list, separated by commas"
    if kind is bool:
        return "`true`, `false`"
    if kind is Path:
        return "path"
    if kind in {int, float}:
        if name.endswith("_seconds"):
            return "seconds"
        if "bytes" in name:
            return "bytes a second" if name.endswith("per_second") else "bytes"
        return "number"
    return re.sub(r"(?<!^)(?=[A-Z])", " ", getattr(kind, "__name__", "text")).lower().replace("str", "text")


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), source="src/moorage/settings.py", target="settings"))
