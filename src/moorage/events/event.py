"""The base classes of events. `vocabulary` has a class for each kind of event."""

import enum
from typing import ClassVar, Final, TypedDict

import msgspec

from moorage.names import AccountId, Region, RepositoryName, RepositoryRef

SERVER: Final = "moorage"
"""The `by` of events that the server causes itself, such as the end of a retention period."""


class Authorization(enum.Enum):
    """How far an event changes what callers may do, and so which cached decisions end with it."""

    UNCHANGED = "unchanged"
    """No decision changes."""
    REPOSITORY = "repository"
    """Decisions about one repository may change."""
    ACCOUNT = "account"
    """Any decision may change: those of identities, of registries, of the organization."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", rename="camel"):
    """Something that changed the state of the deployment.

    A subclass sets its kind as its `tag`: a noun and a verb in the past tense (`image.pushed`). It states in
    `authorization` whether the change can alter decisions; `record` then raises the authorization epoch.
    """

    authorization: ClassVar[Authorization] = Authorization.UNCHANGED

    at: float
    """When it happened, in seconds since the epoch."""
    account: AccountId
    """The account that owns what changed."""
    by: str
    """The principal who caused it, as the audit record names principals; `SERVER` for the server itself."""


class AccountEvent(Event, frozen=True, kw_only=True):
    """An event about an account or its identities, which belong to no region."""

    authorization: ClassVar[Authorization] = Authorization.ACCOUNT


class RegistryEvent(Event, frozen=True, kw_only=True):
    """An event about a registry: an account in one region."""

    region: Region


class RepositoryEvent(RegistryEvent, frozen=True, kw_only=True):
    """An event about one repository."""

    repository: RepositoryName


class RepositoryFields(TypedDict):
    """The fields of a `RepositoryEvent` that name its repository."""

    account: AccountId
    region: Region
    repository: RepositoryName


def of_repository(ref: RepositoryRef) -> RepositoryFields:
    """Return the fields of an event about this repository: `RepositoryTagged(**of_repository(ref), …)`."""
    return RepositoryFields(account=ref.account, region=ref.region, repository=ref.name)


def kind_of(event: Event) -> str:
    """Return the kind of an event, such as `image.pushed`."""
    kind = event.__struct_config__.tag
    assert isinstance(kind, str)  # noqa: S101 - every class of the vocabulary sets it
    return kind
