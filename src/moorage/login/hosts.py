"""The server and key of each registry host name: the file `hosts.json`.

The file contains no secret: it says where a key is stored. It is in `$MOORAGE_CONFIG`, else in
`$XDG_CONFIG_HOME/moorage`, else in `~/.config/moorage`.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from moorage.login.errors import HostsBrokenError
from moorage.login.files import write_private

AWS_SUFFIXES = frozenset({"amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn"})
"""Amazon's own domains, of every partition that has ECR names here."""

_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?"
_URL = re.compile(rf"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@\\\s]*@)?({_HOST})(?:[/?#]\S*)?", re.ASCII | re.IGNORECASE)
_ECR_HOST = re.compile(r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(.+)")
_LONGEST_URL = 2048  # characters


class Server(NamedTuple):
    """The URL of a host's API, and how its key is found: `Found.reference` of keys.py. Empty: in the usual order."""

    endpoint: str
    region: str
    key: dict[str, str]
    ca: str | None = None


def host_of(text: str) -> str:
    """Return host and port as in image references: `https://Host.example:4580/v2/` → `host.example:4580`.

    It is empty if `text` is neither a URL nor a host name: a client could read another host in it.
    """
    stripped = text.strip()
    if len(stripped) > _LONGEST_URL or not stripped.isascii():  # `lower` turns some other letters into ASCII ones
        return ""
    match = _URL.fullmatch(stripped)
    return "" if match is None else match[1].lower()


def region_of(host: str) -> str | None:
    """Return the region in a host name of ECR's form, under any domain; None for every other host."""
    match = _ECR_HOST.fullmatch(host)
    return None if match is None else match[1]


def is_loopback(host: str) -> bool:
    """Return whether it is a name or address of this machine, with or without a port."""
    name = without_port(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def without_port(host: str) -> str:
    """Return the name alone: `[::1]:4580` → `::1`, `localhost:4580` → `localhost`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def same_server(one: str, other: str) -> bool:
    """Return whether these are the host and port of one server. All names of this machine are the same."""
    if is_loopback(one) and is_loopback(other):
        return _port_of(one) == _port_of(other)
    return one.lower() == other.lower()


def hosts_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the file."""
    given = environment.get("MOORAGE_CONFIG")
    if given:
        return Path(given) / "hosts.json"
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "moorage" / "hosts.json"


def read_hosts(environment: Mapping[str, str]) -> dict[str, Server]:
    """Return every host in the file; none if it does not exist. Raise HostsBrokenError."""
    file = hosts_file(environment)
    try:
        written: Any = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HostsBrokenError(f"{file} cannot be read: {error}") from None
    try:
        return {host: _server(entry) for host, entry in written["hosts"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise HostsBrokenError(f"{file} is not as `moorage login --helper` writes it: {error}") from None


def _server(entry: Mapping[str, Any]) -> Server:
    key = {str(name): str(value) for name, value in entry["key"].items()}
    ca = entry.get("ca")
    return Server(str(entry["endpoint"]), str(entry["region"]), key, None if ca is None else str(ca))


def write_host(environment: Mapping[str, str], host: str, server: Server) -> Path:
    """Add or replace a host, and return the path of the file. Raise HostsBrokenError."""
    hosts = read_hosts(environment) | {host: server}
    file = hosts_file(environment)
    content = {name: {k: v for k, v in each._asdict().items() if v is not None} for name, each in hosts.items()}
    write_private(file, json.dumps({"hosts": content}, indent=2) + "\n")
    return file


def server_of(environment: Mapping[str, str], host: str) -> Server | None:
    """Return the server of `host`: as the file says, or else that of AWS_ENDPOINT_URL if `host` belongs to it.

    Returns None for a host that is not configured. Raises HostsBrokenError.
    """
    listed = read_hosts(environment).get(host)
    if listed is not None:
        return listed
    endpoint = endpoint_of_environment(environment)
    if endpoint is None or not _belongs(host, urlsplit(endpoint).netloc.lower()):
        return None
    return Server(endpoint, region_of(host) or region_of_environment(environment), {})


def _belongs(host: str, own: str) -> bool:
    """Return whether a registry host belongs to the server whose host and port are `own`.

    It does if it is that host, or an ECR name under that host or under one of Amazon's domains, which clients reach
    through that server. A name under `localhost` belongs to a server on this machine with the same port. For any other
    name, an attacker who can get a certificate would receive a password.
    """
    if host == own:
        return True
    match = _ECR_HOST.fullmatch(host)
    if match is None:
        return False
    domain = match[2]
    name = without_port(domain)
    if name == "localhost":
        return is_loopback(own) and _port_of(domain) == _port_of(own)
    return domain == own or name in AWS_SUFFIXES


def _port_of(host: str) -> str:
    return host.rpartition("]")[2].partition(":")[2]


def endpoint_of_environment(environment: Mapping[str, str]) -> str | None:
    """Return the URL where the AWS SDKs send ECR's calls."""
    return environment.get("AWS_ENDPOINT_URL_ECR") or environment.get("AWS_ENDPOINT_URL") or None


def region_of_environment(environment: Mapping[str, str]) -> str:
    """Return the region of the AWS SDKs; us-east-1 if none is set."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
