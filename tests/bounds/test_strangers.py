"""What strangers send leaves nothing behind in memory: no cache is keyed by it before it is verified."""

import base64
import functools
import gc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moorage.identity.identity import Identity
from moorage.identity.principals.unique_ids import PULL_TOKEN
from moorage.names import AccountId
from moorage.settings import Settings
from tests.attacks.raw_requests import HOST, ask
from tests.support.in_process import InProcess, in_process

FLOOD = 400
OWNER = AccountId("111122223333")
Request = tuple[str, str, list[tuple[str, str]], bytes]


@pytest.fixture(params=["dev", "serve"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[InProcess]:
    settings = Settings.from_environment({}, mode=request.param, data=tmp_path / "data", anonymous_pull=True)
    async with in_process(settings) as running:
        yield running


def identity(opened: InProcess) -> Identity:
    return opened.components.identity


def remembered() -> dict[int, tuple[str, int]]:
    """Every container and cache of this process: what it is, and how many entries it has."""
    gc.collect()
    found = {}
    for each in gc.get_objects():
        if isinstance(each, (dict, set, list)) and type(each).__module__ != "ast":
            found[id(each)] = (f"{type(each).__name__} of {type(next(iter(each), None)).__name__}", len(each))
        elif isinstance(each, functools._lru_cache_wrapper):
            found[id(each)] = (f"cache of {each.__wrapped__!r}", each.cache_info().currsize)
    return found


def grown(before: dict[int, tuple[str, int]]) -> list[tuple[str, int]]:
    """Whatever has more entries by about as many as were sent."""
    after = remembered()
    more = [(what, size - before.get(at, ("", 0))[1]) for at, (what, size) in after.items() if at != id(before)]
    return [(what, number) for what, number in more if number >= FLOOD // 2]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def pulling(authorization: str) -> Request:
    return "GET", "/v2/team/app/manifests/latest", [HOST, ("authorization", authorization)], b""


def signed(
    key: str, region: str = "us-east-1", names: str = "host;x-amz-date;x-amz-target", service: str = "ecr"
) -> Request:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{key}/{at[:8]}/{region}/{service}/aws4_request"
    headers = [
        HOST,
        ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"),
        ("x-amz-date", at),
        ("authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={'0' * 64}"),
    ]
    return "POST", "/", headers, b"{}"


FLOODS: dict[str, Callable[[int], Request]] = {
    "hosts": lambda n: ("GET", "/v2/", [("host", f"host{n}.example")], b""),
    "methods": lambda n: (f"M{n}", "/v2/", [HOST], b""),
    "methods of the other doors": lambda n: (f"M{n}", ("/", "/_moorage/ready")[n % 2], [HOST], b""),
    "paths": lambda n: ("GET", f"/_moorage/{n}", [HOST], b""),
    "repositories": lambda n: ("GET", f"/v2/not/{n}/manifests/x", [HOST, ("authorization", "Basic OnA=")], b""),
    "pull tokens": lambda n: pulling(basic("AWS", f"mrg_{token_id(n)}_{'x' * 43}")),
    "passwords": lambda n: pulling(basic("AWS", f"password{n}")),
    "users": lambda n: pulling(basic(f"AKIA{n:016d}", "x")),
    "bearers": lambda n: pulling(f"Bearer {'a' * 40}{n}"),
    "download tokens": lambda n: ("GET", f"/v2/a/b/blobs/sha256:{'0' * 64}", [HOST], b"token=" + b"a" * 40 + b"%d" % n),
    "key ids": lambda n: signed(f"AKIA{n:016d}"),
    "services": lambda n: signed("AKIAAAAAAAAAAAAAAAAA", service=f"s{n}"),
    "user agents": lambda n: ("GET", "/v2/", [HOST, ("user-agent", f"agent/{n}")], b""),
    "origins": lambda n: ("GET", "/v2/", [HOST, ("origin", f"http://{n}.example")], b""),
}


def token_id(number: int) -> str:
    """A pull token's id that was never given to anybody."""
    letters = "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:016d}")
    return f"{PULL_TOKEN}{letters}"


async def send(opened: InProcess, request: Request) -> int:
    method, path, headers, more = request
    query, body = (more, b"") if more.startswith(b"token=") else (b"", more)
    return (await ask(opened.asgi, method, path, headers, body, query=query)).status


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_of_strangers_leaves_nothing(opened: InProcess, kind: str) -> None:
    make = FLOODS[kind]
    for number in range(20):
        await send(opened, make(number))
    await opened.components.recorder.flush()
    before = remembered()
    await flood(opened, make, 20)
    assert grown(before) == []


async def flood(opened: InProcess, make: Callable[[int], Request], first: int) -> set[int]:
    """Send `FLOOD` of these. What is on its way into the audit record is written now and then."""
    statuses = set()
    for number in range(first, first + FLOOD):
        statuses.add(await send(opened, make(number)))
        if number % 50 == 0:
            await opened.components.recorder.flush()
    await opened.components.recorder.flush()
    return statuses


async def test_secrets_and_signatures_that_are_wrong_leave_nothing(opened: InProcess) -> None:
    found = identity(opened)
    await found.accounts.ensure(OWNER, by="tests")
    await found.users.create(OWNER, "/", "ada", "test")
    key, _ = await found.keys.create(OWNER, "ada", by="tests")
    token, text = await found.pull_tokens.create(
        OWNER, "ada", "ci", ["*"], ["ecr:BatchGetImage"], opened.components.clock.now() + 900, "test"
    )
    kinds: list[Callable[[int], Request]] = [
        lambda n: signed(key.id, region=f"{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10 % 10]}-east-{n % 90}"),
        lambda n: signed(key.id, names=f"host;x-amz-date;x-amz-target;x-{n}"),
        lambda n: pulling(basic("AWS", f"mrg_{token.id}_{n:043d}")),
        lambda n: pulling(f"Basic {' ' * n}{basic('AWS', text)[6:]}"),  # right, in many spellings
    ]
    statuses = []
    for make in kinds:
        await send(opened, make(0))
        before = remembered()
        statuses.append(await flood(opened, make, 1))
        assert grown(before) == []
    assert statuses == [{400}, {400}, {401}, {403}]
