"""Two hundred kills of whatever Moorage runs as, under load: nothing acknowledged is lost, nothing is half there.

A server, one of its workers, its supervisor and PostgreSQL are killed (SIGKILL) while clients push by both APIs, delete
images, set policies and make users. Then every image, policy and user is as the last acknowledged change left it.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import botocore.exceptions
import psutil
import pytest

from tests.conftest import PostgresServer
from tests.end_to_end.plane import Answer, Plane
from tests.end_to_end.pushing import push_image
from tests.running import RunningServer

pytestmark = pytest.mark.torture

KILLS = int(os.environ.get("MOORAGE_TORTURE_KILLS", "200"))
REPOSITORY = "kill/app"
IMMUTABLE = "kill/immutable"


def is_outage(error: Exception) -> bool:
    """Whether a client may see that of a server that is being killed: no answer, or that something failed there."""
    if isinstance(error, AssertionError) and error.args and isinstance(error.args[0], Answer):
        return error.args[0].status >= 500
    if isinstance(error, botocore.exceptions.ClientError):
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(error, OSError | http.client.HTTPException | botocore.exceptions.BotoCoreError)


Victim = Callable[[RunningServer], None]


def kill_server(server: RunningServer) -> None:
    """All of its processes at once, as a power cut would."""
    server.kill()


def kill_worker(server: RunningServer) -> None:
    """One worker; the supervisor must bring it back."""
    workers = [each for each in psutil.Process(server.pid).children() if _is_worker(each)]
    if workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            random.choice(workers).kill()


def kill_supervisor(server: RunningServer) -> None:
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


class Load:
    """Clients that change things until they are stopped, and what was acknowledged to them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.pushed: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.unsure: set[str] = set()
        """Tags whose deletion was asked for and not answered."""
        self.policies: list[tuple[str, bool]] = []
        """Sids that were set one after the other, and whether that was acknowledged."""
        self.users: set[str] = set()
        self.winners: dict[str, list[str]] = {}
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        clients = (self._push_by_ecr, self._push_by_oci, self._push_by_oci, self._delete, self._set_policies)
        self._threads = [
            threading.Thread(target=self._run, args=(each, number), daemon=True)
            for number, each in enumerate((*clients, self._make_users, self._race, self._race))
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Raise what a client did not expect."""
        self._stop.set()
        for each in self._threads:
            each.join(120)
            assert not each.is_alive()
        for failure in self.failures:
            raise failure

    @property
    def done(self) -> int:
        """How many changes were acknowledged."""
        return len(self.pushed) + len(self.deleted) + len(self.policies) + len(self.users)

    def _run(self, step: Callable[[int, int], None], number: int) -> None:
        try:
            for serial in range(10**9):
                if self._stop.is_set():
                    return
                try:
                    step(number, serial)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    time.sleep(0.02)
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def _push_by_ecr(self, number: int, serial: int) -> None:
        tag = f"t{number}-{serial}"
        self.pushed[tag] = push_image(self._ecr(), REPOSITORY, tag, content=tag.encode())

    def _push_by_oci(self, number: int, serial: int) -> None:
        tag = f"t{number}-{serial}"
        self.pushed[tag] = Plane(self.server).push(REPOSITORY, tag, tag.encode() * random.choice((10, 30_000)))

    def _delete(self, number: int, serial: int) -> None:
        time.sleep(0.1)
        tag = f"gone{number}-{serial}"
        push_image(self._ecr(), REPOSITORY, tag, content=tag.encode())
        self.unsure.add(tag)
        answer = self._ecr().batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])
        assert answer["failures"] == [], answer
        self.deleted.add(tag)
        self.unsure.discard(tag)

    def _set_policies(self, _number: int, serial: int) -> None:
        sid = f"Serial{serial}"
        statement = {"Sid": sid, "Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages"}
        self.policies.append((sid, False))
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._ecr().set_repository_policy(repositoryName=REPOSITORY, policyText=text)
        self.policies[-1] = (sid, True)

    def _make_users(self, number: int, serial: int) -> None:
        time.sleep(0.05)
        name = f"u{number}-{serial}"
        self.server.client("iam").create_user(UserName=name)
        self.users.add(name)

    def _race(self, number: int, serial: int) -> None:
        """Two clients want one immutable tag."""
        tag = f"race-{serial}"
        ecr = self._ecr()
        with contextlib.suppress(ecr.exceptions.ImageTagAlreadyExistsException):
            digest = push_image(ecr, IMMUTABLE, tag, content=f"{number} {serial}".encode())
            self.winners.setdefault(tag, []).append(digest)

    def _ecr(self) -> Any:
        return self.server.client("ecr")


def check(server: RunningServer, load: Load) -> None:
    """Everything is as the last acknowledged change left it, and every visible image is whole."""
    plane, ecr = Plane(server), server.client("ecr")
    pages = ecr.get_paginator("list_images").paginate(repositoryName=REPOSITORY)
    tags = {each["imageTag"] for page in pages for each in page["imageIds"] if "imageTag" in each}
    assert set(load.pushed) <= tags, "an acknowledged push is lost"
    assert not load.deleted & tags, "an acknowledged deletion is undone"
    for tag in tags:
        pulled = plane.pull(REPOSITORY, tag)
        assert load.pushed.get(tag, pulled) == pulled
    for tag, winners in load.winners.items():
        assert set(winners) == {plane.pull(IMMUTABLE, tag)}, "an immutable tag has two winners"
    acknowledged = max((at for at, (_, known) in enumerate(load.policies) if known), default=None)
    if acknowledged is not None:
        text = json.loads(ecr.get_repository_policy(repositoryName=REPOSITORY)["policyText"])
        possible = [sid for sid, _ in load.policies[acknowledged:]]
        assert text["Statement"][0]["Sid"] in possible, "an acknowledged policy is lost"
    pages = server.client("iam").get_paginator("list_users").paginate()
    assert load.users <= {each["UserName"] for page in pages for each in page["Users"]}, "a user is lost"
    [counted] = ecr.describe_repositories(repositoryNames=[IMMUTABLE])["repositories"]
    assert counted["repositoryName"] == IMMUTABLE


def torment(server: RunningServer, kills: int, kill: Victim) -> None:
    """Kill `kills` times under load, a few acknowledged changes apart, and check what is left."""
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    ecr.create_repository(repositoryName=IMMUTABLE, imageTagMutability="IMMUTABLE")
    load = Load(server)
    load.start()
    began = time.monotonic()
    for _ in range(kills):
        enough, end = load.done + 5, time.monotonic() + 120
        while load.done < enough and not load.failures and time.monotonic() < end:
            time.sleep(0.01)
        assert load.done >= enough or load.failures, f"nothing is served any more: {server.log.read_text()[-4000:]}"
        time.sleep(random.random() * 0.2)
        kill(server)
        if not server.is_running:
            server.start()
    load.stop()
    server.wait_until_ready()
    check(server, load)
    done = f"{len(load.pushed)} images, {len(load.deleted)} deletions, {len(load.policies)} policies, "
    done += f"{len(load.users)} users, {len(load.winners)} races"
    sys.stdout.write(f"\n{kills} kills in {time.monotonic() - began:.0f} s: {done}; nothing lost\n")
    assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kill", [kill_server, kill_worker, kill_supervisor])
def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path, kill: Victim, workers: int) -> None:
    server = RunningServer(tmp_path / "data", "--workers", str(workers)).start()
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


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost_when_postgresql_is_killed(
    tmp_path: Path, durable_postgres: PostgresServer, workers: int
) -> None:
    """The registry answers again when the database does, without being started again."""
    url = durable_postgres.new_database()
    server = RunningServer(tmp_path / "data", "--workers", str(workers), "--database-url", url).start()

    def kill(server: RunningServer) -> None:
        durable_postgres.kill()
        durable_postgres.start_again()
        assert server.is_running

    try:
        torment(server, KILLS // 8, kill)
    finally:
        server.kill()
