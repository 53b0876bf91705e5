"""shapes.py is what the generator makes, and every operation of the newest model is built or listed as not built."""

import inspect
import subprocess
import sys
from pathlib import Path

from moorage.api.ecr import ECR, NOT_BUILT
from moorage.api.ecr.shapes import OPERATIONS
from moorage.policy.catalog.actions import authorizing_action

ROOT = Path(__file__).parents[3]


def test_shapes_are_what_the_generator_makes() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "generate_shapes.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_every_operation_is_built_or_listed() -> None:
    built = set(ECR.operations)
    assert built.isdisjoint(NOT_BUILT)
    assert built | NOT_BUILT == set(OPERATIONS)
    assert len(NOT_BUILT) <= 35  # it may only shrink


def test_operations_take_the_models_requests() -> None:
    for name, operation in ECR.operations.items():
        annotations = inspect.get_annotations(operation.run, eval_str=True)
        _, request, response = annotations.values()
        assert (request, response) == OPERATIONS[name][:2]


def test_each_operation_is_decided_by_the_action_of_the_catalog() -> None:
    assert {name: operation.action for name, operation in ECR.operations.items()} == {
        name: authorizing_action(name) for name in ECR.operations
    }
