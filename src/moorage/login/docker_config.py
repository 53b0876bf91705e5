"""Docker's `config.json` as far as logging in goes: stored credentials, and which helper is asked for which host.

crane, oras, regctl, nerdctl and many libraries read the same file. The rules are docker's: `credHelpers` of the host
goes before `credsStore`, and where a helper is named the `auths` of the file are not looked at.
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
    """Where docker keeps it."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


class DockerConfig:
    """One such file, read; podman's `auth.json` and helm's `config.json` have the same form."""

    def __init__(self, file: Path) -> None:
        """Read `file`; one that is not there is empty. DockerConfigError."""
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
        """The name of the helper that is asked for `host` (`ecr-login`, `desktop`); None: the file itself holds it."""
        named = self.content.get("credHelpers", {}).get(host) or self.content.get("credsStore")
        return str(named) if named else None

    def auth_of(self, host: str) -> Credential | None:
        """The credential that the file itself holds for `host`."""
        for key, entry in self.content.get("auths", {}).items():
            if host_of(key) == host and isinstance(entry, dict):
                found = _credential(entry)
                if found is not None:
                    return found
        return None

    def credential_of(self, host: str, environment: Mapping[str, str]) -> Credential | None:
        """What docker would send to `host`: the helper's answer, else the file's. DockerConfigError if it fails."""
        helper = self.helper_of(host)
        return self.auth_of(host) if helper is None else _ask(helper, host, environment)

    def set_auth(self, host: str, credential: Credential, environment: Mapping[str, str]) -> None:
        """Keep a credential as `docker login` would: in the helper where one is named, else in the file."""
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
        """Let `helper` be asked for `host`; what the file itself held for it goes, as docker would not read it."""
        self.content.setdefault("credHelpers", {})[host] = helper
        auths = self.content.get("auths", {})
        for key in [key for key in auths if host_of(key) == host]:
            del auths[key]
        self._write()

    def _write(self) -> None:
        # Docker itself writes tabs.
        write_private(self.file, json.dumps(self.content, indent="\t") + "\n")


def program_of(helper: str, environment: Mapping[str, str]) -> str | None:
    """The path of a helper's program; None when it is not installed."""
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
    """The helper knows nothing of the host."""


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
    # The first line only: what a helper prints when it fails is its own business, and may be long.
    raise DockerConfigError(f"{_PREFIX}{helper} failed: {said.partition(chr(10))[0][:300]}")


def _credential(entry: Mapping[str, Any]) -> Credential | None:
    """`auth` (base64 of user:password), else `username` and `password`; an identity token is no password."""
    if entry.get("auth"):
        try:
            user, colon, secret = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return Credential(user, secret.rstrip("\0")) if colon else None
    if entry.get("username") and entry.get("password"):
        return Credential(str(entry["username"]), str(entry["password"]))
    return None
