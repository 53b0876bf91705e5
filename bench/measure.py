"""How figures are taken: with wrk, each server in turn, medians of three rounds."""

import re
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from competitors import Server

HERE = Path(__file__).resolve().parent
ROUNDS = 3
SECONDS = 5
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
console = Console()


@dataclass
class Row:
    """One line of the table: `ours` and `theirs` in `unit`, higher is better."""

    what: str
    unit: str
    ours: float
    theirs: float
    goal: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("inf")


def wrk(url: str, script: str, *arguments: str, threads: int = 1, connections: int = 16) -> dict[str, float]:
    """The figures that a script's `done` prints."""
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{SECONDS}s",
        "-s",
        str(HERE / script),
        url,
        "--",
        *arguments,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", said)}
    if figures["failed"]:
        raise SystemExit(f"{figures['failed']:.0f} requests failed: {' '.join(command)}\n{said}")
    return figures


def compare(what: str, unit: str, goal: float, ours: Callable[[], float], theirs: Callable[[], float]) -> Row:
    """Both in turn, `ROUNDS` times; the medians."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    row = Row(what, unit, statistics.median(us for us, _ in pairs), statistics.median(them for _, them in pairs), goal)
    console.print(f"  {what}: {row.ours:,.1f} against {row.theirs:,.1f} {unit}: [bold]{row.ratio:.2f}×[/]")
    return row


def prepared(file: Path, requests: list[bytes]) -> str:
    file.write_bytes(b"".join(b"%d\n%s" % (len(each), each) for each in requests))
    return str(file)


def replay(server: Server, file: str) -> float:
    figures = wrk(server.url, "replay.lua", file)
    return figures["requests"] / figures["seconds"]
