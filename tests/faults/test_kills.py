"""Kills of whatever Moorage runs as, under load: nothing acknowledged is lost, nothing is half there.

A server, one of its workers, its supervisor and PostgreSQL are killed (SIGKILL) while clients push by both APIs, delete
images, set policies and make users. Then every image, policy and user is as the last acknowledged change left it.
"""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.faults.load import Load
from tests.support.postgres import PostgresServer
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.xdist_group("kill")  # each needs all of a processor

KILLS = int(os.environ.get("TORTURE_KILLS", "200"))


Victim = Callable[[ServerProcess], None]


def kill_server(server: ServerProcess) -> None:
    """All of its processes at once, as a power cut would."""
    server.kill()


def kill_worker(server: ServerProcess) -> None:
    """One worker; the supervisor must bring it back."""
    workers = [each for each in psutil.Process(server.pid).children() if _is_worker(each)]
    if workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            random.choice(workers).kill()


def kill_supervisor(server: ServerProcess) -> None:
    """The process that was started, alone; its workers must end with it and leave the port."""
    workers = psutil.Process(server.pid).children()
    os.kill(server.pid, signal.SIGKILL)
    server.wait_for_end()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == [], "workers serve on without their supervisor"


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(each.status == psutil.CONN_LISTEN for each in process.net_connections("tcp"))
    return False


def torment(server: ServerProcess, kills: int, kill: Victim) -> None:
    """Kill `kills` times under load, a few acknowledged changes apart, and check what is left."""
    load = Load(server)
    load.start()
    began = time.monotonic()
    for _ in range(kills):
        enough, end = load.done + 5, time.monotonic() + 120
        while load.done < enough and not load.failed and time.monotonic() < end:
            time.sleep(0.01)
        assert load.done >= enough or load.failed, f"nothing is served any more: {server.log.read_text()[-4000:]}"
        time.sleep(random.random() * 0.2)
        kill(server)
        if not server.is_running:
            server.start()
    load.stop()
    server.wait_until_ready()
    load.check()
    done = f"{len(load.pushed)} images, {len(load.deleted)} deletions, {len(load.policies)} policies, "
    done += f"{len(load.users)} users, {len(load.winners)} races"
    sys.stdout.write(f"\n{kills} kills in {time.monotonic() - began:.0f} s: {done}; nothing lost\n")
    assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, workers: int) -> None:
    server = ServerProcess(tmp_path / "data", "--workers", str(workers)).start()
    try:
        torment(server, 3, kill_server)
    finally:
        server.kill()


@pytest.mark.torture
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kill", [kill_server, kill_worker, kill_supervisor])
def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path, kill: Victim, workers: int) -> None:
    server = ServerProcess(tmp_path / "data", "--workers", str(workers)).start()
    try:
        torment(server, KILLS // 8, kill)
    finally:
        server.kill()


@pytest.fixture
def durable_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that writes its log to the disk before it answers, and is nobody else's."""
    with TemporaryDirectory(prefix="moorage-postgres-") as name:
        server = PostgresServer(Path(name), fsync=True)
        server.start()
        yield server
        server.stop()


@pytest.mark.torture
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost_when_postgresql_is_killed(
    tmp_path: Path, durable_postgres: PostgresServer, workers: int
) -> None:
    """The registry answers again when the database does, without being started again."""
    url = durable_postgres.new_database()
    server = ServerProcess(tmp_path / "data", "--workers", str(workers), "--database-url", url).start()

    def kill(server: ServerProcess) -> None:
        durable_postgres.kill()
        durable_postgres.start_again()
        assert server.is_running

    try:
        torment(server, KILLS // 8, kill)
    finally:
        server.kill()
