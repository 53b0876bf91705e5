"""The resources that requests are decided on, besides repositories (`RepositoryRef`)."""

from typing import NamedTuple, TypeAlias

from moorage.names import AccountId, Region, RepositoryRef


class RegistryResource(NamedTuple):
    """A whole registry: the ARN of all its repositories, or `*` for actions without a resource."""

    account: AccountId
    region: Region
    all_repositories: bool = False


class NamedResource(NamedTuple):
    """A resource of another service, by its ARN."""

    account: AccountId
    arn: str
    trust: str | None = None
    """Of a role to be assumed: the hash of its trust policy; empty if there is no such role."""


class DeletedRepository(NamedTuple):
    """A deleted repository: its own tags and policy count, not those of a repository with the same name."""

    ref: RepositoryRef
    id: int

    @property
    def region(self) -> Region:
        return self.ref.region


Resource: TypeAlias = RepositoryRef | DeletedRepository | RegistryResource | NamedResource
