"""The server that a person means by a host, a URL, or nothing: its registry host names and the URL of its API."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from moorage.login.endpoint import Endpoint
from moorage.login.errors import EndpointError
from moorage.login.hosts import (
    endpoint_of_environment,
    host_of,
    is_loopback,
    region_of,
    server_of,
    without_port,
)

_PROBE_TIMEOUT = 5.0  # seconds


class Place(NamedTuple):
    """Host names as in image references, the first as given, and the URL of ECR's API."""

    hosts: tuple[str, ...]
    endpoint: str

    @property
    def plain(self) -> bool:
        """Whether the registry uses plain HTTP. One with another host name than its API is expected to use TLS."""
        if not self.endpoint.startswith("http://"):
            return False
        return is_loopback(self.hosts[0]) or urlsplit(self.endpoint).netloc.lower() == self.hosts[0]


def find_place(
    text: str | None, environment: Mapping[str, str], served: str, *, endpoint: str | None = None, ca: str | None = None
) -> Place:
    """Return the server that `text` means: a URL, a host, or None for that of the environment, or else of this machine
    (`served`).

    A name without a scheme means TLS, unless this machine itself responds without it; nothing falls back to plain HTTP
    over a network. Raises EndpointError for what is neither a URL nor a host, and for one of Amazon's hosts if the URL
    of its API is not given.
    """
    if text is None:
        url = endpoint or endpoint_of_environment(environment) or served
        return Place(_spellings(_host(url)), url.rstrip("/"))
    host = _host(text)
    if endpoint is not None:
        return Place((host,), endpoint.rstrip("/"))
    if "://" in text:
        return Place((host,), f"{_scheme(text)}://{host}")
    known = server_of(environment, host)
    if known is not None:
        return Place((host,), known.endpoint)
    if urlsplit(served).netloc.lower() in _spellings(host):
        return Place((host,), f"{urlsplit(served).scheme}://{host}")
    if region_of(host) is not None and not is_loopback(host):
        raise EndpointError(
            f"{host} is a name that ECR gives. Say where its API answers: "
            f"moorage login --endpoint-url https://YOUR-SERVER {host}"
        )
    return Place((host,), f"{_scheme_of(host, ca)}://{host}")


def _host(text: str) -> str:
    host = host_of(text)
    if not host:
        raise EndpointError(f"{text!r} is not the URL or the host name of a registry", "name")
    return host


def _scheme(url: str) -> str:
    scheme = url.strip().partition("://")[0].lower()
    if scheme not in {"http", "https"}:
        raise EndpointError(f"{url!r} is not a URL of http or https", "name")
    return scheme


def port_of(host: str, *, plain: bool) -> int:
    """Return the port that a host names, or else that of its scheme. Raise EndpointError if it is not valid."""
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        raise EndpointError(f"{host} names no port between 1 and 65535", "name") from None
    return port or (80 if plain else 443)


def _spellings(host: str) -> tuple[str, ...]:
    """Return both names of this machine: docker stores a login by the spelling of the host."""
    name = without_port(host)
    if name not in {"localhost", "127.0.0.1"}:
        return (host,)
    other = "127.0.0.1" if name == "localhost" else "localhost"
    return (host, other + host[len(name) :])


def _scheme_of(host: str, ca: str | None) -> str:
    if not is_loopback(host):
        return "https"
    try:
        Endpoint(f"https://{host}", "", ca, _PROBE_TIMEOUT).send("GET", "/v2/")
    except EndpointError as error:
        return "https" if error.code in {"tls", "ca"} else "http"
    return "https"
