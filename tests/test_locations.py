"""Host and path forms, read and built back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.locations import Location, Locations
from moorage.names import AccountId, InvalidNameError, Region, RepositoryName, RepositoryRef
from moorage.settings import Settings

ZERO = Location(AccountId("000000000000"), Region("us-east-1"))
OTHER = Location(AccountId("111122223333"), Region("eu-west-1"))


def made(**given: object) -> Locations:
    """In dev mode with the names of AWS configured."""
    return Locations(Settings.from_environment({}, **{"mode": "dev", "hosts": ("amazonaws.com", "on.aws"), **given}))


def ref(location: Location, name: str) -> RepositoryRef:
    return RepositoryRef(location.account, location.region, RepositoryName(name))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:4580", "LOCALHOST:4580", "127.0.0.1:4580", "127.9.9.9", "[::1]:4580", "[::1]",
     "iam.amazonaws.com", "sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"],
)  # fmt: skip
def test_hosts_that_name_no_registry_are_the_default_one(host: str) -> None:
    assert made().known_host(host)
    assert made().of_host(host) == ZERO


@pytest.mark.parametrize(
    "host",
    ["111122223333.dkr.ecr.eu-west-1.amazonaws.com", "111122223333.dkr.ecr.eu-west-1.amazonaws.com:443",
     "111122223333.dkr-ecr.eu-west-1.on.aws", "111122223333.dkr.ecr.eu-west-1.localhost:4580",
     "111122223333.dkr.ecr-fips.eu-west-1.amazonaws.com", "111122223333.DKR.ECR.eu-west-1.amazonaws.com"],
)  # fmt: skip
def test_ecr_hosts_name_a_registry(host: str) -> None:
    assert made().known_host(host)
    assert made().of_host(host) == OTHER
    assert made().repository(host, "team/app") == ref(OTHER, "team/app")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "localhost@evil",
     "111122223333.dkr.ecr.eu-west-1.amazonaws.com.evil.example", "1111.dkr.ecr.eu-west-1.amazonaws.com",
     "111122223333.dkr.ecr..amazonaws.com", "111122223333.dkr.ecr.eu-west-1.evil.example", "evil.localhost"],
)  # fmt: skip
def test_other_hosts_are_unknown(host: str) -> None:
    assert not made().known_host(host)


def test_configured_hosts_are_known_also_behind_an_account_and_region() -> None:
    locations = made(mode="serve", hosts=("registry.example",), public_url="https://public.example:8443/")
    for host in ("registry.example", "registry.example:99", "public.example"):
        assert locations.of_host(host) == ZERO
        assert locations.known_host(host)
    assert locations.of_host("111122223333.dkr.ecr.eu-west-1.public.example:8443") == OTHER


@pytest.mark.parametrize("mode", ["dev", "serve"])
@pytest.mark.parametrize(
    "name",
    ["111122223333.dkr.ecr.eu-west-1.amazonaws.com", "111122223333.dkr-ecr.eu-west-1.on.aws",
     "111122223333.dkr.ecr.eu-west-1.registry.example", "111122223333.DKR.ECR.EU-WEST-1.Registry.Example"],
)  # fmt: skip
def test_a_configured_name_of_ecrs_form_names_its_registry(mode: str, name: str) -> None:
    for named in ({"hosts": (name,)}, {"hosts": (f"{name}:8443",)}, {"hosts": (), "public_url": f"https://{name}"}):
        locations = made(mode=mode, **named)
        for host in (name, f"{name}:8443", name.lower()):
            assert locations.of_host(host) == OTHER
            assert locations.repository(host, "team/app") == ref(OTHER, "team/app")
            assert locations.data_path(ref(OTHER, "app"), host) == "app"
            assert locations.source("localhost", f"{host}/team/app") == ref(OTHER, "team/app")
        assert locations.of_host("localhost") == ZERO


def test_a_configured_name_that_is_nearly_of_ecrs_form_is_the_default_registry() -> None:
    for name in ("111122223333.dkr.ecr.moon.example", "1111.dkr.ecr.eu-west-1.example", "dkr.ecr.eu-west-1.example"):
        assert made(hosts=(name,)).of_host(name) == ZERO


def test_the_path_form_wins_over_the_host() -> None:
    assert made().repository("localhost:4580", "111122223333/eu-west-1/team/app") == ref(OTHER, "team/app")
    host = "444455556666.dkr.ecr.us-east-1.amazonaws.com"
    assert made().repository(host, "111122223333/eu-west-1/app") == ref(OTHER, "app")


@pytest.mark.parametrize("name", ["../etc", "a//b", "A/b", "a", "111122223333/eu-west-1/..", "", "a/", "/ab"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidNameError):
        made().repository("localhost", name)


def test_names_of_the_path_form() -> None:
    assert Locations.is_path_form("111122223333/eu-west-1/app")
    assert not Locations.is_path_form("111122223333/app")
    assert not Locations.is_path_form("team/eu-west-1/app")


@pytest.mark.parametrize(
    "text",
    ["111122223333/eu-west-1/team/app", "localhost:4580/111122223333/eu-west-1/team/app",
     "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/app"],
)  # fmt: skip
def test_the_source_of_a_mount_in_every_form(text: str) -> None:
    assert made().source("localhost:4580", text) == ref(OTHER, "team/app")


def test_the_source_of_a_mount_with_a_dot_is_a_path() -> None:
    assert made().source("localhost:4580", "a.b/c") == ref(ZERO, "a.b/c")
    with pytest.raises(InvalidNameError):
        made().source("localhost", "evil.example:80/app")


def test_uris_of_the_request() -> None:
    locations = made(public_url="https://public.example")
    here = "localhost:4580"
    assert locations.repository_uri(ref(ZERO, "app"), here) == "localhost:4580/app"
    assert locations.repository_uri(ref(OTHER, "app"), here) == "localhost:4580/111122223333/eu-west-1/app"
    host = "111122223333.dkr.ecr.eu-west-1.localhost:4580"
    assert locations.repository_uri(ref(OTHER, "app"), host) == f"{host}/app"
    assert locations.proxy_endpoint(*ZERO, "http", here) == "http://localhost:4580"


def test_uris_as_at_aws() -> None:
    locations = made(uri_style="aws")
    aws = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    assert locations.repository_uri(ref(OTHER, "app"), "localhost") == f"{aws}/app"
    assert locations.proxy_endpoint(*OTHER, "http", "localhost") == f"https://{aws}"
    china = ref(Location(OTHER.account, Region("cn-north-1")), "app")
    uri = locations.repository_uri(china, "localhost")
    assert uri == "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/app"


def test_uris_with_the_registry_in_the_host() -> None:
    locations = made(uri_style="host")
    assert locations.repository_uri(ref(OTHER, "app"), "127.0.0.1:4580") == (
        "111122223333.dkr.ecr.eu-west-1.localhost:4580/app"
    )
    host = "444455556666.dkr.ecr.us-east-1.localhost:4580"
    assert locations.proxy_endpoint(*OTHER, "http", host) == "http://111122223333.dkr.ecr.eu-west-1.localhost:4580"


def test_uris_of_the_public_url() -> None:
    locations = made(mode="serve", public_url="https://public.example")
    assert locations.repository_uri(ref(ZERO, "app"), "10.0.0.1") == "public.example/app"
    assert locations.repository_uri(ref(OTHER, "app"), "x") == "public.example/111122223333/eu-west-1/app"
    assert locations.proxy_endpoint(*OTHER, "http", "x") == "https://public.example"
    assert locations.base_url("http", "x") == "https://public.example"


@given(
    st.sampled_from(["request", "host", "path"]),
    st.sampled_from([ZERO, OTHER]),
    st.from_regex(r"[a-z0-9]{2,9}(/[a-z0-9]{1,9})?", fullmatch=True),
    st.sampled_from(["localhost:4580", "127.0.0.1:80", "111122223333.dkr.ecr.eu-west-1.localhost:4580"]),
)
def test_what_is_returned_can_be_pushed_to(style: str, location: Location, name: str, host: str) -> None:
    locations = made(uri_style=style)
    wanted = ref(location, name)
    served, _, path = locations.repository_uri(wanted, host).partition("/")
    assert locations.known_host(served)
    assert locations.repository(served, path) == wanted


@pytest.mark.parametrize("style", ["request", "host", "path"])
@pytest.mark.parametrize("given_as", ["hosts", "public_url"])
@pytest.mark.parametrize("location", [ZERO, OTHER, Location(OTHER.account, Region("us-west-2"))])
def test_what_is_returned_can_be_pushed_to_by_a_configured_name(style: str, given_as: str, location: Location) -> None:
    name = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    named: dict[str, object] = (
        {"hosts": (name,)} if given_as == "hosts" else {"hosts": (), "public_url": f"https://{name}"}
    )
    locations = made(uri_style=style, **named)
    for host in (name, "localhost:4580"):
        served, _, path = locations.repository_uri(ref(location, "app"), host).partition("/")
        assert locations.known_host(served)
        assert locations.repository(served, path) == ref(location, "app")
        assert locations.known_host(locations.proxy_endpoint(*location, "http", host).partition("://")[2])


@given(st.text())
def test_no_host_breaks_the_reading(host: str) -> None:
    locations = made()
    assert locations.of_host(host) == ZERO or locations.known_host(host)
