"""However many policies are set, a worker keeps no more of them than its caches may hold, and never stops for long."""

import gc
import http.client
import json
import os
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from moorage import cache
from moorage.access import authorize, repository_policy
from moorage.audit import shared_values
from moorage.registry.repository_policies import service as repository_policies
from moorage.settings import Settings
from tests.bounds.latency import HealthPoll
from tests.support.in_process import in_process
from tests.support.server_process import ServerProcess

POLICIES = int(os.environ.get("TORTURE_POLICIES", "100000"))
REPOSITORIES = POLICIES // 10
THREADS = 4
MEBIBYTE = 1 << 20


def policy(number: int, statements: int = 20) -> str:
    """A policy as no other number has it; of 20 statements about 5 KB."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": f"team{number}x{at}",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{(number * 20 + at) % 10**12:012}:root"},
                    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
                    "Condition": {"IpAddress": {"aws:SourceIp": f"10.{at}.0.0/16"}},
                }
                for at in range(statements)
            ],
        }
    )


async def test_caches_stay_within_their_bytes_and_so_does_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (authorize, "_KEPT"),
        (authorize, "_ANSWERS"),
        (shared_values, "_POLICIES"),
        (repository_policy, "_TEXTS"),
    ):
        monkeypatch.setattr(module, name, MEBIBYTE)
    monkeypatch.setattr(repository_policies, "_DOCUMENTS_KEPT", MEBIBYTE // 8)
    before = {each.name: each.bytes for each in cache.sizes()}
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as app:
        await app.ok("CreateRepository", repositoryName="app")

        async def set_policies(start: int) -> None:
            for number in range(start, start + 60):
                await app.ok("SetRepositoryPolicy", repositoryName="app", policyText=policy(number))
            await app.components.recorder.flush()  # decisions that are not written yet hold their policies

        await set_policies(0)
        gc.collect()
        tracemalloc.start()
        try:
            await set_policies(1000)
            gc.disable()  # what a policy leaves must go without the collector
            held, _ = tracemalloc.get_traced_memory()
            await set_policies(2000)
            grown = tracemalloc.get_traced_memory()[0] - held
        finally:
            gc.enable()
            tracemalloc.stop()
        sizes = {each.name: each for each in cache.sizes()}
        for name in ("policy_documents", "policy_sets", "policy_plans", "policies_being_set"):
            size = sizes[name].bytes - before.get(name, 0)
            assert 0.5 * MEBIBYTE < size <= MEBIBYTE, sizes[name]
        # Sixty compiled policies would be more than 3 MiB.
        assert grown < MEBIBYTE


@pytest.mark.torture
def test_a_worker_stays_small_and_awake_while_policies_are_set(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    try:
        worker = max(
            (psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)),
            key=lambda each: each.memory_info().rss,
        )
        idle = worker.memory_info().rss

        def work(start: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            scope = "test/20260101/us-east-1/ecr/aws4_request"
            headers = {
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}",
                "X-Amz-Date": "20260101T000000Z",
            }

            def call(operation: str, **members: object) -> None:
                target = {"X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}"}
                connection.request("POST", "/", json.dumps(members).encode(), headers | target)
                answer = connection.getresponse()
                assert (answer.read(), answer.status)[1] == 200

            for number in range(start, REPOSITORIES, THREADS):
                call("CreateRepository", repositoryName=f"team/r{number}")
            for number in range(start, POLICIES, THREADS):
                name = f"team/r{number % REPOSITORIES // THREADS * THREADS + start}"
                call("SetRepositoryPolicy", repositoryName=name, policyText=policy(number))

        with HealthPoll(server.port, tmp_path / "waits") as poll, ThreadPoolExecutor(THREADS) as pool:
            started = time.time()
            list(pool.map(work, range(THREADS)))
            seconds = time.time() - started
            waits = poll.since(started)
        resident = worker.memory_info().rss
        caches = [line for line in _metrics(server.port) if line.startswith("moorage_cache_bytes")]
    finally:
        server.stop()
    sys.stdout.write(
        f"\n{POLICIES} policies of {len(policy(1))} characters over {REPOSITORIES} repositories: "
        f"{POLICIES / seconds:.0f}/s; worker {idle / MEBIBYTE:.0f} → {resident / MEBIBYTE:.0f} MiB; "
        f"a trivial request took {1000 * waits[len(waits) // 2]:.1f} ms (median), "
        f"{1000 * waits[int(len(waits) * 0.999)]:.1f} ms (99.9 %), {1000 * waits[-1]:.1f} ms at most\n"
    )
    sys.stdout.write("\n".join(caches) + "\n")
    assert resident < 200 * MEBIBYTE
    assert waits[-1] < 2  # on a quiet machine a few milliseconds


def _metrics(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode().splitlines()
