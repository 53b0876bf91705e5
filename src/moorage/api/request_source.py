"""Where a request comes from, and whether a web page of another site sent it.

No web page of another site may use the server: the Host must be known (which a rebound DNS name is not), and a
browser's `Origin` or `Sec-Fetch-Site` must name this site. Clients other than browsers send neither header.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.caller import Connection
from moorage.api import forwarded, injected_faults
from moorage.api.asgi import LONGEST_AUTHORIZATION, LONGEST_HEADERS, Scope
from moorage.errors import MoorageError
from moorage.locations import Locations
from moorage.settings import ForwardedHeaders, Network

_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-range",
        b"content-type",
        b"date",
        b"host",
        b"origin",
        b"range",
        b"referer",
        b"sec-fetch-site",
        b"transfer-encoding",
        b"user-agent",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-target",
    }
)
"""Headers that have one value. If one is sent twice, a proxy may have read another value than this server does."""


class UnknownHost(MoorageError):
    """The Host header names no host of this server."""

    code = "UnknownHostException"
    status = 421

    def __init__(self) -> None:
        super().__init__("This server does not answer to that host name. Add it to MOORAGE_HOSTS if it should.")


class CrossSite(MoorageError):
    """A browser reports that a page of another site sent the request."""

    code = "AccessDeniedException"
    status = 403

    def __init__(self) -> None:
        super().__init__("Requests from the web pages of other sites are refused.")


class RepeatedHeader(MoorageError):
    """A header that has one value was sent more than once."""

    code = "InvalidRequestException"

    def __init__(self, name: str) -> None:
        super().__init__(f"The request has more than one {name} header.")


class HeadersTooLarge(MoorageError):
    """The headers are longer than any client needs."""

    code = "RequestHeaderFieldsTooLargeException"
    status = 431

    def __init__(self, what: str, most: int) -> None:
        super().__init__(f"The {what} of a request may have at most {most} bytes.")


class RequestSources:
    """Creates the `Connection` of each request. Forwarded headers count only if a trusted proxy sends them."""

    def __init__(
        self,
        locations: Locations,
        trusted_proxies: Sequence[Network],
        forwarded_headers: ForwardedHeaders = "x-forwarded",
    ) -> None:
        self._locations = locations
        self._trusted = tuple(trusted_proxies)
        self._family = forwarded_headers

    def connection(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Connection:
        """Return the connection of a request. `headers`: the last of each name.

        Raises UnknownHost, CrossSite, RepeatedHeader or HeadersTooLarge if the request may not be served at all, or the
        fault that is injected for it.
        """
        _check(scope, headers)
        client = scope.get("client")
        source_ip: str = client[0] if client else ""
        if source_ip.startswith("::ffff:"):
            source_ip = forwarded.address(source_ip) or source_ip
        secure = scope.get("scheme") == "https"
        host = _host(scope, headers)
        if self._trusted and self._is_trusted(source_ip):
            said = forwarded.read(scope["headers"], self._family)
            source_ip = self._forwarded_for(said.chain, source_ip)
            secure = said.proto == "https" if said.proto else secure
            host = said.host or host
        location = self._locations.find(host)
        if location is None:
            raise UnknownHost
        if b"origin" in headers or b"sec-fetch-site" in headers:
            _refuse_other_sites(headers, host)
        injected_faults.refuse(scope)
        return Connection(
            source_ip=source_ip,
            secure=secure,
            user_agent=_text(headers.get(b"user-agent")),
            referer=_text(headers.get(b"referer")),
            host=host,
            region=location.region,
        )

    def _is_trusted(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._trusted)

    def _forwarded_for(self, chain: Sequence[str], peer: str) -> str:
        """Return the nearest address of the chain that is not a trusted proxy: anybody can write what comes before it.

        An address that is not valid is returned as it was sent, cut: the policy engine denies a request from it
        wherever a policy tests aws:SourceIp.
        """
        for text in reversed(chain):
            address = forwarded.address(text)
            if address is None:
                return text[: forwarded.LONGEST_ADDRESS]
            if not self._is_trusted(address):
                return address
            peer = address
        return peer


def _check(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    """Raise RepeatedHeader or HeadersTooLarge."""
    if sum(map(len, headers.values())) > LONGEST_HEADERS:
        raise HeadersTooLarge("headers", LONGEST_HEADERS)
    if len(headers.get(b"authorization", b"")) > LONGEST_AUTHORIZATION:
        raise HeadersTooLarge("Authorization header", LONGEST_AUTHORIZATION)
    sent: list[tuple[bytes, bytes]] = scope["headers"]
    if len(sent) == len(headers):
        return
    if sum(len(value) for _, value in sent) > LONGEST_HEADERS:
        raise HeadersTooLarge("headers", LONGEST_HEADERS)
    seen: set[bytes] = set()
    for name, _ in sent:
        if name in _SINGLE and name in seen:
            raise RepeatedHeader(name.decode())
        seen.add(name)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _host(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """Return the Host header. An HTTP/1.0 client may omit it; the address of the server is returned then."""
    host = headers.get(b"host")
    if host is not None:
        return host.decode("latin-1")
    server = scope.get("server")
    return str(server[0]) if server and scope.get("http_version") == "1.0" else ""


def _refuse_other_sites(headers: Mapping[bytes, bytes], host: str) -> None:
    # `same-site` is refused as well: all ports of localhost are the same site.
    if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}:
        raise CrossSite
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1").partition("://")[2].lower() != host.lower():
        raise CrossSite
