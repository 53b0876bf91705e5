"""Databases that are damaged, and those that cannot be written: the server says so, and is not ready."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.oci_http import OciClient
from tests.support.postgres import PostgresServer
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until


@contextmanager
def serving(data: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(data, "--log-format", "json").start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data of a registry with an image in it, whose server has ended."""
    with serving(tmp_path / "data") as server:
        OciClient(server).push("kept", "v1", b"content")
    return tmp_path / "data"


def ready(server: ServerProcess) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", "/_moorage/ready")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def events(server: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("damage", [b"no database" * 1000, b""], ids=["foreign", "header kept"])
def test_a_damaged_audit_record_is_set_aside(data: Path, damage: bytes) -> None:
    audit = data / "audit.db"
    whole = audit.read_bytes()
    audit.write_bytes(damage or whole[:100] + os.urandom(len(whole) - 100))
    with serving(data) as server:
        oci = OciClient(server)
        assert oci.pull("kept", "v1")
        oci.push("kept", "v2", b"more")
        assert server.client("ecr").describe_repositories()["repositories"]
    kept = [file for file in data.glob("audit.db.damaged-*") if not file.name.endswith(("-wal", "-shm"))]
    assert len(kept) == 1
    told = [line for line in events(server) if "audit record is damaged" in line["event"]]
    assert [line["renamed_to"] for line in told] == [str(kept[0])]


def test_a_whole_audit_record_stays(data: Path) -> None:
    before = rows(data)
    with serving(data):
        pass
    assert not list(data.glob("audit.db.damaged-*"))
    assert rows(data) >= before > 0


def rows(data: Path) -> int:
    with sqlite3.connect(data / "audit.db") as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def test_damage_in_the_metadata_is_logged_at_the_start(data: Path) -> None:
    file = data / "moorage.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_uploads_updated_at'").fetchone()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page[0] - 1) * size)
        opened.write(b"\xff" * size)
    server = ServerProcess(data, "--log-format", "json").start()
    try:
        wait_until(lambda: any(line["event"] == "the database is damaged" for line in events(server)))
    finally:
        server.stop()


def test_a_server_whose_database_cannot_be_used_is_not_ready(data: Path) -> None:
    with serving(data) as server:
        assert ready(server) == (200, {"status": "ready", "checks": {"metadata": "ok", "blobs": "ok", "space": "ok"}})
        holder = sqlite3.connect(data / "moorage.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")  # of another program: nothing can be written any more
            wait_until(lambda: ready(server)[0] == 503)
            _, said = ready(server)
            assert said["status"] == "unavailable"
            assert said["checks"]["metadata"] == "failed"
            holder.execute("ROLLBACK")
            wait_until(lambda: ready(server)[0] == 200)
        finally:
            holder.close()
        states = [line["state"] for line in events(server) if line["event"] == "readiness changed"]
        assert states == ["failed", "ok"]


def test_a_server_whose_postgresql_is_read_only_is_not_ready(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    database = url.rpartition("/")[2]

    def run(*statements: str) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(url)
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        asyncio.run(work())

    server = ServerProcess(tmp_path / "data", "--database-url", url, "--workers", "2").start()
    try:
        assert [ready(server)[0] for _ in range(4)] == [200] * 4
        run(
            f"ALTER DATABASE {database} SET default_transaction_read_only = on",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        wait_until(lambda: ready(server)[1]["checks"]["metadata"] == "failed")
        run("SET default_transaction_read_only = off", f"ALTER DATABASE {database} RESET default_transaction_read_only")
    finally:
        server.stop()


def test_a_server_whose_blobs_cannot_be_written_is_not_ready(data: Path) -> None:
    with serving(data) as server:
        (data / "blobs").rename(data / "elsewhere")
        wait_until(lambda: ready(server)[0] == 503)
        assert ready(server)[1]["checks"]["blobs"] == "failed"
        (data / "elsewhere").rename(data / "blobs")
        wait_until(lambda: ready(server)[0] == 200)
