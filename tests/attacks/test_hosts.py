"""Host headers: which names are answered to, above all in dev mode, whose keys are open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.locations import Locations
from moorage.names import InvalidNameError
from moorage.settings import Settings
from tests.attacks.raw_requests import ask, signed_as
from tests.support.in_process import InProcess, in_process

AWS_NAMES = [
    "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com:4580",
    "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "123456789012.dkr-ecr.us-east-1.on.aws",
    "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
    "api.ecr.us-east-1.amazonaws.com",
    "ecr.us-east-1.amazonaws.com",
    "sts.us-east-1.amazonaws.com",
    "sts.amazonaws.com",
    "iam.amazonaws.com",
]


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings.from_environment({}, mode="dev", data=tmp_path / "data")) as running:
        yield running


@pytest.mark.parametrize("host", AWS_NAMES)
async def test_dev_mode_does_not_answer_to_names_of_aws(dev: InProcess, host: str) -> None:
    for method, path, headers in (
        ("POST", "/", signed_as("test", "DescribeRepositories", host=host)),
        ("GET", "/v2/", [("host", host)]),
        ("POST", "/_moorage/reset", [("host", host)]),
    ):
        answer = await ask(dev.asgi, method, path, headers, b"{}")
        assert answer.status == 421, (path, answer)


@pytest.mark.parametrize("host", AWS_NAMES)
def test_serve_answers_to_them(host: str) -> None:
    assert Locations(Settings.from_environment({}, mode="serve")).known_host(host)


def test_dev_mode_answers_to_those_that_are_configured() -> None:
    named = Locations(
        Settings.from_environment({}, mode="dev", hosts=("123456789012.dkr.ecr.eu-west-1.amazonaws.com",))
    )
    assert named.of_host("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443") == ("123456789012", "eu-west-1")
    assert not named.known_host("123456789013.dkr.ecr.eu-west-1.amazonaws.com")
    every = Locations(Settings.from_environment({}, mode="dev", hosts=("amazonaws.com",)))
    assert every.of_host("123456789013.dkr.ecr.eu-west-1.amazonaws.com") == ("123456789013", "eu-west-1")
    assert every.known_host("api.ecr.us-east-1.amazonaws.com")
    assert not every.known_host("123456789012.dkr-ecr.us-east-1.on.aws")


async def test_a_host_longer_than_a_name_can_be_is_refused(dev: InProcess) -> None:
    port = ":" + "0" * 4000 + "1"
    assert (await ask(dev.asgi, "GET", "/v2/", [("host", "localhost" + port)])).status == 421
    assert (await ask(dev.asgi, "GET", "/v2/", [("host", "localhost:00080")])).status == 401


def test_only_known_hosts_are_remembered() -> None:
    locations = Locations(Settings.from_environment({}, mode="serve"))
    for number in range(5000):
        assert not locations.known_host(f"host{number}.example")
        with pytest.raises(InvalidNameError):
            locations.repository("localhost", f"-{number}")
    assert len(locations._known) == 1
    for number in range(20_000):
        assert locations.known_host(f"localhost:{number}")
    assert locations._known.size <= locations._known.most == 1 << 20
