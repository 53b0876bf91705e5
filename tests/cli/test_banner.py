"""What a person reads when the server is ready."""

import subprocess
import sys


def test_the_banners_thread_imports_nothing_while_workers_are_forked() -> None:
    """A module half imported by a thread at the moment of a fork stays locked in the worker for ever."""
    program = (
        "import sys, moorage.cli.banner as banner; from moorage.settings import Settings; before = set(sys.modules); "
        "banner._is_ready(Settings(port=1)); print(set(sys.modules) - before)"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "set()"
