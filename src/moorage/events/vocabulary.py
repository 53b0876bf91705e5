"""The vocabulary of events: every class of `registry` and `identity`, one for each kind of event."""

from typing import TypeAlias

from moorage.events import identity, registry

AnyEvent: TypeAlias = (
    registry.RepositoryCreated
    | registry.RepositoryDeleted
    | registry.RepositoryRestored
    | registry.RepositoryPurged
    | registry.RepositorySettingsChanged
    | registry.RepositoryTagged
    | registry.RepositoryUntagged
    | registry.RepositoryPolicySet
    | registry.RepositoryPolicyDeleted
    | registry.ImagePushed
    | registry.ImageDeleted
    | registry.ImageUntagged
    | registry.ImageRestored
    | registry.ImagePurged
    | registry.TagRestored
    | registry.LayerUploaded
    | registry.LayerMounted
    | registry.LayerDeleted
    | registry.RegistryPolicySet
    | registry.RegistryPolicyDeleted
    | registry.AccountSettingChanged
    | identity.AccountCreated
    | identity.AccountAliasCreated
    | identity.AccountAliasDeleted
    | identity.OrganizationSet
    | identity.OrganizationRemoved
    | identity.UserCreated
    | identity.UserUpdated
    | identity.UserDeleted
    | identity.GroupCreated
    | identity.GroupUpdated
    | identity.GroupDeleted
    | identity.RoleCreated
    | identity.RoleUpdated
    | identity.RoleDeleted
    | identity.RoleTrustPolicySet
    | identity.UserAddedToGroup
    | identity.UserRemovedFromGroup
    | identity.InlinePolicyPut
    | identity.InlinePolicyDeleted
    | identity.PolicyAttached
    | identity.PolicyDetached
    | identity.BoundarySet
    | identity.BoundaryDeleted
    | identity.ManagedPolicyCreated
    | identity.ManagedPolicyDeleted
    | identity.PolicyVersionCreated
    | identity.PolicyVersionDeleted
    | identity.DefaultPolicyVersionSet
    | identity.IdentityTagged
    | identity.IdentityUntagged
    | identity.AccessKeyCreated
    | identity.AccessKeyStatusChanged
    | identity.AccessKeyDeleted
    | identity.SessionCreated
    | identity.PullTokenCreated
    | identity.PullTokenRevoked
)
"""Every event; `msgspec.json.decode(payload, type=AnyEvent)` reads the payload of a row of the outbox."""
