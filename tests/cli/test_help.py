"""`--help` teaches: every command says what it is for, and every option what it does."""

import typer.main
from typer.testing import CliRunner

from moorage.cli import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group


def test_every_command_and_option_says_what_it_does() -> None:
    waiting = dict(COMMANDS)
    assert {"dev", "serve", "init", "env", "ca", "why", "restore", "purge"} <= set(waiting)
    while waiting:
        name, command = waiting.popitem()
        assert (command.help or "").strip(), name
        waiting |= {f"{name} {each}": inner for each, inner in getattr(command, "commands", {}).items()}
        for parameter in command.params:
            if parameter.name != "help":
                assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_help_comes_with_both_its_names_and_without_arguments() -> None:
    runner = CliRunner()
    for arguments in (["--help"], ["-h"], []):
        said = runner.invoke(app, arguments).output
        assert "moorage dev" in said
    for name in COMMANDS:
        assert runner.invoke(app, [name, "--help"]).exit_code == 0
