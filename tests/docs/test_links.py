"""Links between the pages of the repository lead to files and headings that exist."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.shell import ROOT

PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_BLOCK: Final = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"`[^`\n]*`")
_HEADING: Final = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")

_CITATION: Final = re.compile(r"""(?<![\w"/.-])(?<!\]\()[\w./-]*\w\.md\b""")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_BLOCK.sub("", page.read_text())):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (unique := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(unique)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", _BLOCK.sub("", page.read_text()))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        assert target.exists(), f"{page.name}: there is no {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link} names no heading of {target.name}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {os.path.normpath(index.parent / link.partition("#")[0]) for link in _LINK.findall(index.read_text())}
    missing = [str(page.relative_to(ROOT)) for page in PAGES if page.is_relative_to(index.parent) and page != index]
    assert [page for page in missing if str(ROOT / page) not in linked] == []


def test_code_cites_pages_of_this_repository() -> None:
    """With their path from the root; the tests of this directory write pages of their own."""
    for folder in ("src", "tests", "tools", "bench"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix not in {".py", ".yaml"} or file.is_relative_to(Path(__file__).parent):
                continue
            for cited in _CITATION.findall(file.read_text()):
                assert (ROOT / cited).exists(), f"{file.relative_to(ROOT)} cites {cited}"
