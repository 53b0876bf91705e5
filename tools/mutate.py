"""Run mutation tests of the policy engine: break each line in turn and run tests/policy on it (`make mutate`).

Runs are incremental: mutmut keeps its verdicts in mutants/ and tries only changed functions again and, if a test
changed, the survivors. `make mutate ARGS=--all` deletes all verdicts first. Prints a table and writes
mutants/survivors.diff, which docs/development/mutation.md explains. Exits with 1 if less than 90 % were killed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

GOAL = 90.0
STATE = Path("mutants")
MUTATED = Path("src/moorage/policy")
TESTS = Path("tests/policy")
TESTED_WITH = STATE / "tests.sha256"
REACHED = STATE / "mutmut-stats.json"
SURVIVORS = STATE / "survivors.diff"
SURVIVED = "survived"
UNTESTED = "no tests"
KILLED = "killed"
# mutmut's exit codes for the tests of a mutant. A mutant whose tests do not end counts as killed.
VERDICTS = {0: SURVIVED, 5: UNTESTED, 33: UNTESTED, None: "not tried"}

Verdicts = dict[str, str]
"""Verdicts by the name of the mutant."""


def main() -> int:
    os.nice(15)
    if "--all" in sys.argv[1:]:
        shutil.rmtree(STATE, ignore_errors=True)
    _forget_removed()
    # mutmut finds out which tests reach a function for new tests only; old tests may reach other functions by now.
    REACHED.unlink(missing_ok=True)
    now = _tests_digest()
    if not TESTED_WITH.exists() or TESTED_WITH.read_text() != now:
        _try_again({SURVIVED, UNTESTED})
        STATE.mkdir(exist_ok=True)
        TESTED_WITH.write_text(now)
    _mutmut("run")
    return _summary()


def _forget_removed() -> None:
    """Delete files from mutmut's copy of the tree that no longer exist in the tree; mutmut itself never does."""
    for copies in (STATE / "src", STATE / "tests"):
        for copy in copies.rglob("*.*"):
            original = copy.relative_to(STATE)
            if original.suffix in {".meta", ".spans"}:
                original = original.with_suffix("")
            if copy.is_file() and not original.exists():
                copy.unlink()


def _try_again(verdicts: set[str]) -> None:
    for path in _metas():
        meta = json.loads(path.read_text())
        codes = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {name: None if _verdict(code) in verdicts else code for name, code in codes.items()}
        path.write_text(json.dumps(meta))


def _mutmut(*arguments: str) -> None:
    executable = Path(sys.executable).parent / "mutmut"
    subprocess.run([executable, *arguments], check=True)


def _tests_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(TESTS.rglob("*")):
        if path.suffix in {".py", ".yaml"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _metas() -> list[Path]:
    """Return the files in which mutmut keeps its verdicts, one per module."""
    return sorted((STATE / MUTATED).rglob("*.py.meta"))


def _verdict(code: int | None) -> str:
    return VERDICTS.get(code, KILLED)


def _modules() -> Iterator[tuple[str, Verdicts]]:
    for path in _metas():
        codes = json.loads(path.read_text())["exit_code_by_key"]
        yield path.name.removesuffix(".meta"), {name: _verdict(code) for name, code in codes.items()}


def _all_verdicts() -> Iterator[tuple[str, str]]:
    for _, verdicts in _modules():
        yield from verdicts.items()


def _summary() -> int:
    total: Counter[str] = Counter()
    print(f"\n{'module':<16} {'mutants':>8} {'killed':>8} {'survived':>9} {'no tests':>9} {'':>7}")
    for module, verdicts in _modules():
        if verdicts:
            count = Counter(verdicts.values())
            total += count
            print(_line(module, count))
    print(_line("policy/", total))
    with SURVIVORS.open("w", encoding="utf-8") as file:
        for name, verdict in _all_verdicts():
            if verdict != KILLED:
                file.write(_diff(name))
    print(f"\nSurvivors: {SURVIVORS}. docs/development/mutation.md explains them.")
    return 0 if _percent(total) >= GOAL else 1


def _line(name: str, count: Counter[str]) -> str:
    return (
        f"{name:<16} {count.total():>8} {count[KILLED]:>8} {count[SURVIVED]:>9} {count[UNTESTED]:>9} "
        f"{_percent(count):>6.1f}%"
    )


def _percent(count: Counter[str]) -> float:
    return 100 * count[KILLED] / count.total() if count else 0.0


def _diff(name: str) -> str:
    executable = Path(sys.executable).parent / "mutmut"
    shown = subprocess.run([executable, "show", name], check=True, capture_output=True, text=True).stdout
    return f"{shown.rstrip()}\n\n"


if __name__ == "__main__":
    sys.exit(main())
