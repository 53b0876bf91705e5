"""The `moorage` command in this process, for tests whose subject is what it says and does, not the process itself."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from moorage import cli


def run_moorage(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    input: str = "",  # noqa: A002 - the name that subprocess.run has
    check: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run `moorage` with `arguments` and return what it wrote, as `run` does for a process.

    Starting Python and importing Moorage takes a second, most of what a command costs. The command finds `env` instead
    of the environment, `cwd` as its directory, and `input` on stdin. With `check`, a failure raises AssertionError with
    the output. Commands that serve (`dev`, `serve`) and call from within an event loop are not possible.
    """
    written, errors = _stream(), _stream()
    with _process(["moorage", *arguments], env, cwd, input, written, errors):
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        else:
            status = 0
    done = subprocess.CompletedProcess(["moorage", *arguments], status, _text(written), _text(errors))
    assert not check or status == 0, f"moorage {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done


@contextlib.contextmanager
def _process(
    arguments: list[str],
    env: Mapping[str, str] | None,
    cwd: Path | str | None,
    given: str,
    written: io.TextIOWrapper,
    errors: io.TextIOWrapper,
) -> Iterator[None]:
    """Give this process the arguments, environment, directory and streams of a command, and put its own back."""
    logging = structlog.get_config()
    with pytest.MonkeyPatch.context() as patch:
        if env is not None:
            for name in set(os.environ) - set(env):
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr(sys, "argv", arguments)
        patch.setattr(sys.modules["__main__"], "__package__", None)  # else usage names `python -m pytest`
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()), encoding="utf-8"))
        patch.setattr(sys, "stdout", written)
        patch.setattr(sys, "stderr", errors)
        try:
            yield
        finally:
            structlog.configure(**logging)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
