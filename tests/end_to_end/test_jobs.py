"""`moorage jobs` lists, shows, cancels and retries background jobs, for administrators of the deployment alone."""

import json
import re
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.admin_calls import Keys, user
from tests.support.server_process import MOORAGE, ServerProcess, run

ADMIN, OTHER = "000000000000", "222222222222"
ON_DEPLOYMENT = f"arn:aws:moorage::{ADMIN}:deployment"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("jobs") / "data", "--workers", "2")
    running.start(
        environment={"MOORAGE_SWEEP_INTERVAL_SECONDS": "1", "MOORAGE_LOG_FORMAT": "json", "MOORAGE_EVENT_LOG": "1"}
    )
    yield running
    assert running.stop() == 0


def moorage(server: ServerProcess, *arguments: str, keys: Keys = Keys(ADMIN)) -> tuple[int, str]:  # noqa: B008
    there = server.environment(keys.id, keys.secret) | {"COLUMNS": "160", "NO_COLOR": "1"}
    done = run([MOORAGE, "jobs", *arguments], env=there, check=False)
    return done.returncode, done.stderr if done.returncode else done.stdout


def listed(server: ServerProcess, *arguments: str) -> list[dict[str, Any]]:
    status, said = moorage(server, "list", "--json", *arguments)
    assert status == 0, said
    jobs: list[dict[str, Any]] = json.loads(said)["jobs"]
    return jobs


def put(server: ServerProcess, kind: str, state: str, *, run_at: float = 0.0, error: str | None = None) -> int:
    """A job of before; its id."""
    now = time.time()
    columns = "kind, payload, state, priority, created_at, run_at, attempts, cancel, error, ended_at"
    row = (kind, "{}", state, 0, now, run_at, 5, False, error, now if state == "dead" else None)
    with sqlite3.connect(server.data / "moorage.db", timeout=30) as database:
        made = database.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    database.close()
    assert made.lastrowid is not None
    return made.lastrowid


def wait_for(server: ServerProcess, job: int, state: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while True:
        status, said = moorage(server, "show", str(job), "--json")
        assert status == 0, said
        found: dict[str, Any] = json.loads(said)
        if found["state"] == state or time.monotonic() > end:
            assert found["state"] == state
            return found
        time.sleep(0.2)


def test_scheduled_jobs_run_in_one_of_the_workers(server: ServerProcess) -> None:
    end = time.monotonic() + 60
    while not (done := listed(server, "--kind", "uploads.expire", "--state", "done")) and time.monotonic() < end:
        time.sleep(0.2)
    assert (done[0]["key"], done[0]["attempts"], done[0]["error"]) == ("scheduled", 1, None)
    unfinished = listed(server, "--kind", "uploads.expire", "-s", "queued", "-s", "running")
    assert len(unfinished) <= 1
    status, said = moorage(server, "list", "-n", "3")
    assert status == 0
    assert re.match(r"ID +KIND +STATE +CREATED +TOOK +ATTEMPTS +PROGRESS", said)
    assert len(said.splitlines()) == 4


def test_pages_are_followed(server: ServerProcess) -> None:
    ids = [put(server, "test.page", "dead") for _ in range(7)]
    key = Keys(ADMIN)
    found, after = [], ""
    while True:
        status, body = key.post(server, "jobs/list", {"kind": "test.page", "limit": 3, "after": after})
        assert status == 200
        page = json.loads(body)
        found.append([each["id"] for each in page["jobs"]])
        if page["next"] is None:
            break
        after = page["next"]
    assert found == [ids[:3:-1], ids[3:0:-1], ids[:1]]
    for wrong in ({"limit": 101}, {"limit": 0}, {"after": "x"}, {"after": "-1"}, {"states": ["gone"]}):
        assert key.post(server, "jobs/list", wrong)[0] == 400
    assert key.post(server, "jobs/show", {"id": 1 << 63})[0] == 400


def test_a_dead_job_is_listed_and_retried(server: ServerProcess) -> None:
    job = put(server, "trash.empty", "dead", error="OSError: [Errno 5] no [luck]")
    assert [each["id"] for each in listed(server, "--state", "dead", "--kind", "trash.empty")] == [job]
    status, said = moorage(server, "show", str(job))
    assert status == 0
    assert re.search(r"State +dead\b", said)
    assert "OSError: [Errno 5] no [luck]" in said
    status, said = moorage(server, "retry", str(job))
    assert status == 0, said
    done = wait_for(server, job, "done")
    assert (done["attempts"], done["error"], done["progress"]) == (1, None, None)
    status, said = moorage(server, "retry", str(job))
    assert (status, f"Job {job} is done: only a dead or canceled job can be tried again." in said) == (1, True)


def test_a_queued_job_is_canceled(server: ServerProcess) -> None:
    job = put(server, "trash.empty", "queued", run_at=time.time() + 3600)
    status, said = moorage(server, "cancel", str(job))
    assert status == 0, said
    assert re.search(r"State +canceled\b", said)
    status, said = moorage(server, "cancel", str(job))
    assert (status, f"Job {job} is canceled: only a queued or running job can be canceled." in said) == (1, True)
    status, said = moorage(server, "show", "999999999")
    assert (status, "There is no job 999999999." in said) == (1, True)


def test_only_administrators_of_the_deployment_may(server: ServerProcess) -> None:
    allowed = {"Effect": "Allow", "Action": "moorage:*", "Resource": "*"}
    lister = {"Effect": "Allow", "Action": "moorage:ListJobs", "Resource": ON_DEPLOYMENT}
    own = user(server, ADMIN, "lister", lister)
    assert moorage(server, "list", keys=own)[0] == 0
    for command, action in (("show", "GetJob"), ("cancel", "CancelJob"), ("retry", "RetryJob")):
        status, said = moorage(server, command, "1", keys=own)
        assert (status, f"moorage:{action} on resource: {ON_DEPLOYMENT}" in said) == (1, True), said
    for stranger in (Keys(OTHER), user(server, OTHER, "admin", allowed)):
        for arguments in (["list"], ["show", "1"], ["cancel", "1"], ["retry", "1"]):
            status, said = moorage(server, *arguments, keys=stranger)
            assert (status, "is not authorized to perform" in said) == (1, True), said


def test_metrics(server: ServerProcess) -> None:
    put(server, "test.metric", "dead")
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    assert re.search(r'^moorage_jobs\{.*kind="test.metric".*state="dead".*\} 1.0$', text, re.MULTILINE)
    assert re.search(r'^moorage_jobs\{.*kind="uploads.expire".*state="done".*\} [1-9]', text, re.MULTILINE)
    assert re.search(r'^moorage_job_seconds_count\{kind="uploads.expire"\} [1-9]', text, re.MULTILINE)
    assert re.search(r'^moorage_job_attempts_total\{kind="uploads.expire",outcome="done"\} [1-9]', text, re.MULTILINE)
    assert re.search(r"^moorage_jobs_waiting_seconds(\{.*\})? [0-9.]+$", text, re.MULTILINE)
    assert re.search(r"^moorage_events_waiting(\{.*\})? [0-9.]+$", text, re.MULTILINE)


def test_events_are_logged_once(server: ServerProcess) -> None:
    ecr = server.client("ecr", ADMIN)
    for number in range(5):
        ecr.create_repository(repositoryName=f"logged/app-{number}")
    end = time.monotonic() + 60
    while server.log.read_text().count("logged/app-") < 5 and time.monotonic() < end:
        time.sleep(0.2)
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if "logged/app-" in line]
    assert [each["repository"] for each in lines] == [f"logged/app-{number}" for number in range(5)]
    assert {each["kind"] for each in lines} == {"repository.created"}
    assert [each["position"] for each in lines] == sorted({each["position"] for each in lines})
