"""Whether a repository policy would keep a whole account from ever setting another one.

See docs/development/policy-engine.md §5, step 4.
"""

from typing import Final

from moorage.policy.language.document import Document
from moorage.policy.matching.principal import NONE, root_of
from moorage.policy.matching.statement import Statement

_ACTION: Final = "ecr:setrepositorypolicy"


def locks_out(document: Document, account: str) -> bool:
    """Return whether a Deny without a condition denies `ecr:SetRepositoryPolicy` to every principal of `account`.

    The check is symbolic: it includes the account's root, which only an explicit Deny can stop. `account` (12 digits)
    owns the repository. Whether the caller itself would still be allowed is a question for `evaluate`.
    """
    return any(stops(statement, account) for statement in document.statements)


def stops(statement: Statement, account: str) -> bool:
    """Return whether this one statement does."""
    # Only `*`, the account itself, or a NotPrincipal without it can name a root user, and each covers the account.
    return (
        not statement.allow
        and not statement.conditions
        and statement.principals is not None
        and statement.principals.strength(root_of(account)) != NONE
        and statement.actions.match(_ACTION)
    )
