"""Events about accounts, identities, their policies and their credentials."""

from moorage.events.event import AccountEvent


class AccountCreated(AccountEvent, frozen=True, kw_only=True, tag="account.created"):
    """An account was created."""


class AccountAliasCreated(AccountEvent, frozen=True, kw_only=True, tag="account-alias.created"):
    """The alias of an account was set."""

    alias: str


class AccountAliasDeleted(AccountEvent, frozen=True, kw_only=True, tag="account-alias.deleted"):
    """The alias of an account was removed."""

    alias: str


class OrganizationSet(AccountEvent, frozen=True, kw_only=True, tag="organization.set"):
    """The organization document was set. The account is the management account."""


class OrganizationRemoved(AccountEvent, frozen=True, kw_only=True, tag="organization.removed"):
    """The organization was removed. The account is the former management account."""


class UserCreated(AccountEvent, frozen=True, kw_only=True, tag="user.created"):
    """A user was created."""

    user_id: str
    arn: str


class UserUpdated(AccountEvent, frozen=True, kw_only=True, tag="user.updated"):
    """The name, path or description of a user changed."""

    user_id: str
    arn: str


class UserDeleted(AccountEvent, frozen=True, kw_only=True, tag="user.deleted"):
    """A user was deleted."""

    user_id: str
    arn: str


class GroupCreated(AccountEvent, frozen=True, kw_only=True, tag="group.created"):
    """A group was created."""

    group_id: str
    arn: str


class GroupUpdated(AccountEvent, frozen=True, kw_only=True, tag="group.updated"):
    """The name, path or description of a group changed."""

    group_id: str
    arn: str


class GroupDeleted(AccountEvent, frozen=True, kw_only=True, tag="group.deleted"):
    """A group was deleted."""

    group_id: str
    arn: str


class RoleCreated(AccountEvent, frozen=True, kw_only=True, tag="role.created"):
    """A role was created."""

    role_id: str
    arn: str


class RoleUpdated(AccountEvent, frozen=True, kw_only=True, tag="role.updated"):
    """The name, path or description of a role changed."""

    role_id: str
    arn: str


class RoleDeleted(AccountEvent, frozen=True, kw_only=True, tag="role.deleted"):
    """A role was deleted."""

    role_id: str
    arn: str


class RoleTrustPolicySet(AccountEvent, frozen=True, kw_only=True, tag="role.trust-policy-set"):
    """The trust policy of a role was replaced."""

    role_id: str
    arn: str


class UserAddedToGroup(AccountEvent, frozen=True, kw_only=True, tag="group.user-added"):
    """A user was added to a group."""

    group_id: str
    user_id: str


class UserRemovedFromGroup(AccountEvent, frozen=True, kw_only=True, tag="group.user-removed"):
    """A user was removed from a group."""

    group_id: str
    user_id: str


class InlinePolicyPut(AccountEvent, frozen=True, kw_only=True, tag="inline-policy.put"):
    """An inline policy of a user, group or role was set or replaced."""

    identity_id: str
    """Unique id of the user, group or role."""
    policy_name: str


class InlinePolicyDeleted(AccountEvent, frozen=True, kw_only=True, tag="inline-policy.deleted"):
    """An inline policy of a user, group or role was deleted."""

    identity_id: str
    """Unique id of the user, group or role."""
    policy_name: str


class PolicyAttached(AccountEvent, frozen=True, kw_only=True, tag="policy.attached"):
    """A managed policy was attached to a user, group or role."""

    identity_id: str
    """Unique id of the user, group or role."""
    policy_arn: str


class PolicyDetached(AccountEvent, frozen=True, kw_only=True, tag="policy.detached"):
    """A managed policy was detached from a user, group or role."""

    identity_id: str
    """Unique id of the user, group or role."""
    policy_arn: str


class BoundarySet(AccountEvent, frozen=True, kw_only=True, tag="permissions-boundary.set"):
    """The permissions boundary of a user or role was set."""

    identity_id: str
    """Unique id of the user, group or role."""
    policy_arn: str


class BoundaryDeleted(AccountEvent, frozen=True, kw_only=True, tag="permissions-boundary.deleted"):
    """The permissions boundary of a user or role was removed."""

    identity_id: str
    """Unique id of the user, group or role."""


class ManagedPolicyCreated(AccountEvent, frozen=True, kw_only=True, tag="policy.created"):
    """A managed policy was created."""

    policy_id: str
    arn: str


class ManagedPolicyDeleted(AccountEvent, frozen=True, kw_only=True, tag="policy.deleted"):
    """A managed policy was deleted."""

    policy_id: str
    arn: str


class PolicyVersionCreated(AccountEvent, frozen=True, kw_only=True, tag="policy-version.created"):
    """A version of a managed policy was created."""

    policy_id: str
    arn: str
    version: str


class PolicyVersionDeleted(AccountEvent, frozen=True, kw_only=True, tag="policy-version.deleted"):
    """A version of a managed policy was deleted."""

    policy_id: str
    arn: str
    version: str


class DefaultPolicyVersionSet(AccountEvent, frozen=True, kw_only=True, tag="policy.default-version-set"):
    """Another version of a managed policy became the default."""

    policy_id: str
    arn: str
    version: str


class IdentityTagged(AccountEvent, frozen=True, kw_only=True, tag="identity.tagged"):
    """Tags of a user, role or managed policy were added or changed."""

    identity_id: str
    """Unique id of the user, role or managed policy."""
    keys: tuple[str, ...]


class IdentityUntagged(AccountEvent, frozen=True, kw_only=True, tag="identity.untagged"):
    """Tags of a user, role or managed policy were removed."""

    identity_id: str
    """Unique id of the user, role or managed policy."""
    keys: tuple[str, ...]


class AccessKeyCreated(AccountEvent, frozen=True, kw_only=True, tag="access-key.created"):
    """An access key was created."""

    user_id: str | None
    """None: the key belongs to the root of the account."""
    key_id: str


class AccessKeyStatusChanged(AccountEvent, frozen=True, kw_only=True, tag="access-key.status-changed"):
    """An access key was activated or deactivated."""

    user_id: str | None
    """None: the key belongs to the root of the account."""
    key_id: str
    active: bool


class AccessKeyDeleted(AccountEvent, frozen=True, kw_only=True, tag="access-key.deleted"):
    """An access key was deleted."""

    user_id: str | None
    """None: the key belongs to the root of the account."""
    key_id: str


class SessionCreated(AccountEvent, frozen=True, kw_only=True, tag="session.created"):
    """Temporary credentials were issued."""

    key_id: str
    identity_id: str | None
    """Unique id of the user or role; None for the root of the account."""


class PullTokenCreated(AccountEvent, frozen=True, kw_only=True, tag="pull-token.created"):
    """A pull token was created."""

    token_id: str
    name: str


class PullTokenRevoked(AccountEvent, frozen=True, kw_only=True, tag="pull-token.revoked"):
    """A pull token was revoked."""

    token_id: str
    name: str
