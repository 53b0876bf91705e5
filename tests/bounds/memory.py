"""How much memory a server uses, and how torture tests say what they measured."""

import sys
from pathlib import Path


def say(text: str) -> None:
    """A line for whoever runs `make torture`."""
    sys.stdout.write(f"\n{text}\n")


def resident_mib(pid: int, *, peak: bool = False) -> float:
    """Resident MiB of the largest process of a server: now, or at most so far."""
    return max(_of(each, "VmHWM" if peak else "VmRSS") for each in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return sorted(set(found))


def _of(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
