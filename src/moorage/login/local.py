"""How a server of this machine is reached: `server.json`, written beside the data by `moorage serve` and `moorage dev`.

Commands that run where the data is read it, so that nobody has to repeat what the server was told.
"""

import json
from pathlib import Path
from typing import NamedTuple

from moorage.login.errors import LoginError
from moorage.login.files import write_private

_FILE = "server.json"


class LocalServer(NamedTuple):
    """Its mode (`serve` or `dev`), the URL that clients use, the port it listens on, and the CA that its certificate is
    trusted by: a PEM file, None where clients trust it anyway or no TLS is spoken.
    """

    mode: str
    url: str
    port: int
    ca: str | None = None


def write_server(data: Path, server: LocalServer) -> None:
    """Keep it in `data`."""
    write_private(data / _FILE, json.dumps(server._asdict()) + "\n")


def read_server(data: Path) -> LocalServer | None:
    """The server that keeps its data in `data`; None when none ever ran there. Raises LoginError."""
    file = data / _FILE
    try:
        written = json.loads(file.read_text())
        ca = written["ca"]
        return LocalServer(
            str(written["mode"]), str(written["url"]), int(written["port"]), None if ca is None else str(ca)
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LoginError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise LoginError(f"{file} is damaged. Delete it; the next start of the server writes it again") from None
