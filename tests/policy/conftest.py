"""How hypothesis looks for counterexamples to the policy engine, and what forked processes must not inherit."""

import pytest
from hypothesis import settings

from moorage.policy.analysis import partial
from moorage.policy.matching import conditions, operators

# Without a deadline: a busy machine is no counterexample. `mutation`: the same few examples for every mutant, so that
# a mutant is killed or survives for a reason.
settings.register_profile("moorage", deadline=None, max_examples=50)
settings.register_profile("mutation", deadline=None, derandomize=True, database=None, max_examples=10)
settings.load_profile("moorage")


@pytest.fixture(autouse=True, scope="session")
def _nothing_remembered() -> None:
    """Mutants are tested in forks of a process that ran these tests before: its memos would hide them."""
    operators._known_instant.cache_clear()
    operators._known_network.cache_clear()
    conditions._read_operator.cache_clear()
    partial._unknown.cache_clear()
