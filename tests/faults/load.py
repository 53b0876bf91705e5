"""Clients that change things while a server is killed, and whether what was acknowledged to them is there after it."""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import botocore.exceptions

from tests.support.ecr_push import push_image
from tests.support.oci_http import Answer, OciClient
from tests.support.server_process import ServerProcess

REPOSITORY = "kill/app"
IMMUTABLE = "kill/immutable"


def is_outage(error: Exception) -> bool:
    """Whether a client may see that of a server that is being killed: no answer, or that something failed there."""
    if isinstance(error, AssertionError) and error.args and isinstance(error.args[0], Answer):
        return error.args[0].status >= 500
    if isinstance(error, botocore.exceptions.ClientError):
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500
    return isinstance(error, OSError | http.client.HTTPException | botocore.exceptions.BotoCoreError)


class Load:
    """Clients that change things until they are stopped, and what was acknowledged to them."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.pushed: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.unsure: set[str] = set()
        """Tags whose deletion was asked for and not answered."""
        self.policies: list[tuple[str, bool]] = []
        """Sids that were set one after the other, and whether that was acknowledged."""
        self.users: set[str] = set()
        self.winners: dict[str, list[str]] = {}
        self._stop = threading.Event()
        steps = (self._push_by_ecr, self._push_by_oci, self._push_by_oci, self._delete, self._set_policies)
        self._steps = (*steps, self._make_users, self._race, self._race)
        self._pool = ThreadPoolExecutor(len(self._steps))
        self._clients: list[Future[None]] = []

    def start(self) -> None:
        """Create the repositories and begin."""
        ecr = self._ecr()
        ecr.create_repository(repositoryName=REPOSITORY)
        ecr.create_repository(repositoryName=IMMUTABLE, imageTagMutability="IMMUTABLE")
        self._clients = [self._pool.submit(self._run, step, number) for number, step in enumerate(self._steps)]

    @property
    def failed(self) -> bool:
        """Whether a client met something that it did not expect. `stop` raises it."""
        return any(each.done() for each in self._clients)

    def stop(self) -> None:
        """Stop the clients, and raise the first error that one of them did not expect."""
        self._stop.set()
        for each in self._clients:
            each.result(120)
        self._pool.shutdown()

    def check(self) -> None:
        """Everything is as the last acknowledged change left it, and every visible image is whole."""
        oci, ecr = OciClient(self.server), self._ecr()
        pages = ecr.get_paginator("list_images").paginate(repositoryName=REPOSITORY)
        tags = {each["imageTag"] for page in pages for each in page["imageIds"] if "imageTag" in each}
        assert set(self.pushed) <= tags, "an acknowledged push is lost"
        assert not self.deleted & tags, "an acknowledged deletion is undone"
        for tag in tags:
            pulled = oci.pull(REPOSITORY, tag)
            assert self.pushed.get(tag, pulled) == pulled
        for tag, winners in self.winners.items():
            assert set(winners) == {oci.pull(IMMUTABLE, tag)}, "an immutable tag has two winners"
        acknowledged = max((at for at, (_, known) in enumerate(self.policies) if known), default=None)
        if acknowledged is not None:
            text = json.loads(ecr.get_repository_policy(repositoryName=REPOSITORY)["policyText"])
            possible = [sid for sid, _ in self.policies[acknowledged:]]
            assert text["Statement"][0]["Sid"] in possible, "an acknowledged policy is lost"
        pages = self.server.client("iam").get_paginator("list_users").paginate()
        assert self.users <= {each["UserName"] for page in pages for each in page["Users"]}, "a user is lost"
        [counted] = ecr.describe_repositories(repositoryNames=[IMMUTABLE])["repositories"]
        assert counted["repositoryName"] == IMMUTABLE

    @property
    def done(self) -> int:
        """How many changes were acknowledged."""
        return len(self.pushed) + len(self.deleted) + len(self.policies) + len(self.users)

    def _run(self, step: Callable[[int, int], None], number: int) -> None:
        for serial in itertools.count():
            if self._stop.is_set():
                return
            try:
                step(number, serial)
            except Exception as error:
                if not is_outage(error):
                    raise
                time.sleep(0.02)

    def _push_by_ecr(self, number: int, serial: int) -> None:
        tag = f"t{number}-{serial}"
        self.pushed[tag] = push_image(self._ecr(), REPOSITORY, tag, content=tag.encode())

    def _push_by_oci(self, number: int, serial: int) -> None:
        tag = f"t{number}-{serial}"
        self.pushed[tag] = OciClient(self.server).push(REPOSITORY, tag, tag.encode() * random.choice((10, 30_000)))

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
