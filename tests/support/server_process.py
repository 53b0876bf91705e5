"""A Moorage server as a process of its own, for the tests that come through its public doors."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.client
from botocore.config import Config

MOORAGE = str(Path(sys.executable).with_name("moorage"))
_PATIENCE = 90.0
_held: list[socket.socket] = []


def free_port() -> int:
    """Return a loopback port on which nothing listens, reserved for this process until it ends.

    The kernel gives a port that is bound to nobody else, neither to another test process nor as the local port of an
    outgoing connection. Servers set SO_REUSEADDR, so they can listen on it although it stays bound here.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after `bind`, which must not share a port itself
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


class ServerProcess:
    """`moorage dev` (or another command line) on a free loopback port, its log kept beside its data."""

    def __init__(self, data: Path, *options: str, command: str = "dev", port: int | None = None) -> None:
        self.data = data
        self.port = port or free_port()
        self.options = options
        self.command = command
        self.log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def scheme(self) -> str:
        return "https" if "--tls-cert" in self.options else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def registry(self) -> str:
        """Host and port as image references have them."""
        return f"127.0.0.1:{self.port}"

    def environment(self, key: str, secret: str = "any") -> dict[str, str]:
        """The variables by which commands come here with that key."""
        named = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        return os.environ | named

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, environment: dict[str, str] | None = None, wait: bool = True) -> "ServerProcess":
        arguments = [MOORAGE, self.command, "--port", str(self.port), "--data", str(self.data), *self.options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + _PATIENCE
        unverified = ssl._create_unverified_context() if self.scheme == "https" else None
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended with {self._process.returncode}: {self.log.read_text()}")
            try:
                with urllib.request.urlopen(f"{self.url}/_moorage/ready", timeout=5, context=unverified):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the server was not ready in {_PATIENCE} s: {self.log.read_text()}")

    @property
    def is_running(self) -> bool:
        """Whether the process that was started has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_for_end(self) -> int:
        """Until the process that was started has ended, whatever becomes of its children; the exit status."""
        assert self._process is not None
        return self._process.wait(_PATIENCE)

    def terminate(self) -> None:
        """SIGTERM, and no waiting."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> int:
        """Until it has ended by itself; the exit status."""
        assert self._process is not None
        try:
            return self._process.wait(_PATIENCE)
        finally:
            self.kill()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL to the whole process group: no chance to tidy up."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_PATIENCE)

    def client(
        self, service: str, key: str = "test", secret: str = "test", *, region: str = "us-east-1", **more: Any
    ) -> Any:
        """A boto3 client of this server; no retries, so that every answer is seen."""
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, **more.pop("config", {}))
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
            **more,
        )


def run(arguments: Sequence[str], *, check: bool = True, **more: Any) -> "subprocess.CompletedProcess[str]":
    """A command with its output captured; when it fails the assertion shows what it said."""
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=more.pop("timeout", 120), **more
    )
    assert not check or done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done


Error = botocore.client.ClientError
