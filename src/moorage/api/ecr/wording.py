"""How ECR words violated constraints where it differs from the model layer (docs/development/ecr-behavior.md §3.1)."""

from moorage.api.aws.constraints import Violation, constraint
from moorage.names import REPOSITORY_NAME_PATTERN

_MUTABILITY = "IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION"


def wording(violation: Violation) -> str:
    """Return the constraint in ECR's words: its own checks of repository names say `must …`, the model says `Member
    must …`."""
    text = constraint(violation)
    member = violation.path.partition(".")[0]
    if member == "repositoryName":
        if violation.kind == "pattern":
            return f"must satisfy regular expression '{REPOSITORY_NAME_PATTERN.replace(chr(92) + '/', '/')}'"
        return text.removeprefix("Member ")
    if member == "imageTagMutability" and violation.kind == "enum":
        return f"Member must satisfy enum value set: [{_MUTABILITY}]"
    return text
