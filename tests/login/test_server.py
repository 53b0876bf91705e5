"""Which server is meant: never plain HTTP over a network unless a person wrote it."""

import pytest

from moorage.login.errors import EndpointError
from moorage.login.hosts import is_loopback
from moorage.login.server import Place, find_place, port_of
from tests.login.conftest import FakeServer

SERVED = "http://localhost:4580"


@pytest.mark.parametrize(
    ("text", "environment", "place"),
    [
        (None, {}, Place(("localhost:4580", "127.0.0.1:4580"), SERVED)),
        (
            None,
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:4581/"},
            Place(("127.0.0.1:4581", "localhost:4581"), "http://127.0.0.1:4581"),
        ),
        (None, {"AWS_ENDPOINT_URL_ECR": "https://r.example.com"}, Place(("r.example.com",), "https://r.example.com")),
        ("localhost:4580", {}, Place(("localhost:4580",), SERVED)),
        ("r.example.com", {}, Place(("r.example.com",), "https://r.example.com")),
        (
            "r.example.com",
            {"AWS_ENDPOINT_URL": "http://r.example.com"},
            Place(("r.example.com",), "http://r.example.com"),
        ),
        ("http://r.example.com:80", {}, Place(("r.example.com:80",), "http://r.example.com:80")),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            {"AWS_ENDPOINT_URL": SERVED},
            Place(("123456789012.dkr.ecr.us-east-1.amazonaws.com",), SERVED),
        ),
    ],
)
def test_what_is_meant(home: dict[str, str], text: str | None, environment: dict[str, str], place: Place) -> None:
    assert find_place(text, home | environment, SERVED) == place


def test_a_name_of_amazons_is_not_guessed_at(home: dict[str, str]) -> None:
    with pytest.raises(EndpointError, match="--endpoint-url"):
        find_place("123456789012.dkr.ecr.us-east-1.amazonaws.com", home, SERVED)


def test_this_machine_may_answer_without_tls(home: dict[str, str], fake: FakeServer) -> None:
    assert find_place(f"127.0.0.1:{fake.port}", home, SERVED).endpoint == fake.url


@pytest.mark.parametrize(
    ("host", "answer"),
    [("localhost:1", True), ("a.localhost", True), ("127.9.9.9", True), ("[::1]:4580", True), ("r.example.com", False)],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_ports() -> None:
    assert port_of("r.example.com", plain=False) == 443
    assert port_of("r.example.com", plain=True) == 80
    assert port_of("[::1]:4580", plain=True) == 4580
    with pytest.raises(EndpointError):
        port_of("r.example.com:99999", plain=True)
