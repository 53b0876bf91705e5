"""Moorage against real competitors, side by side in one run: ratios of medians of three rounds.

`make bench` runs everything; `make bench ARGS="pull ecr"` only the named groups (pull, push, large, memory, ecr,
decisions, replay).
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.table import Table

from competitors import clean_environment, missing
from decisions import decisions
from ecr_api import ecr_api
from measure import Row, console
from replaying import replays
from v2 import over_v2

GROUPS = ("pull", "push", "large", "memory", "ecr", "decisions", "replay")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all when none is named")
    groups = set(parser.parse_args().groups or GROUPS)
    if groups != {"replay"} and (lacking := missing()):
        sys.exit(f"needed and not here: {', '.join(lacking)} (Debian: apt-get install docker-registry wrk curl)")
    clean_environment()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as directory:
        work = Path(directory)
        if groups & {"pull", "push", "large", "memory"}:
            rows += over_v2(work, groups)
        if "ecr" in groups:
            rows += ecr_api(work)
        if "decisions" in groups:
            rows += decisions(work)
        if "replay" in groups:
            replays(work)
    table = Table("", "Moorage", "the other", "unit", "ratio", "goal")
    for row in rows:
        met = "green" if row.ratio >= row.goal else "red"
        table.add_row(
            row.what,
            f"{row.ours:,.1f}",
            f"{row.theirs:,.1f}",
            row.unit,
            f"[{met}]{row.ratio:.2f}×[/]",
            f"{row.goal:.3g}×",
        )
    if rows:
        console.print(table)


if __name__ == "__main__":
    main()
