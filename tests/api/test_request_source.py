"""Hosts, proxies and the pages of other sites."""

from ipaddress import ip_network

import pytest

from moorage.access.caller import Connection
from moorage.api.request_source import CrossSite, RequestSources, UnknownHost
from moorage.locations import Locations
from moorage.settings import Settings

LOCATIONS = Locations(Settings.from_environment({}, mode="dev", hosts=("registry.example", "amazonaws.com")))


def visit(
    *, client: str = "127.0.0.1", scheme: str = "http", trusted: tuple[str, ...] = (), **headers: str
) -> Connection:
    request_sources = RequestSources(LOCATIONS, [ip_network(each) for each in trusted])
    sent = {"host": "localhost:4580"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [(name.encode(), value.encode()) for name, value in sent.items()]
    scope = {"client": (client, 1), "scheme": scheme, "server": ("127.0.0.1", 4580), "headers": lines}
    return request_sources.connection(scope, dict(lines))


def test_what_a_connection_says() -> None:
    connection = visit(client="10.0.0.9", scheme="https", user_agent="docker/1")
    assert connection == Connection("10.0.0.9", True, "docker/1", None, "localhost:4580", connection.region)
    assert connection.region == "us-east-1"
    assert visit(host="111122223333.dkr.ecr.eu-west-1.amazonaws.com").region == "eu-west-1"


def test_forwarded_headers_of_strangers_do_not_count() -> None:
    given = {"x_forwarded_for": "9.9.9.9", "x_forwarded_proto": "https", "x_forwarded_host": "registry.example"}
    connection = visit(client="10.0.0.9", trusted=("192.168.0.0/16",), **given)
    assert (connection.source_ip, connection.secure, connection.host) == ("10.0.0.9", False, "localhost:4580")


@pytest.mark.parametrize(
    ("chain", "source"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("1.1.1.1, 9.9.9.9", "9.9.9.9"),  # what the client wrote itself stands left of what the proxy saw
        ("1.1.1.1, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("nonsense", "nonsense"),
        ("", "not believed: "),  # said of nobody, and so no address of the proxy's own
        ("::1", "::1"),
    ],
)
def test_the_source_behind_trusted_proxies(chain: str, source: str) -> None:
    connection = visit(client="10.0.0.9", trusted=("10.0.0.0/8",), x_forwarded_for=chain)
    assert connection.source_ip == source


def test_scheme_and_host_behind_a_trusted_proxy() -> None:
    given = {"x_forwarded_proto": "http, https", "x_forwarded_host": "registry.example"}
    connection = visit(client="10.0.0.9", trusted=("10.0.0.0/8",), **given)
    assert (connection.secure, connection.host) == (True, "registry.example")
    with pytest.raises(UnknownHost):
        visit(client="10.0.0.9", trusted=("10.0.0.0/8",), x_forwarded_host="evil.example")


def test_unknown_hosts() -> None:
    for host in ("evil.example", "localhost.evil.example", "a@localhost"):
        with pytest.raises(UnknownHost):
            visit(host=host)


def test_pages_of_other_sites() -> None:
    for origin in ("http://evil.example", "http://localhost:3000", "null", "http://localhost:4580.evil.example"):
        with pytest.raises(CrossSite):
            visit(origin=origin)
    for site in ("cross-site", "same-site"):
        with pytest.raises(CrossSite):
            visit(sec_fetch_site=site)
    assert visit(origin="http://localhost:4580", sec_fetch_site="same-origin").host == "localhost:4580"
    assert visit(sec_fetch_site="none").host == "localhost:4580"
