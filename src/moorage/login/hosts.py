"""Which server stands behind a registry's host name, and whose key opens it: the file `hosts.json`.

It holds no secret: a key is named by the place it is kept in. It lies in `$MOORAGE_CONFIG`, else in
`$XDG_CONFIG_HOME/moorage`, else in `~/.config/moorage`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from moorage.login.errors import HostsBrokenError
from moorage.login.files import write_private

_AWS_HOST = re.compile(r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[^/]+")


class Server(NamedTuple):
    """Where a host's API answers, and how its key is found: `Found.reference` of keys.py; empty: its usual order."""

    endpoint: str
    region: str
    key: dict[str, str]
    ca: str | None = None


def host_of(text: str) -> str:
    """Host and port as image references have them: `https://Host.example:4580/v2/` → `host.example:4580`."""
    without_scheme = text.strip().rpartition("://")[2]
    return without_scheme.partition("/")[0].rpartition("@")[2].lower()


def region_of(host: str) -> str | None:
    """The region that an ECR host name names; None for every other host."""
    match = _AWS_HOST.fullmatch(host)
    return None if match is None else match[1]


def hosts_file(environment: Mapping[str, str]) -> Path:
    """Where the mapping is kept."""
    given = environment.get("MOORAGE_CONFIG")
    if given:
        return Path(given) / "hosts.json"
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "moorage" / "hosts.json"


def read_hosts(environment: Mapping[str, str]) -> dict[str, Server]:
    """Every host of the file; empty when there is none. HostsBrokenError."""
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
    """Add or replace a host; returns the file. HostsBrokenError."""
    hosts = read_hosts(environment) | {host: server}
    file = hosts_file(environment)
    content = {name: {k: v for k, v in each._asdict().items() if v is not None} for name, each in hosts.items()}
    write_private(file, json.dumps({"hosts": content}, indent=2) + "\n")
    return file


def server_of(environment: Mapping[str, str], host: str) -> Server | None:
    """The server behind `host`: the file's, else the one AWS_ENDPOINT_URL leads to if that is the same host, or if the
    host is an ECR name (its API is where that variable says). None for a host we know nothing of. HostsBrokenError.
    """
    listed = read_hosts(environment).get(host)
    if listed is not None:
        return listed
    endpoint = endpoint_of_environment(environment)
    if endpoint is None:
        return None
    region = region_of(host)
    if region is None and urlsplit(endpoint).netloc.lower() != host:
        return None
    return Server(endpoint, region or region_of_environment(environment), {})


def endpoint_of_environment(environment: Mapping[str, str]) -> str | None:
    """Where the AWS SDKs send ECR's calls."""
    return environment.get("AWS_ENDPOINT_URL_ECR") or environment.get("AWS_ENDPOINT_URL") or None


def region_of_environment(environment: Mapping[str, str]) -> str:
    """The region of the AWS SDKs; us-east-1 when none is set."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
