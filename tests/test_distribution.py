"""What `make dist` builds: a source distribution that is a whole checkout, and a wheel with every module."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (".ci", "bench", "docs", "requirements", "src", "tests", "tools")
LEFT_OUT = {"__pycache__", "results", "moorage.egg-info"}
BUILD = "import sys; from setuptools import build_meta as build; build.build_sdist({0!r}); build.build_wheel({0!r})"


def sources() -> set[str]:
    """Every file of the checkout that is not made by a tool."""
    names = {path.name for path in ROOT.iterdir() if path.is_file() and path.name != ".git"}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            relative = path.relative_to(ROOT)
            if path.is_file() and not LEFT_OUT & set(relative.parts):
                names.add(str(relative))
    return names


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of both, built from a copy, so that the checkout gets no new files."""
    base = tmp_path_factory.mktemp("distribution")
    for name in sources():
        target = base / "moorage" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(str(base / "dist"))],
        cwd=base / "moorage",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return base / "dist"


def test_the_source_distribution_has_every_file_of_the_checkout(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        packed = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    made = {name for name in packed if "egg-info" in name} | {"PKG-INFO", "setup.cfg"}
    assert packed - made == sources()


def test_the_wheel_has_every_module_and_nothing_else(built: Path) -> None:
    [archive] = built.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {name.removeprefix("src/") for name in sources() if name.startswith("src/")}


def test_package_data_names_files_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package, patterns in project["tool"]["setuptools"]["package-data"].items():
        for pattern in patterns:
            assert list((ROOT / "src" / package).glob(pattern)), pattern
