"""`docker-credential-moorage`: docker's credential helper protocol, for any host name.

`get`, `store`, `erase` and `list` read stdin and write stdout; errors are written to stdout too, with status 1:
https://github.com/docker/docker-credential-helpers. Docker starts it for every command that uses a registry.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping

from moorage.login import passwords
from moorage.login.errors import LoginError
from moorage.login.hosts import host_of, read_hosts, server_of
from moorage.login.passwords import Credential

NOT_FOUND = "credentials not found in native keychain"
"""Docker compares this text: with it, docker sends no credentials to the host; with any other, the command fails."""
_NO_URL = "no credentials server URL"
_INPUT_LIMIT = 1 << 16  # bytes
_USAGE = """docker-credential-moorage get|store|erase|list

Docker calls it; tell docker to with: moorage login --helper HOST"""


class HelperError(LoginError):
    """An error that docker shows to the person."""


def get(environment: Mapping[str, str], text: str) -> str:
    """Return the credential for a server's URL or host name."""
    if not text.strip():
        raise HelperError(_NO_URL)
    host = host_of(text)
    if not host:
        raise HelperError(NOT_FOUND)
    credential = passwords.stored(environment, host)
    if credential is None:
        server = server_of(environment, host)
        if server is None:
            raise HelperError(NOT_FOUND)
        credential = passwords.credential_of(environment, server)
    return json.dumps({"ServerURL": text.strip(), "Username": credential.user, "Secret": credential.secret})


def store(environment: Mapping[str, str], text: str) -> str:
    """Store the credential that `docker login` was given."""
    try:
        given = json.loads(text)
        url, credential = str(given["ServerURL"]), Credential(str(given["Username"]), str(given["Secret"]))
    except (ValueError, KeyError, TypeError):
        raise HelperError("not a credential in JSON") from None
    host = _host(url)
    passwords.store(environment, host, server_of(environment, host), credential)
    return ""


def erase(environment: Mapping[str, str], text: str) -> str:
    """Delete a stored credential. A configured host gets a new password the next time one is requested."""
    host = _host(text)
    passwords.forget(environment, host, server_of(environment, host))
    return ""


def list_hosts(environment: Mapping[str, str], _: str) -> str:
    """Return the configured hosts, each with its user name."""
    users = {host: passwords.stored(environment, host) for host in read_hosts(environment)}
    return json.dumps({host: "AWS" if kept is None else kept.user for host, kept in users.items()})


_ACTIONS: dict[str, Callable[[Mapping[str, str], str], str]] = {
    "get": get,
    "store": store,
    "erase": erase,
    "list": list_hosts,
}


def main() -> int:
    """Run the program. Return its exit status."""
    action = _ACTIONS.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if action is None:
        sys.stdout.write(f"{_USAGE}\n")
        return 1
    # `list` has no input, and reading a terminal would wait forever.
    text = "" if action is list_hosts else sys.stdin.read(_INPUT_LIMIT)
    try:
        sys.stdout.write(action(os.environ, text))
    except HelperError as error:  # docker compares the texts of the protocol
        sys.stdout.write(f"{error}\n")
        return 1
    except (LoginError, OSError) as error:
        sys.stdout.write(f"moorage: {error}\n")
        return 1
    return 0


def _host(text: str) -> str:
    host = host_of(text)
    if not host:
        raise HelperError(f"{text.strip()[:200]!r} is not a registry's host name" if text.strip() else _NO_URL)
    return host
