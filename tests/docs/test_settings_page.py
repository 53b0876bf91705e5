"""docs/reference/settings.md has every setting, as `settings.py` has it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

from moorage.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_is_generated() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "generate_settings.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_has_a_row_and_a_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    fields = [each for each in dataclasses.fields(Settings) if each.name != "mode"]
    assert len(fields) > 40
    for each in fields:
        assert len(each.metadata["meaning"]) > 8, each.name
        assert f"\n| `MOORAGE_{each.name.upper()}` |" in page
