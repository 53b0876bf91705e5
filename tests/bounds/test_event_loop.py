"""How long the event loop is held by what a caller may send: everybody else waits for as long."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.access.repository_policy import MAX_TEXT
from moorage.settings import Settings
from tests.bounds.test_many_policies import policy
from tests.support.in_process import InProcess, in_process

pytestmark = pytest.mark.torture
HELD = 0.1
"""Seconds; generous, since the machine may be busy. On a quiet one 0.02 is kept, and what was measured is printed."""
NAME = "team/app"
ONE = {"Effect": "Allow", "Principal": "*", "Action": "*"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as made:
        await made.ok("CreateRepository", repositoryName=NAME)
        yield made


async def held(work: Awaitable[Any]) -> float:
    """The longest time for which the event loop ran nothing else while `work` was done."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - started - 0.001)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.01)
    longest = 0.0
    await work
    await asyncio.sleep(0.002)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return longest


async def least(times: int, work: Callable[[int], Awaitable[Any]]) -> float:
    """The least of the longest holds of some rounds: what the work itself causes, and not the machine."""
    return min([await held(work(number)) for number in range(times)])


def say(what: str, seconds: float) -> None:
    sys.stdout.write(f"\n{what}: the event loop was held for {1000 * seconds:.1f} ms")
    assert seconds < HELD, what


async def test_an_ordinary_policy_of_twenty_statements(app: InProcess) -> None:
    async def work(number: int) -> None:
        await app.ok("SetRepositoryPolicy", repositoryName=NAME, policyText=policy(number))

    await work(1000)
    say("policy of 20 statements", await least(7, work))


def pairs(count: int) -> list[dict[str, Any]]:
    denies = [{**ONE, "Effect": "Deny", "Action": ["ecr:*a?", "ecr:b*"]}] * (count // 2)
    return [*denies, *[{**ONE, "Action": ["ecr:*a*"]}] * (count - count // 2)]


def condition(tests: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {**ONE, "Condition": {"StringLike": tests}}}


LONGEST: dict[str, Callable[[int], Any]] = {
    "prefixes": lambda n: {"Statement": {**ONE, "Action": [f"ecr:{chr(97 + at % 26)}*" for at in range(n)]}},
    "patterns": lambda n: {
        "Statement": {**ONE, "Action": [*["ecr:*a?"] * min(n, 290), *["ecr:PutImage"] * max(0, n - 290)]}
    },
    "misspelt": lambda n: {"Statement": {**ONE, "Action": [f"ecr:PutImag{at}" for at in range(n)]}},
    "statements": lambda n: {"Statement": [ONE] * n},
    "denies": lambda n: {"Statement": pairs(n)},
    "faults": lambda n: {"Statement": [{}] * n},
    "keys": lambda n: condition({f"aws:{at}": "" for at in range(n)}),
    "misspelt keys": lambda n: condition({f"aws:SourcIp{at}": "" for at in range(n)}),
    "values": lambda n: condition({"aws:userid": [f"*{at}?" for at in range(n)]}),
    "variables": lambda n: condition({"aws:userid": ["${a:b}?"] * n}),
    "principals": lambda n: {"Statement": {**ONE, "Principal": {"AWS": ["x"] * n}}},
}


def longest(shape: str) -> str:
    """The longest text of a shape that the API takes."""
    least, most = 1, MAX_TEXT
    while least < most:
        middle = (least + most + 1) // 2
        fits = len(json.dumps(LONGEST[shape](middle), separators=(",", ":"))) <= MAX_TEXT
        least, most = (middle, most) if fits else (least, middle - 1)
    return json.dumps(LONGEST[shape](least), separators=(",", ":"))


@pytest.mark.parametrize("shape", LONGEST)
async def test_the_longest_policies(app: InProcess, shape: str) -> None:
    text = longest(shape)

    async def work(number: int) -> None:
        reply = await app.ecr("SetRepositoryPolicy", repositoryName=NAME, policyText=f"{text[:-1]} }}" + " " * number)
        assert reply.status in {200, 400}

    say(f"longest text of {shape}", await least(4, work))


@pytest.mark.parametrize(
    "values",
    [["*" + "a?" * 1000 + "b*"], [f"*?b{at}*" for at in range(800)], ["*" + "a" * 50 + "b" + "a" * 47 + "*"] * 90],
    ids=["one", "many", "literal"],
)
async def test_a_long_header_and_patterns(app: InProcess, values: list[str]) -> None:
    text = json.dumps(condition({"aws:UserAgent": values}), separators=(",", ":"))
    await app.ok("SetRepositoryPolicy", repositoryName=NAME, policyText=text, force=True)

    async def work(number: int) -> None:
        body = json.dumps({"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}]}).encode()
        await app.ask("BatchGetImage", body, user_agent="a" * (8192 - number))

    say("User-Agent of 8 KiB", await least(4, work))


async def test_an_explanation_with_many_denials(app: InProcess) -> None:
    tests = [{"StringNotLike": {"aws:UserAgent": f"x{at}*"}} for at in range(70)]
    text = json.dumps({"Statement": [{**ONE, "Effect": "Deny", "Condition": each} for each in tests]})
    await app.ok("SetRepositoryPolicy", repositoryName=NAME, policyText=text.replace(" ", ""), force=True)
    body = json.dumps({"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}]}).encode()
    for number in range(1200):
        reply = await app.ask("BatchGetImage", body, user_agent=f"agent/{number}")
        assert reply.error[0] == "AccessDeniedException"

    async def work(_: int) -> None:
        answer = await app.ask("", b"", method="GET", path="/_moorage/explain", service="moorage")
        assert answer.json["decision"] == "DENY", answer

    await work(0)
    say("explanation beside 1,200 denials", await least(3, work))
