"""`moorage fsck` finds every kind of damage, names the images that it concerns, and keeps quiet about sound data."""

import json
import os
import shutil
import sqlite3
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moorage.cli import app
from tests.support.ecr_push import digest, push_image, push_layer
from tests.support.postgres import PostgresServer
from tests.support.server_process import MOORAGE, ServerProcess, run

LARGE = b"large " * 20_000
"""A layer that is kept as a file."""
IMAGE = "000000000000/us-east-1/fsck/app:v1"
SMALL_IMAGE = "000000000000/us-east-1/fsck/app:v2"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a stopped server: v1 is an image of large layers, v2 one of small ones; an upload is under way."""
    server = ServerProcess(tmp_path_factory.mktemp("fsck") / "data").start()
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName="fsck/app")
    push_image(ecr, "fsck/app", "v1", content=LARGE)
    push_image(ecr, "fsck/app", "v2")
    upload = ecr.initiate_layer_upload(repositoryName="fsck/app")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="fsck/app", uploadId=upload, partFirstByte=0, partLastByte=len(LARGE) - 1, layerPartBlob=LARGE
    )
    assert server.stop() == 0
    return server.data


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


def said(*arguments: str) -> tuple[int, str, str]:
    """The exit status of the command, its output and its errors."""
    mask = os.umask(0o077)
    try:
        done = CliRunner().invoke(app, ["fsck", *arguments])
    finally:
        os.umask(mask)
    return done.exit_code, done.stdout, done.stderr


def fsck(data: Path, *options: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The exit status, the findings and the summary."""
    status, output, errors = said("--data", str(data), "--json", *options)
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines, errors
    return status, lines[:-1], lines[-1]


def objects(data: Path) -> list[Path]:
    return sorted(path for path in (data / "blobs" / "objects").rglob("*") if path.is_file())


def execute(data: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(data / "moorage.db") as conn:
        assert conn.execute(statement, values).rowcount > 0
    conn.close()


def test_sound_data_has_no_finding(data: Path) -> None:
    status, findings, summary = fsck(data)
    assert (status, findings) == (0, [])
    checked = summary["checked"]
    assert {**checked, "bytes": 0} == {"blobs": 4, "bytes": 0, "manifests": 2, "uploads": 1, "files": 3}
    assert checked["bytes"] > 2 * len(LARGE)
    done = run([MOORAGE, "fsck", "--data", str(data)])
    assert "4 blobs" in done.stdout
    assert done.stdout.endswith("nothing is wrong\n")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "kind", "quick"),
    [
        (flip_a_byte, "damaged", False),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "length", True),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "length", True),
        (lambda path: path.unlink(), "missing", True),
    ],
)
def test_damage_to_a_file_is_found(data: Path, damage: Callable[[Path], None], kind: str, quick: bool) -> None:
    damage(objects(data)[0])
    status, [finding], _ = fsck(data)
    assert (status, finding["kind"], finding["images"]) == (1, kind, [IMAGE])
    assert "Push one of these images again" in finding["repair"]
    assert fsck(data, "--quick")[0] == int(quick)
    assert f"needed by {IMAGE}" in said("--data", str(data))[1]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE manifests SET body = CAST(replace(body, 'sha256', 'sha265') AS BLOB)", "manifest"),
        ("DELETE FROM layers", "reference"),
    ],
)
def test_damage_to_rows_is_found(data: Path, statement: str, kind: str) -> None:
    execute(data, statement)
    status, findings, _ = fsck(data)
    assert status == 1
    assert {finding["kind"] for finding in findings} == {kind}
    assert {image for finding in findings for image in finding["images"]} == {IMAGE, SMALL_IMAGE}


@pytest.mark.parametrize(
    ("statement", "kind", "quick"),
    [
        ("UPDATE blob_contents SET content = zeroblob(length(content))", "damaged", 0),
        ("UPDATE blob_contents SET content = zeroblob(3)", "length", 1),
        ("DELETE FROM blob_contents", "missing", 1),
    ],
)
def test_damage_to_a_small_layer_is_found(data: Path, statement: str, kind: str, quick: int) -> None:
    execute(data, statement)
    status, findings, _ = fsck(data)
    assert status == 1
    assert {finding["kind"] for finding in findings} == {kind}
    assert all(finding["images"] == [SMALL_IMAGE] for finding in findings)
    assert fsck(data, "--quick")[0] == quick
    fsck(data, "--repair")
    assert {finding["kind"] for finding in fsck(data)[1]} == {"missing"}


def test_wrong_counters_are_found_and_set_right(data: Path) -> None:
    execute(data, "UPDATE usage SET amount = amount + 7")
    execute(data, "DELETE FROM usage WHERE scope LIKE 'upload bytes%'")
    status, findings, _ = fsck(data)
    assert (status, {finding["kind"] for finding in findings}) == (1, {"counter"})
    assert {"uploads of account 000000000000", "upload bytes of account 000000000000"} <= {
        finding["subject"] for finding in findings
    }
    status, _, summary = fsck(data, "--repair")
    assert (status, summary["repaired"]) == (0, len(findings))
    assert fsck(data)[:2] == (0, [])


def test_stray_files_are_told_and_are_no_failure(data: Path) -> None:
    for name in ("objects/ab/cd-ab", "objects/no-folder", "uploads/nobody"):
        (data / "blobs" / name).parent.mkdir(exist_ok=True)
        (data / "blobs" / name).write_bytes(b"stray")
    status, findings, _ = fsck(data, "--quick")
    assert (status, [finding["kind"] for finding in findings]) == (0, ["stray"] * 3)


def test_an_upload_whose_bytes_are_gone_is_found(data: Path) -> None:
    [upload] = (data / "blobs" / "uploads").iterdir()
    upload.write_bytes(b"less")
    status, [finding], _ = fsck(data, "--quick")
    assert (status, finding["kind"], finding["subject"]) == (1, "upload", upload.name)


def test_a_damaged_database_is_a_finding_and_no_traceback(data: Path) -> None:
    for name in ("moorage.db", "audit.db"):
        content = bytearray((data / name).read_bytes())
        content[4096 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 4096)
        (data / name).write_bytes(content)
    status, output, errors = said("--data", str(data))
    assert (status, errors) == (1, "")
    assert "✗ database  moorage.db: " in output
    assert "✗ database  audit.db: " in output
    assert "restore the data directory from a backup" in output
    assert "the blobs were not checked: repair the database first" in output


def test_what_is_no_database_is_a_finding(data: Path) -> None:
    (data / "moorage.db").write_bytes(b"no database" * 1000)
    status, output, errors = said("--data", str(data))
    assert (status, errors) == (1, "")
    assert "moorage.db: file is not a database" in output


def test_data_of_another_version_and_no_data_cannot_be_checked(data: Path, tmp_path: Path) -> None:
    execute(data, "UPDATE alembic_version SET version_num = '9999'")
    status, _, errors = said("--data", str(data))
    assert (status, "another version of Moorage" in errors) == (2, True)
    status, _, errors = said("--data", str(tmp_path / "nothing"))
    assert (status, "there is no registry in" in errors) == (2, True)
    assert not (tmp_path / "nothing").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_a_byte, cut])
def test_a_layer_with_wrong_bytes_is_set_aside_and_comes_back_with_the_next_push(
    data: Path, damage: Callable[[Path], None]
) -> None:
    [damaged] = [path for path in objects(data) if path.read_bytes().startswith(b"large")]
    damage(damaged)
    server = ServerProcess(data).start()
    try:
        ecr = server.client("ecr")
        status, [finding], summary = fsck(data, "--repair")
        assert (status, summary["repaired"]) == (1, 1)
        assert finding["repaired"].startswith("its bytes are no longer served. Push one of these images again")
        assert [path.name for path in (data / "blobs" / "damaged").iterdir()] == [damaged.name]
        assert {finding["kind"] for finding in fsck(data)[1]} == {"missing"}
        content = LARGE + b"fsck/app"
        asked = {"repositoryName": "fsck/app", "layerDigests": [digest(content)]}
        assert ecr.batch_check_layer_availability(**asked)["layers"][0]["layerAvailability"] == "UNAVAILABLE"
        push_layer(ecr, "fsck/app", content)
        assert fsck(data)[:2] == (0, [])
        url = ecr.get_download_url_for_layer(repositoryName="fsck/app", layerDigest=digest(content))["downloadUrl"]
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == content
    finally:
        server.stop()


def test_a_file_that_cannot_be_read_is_not_taken_for_damaged(data: Path) -> None:
    path = objects(data)[0]
    path.unlink()
    path.mkdir()
    status, [finding], _ = fsck(data, "--repair")
    assert (status, finding["kind"], finding["repaired"]) == (1, "unreadable", None)


@pytest.mark.parametrize("metadata", ["sqlite", "postgresql"])
def test_a_running_server_is_checked_without_false_alarms(
    tmp_path: Path, metadata: str, request: pytest.FixtureRequest
) -> None:
    options: list[str] = []
    if metadata == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        options = ["--database-url", postgres.new_database()]
    server = ServerProcess(tmp_path / "data", *options).start()
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName="fsck/busy")
    ended = threading.Event()
    pushed: list[str] = []

    def push() -> None:
        for number in range(100_000):
            if ended.is_set():
                return
            content = b"%d" % number + LARGE
            image = push_image(ecr, "fsck/busy", f"v{number}", content=content)
            pushed.append(image)
            ecr.batch_delete_image(repositoryName="fsck/busy", imageIds=[{"imageDigest": image}])
            moorage = [MOORAGE, "purge", "fsck/busy", "--digest", image, "--yes"]
            run(moorage, env=server.environment("test"))

    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(push)
        try:
            results = [fsck(server.data, *options)[:2] for _ in range(3)]
        finally:
            ended.set()
    try:
        pushing.result()
    finally:
        server.stop()
    assert results == [(0, [])] * 3
    assert pushed
