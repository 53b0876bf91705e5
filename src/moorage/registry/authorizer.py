"""What the rules of the registry ask about a request's caller, where the answer depends on what is stored.

A door decides what an operation declares before it runs. A mount, a repository created on push and the entries of a
list are known only inside the rule, so these rules take an `Authorizer` and cannot be called without one.
"""

from typing import Protocol

from moorage.names import AccountId, Region, RepositoryRef


class Authorizer(Protocol):
    """The permissions of one caller over one connection. Actions as IAM writes them: `ecr:BatchGetImage`."""

    async def require(self, action: str, ref: RepositoryRef) -> None:
        """Return if the caller may do the action on the repository, which need not exist; AccessDenied otherwise."""
        ...

    async def require_on_all(self, action: str, account: AccountId, region: Region) -> None:
        """Return if the caller may do the action on every repository of the registry; AccessDenied otherwise."""
        ...

    async def allows(self, action: str, ref: RepositoryRef) -> bool:
        """As `require`, as a value. Both are recorded as decisions of the request."""
        ...

    async def sees(self, action: str, ref: RepositoryRef) -> bool:
        """As `allows`, for an entry of a list. Not recorded: nobody asked for this repository by name."""
        ...
