"""Every console block of README.md and docs/ does what the page says, or says why it cannot run in a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import Docker
from tests.clients.conftest import need
from tests.clients.images import write_layout
from tests.docs.pages import Block, Output, blocks
from tests.docs.shell import ROOT, Shell

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_BLOCKS = [page for page in PAGES if any(each.commands and "not run" not in each.comments for each in blocks(page))]


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """An engine that holds the image `local/app:v1`."""
    for program in ("dockerd", "docker", "skopeo"):
        need(program)
    base = tmp_path_factory.mktemp("docs")
    write_layout(base / "layout", files={"greeting": b"hello\n"})
    engine = Docker(base, base / "layout")
    try:
        engine.prepare()
        yield engine
    finally:
        engine.close()


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_do_what_it_says(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = [block for block in blocks(page) if "not run" not in block.comments]
    text = "\n".join([each.text for block in run for each in block.commands] + [_before(block) for block in run])
    environment = {}
    if "docker " in text:
        environment["DOCKER_HOST"] = request.getfixturevalue("docker").environment["DOCKER_HOST"]
    if "curl " in text:
        need("curl")
    shell = Shell(tmp_path, environment)
    output = Output()
    try:
        for block in run:
            _run(shell, output, page, block)
    finally:
        shell.close()


def _before(block: Block) -> str:
    return block.comments.get("before", "")


def _run(shell: Shell, output: Output, page: Path, block: Block) -> None:
    where = f"{page.name}, block at line {block.line}"
    if "file" in block.comments:
        shell.write(block.comments["file"], block.content)
        return
    for command in filter(None, _before(block).split("\n\n")):
        status, printed = shell.run(output.translated(command))
        assert status == 0, f"{where}, before it: {command}\n{printed}"
    for number, shown in enumerate(block.commands):
        is_last = number == len(block.commands) - 1
        status, printed = shell.run(output.translated(shown.text))
        assert block.allows(status, last=is_last), f"{where}: {shown.text}\nexit status {status}\n{printed}"
        if shown.output.strip() and "output" not in block.comments:
            assert output.matches(shown.output, printed), (
                f"{where}: {shown.text}\nprinted\n{printed}\ninstead of\n{shown.output}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_in_console_blocks_and_exceptions_have_reasons(page: Path) -> None:
    for block in blocks(page):
        if block.commands:
            assert block.language == "console", f"{page.name}:{block.line} has commands, so its language is console"
        for kind in ("not run", "output"):
            reason = block.comments.get(kind)
            assert reason is None or len(reason) > 10, f"{page.name}:{block.line} does not say why: {kind}"


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- exit: 3 -->\n```console\n$ echo one\ntwo\n$ (exit 3)\n```\n")
    (tmp_path / "work").mkdir()
    shell = Shell(tmp_path / "work", {})
    try:
        with pytest.raises(AssertionError, match=r"printed\s+one\s+instead of\s+two"):
            _run(shell, Output(), page, blocks(page)[0])
        page.write_text(page.read_text().replace("two", "o…"))
        _run(shell, Output(), page, blocks(page)[0])
        page.write_text(page.read_text().replace("exit: 3", "exit: 0"))
        with pytest.raises(AssertionError, match="exit status 3"):
            _run(shell, Output(), page, blocks(page)[0])
    finally:
        shell.close()


def test_ids_of_a_run_stand_for_those_of_the_page() -> None:
    of_page, of_run = "3d6bc626-c592-4435-9af7-08206da9075d", "00000000-1111-2222-3333-444444444444"
    output = Output()
    assert output.matches(f"decision {of_page}\n…\nend", f"decision   {of_run}\nand more\nend")
    assert output.translated(f"moorage why {of_page}") == f"moorage why {of_run}"
    assert not output.matches(of_page, of_page)
