"""Statement templates: a statement without its principals, parsed and compiled once for all statements that repeat it.

Policies that are set in bulk mostly differ in the principals they name. The templates of the latest statements are
cached. A template applies to its statement's index and the version of its policy, and does not depend on the
principals.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moorage.policy.language.canonical import Json

if TYPE_CHECKING:
    from moorage.policy.language.elements import ConditionTest, Listed
    from moorage.policy.matching.action import Actions
    from moorage.policy.matching.conditions import Test
    from moorage.policy.matching.statement import Effect

LONGEST: Final = 512
"""Characters of a statement without its principals, as Python writes its JSON; longer ones have no template."""
MOST: Final = 256
"""Templates that are cached."""


class Template:
    """A template. Each part is None until the first statement that repeats the template needs it."""

    __slots__ = ("canonical", "compiled", "elements", "silent")

    def __init__(self) -> None:
        self.elements: tuple[str | None, Effect | None, Listed, tuple[ConditionTest, ...]] | None = None
        """Sid, effect, actions and condition tests of a valid statement."""
        self.compiled: tuple[Actions, tuple[Test, ...]] | None = None
        self.canonical: tuple[str, str] | None = None
        """The canonical text of its members before and after the principals."""
        self.silent = False
        """Whether lint has no findings on it."""


def template_of(statement: Mapping[str, Json], at: str, *, variables: bool) -> Template | None:
    """Return the template of a statement of a repository policy at the JSON pointer `at`; None for a long statement.

    `variables`: whether the policy's version has variables.
    """
    rest = {name: value for name, value in statement.items() if name not in {"Principal", "NotPrincipal"}}
    try:
        text = repr(rest)  # differs for all different JSON, also for numbers and strings
    except RecursionError:  # nested too deeply
        return None
    return _template(text, at, variables) if len(text) <= LONGEST else None


@lru_cache(maxsize=MOST)
def _template(_text: str, _at: str, _variables: bool) -> Template:
    return Template()
