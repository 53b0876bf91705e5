"""The `moorage` command, one module for each subcommand."""

import os
import sys

import typer
from rich.console import Console
from rich.markup import escape

from moorage import __version__
from moorage.cli import jobs, organization, trash
from moorage.cli.access import access, why
from moorage.cli.audit import audit
from moorage.cli.client import doctor, login, tokens
from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.declarative import apply, export
from moorage.cli.policy import policy
from moorage.cli.server import ca, dev, env, fsck, init, serve
from moorage.data_directory import UnusableDataError
from moorage.login.errors import LoginError
from moorage.server import CannotServeError
from moorage.settings import SettingError

app = typer.Typer(
    name="moorage",
    help="A self-hosted container registry that speaks Amazon ECR and enforces its repository policies.\n\n"
    "Start one here with: moorage dev",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(dev.dev)
app.command()(serve.serve)
app.command()(init.init)
app.command()(env.env)
app.command()(ca.ca)
app.command()(login.login)
app.command()(doctor.doctor)
app.command()(fsck.fsck)
app.command()(why.why)
app.command()(audit.audit)
app.command()(access.access)
app.add_typer(policy.app, name="policy")
app.command()(apply.apply)
app.command()(export.export)
app.add_typer(tokens.app, name="token")
app.add_typer(organization.app, name="organization")
app.add_typer(jobs.app, name="jobs")
app.command()(trash.restore)
app.command()(trash.purge)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moorage {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    pass


def main() -> None:
    """Run the command line. Print a person's mistakes as one line, without a traceback."""
    try:
        app()
    except (CannotServeError, LoginError, ServerSaidNoError, SettingError, UnusableDataError) as error:
        _fail(str(error))
    except OSError as error:  # a file that cannot be read or written, or a full disk
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> None:
    if any(argument.removeprefix("--log-format=") == "json" for argument in sys.argv) or (
        os.environ.get("MOORAGE_LOG_FORMAT") == "json"
    ):
        import structlog  # noqa: PLC0415 - few commands need it

        from moorage import logs  # noqa: PLC0415

        logs.configure("json")
        structlog.get_logger().error(message)
    else:
        Console(stderr=True).print(f"[bold red]moorage:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)
