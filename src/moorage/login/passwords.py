"""Passwords stored between commands: issued ones until shortly before they expire, and those that a person stored.

Each is a file of mode 0600 in `$XDG_CACHE_HOME/moorage` (else `~/.cache/moorage`).
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from moorage.login.errors import KeyNotFoundError
from moorage.login.files import write_private
from moorage.login.hosts import Server
from moorage.login.keys import Found, is_minted, look_up

_BEFORE_THE_END = 1800.0
"""Seconds before its expiry at which a password is no longer used: a long push may begin with it."""
_STORED_LIFE = 12 * 3600.0
"""Lifetime of a stored registry password, which has no expiry of its own; ECR's last this long."""


class Credential(NamedTuple):
    """What a client sends: user name and password."""

    user: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential(user={self.user!r}, secret=…)"


def credential_of(environment: Mapping[str, str], server: Server) -> Credential:
    """Return a credential for `server` that is valid for a while, and request one if none is stored.

    Raises KeyNotFoundError or EndpointError. With an open key, one is requested each time: its server may have been
    reset.
    """
    found = look_up(environment, server.key)
    file = _minted_file(environment, server, found)
    kept = _read(file) if found.roles or is_minted(found.key) else None
    if kept is not None and _is_fresh(kept):
        return Credential(kept["user"], kept["secret"])
    from moorage.login.endpoint import Endpoint  # noqa: PLC0415 - HTTP and TLS cost 60 ms, and are rarely needed
    from moorage.login.roles import assume  # noqa: PLC0415

    ca = server.ca or environment.get("AWS_CA_BUNDLE") or None
    endpoint = Endpoint(server.endpoint, server.region, ca)
    password = endpoint.authorization(assume(found, endpoint).key)
    content = {"user": password.user, "secret": password.secret, "at": time.time(), "ends": password.expires_at}
    write_private(file, json.dumps(content))
    return Credential(password.user, password.secret)


def stored(environment: Mapping[str, str], host: str) -> Credential | None:
    """Return what a person logged in to `host` with; None if there is nothing, or it has expired."""
    kept = _read(_stored_file(environment, host))
    if kept is None:
        return None
    if kept["user"] == "AWS" and kept["at"] + _STORED_LIFE < time.time():
        return None
    return Credential(kept["user"], kept["secret"])


def store(environment: Mapping[str, str], host: str, server: Server | None, credential: Credential) -> None:
    """Store what a person logged in with. It takes precedence over issued passwords, unless it is one of them."""
    for file in _minted_files(environment, server):
        minted = _read(file)
        if minted is not None and (minted["user"], minted["secret"]) == credential:
            return
    content = {"user": credential.user, "secret": credential.secret, "at": time.time()}
    write_private(_stored_file(environment, host), json.dumps(content))


def forget(environment: Mapping[str, str], host: str, server: Server | None) -> None:
    """Delete everything stored for `host`."""
    _stored_file(environment, host).unlink(missing_ok=True)
    for file in _minted_files(environment, server):
        file.unlink(missing_ok=True)


def directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of stored passwords."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "moorage"


def _minted_files(environment: Mapping[str, str], server: Server | None) -> list[Path]:
    """Return the file of a server's password; None if its key cannot be found any more."""
    if server is None:
        return []
    try:
        return [_minted_file(environment, server, look_up(environment, server.key))]
    except KeyNotFoundError:
        return []


def _minted_file(environment: Mapping[str, str], server: Server, found: Found) -> Path:
    """Return the file for a key, or for the role that a key or web identity assumes, whose session keys vary."""
    parts = [part for role in found.roles for part in role]
    return directory(environment) / f"minted-{_name(server.endpoint, server.region, *found.key, *parts)}.json"


def _stored_file(environment: Mapping[str, str], host: str) -> Path:
    return directory(environment) / f"stored-{_name(host)}.json"


def _name(*parts: str | None) -> str:
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:32]


def _read(file: Path) -> dict[str, Any] | None:
    """Return the content of the file; None if it is missing, incomplete, or was readable by others."""
    try:
        with file.open() as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                return None
            kept = json.load(opened)
        return {"user": str(kept["user"]), "secret": str(kept["secret"]), "at": float(kept["at"])} | (
            {"ends": float(kept["ends"])} if "ends" in kept else {}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_fresh(kept: Mapping[str, Any]) -> bool:
    """Return whether it is valid for long enough. One issued in the future comes from a clock that was set back."""
    now = time.time()
    life = kept["ends"] - kept["at"]
    return bool(kept["at"] <= now < kept["ends"] - min(_BEFORE_THE_END, life / 4))
