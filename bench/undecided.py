"""`moorage` with every request allowed and no decision made: what decisions cost is measured against it.

Only here. The product has no such switch.
"""

from typing import Any

from moorage import application
from moorage.access.authorize import Access
from moorage.cli import main


class Undecided(Access):
    """Allows everything, looks at nothing, records nothing."""

    async def require(self, *_: Any, **__: Any) -> None:
        return None

    async def allows(self, *_: Any, **__: Any) -> bool:
        return True


if __name__ == "__main__":
    application.Access = Undecided  # type: ignore[attr-defined]
    main()
