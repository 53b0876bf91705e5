"""A private PostgreSQL server, of whatever version the machine has."""

import asyncio
import contextlib
import functools
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from moorage.settings import Settings
from moorage.store.metadata.database.open import open_audit_database, open_database
from tests.support.server_process import free_port
from tests.support.tools import missing

_database_numbers = itertools.count(1)


@functools.cache
def _programs() -> Path:
    """Return the directory of PostgreSQL's programs: where Debian has the newest version, else that of the PATH."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = packaged[-1] if packaged else shutil.which("initdb")
    if found is None:
        missing("PostgreSQL")
    return Path(found).resolve().parent


class PostgresServer:
    """A private server. `new_database` creates a database and returns its URL."""

    def __init__(self, directory: Path, *, fsync: bool = False) -> None:
        """Use `directory`, whose path must be short. It is given to the user that the server runs as."""
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        self._directory = directory
        self._fsync = "on" if fsync else "off"
        self._port = free_port()
        self._migrated: str | None = None

    def run(self, program: str, *arguments: str) -> None:
        command = [str(_programs() / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program} failed: {done.stderr}{done.stdout}"

    def start(self) -> None:
        self.run("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        self.start_again()

    def start_again(self) -> None:
        """Start the server on the data that it has."""
        options = f"-p {self._port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync={self._fsync}"
        self.run("pg_ctl", "-D", self._data, "-w", "-s", "-o", options, "-l", str(self._directory / "log"), "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "-s", "stop")

    def kill(self) -> None:
        """Send SIGKILL to all of its processes."""
        postmaster = psutil.Process(int((self._directory / "data" / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes, timeout=30)

    def new_database(self, *, template: str = "template1") -> str:
        """Create a database as a copy of `template`, and return its URL. The default template is empty."""
        name = f"moorage{next(_database_numbers)}"
        self.run("createdb", *self._login, "--template", template, name)
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    @contextlib.contextmanager
    def migrated_database(self) -> Iterator[str]:
        """Yield the URL of a database that has the newest schema and no rows, and drop it at the end.

        It is a copy of one that was migrated once, because the migrations take longer than most tests. It is dropped
        because hundreds of databases take gigabytes, and most of a minute to delete.
        """
        if self._migrated is None:
            url = self.new_database()
            asyncio.run(_migrate(Settings(database_url=url)))
            self._migrated = url.rpartition("/")[2]
        url = self.new_database(template=self._migrated)
        try:
            yield url
        finally:
            self.run("dropdb", *self._login, "--force", url.rpartition("/")[2])

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    @property
    def _login(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres"


async def _migrate(settings: Settings) -> None:
    for opened in (await open_database(settings), await open_audit_database(settings)):
        await opened.close()
