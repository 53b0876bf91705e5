"""The local server: `server.json`, which `moorage serve` and `moorage dev` write beside the data.

Commands on the same machine read it, so that nobody has to repeat the server's options.
"""

import json
from pathlib import Path
from typing import NamedTuple

from moorage.login.errors import LoginError
from moorage.login.files import write_private

_FILE = "server.json"


class LocalServer(NamedTuple):
    """The mode of the server (`serve` or `dev`), its URL for clients, its port, and its CA: a PEM file, None if clients
    trust it anyway or TLS is not used."""

    mode: str
    url: str
    port: int
    ca: str | None = None


def write_server(data: Path, server: LocalServer) -> None:
    """Write the file in `data`."""
    write_private(data / _FILE, json.dumps(server._asdict()) + "\n")


def read_server(data: Path) -> LocalServer | None:
    """Return the server that keeps its data in `data`; None if none ever ran there. Raise LoginError."""
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
