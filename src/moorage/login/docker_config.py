"""Docker's `config.json`: stored credentials, and which credential helper serves which host.

crane, oras, regctl, nerdctl and many libraries read the same file. The rules are docker's: `credHelpers` of the host
takes precedence over `credsStore`, and if there is a helper, the `auths` of the file are ignored.
"""

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moorage.login.errors import DockerConfigError
from moorage.login.files import write_private
from moorage.login.helper import NOT_FOUND
from moorage.login.hosts import host_of
from moorage.login.passwords import Credential

_HELPER_PATIENCE = 20.0  # seconds
_PREFIX = "docker-credential-"


def config_file(environment: Mapping[str, str]) -> Path:
    """Return where docker keeps its configuration."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


class DockerConfig:
    """A configuration file. podman's `auth.json` and helm's `config.json` have the same format."""

    def __init__(self, file: Path) -> None:
        """Read `file`; a missing file is empty. Raise DockerConfigError."""
        self.file = file
        try:
            text = file.read_text()
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise DockerConfigError(f"{file} cannot be read: {error}") from None
        try:
            content = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise DockerConfigError(f"{file} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise DockerConfigError(f"{file} is not a JSON object")
        for member in ("auths", "credHelpers"):
            if not isinstance(content.get(member, {}), dict):
                raise DockerConfigError(f'"{member}" in {file} is not a JSON object')
        self.content: dict[str, Any] = content

    def helper_of(self, host: str) -> str | None:
        """Return the name of the helper for `host` (`ecr-login`, `desktop`); None if the file itself has the
        credential."""
        named = self.content.get("credHelpers", {}).get(host) or self.content.get("credsStore")
        return str(named) if named else None

    def auth_of(self, host: str) -> Credential | None:
        """Return the credential for `host` in the file itself."""
        for key, entry in self.content.get("auths", {}).items():
            if host_of(key) == host and isinstance(entry, dict):
                found = _credential(entry)
                if found is not None:
                    return found
        return None

    def credential_of(self, host: str, environment: Mapping[str, str]) -> Credential | None:
        """Return what docker would send to `host`: from the helper, or else from the file. Raise DockerConfigError."""
        helper = self.helper_of(host)
        return self.auth_of(host) if helper is None else _ask(helper, host, environment)

    def set_auth(self, host: str, credential: Credential, environment: Mapping[str, str]) -> None:
        """Store a credential as `docker login` would: in the helper if there is one, else in the file."""
        helper = self.helper_of(host)
        if helper is not None:
            given = {"ServerURL": host, "Username": credential.user, "Secret": credential.secret}
            _call(helper, "store", json.dumps(given), environment)
            self.content.setdefault("auths", {})[host] = {}
        else:
            encoded = base64.b64encode(f"{credential.user}:{credential.secret}".encode()).decode()
            self.content.setdefault("auths", {})[host] = {"auth": encoded}
        self._write()

    def set_helper(self, host: str, helper: str) -> None:
        """Configure `helper` for `host`, and remove the file's own credential, which docker would no longer read."""
        self.content.setdefault("credHelpers", {})[host] = helper
        auths = self.content.get("auths", {})
        for key in [key for key in auths if host_of(key) == host]:
            del auths[key]
        self._write()

    def _write(self) -> None:
        # Docker itself writes tabs.
        write_private(self.file, json.dumps(self.content, indent="\t") + "\n")


def program_of(helper: str, environment: Mapping[str, str]) -> str | None:
    """Return the path of a helper's program; None if it is not installed."""
    return shutil.which(_PREFIX + helper, path=environment.get("PATH", os.defpath))


def _ask(helper: str, host: str, environment: Mapping[str, str]) -> Credential | None:
    try:
        said = json.loads(_call(helper, "get", host, environment))
        return Credential(str(said["Username"]), str(said["Secret"]))
    except NotKeptError:
        return None
    except (ValueError, KeyError, TypeError):
        raise DockerConfigError(f"{_PREFIX}{helper} answered something that is no credential") from None


class NotKeptError(DockerConfigError):
    """The helper has no credential for the host."""


def _call(helper: str, action: str, text: str, environment: Mapping[str, str]) -> str:
    program = program_of(helper, environment)
    if program is None:
        raise DockerConfigError(f"{_PREFIX}{helper} is not installed")
    try:
        done = subprocess.run(
            [program, action],
            input=text,
            capture_output=True,
            text=True,
            timeout=_HELPER_PATIENCE,
            check=False,
            env=dict(environment),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DockerConfigError(f"{_PREFIX}{helper} could not be run ({type(error).__name__})") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stdout.strip() or done.stderr.strip()
    if said == NOT_FOUND:
        raise NotKeptError(said)
    # The first line only: what a helper prints when it fails may be long.
    raise DockerConfigError(f"{_PREFIX}{helper} failed: {said.partition(chr(10))[0][:300]}")


def _credential(entry: Mapping[str, Any]) -> Credential | None:
    """Return the credential in `auth` (base64 of user:password), or else in `username` and `password`. Identity tokens
    do not count."""
    if entry.get("auth"):
        try:
            user, colon, secret = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return Credential(user, secret.rstrip("\0")) if colon else None
    if entry.get("username") and entry.get("password"):
        return Credential(str(entry["username"]), str(entry["password"]))
    return None
