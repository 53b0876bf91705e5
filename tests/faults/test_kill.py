"""kill -9 while several clients push: every image that was acknowledged pulls afterwards, and nothing is half there."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.plane import Plane
from tests.end_to_end.pushing import push_image
from tests.running import RunningServer

REPOSITORY = "kill/app"


def by_the_ecr_api(server: RunningServer) -> Callable[[str], str]:
    ecr: Any = server.client("ecr")
    return lambda tag: push_image(ecr, REPOSITORY, tag, content=tag.encode())


def by_the_data_plane(server: RunningServer) -> Callable[[str], str]:
    plane = Plane(server)
    return lambda tag: plane.push(REPOSITORY, tag, tag.encode() * 5000)


@pytest.mark.parametrize("way", [by_the_ecr_api, by_the_data_plane])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_survives_a_kill(
    tmp_path: Path, way: Callable[[RunningServer], Callable[[str], str]], workers: int
) -> None:
    server = RunningServer(tmp_path / "data", "--workers", str(workers)).start()
    server.client("ecr").create_repository(repositoryName=REPOSITORY)
    acknowledged: dict[str, str] = {}
    stop = threading.Event()

    def push_on(number: int) -> None:
        push = way(server)
        for serial in range(10_000):
            if stop.is_set():
                return
            tag = f"t{number}-{serial}"
            try:
                acknowledged[tag] = push(tag)
            except Exception:  # noqa: BLE001 - the server is being killed under this client
                if not stop.is_set():
                    time.sleep(0.05)

    threads = [threading.Thread(target=push_on, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(acknowledged)
        end = time.monotonic() + 120
        while len(acknowledged) < before + 4 and time.monotonic() < end:
            time.sleep(0.01)
        server.kill()
        server.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(acknowledged) >= 12
    everything_visible_is_whole(server, acknowledged)
    assert server.stop() == 0


def everything_visible_is_whole(server: RunningServer, acknowledged: dict[str, str]) -> None:
    """Each tag that is there, acknowledged or not, pulls to the last byte; each acknowledged one is there."""
    plane = Plane(server)
    tags = json.loads(plane("GET", f"/v2/{REPOSITORY}/tags/list").body)["tags"]
    assert set(acknowledged) <= set(tags)
    for tag in tags:
        pulled = plane.pull(REPOSITORY, tag)
        assert acknowledged.get(tag, pulled) == pulled
