"""What the rules of the registry ask about a request's caller, where the answer depends on what is stored.

The APIs decide what an operation declares before it runs. A mount, a repository that a push creates and the entries of
a list are known only inside the rule, so such a rule takes an `Authorizer` and cannot be called without one.
"""

from typing import Protocol

from moorage.names import AccountId, Region, RepositoryRef


class Authorizer(Protocol):
    """The permissions of one caller over one connection. Actions are written as in IAM: `ecr:BatchGetImage`."""

    async def require(self, action: str, ref: RepositoryRef) -> None:
        """Raise AccessDenied unless the caller may do the action on the repository, which need not exist."""
        ...

    async def require_on_all(self, action: str, account: AccountId, region: Region) -> None:
        """Raise AccessDenied unless the caller may do the action on every repository of the registry."""
        ...

    async def allows(self, action: str, ref: RepositoryRef) -> bool:
        """Return whether the caller may do the action. Recorded as a decision of the request, as for `require`."""
        ...

    async def sees(self, action: str, ref: RepositoryRef) -> bool:
        """Return whether the caller may do the action on an entry of a list.

        It is not recorded, because the request does not name the repository.
        """
        ...
