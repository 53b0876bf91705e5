"""Applying a large file: read once, one at a time, with pauses, and without garbage for the cycle collector."""

import asyncio
import contextlib
import gc
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage.api.admin.one_at_a_time import Turns
from moorage.application import open_components
from moorage.declarative import yaml_nodes
from moorage.declarative.executor import OPERATOR
from moorage.declarative.reader import read
from moorage.declarative.service import ApplyOptions
from moorage.errors import Throttling
from moorage.settings import Settings
from tests.attacks.apply_calls import apply
from tests.bounds.latency import HealthPoll
from tests.support.admin_calls import Keys
from tests.support.server_process import ServerProcess

ACCOUNT = "111122223333"


def users(number: int) -> str:
    """A file with that many users."""
    entries = "".join(
        f"      user-{each}: {{path: /team/, tags: {{team: a, rack: '{each}'}}}}\n" for each in range(number)
    )
    return f'accounts:\n  "{ACCOUNT}":\n    users:\n{entries}'


def policies(number: int, statements: int) -> str:
    """A file with that many managed policies of as many statements each."""
    said = ", ".join(
        f'{{Sid: S{each}, Effect: Allow, Action: "ecr:BatchGetImage", Resource: "arn:aws:ecr:us-east-1:{ACCOUNT}:'
        f'repository/team-{each}/*", Condition: {{StringLike: {{"aws:PrincipalTag/x": "a*"}}}}}}'
        for each in range(statements)
    )
    document = f'{{Version: "2012-10-17", Statement: [{said}]}}'
    entries = "".join(f"      policy-{each}: {{document: {document}}}\n" for each in range(number))
    return f'accounts:\n  "{ACCOUNT}":\n    policies:\n{entries}'


def test_a_file_is_parsed_once_and_by_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser takes six seconds for 1 MiB, and ran twice."""
    loaders = []
    parse = yaml.parse

    def counted(stream: Any, Loader: Any) -> Any:  # noqa: N803 - PyYAML's name
        loaders.append(Loader)
        return parse(stream, Loader=Loader)

    monkeypatch.setattr(yaml, "parse", counted)
    monkeypatch.setattr(yaml, "compose", None)
    read(users(10))
    assert loaders == [yaml.CSafeLoader]


def test_a_file_leaves_nothing_to_the_cycle_collector() -> None:
    """Which hardly ever runs in a server."""
    text, wrong = users(500), users(500) + "      user-0: {}\n"
    read(text)
    with contextlib.suppress(yaml_nodes.DeclarationInvalid):
        read(wrong)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            read(text)
            with contextlib.suppress(yaml_nodes.DeclarationInvalid):
                read(wrong)
        assert gc.collect() < 500, "not one object for each node"
    finally:
        gc.enable()


def test_the_place_of_a_mistake_takes_no_memory_for_each_node() -> None:
    """Thirty long keys above twenty thousand items, before which the mistake stands."""
    text = "accounts: {" + "".join(f"{'k' * 60}{depth}: {{" for depth in range(30))
    text += "a: [" + "0," * 20_000 + "]" + "}" * 31
    tracemalloc.start()
    try:
        with pytest.raises(yaml_nodes.DeclarationInvalid, match="an account is 12 digits"):
            read(text)
        assert tracemalloc.get_traced_memory()[1] < 25 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", ["1" + ":59" * 300_000, "1" + ":1" * 400_000 + ".5", "0b" + "1" * 1_000_000])
def test_long_numbers_are_not_worked_out(number: str) -> None:
    """In base 60 the time would grow with the square of the length: half a minute for these."""
    trust = f'{{Statement: {{Effect: Allow, Principal: {{AWS: "{ACCOUNT}"}}, Action: "sts:AssumeRole"}}}}'
    text = f'accounts: {{"{ACCOUNT}": {{roles: {{r: {{trust: {trust}, max_session_seconds: {number}}}}}}}}}'
    with pytest.raises(yaml_nodes.DeclarationInvalid, match="is not a valid number"):
        read(text)


async def test_one_applies_while_few_wait() -> None:
    turns, release = Turns(waiting=2, seconds=60), asyncio.Event()
    inside = most = 0

    async def take() -> None:
        nonlocal inside, most
        async with turns.taken():
            inside += 1
            most = max(most, inside)
            await release.wait()
            inside -= 1

    tasks = [asyncio.create_task(take()) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert [task.done() for task in tasks] == [False, False, False, True]
    assert isinstance(tasks[3].exception(), Throttling)
    release.set()
    await asyncio.gather(*tasks[:3])
    assert most == 1
    async with turns.taken():
        pass


async def test_whoever_waits_too_long_is_throttled() -> None:
    turns = Turns(waiting=2, seconds=0)
    async with turns.taken():
        for _ in range(4):
            with pytest.raises(Throttling):
                await turns.taken().__aenter__()
    async with turns.taken():
        pass


async def test_others_are_served_while_a_file_is_compared(tmp_path: Path) -> None:
    tmp_path.joinpath("blobs").mkdir()
    parts = await open_components(Settings(mode="dev", data=tmp_path))
    try:
        file = read(users(400))
        await parts.declarative_files.apply(file, ApplyOptions(), OPERATOR)
        turns, done = 0, False

        async def other() -> None:
            nonlocal turns
            while not done:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        outcome = await parts.declarative_files.apply(file, ApplyOptions(dry_run=True), OPERATOR)
        done = True
        await task
        assert outcome.changes == []
        assert turns > 5
    finally:
        await parts.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path / "data").start()
    yield running
    running.stop()


@pytest.mark.torture
def test_how_long_others_wait(server: ServerProcess, tmp_path: Path) -> None:
    """Prints the longest answer of a health check, idle and while files of up to 1 MiB are compared."""
    keys = Keys(ACCOUNT)

    with HealthPoll(server.port, tmp_path / "waits") as poll:

        def measured(what: str, began: float) -> None:
            waits = poll.since(began)
            said = f"median {waits[len(waits) // 2] * 1000:.1f} ms, longest {waits[-1] * 1000:.1f} ms"
            print(f"{what}: {time.time() - began:.2f} s, {len(waits)} checks, {said}")  # noqa: T201 - what was measured
            assert waits[-1] < 1

        time.sleep(1)
        began = time.time()
        time.sleep(3)
        measured("idle", began)
        for name, text in (
            ("4,900 users", users(4900)),
            ("80 policies of 20 statements", policies(80, 20)),
            ("200,000 nodes", "accounts: [" + "0," * 199_000 + "]"),
            ("one scalar of 1 MB", f"accounts: {'x' * 1_000_000}"),
        ):
            began = time.time()
            answer = apply(server, keys, text, dry_run=True)
            measured(f"{name}, {len(text) >> 10} KiB: {answer.status}", began)
        began = time.time()
        assert len(apply(server, keys, users(1000)).json["changes"]) == 1000
        measured("1,000 users created", began)
        began = time.time()
        assert apply(server, keys, users(1000)).json["changes"] == []
        measured("1,000 users compared", began)
