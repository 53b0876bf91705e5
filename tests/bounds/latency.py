"""How long others wait: a process of its own asks for the health of a server again and again.

A thread of the test would measure how long it waits for Python's lock beside the threads that make the load.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Self

_POLL = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
while True:
    began = time.time()
    connection.request("GET", "/_moorage/health")
    connection.getresponse().read()
    print(began, time.time() - began, flush=True)
    time.sleep(0.003)
"""


class HealthPoll:
    """A context in which a server's health is asked for; what it took is written to `log`."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("w") as written:
            self._process = subprocess.Popen([sys.executable, "-c", _POLL, str(self._port)], stdout=written)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def since(self, began: float) -> list[float]:
        """Seconds that each answer took whose request was sent since then (`time.time()`), the shortest first."""
        now = time.time()
        lines = [list(map(float, line.split())) for line in self._log.read_text().splitlines()[:-1]]
        return sorted(wait for at, wait in lines if began <= at <= now)
