"""A shell that runs a page's commands one after the other, as its reader would, with servers in the background."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.server_process import free_port

ROOT: Final = Path(__file__).parent.parent.parent
_SERVER: Final = re.compile(r"^(?:\w+=\S+ +)*(?:\.venv/bin/)?(?:moorage (?:dev|serve)|make run)\b", re.MULTILINE)
_PATIENCE: Final = 120.0


class Shell:
    """bash in an empty directory that looks like the checkout (by links), with a HOME and a port of its own."""

    def __init__(self, work: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.work = work
        for each in ROOT.iterdir():
            if each.name not in {".git", "moorage-data"}:
                (work / each.name).symlink_to(each)
        (work / "home").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOORAGE_"))}
        path = f"{Path(sys.executable).parent}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
        named = {
            "HOME": str(work / "home"),
            "XDG_RUNTIME_DIR": str(work / "home"),
            "MOORAGE_PORT": str(self.port),
            "PATH": path,
            "COLUMNS": "200",
        }
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=work,
            env={**kept, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true", **named, **environment},
            start_new_session=True,
        )
        self._servers: list[str] = []  # process ids
        self._read("set +o history; set -o pipefail")

    def run(self, command: str) -> tuple[int, str]:
        """Run the command and return its exit status and output, with the page's port. A server is left running."""
        command = command.replace("localhost:4580", f"localhost:{self.port}")
        if _SERVER.match(command):
            return self._serve(command)
        status, output = self._read(command)
        return status, output.replace(f":{self.port}", ":4580")

    def _serve(self, command: str) -> tuple[int, str]:
        self.stop_servers()
        log = self.work / "server.log"
        _, output = self._read(f"{command} >{log} 2>&1 & echo $!")
        self._servers.append(output.split()[-1])
        scheme = "https" if "--tls-cert" in command else "http"
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            answers = ["curl", "-sk", "-o", f"{self.work}/ready", f"{scheme}://127.0.0.1:{self.port}/_moorage/health"]
            if subprocess.run(answers, check=False).returncode == 0:
                return 0, log.read_text().replace(f":{self.port}", ":4580")
            if self._read(f"kill -0 {self._servers[-1]}")[0]:
                break
            time.sleep(0.1)
        return 1, log.read_text()

    def write(self, name: str, content: str) -> None:
        """Write a file into the directory that the shell is in."""
        directory = self._read("pwd")[1].strip()
        Path(directory, name).write_text(content)

    def stop_servers(self) -> None:
        """End the servers that were left running."""
        for pid in self._servers:
            self._read(f"kill {pid}; wait {pid}")
        self._servers.clear()

    def _read(self, command: str) -> tuple[int, str]:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\nprintf '\\n%s %d\\n' --end-of-command-- $?\n")
        self._bash.stdin.flush()
        output = ""
        for line in self._bash.stdout:
            if line.startswith("--end-of-command-- "):
                return int(line.split()[1]), output.removesuffix("\n")
            output += line
        raise AssertionError(f"the shell ended in: {command}\n{output}")

    def close(self) -> None:
        """End the shell and everything that it started."""
        with suppress(AssertionError, BrokenPipeError):
            self.stop_servers()
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        for stream in (self._bash.stdin, self._bash.stdout):
            if stream is not None:
                stream.close()
