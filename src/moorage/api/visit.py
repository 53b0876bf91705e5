"""Where a request comes from, and whether a web page of somebody else sent it.

Nothing on a web page may drive Moorage: the Host must be one we know (a rebound DNS name is not), and a browser's
`Origin` or `Sec-Fetch-Site` must say that the page is our own. Clients that are no browsers send neither header.
"""

import ipaddress
from collections.abc import Mapping, Sequence

from moorage.access.caller import Connection
from moorage.api import faults
from moorage.api.asgi import Scope
from moorage.errors import MoorageError
from moorage.locations import Locations
from moorage.settings import Network


class UnknownHost(MoorageError):
    """The Host header names none of the hosts this server answers to."""

    code = "UnknownHostException"
    status = 421

    def __init__(self) -> None:
        super().__init__("This server does not answer to that host name. Add it to MOORAGE_HOSTS if it should.")


class CrossSite(MoorageError):
    """A browser says that a page of another site sent the request."""

    code = "AccessDeniedException"
    status = 403

    def __init__(self) -> None:
        super().__init__("Requests from the web pages of other sites are refused.")


class Visits:
    """Makes the `Connection` of each request. `X-Forwarded-*` counts only when a trusted proxy sends it."""

    def __init__(self, locations: Locations, trusted_proxies: Sequence[Network]) -> None:
        self._locations = locations
        self._trusted = tuple(trusted_proxies)

    def connection(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Connection:
        """The request's connection; UnknownHost or CrossSite when it may not come in at all, or dev mode's fault."""
        client = scope.get("client")
        source_ip: str = client[0] if client else ""
        secure = scope.get("scheme") == "https"
        host = headers.get(b"host", b"").decode("latin-1") or _authority(scope)
        if self._trusted and self._is_trusted(source_ip):
            source_ip = self._forwarded_for(headers, source_ip)
            secure = _last(headers, b"x-forwarded-proto", "https" if secure else "http") == "https"
            host = _last(headers, b"x-forwarded-host", host)
        if not self._locations.known_host(host):
            raise UnknownHost
        if b"origin" in headers or b"sec-fetch-site" in headers:
            _refuse_other_sites(headers, host)
        faults.refuse(scope)
        return Connection(
            source_ip=source_ip,
            secure=secure,
            user_agent=_text(headers.get(b"user-agent")),
            referer=_text(headers.get(b"referer")),
            host=host,
            region=self._locations.of_host(host).region,
        )

    def _is_trusted(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._trusted)

    def _forwarded_for(self, headers: Mapping[bytes, bytes], peer: str) -> str:
        """The nearest address of the chain that is no trusted proxy; what stands left of it anybody can write."""
        chain = [part.strip() for part in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
        for address in reversed([part for part in chain if part]):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                return peer
            if not self._is_trusted(address):
                return address
            peer = address
        return peer


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _authority(scope: Scope) -> str:
    """The server's own address, for a client of HTTP/1.0 that sends no Host."""
    server = scope.get("server")
    return str(server[0]) if server else ""


def _last(headers: Mapping[bytes, bytes], name: bytes, default: str) -> str:
    """The value the nearest proxy wrote of a forwarded header."""
    text = headers.get(name, b"").decode("latin-1").rpartition(",")[2].strip()
    return text or default


def _refuse_other_sites(headers: Mapping[bytes, bytes], host: str) -> None:
    # `same-site` is refused as well: every port of localhost is the same site.
    if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}:
        raise CrossSite
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1").partition("://")[2].lower() != host.lower():
        raise CrossSite
