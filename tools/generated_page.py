"""Pages that tools generate: write one, or compare it with --check."""

import sys
from pathlib import Path


def write_or_compare(page: Path, text: str, *, source: str, target: str) -> int:
    """Write the page; with --check, only compare it. Return the exit status.

    `source`: what the page is generated from. `target`: the target of the Makefile that writes it.
    """
    if "--check" not in sys.argv[1:]:
        page.write_text(text)
        return 0
    if page.exists() and page.read_text() == text:
        return 0
    print(f"docs/{page.parent.name}/{page.name} differs from {source}. Run `make {target}`.", file=sys.stderr)
    return 1
