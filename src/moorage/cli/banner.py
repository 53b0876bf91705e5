"""What a person reads when the server is ready: what to type next."""

import encodings.idna  # noqa: F401 - sockets import it late, and a worker forked at that moment waits for it forever
import http.client
import re
import shutil
import ssl
import sys
import threading
import time
from pathlib import Path

from rich.console import Console

from moorage import __version__
from moorage.settings import Settings

_PATIENCE = 30.0  # seconds


def when_ready(settings: Settings) -> None:
    """Print the banner, from a thread of its own, once the server answers."""
    threading.Thread(target=_wait_and_print, args=(settings,), daemon=True).start()


def _wait_and_print(settings: Settings) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if _is_ready(settings):
            _print(settings)
            return
        time.sleep(0.03)


def _is_ready(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "localhost"} else settings.host  # noqa: S104
    connection: http.client.HTTPConnection
    if settings.tls_cert is None:
        connection = http.client.HTTPConnection(host, settings.port, timeout=2)
    else:  # our own server on our own machine: only whether it answers is asked
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, settings.port, timeout=2, context=context)
    try:
        connection.request("GET", "/_moorage/ready", headers={"Host": f"localhost:{settings.port}"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def command() -> str:
    """How this person calls us: `moorage` when it is on the PATH, else the way it was called."""
    called = Path(sys.argv[0])
    return "moorage" if shutil.which("moorage") else str(called)


def as_called(line: str) -> str:
    """A line to type, with our own program in it called as this person calls it."""
    return re.sub(r"\bmoorage (?=[a-z])", lambda _: f"{command()} ", line) if command() != "moorage" else line


def _print(settings: Settings) -> None:
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    url = settings.public_url or f"{settings.scheme}://{settings.host}:{settings.port}"
    where = "nothing is kept" if settings.ephemeral else f"data in {settings.data.resolve()}"
    out.print(f"[bold]Moorage {__version__}[/] is ready on [bold cyan]{url}[/]  [dim]({where})[/]")
    if not settings.dev:
        return
    registry = f"localhost:{settings.port}" if settings.host == "127.0.0.1" else f"{settings.host}:{settings.port}"
    port = f" --port {settings.port}" if settings.port != Settings().port else ""
    out.print(f"""
  docker login -u test -p any {registry}
  docker push {registry}/team/app:v1          [dim]# the repository is made on push[/]

  eval "$({command()} env{port})"                   [dim]# the AWS CLI and SDKs now speak to Moorage[/]
  aws ecr describe-repositories

[dim]Ctrl-C stops it.[/]""")
