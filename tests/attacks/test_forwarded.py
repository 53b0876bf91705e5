"""aws:SourceIp behind proxies: every form of an address is read, and one that cannot be read opens nothing."""

import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from moorage.access.caller import Connection
from moorage.api import forwarded as reading
from moorage.api.request_source import RequestSources
from moorage.locations import Locations
from moorage.settings import ForwardedHeaders, Settings
from tests.attacks.raw_requests import Answer, ask
from tests.support.in_process import InProcess, in_process

PROXY = "10.0.0.9"
TRUSTED = (ip_network("10.0.0.0/8"),)


def connection(
    *lines: tuple[str, str], client: str = PROXY, scheme: str = "http", family: ForwardedHeaders = "x-forwarded"
) -> Connection:
    sent = [(b"host", b"localhost")] + [(name.encode(), value.encode("latin-1")) for name, value in lines]
    scope = {"client": (client, 1), "scheme": scheme, "server": ("127.0.0.1", 4580), "headers": sent}
    locations = Locations(Settings.from_environment({}, hosts=("a.example",)))
    return RequestSources(locations, TRUSTED, family).connection(scope, dict(sent))


def source(*lines: str) -> str:
    return connection(*[("x-forwarded-for", line) for line in lines]).source_ip


def forwarded(*lines: str) -> Connection:
    return connection(*[("forwarded", line) for line in lines], family="forwarded")


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9", "10.0.0.3, 10.0.0.2"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (['"203.0.113.9"'], "203.0.113.9"),
        (['"[2001:db8::1]:443"'], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, [::ffff:10.0.0.2]:1"], "203.0.113.9"),
        (["203.0.113.9, , "], "203.0.113.9"),
    ],
)
def test_every_form_of_address_is_read(lines: list[str], address: str) -> None:
    assert source(*lines) == address


@pytest.mark.parametrize(
    "written",
    ["unknown", "_hidden", "nonsense", "203.0.113.9:", "203.0.113.9:port", "203.0.113", "[2001:db8::1", "[203.0.113.9]",
     "[2001:db8::1]443", "2001:db8::1%eth0", "0203.0.113.9", "203.0.113.0/24", '"203.0.113.9', "203.0.113.9;x"],
)  # fmt: skip
def test_what_cannot_be_read_is_never_another_address(written: str) -> None:
    assert source(f"1.1.1.1, {written}") == written
    assert source(f"1.1.1.1, {written}", "10.0.0.2") == written


@pytest.mark.parametrize("lines", [[""], [","], [" , ", ""]])
def test_a_header_that_names_nobody_is_not_the_proxy(lines: list[str]) -> None:
    """The proxy passes the request on for somebody, so its own address would be somebody else's."""
    for found in (source(*lines), forwarded(*lines).source_ip):
        assert found
        assert reading.address(found) is None


def test_what_was_sent_is_cut() -> None:
    assert source("x" * 5000) == "x" * 64


def test_an_ipv4_peer_of_an_ipv6_socket_is_ipv4() -> None:
    assert connection(client="::ffff:192.0.2.1").source_ip == "192.0.2.1"
    assert connection(("x-forwarded-for", "203.0.113.9"), client="::ffff:10.0.0.9").source_ip == "203.0.113.9"


@pytest.mark.parametrize(
    ("lines", "address", "secure", "host"),
    [
        (["for=203.0.113.9;proto=https;host=a.example"], "203.0.113.9", True, "a.example"),
        (['For="[2001:db8::1]:4711";Proto=http'], "2001:db8::1", False, "localhost"),
        (["for=1.1.1.1, for=203.0.113.9;proto=https", "for=10.0.0.2;proto=http"], "203.0.113.9", False, "localhost"),
        (['for="203.0.113.9:80";by="[2001:db8::2]"'], "203.0.113.9", False, "localhost"),
        (["for=203.0.113.9;;proto=https;"], "203.0.113.9", True, "localhost"),
        (['for="203.0.113.9";ext="a,b;for=10.0.0.1"'], "203.0.113.9", False, "localhost"),
        (["for=unknown"], "unknown", False, "localhost"),
        (["for=_hidden;proto=https"], "_hidden", True, "localhost"),
        (["for=203.0.113.9, proto=https"], "unknown", True, "localhost"),
    ],
)
def test_rfc_7239(lines: list[str], address: str, secure: bool, host: str) -> None:
    found = forwarded(*lines)
    assert (found.source_ip, found.secure, found.host) == (address, secure, host)


@pytest.mark.parametrize(
    "line", ['for="203.0.113.9', "for=203.0.113.9;for=10.0.0.1", "for 203.0.113.9", "=", 'for="\\']
)
def test_a_forwarded_header_that_breaks_the_grammar_is_no_address(line: str) -> None:
    assert forwarded("for=1.1.1.1", line).source_ip == f"for=1.1.1.1,{line}"


def test_only_the_headers_count_that_the_proxies_are_said_to_set() -> None:
    x_forwarded, rfc = ("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=203.0.113.9")
    assert connection(x_forwarded, rfc).source_ip == "198.51.100.1"
    assert connection(x_forwarded, rfc, family="forwarded").source_ip == "203.0.113.9"
    # The other one alone may be the client's, and yet the request is not the proxy's own.
    assert connection(rfc).source_ip == "not believed: for=203.0.113.9"
    assert connection(x_forwarded, family="forwarded").source_ip == "not believed: 198.51.100.1"


def test_scheme_and_host_of_several_lines_are_the_nearest_proxys() -> None:
    found = connection(
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "a.example"),
        scheme="https",
    )
    assert (found.secure, found.host) == (False, "a.example")


class Deployment:
    """The application behind a proxy that says for whom it asks, and users with policies of their own."""

    def __init__(self, app: InProcess) -> None:
        self._application = app.asgi

    async def user(self, name: str, statements: list[dict[str, Any]]) -> Credentials:
        """A new user with that inline policy."""
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        await self._iam(Action="CreateUser", UserName=name)
        await self._iam(Action="PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=policy)
        made = await self._iam(Action="CreateAccessKey", UserName=name)
        return Credentials(*[made.split(f"<{tag}>")[1].split("<")[0] for tag in ("AccessKeyId", "SecretAccessKey")])

    async def describe(self, key: Credentials, source_ip: str) -> Answer:
        """DescribeRepositories, as the proxy passes it on for `source_ip`."""
        named = {"x-amz-target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", "host": "localhost:4580"}
        request = AWSRequest("POST", "http://localhost:4580/", headers=named, data=b"{}")
        SigV4Auth(key, "ecr", "us-east-1").add_auth(request)
        headers = [(name.lower(), value) for name, value in request.headers.items()]
        forwarded = ("x-forwarded-for", source_ip)
        return await ask(self._application, "POST", "/", [*headers, forwarded], b"{}", client=PROXY)

    async def _iam(self, **parameters: str) -> str:
        scope = "test/20260101/us-east-1/iam/aws4_request"
        headers = [
            ("host", "localhost:4580"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-amz-date", "20260101T000000Z"),
            ("authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"),
        ]
        body = urlencode({"Version": "2010-05-08", **parameters}).encode()
        answer = await ask(self._application, "POST", "/", headers, body)
        assert answer.status == 200, answer.body
        return answer.body.decode()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[InProcess]:
    settings = Settings.from_environment({}, mode="dev", data=tmp_path / "data", trusted_proxies=TRUSTED)
    async with in_process(settings) as running:
        yield running


OFFICE = "203.0.113.0/24"
MAY: dict[str, Any] = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
MAY_NOT: dict[str, Any] = {**MAY, "Effect": "Deny"}


def where(operator: str, value: str = OFFICE) -> dict[str, Any]:
    return {"Condition": {operator: {"aws:SourceIp": value}}}


@pytest.mark.parametrize(
    "statements",
    [
        [MAY | where("IpAddress")],
        [MAY | where("NotIpAddress")],
        [MAY, MAY_NOT | where("IpAddress")],
        [MAY, MAY_NOT | where("NotIpAddress")],
        [MAY | where("StringNotLike", "203.0.113.*")],
        [MAY, MAY_NOT | where("StringLike", "203.0.113.*")],
        [MAY | where("IpAddressIfExists")],
        [MAY | where("NotIpAddressIfExists")],
    ],
)
async def test_a_policy_that_asks_for_the_address_refuses_one_that_cannot_be_read(
    opened: InProcess, statements: list[dict[str, Any]]
) -> None:
    deployment = Deployment(opened)
    key = await deployment.user("ada", statements)
    for address in ("unknown", "_hidden", "203.0.113.9.", "8.8.8.8, garbage", "[8.8.8.8]"):
        assert (await deployment.describe(key, address)).code == "AccessDeniedException", address
    answers = [(await deployment.describe(key, each)).status for each in ("203.0.113.9:4711", "8.8.8.8")]
    assert sorted(answers) == [200, 400]


async def test_others_are_served_and_the_record_says_what_was_sent(opened: InProcess) -> None:
    deployment = Deployment(opened)
    key = await deployment.user("bob", [MAY])
    answer = await deployment.describe(key, "_hidden" + "x" * 100)
    assert answer.status == 200
    await opened.components.recorder.flush()
    event = await opened.components.audit.event(answer.headers["x-amzn-requestid"])
    assert event is not None
    assert event.source_ip == "_hidden" + "x" * 57
