"""What `moorage dev` and `moorage serve` print when the server is ready: commands to run next, or one log line."""

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from rich.console import Console

from moorage import __version__
from moorage.settings import Settings

_log = structlog.get_logger()


def show(settings: Settings) -> None:
    """Print on stderr how to reach the server with these settings."""
    if settings.log_format == "json":
        _log.info("ready", version=__version__, url=settings.url, data=str(settings.data.resolve()))
    else:
        _print(settings)


def command() -> str:
    """Return the command for this program: `moorage` if it is on the PATH, else the way it was started."""
    called = Path(sys.argv[0])
    return "moorage" if shutil.which("moorage") else str(called)


def as_called(line: str) -> str:
    """Return a command line with this program named as the person started it."""
    return re.sub(r"\bmoorage (?=[a-z])", lambda _: f"{command()} ", line) if command() != "moorage" else line


def _print(settings: Settings) -> None:
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    where = "data is deleted at the end" if settings.ephemeral else f"data in {settings.data.resolve()}"
    out.print(f"[bold]Moorage {__version__}[/] is ready on [bold cyan]{settings.url}[/]  [dim]({where})[/]")
    if not settings.dev:
        return
    registry = urlsplit(settings.url).netloc
    port = f" --port {settings.port}" if settings.port != Settings().port else ""
    out.print(f"""
  docker login -u test -p any {registry}
  docker push {registry}/team/app:v1          [dim]# the push creates the repository[/]

  eval "$({command()} env{port})"                   [dim]# points the AWS CLI and SDKs at Moorage[/]
  aws ecr describe-repositories

[dim]Ctrl-C stops it.[/]""")
