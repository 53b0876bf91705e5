"""Host names that look like a registry of ours: the credential helper hands its password to none of them."""

import json
import subprocess
from pathlib import Path

import pytest

from moorage import locations
from moorage.login import hosts
from moorage.login.errors import EndpointError
from moorage.login.helper import NOT_FOUND, HelperError, get, store
from moorage.login.hosts import Server, host_of, server_of, write_host
from moorage.login.server import find_place
from tests.login.conftest import FakeServer, fake, home  # noqa: F401 - fixtures
from tests.support.server_process import MOORAGE

ECR = "111122223333.dkr.ecr.us-east-1"
LOOK_ALIKES = [
    f"{ECR}.evil.example",
    f"{ECR}.amazonaws.com.evil.example",
    f"{ECR}.evilamazonaws.com",
    f"{ECR}.amazonaws.com.",
    f"{ECR}.amazonaws.co",
    f"{ECR}.amazonaws.com.cn.evil.example",
    f"{ECR}.on.aws.evil.example",
    f"{ECR}.x.amazonaws.com",
    f"{ECR}.localhost.evil.example",
    f"{ECR}.localhost",
    f"{ECR}.localhost:1",
    f"{ECR}.127.0.0.1:1",
    f"{ECR}.evil.example:4580",
    f"evil.example/{ECR}.amazonaws.com",
    f"evil.example?{ECR}.amazonaws.com",
    f"evil.example?@{ECR}.amazonaws.com",
    f"evil.example#@{ECR}.amazonaws.com",
    f"evil.example\\@{ECR}.amazonaws.com",
    f"evil.example {ECR}.amazonaws.com",
    f"evil.example\n{ECR}.amazonaws.com",
    f"{ECR}.amazonaws.com\nevil.example",
    f"https://evil.example/?x://{ECR}.amazonaws.com",
    f"https://evil.example://{ECR}.amazonaws.com",
    f"{ECR}.am\u0430zonaws.com",  # a Cyrillic a
    f"{ECR}.ama\u200bzonaws.com",
    f"{ECR}.amazonaws.com:99999999",
    f"{ECR}.amazonaws.com:x",
    f"{ECR}.amazonaws.com%2eevil.example",
    f"11112222333.{ECR.partition('.')[2]}.amazonaws.com",
    f"x{ECR}.amazonaws.com",
    f"evil.{ECR}.amazonaws.com",
    "localhost:1",
    "127.0.0.1",
    "127.0.0.2:1",
    "evil.example",
]


def asks(fake: FakeServer, home: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """An environment in which every ECR call goes to the server, with a minted key that it would get."""
    return home | {
        "AWS_ENDPOINT_URL": fake.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_no_password_for_a_look_alike(text: str, fake: FakeServer, home: dict[str, str]) -> None:  # noqa: F811
    environment = asks(fake, home)
    for given in (text, text.upper(), f"https://{text}", f"https://{text}/v2/", f"http://user:x@{text}"):
        with pytest.raises(HelperError) as caught:
            get(environment, given)
        assert str(caught.value) == NOT_FOUND
    assert fake.asked == [], "not even the server is asked"


def test_what_is_ours_is_answered_for(fake: FakeServer, home: dict[str, str]) -> None:  # noqa: F811
    environment = asks(fake, home)
    own = f"127.0.0.1:{fake.port}"
    for host in (
        own,
        f"{ECR}.amazonaws.com",
        f"{ECR.replace('us-east-1', 'cn-north-1')}.amazonaws.com.cn",
        f"{ECR.replace('us-east-1', 'us-gov-west-1')}.amazonaws.com",
        "111122223333.dkr-ecr.us-east-1.on.aws",
        "111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
        "111122223333.dkr.ecr-fips.us-east-1.amazonaws.com",
        f"{ECR}.localhost:{fake.port}",
        f"{ECR}.{own}",
        f"{ECR}.AMAZONAWS.com",
    ):
        server = server_of(environment, host_of(host))
        assert server is not None, host
        assert server.endpoint == fake.url


def test_a_name_under_localhost_is_for_a_server_of_this_machine(home: dict[str, str]) -> None:  # noqa: F811
    environment = home | {"AWS_ENDPOINT_URL": "https://registry.example.com:4580"}
    assert server_of(environment, f"{ECR}.localhost:4580") is None
    assert server_of(environment, f"{ECR}.registry.example.com:4580") is not None
    assert server_of(environment, f"{ECR}.registry.example.com") is None


def test_a_look_alike_that_was_set_up_is_answered_for(home: dict[str, str]) -> None:  # noqa: F811
    server = Server("https://evil.example", "us-east-1", {"open": "test"})
    write_host(home, f"{ECR}.evil.example", server)
    assert server_of(home, f"{ECR}.evil.example") == server


def test_a_registry_that_redirects_gets_no_key(fake: FakeServer, home: dict[str, str]) -> None:  # noqa: F811
    fake.status, fake.headers = 307, {"Location": "http://127.0.0.1:1/"}
    with pytest.raises(EndpointError):
        get(asks(fake, home), f"{ECR}.amazonaws.com")
    assert len(fake.asked) == 1


@pytest.mark.parametrize("text", ["..", "../x", ".", "-x", "a..b", 'a"b', "a;b", "$(id)", "a b", "[x]", ":1", "a:"])
def test_what_is_no_host_names_no_file_and_no_command(text: str, home: dict[str, str]) -> None:  # noqa: F811
    with pytest.raises(EndpointError, match="is not"):
        find_place(text, home, "http://localhost:4580")
    with pytest.raises(HelperError):
        store(home, json.dumps({"ServerURL": text, "Username": "u", "Secret": "s"}))
    done = subprocess.run(
        [MOORAGE, "login", "--tool", "containerd", "--containerd-hosts", f"{home['HOME']}/hosts", "--", text],
        env=home,
        cwd=home["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is not" in done.stderr
    assert list(Path(home["HOME"]).rglob("hosts.toml")) == []


def test_both_sides_know_the_same_domains_of_amazon() -> None:
    assert hosts.AWS_SUFFIXES == locations._AWS_SUFFIXES
