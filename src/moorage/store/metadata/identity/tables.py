"""The tables of identities: accounts, users, groups and roles, their policies, keys and sessions.

A unique id (`AIDA…`, `AGPA…`, `AROA…`, `ANPA…`) is never reused, so rows that outlive their owner may contain it.
"""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from moorage.store.metadata.database.schema import BIG_ID, index_of_some, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("alias", String(63)),
    Index("uq_accounts_alias", "alias", unique=True),
)

identities = Table(  # users, groups and roles
    "identities",
    metadata,
    Column("id", String(32), primary_key=True),  # AIDA… | AGPA… | AROA…
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("kind", String(5), nullable=False),  # user | group | role
    Column("name", String(128), nullable=False),
    Column("name_folded", String(128), nullable=False),  # names are unique whatever their case
    Column("path", String(512), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("boundary_id", String(32)),  # permissions boundary: managed_policies.id, or the id of one of AWS's own
    UniqueConstraint("account", "kind", "name_folded"),
    Index("ix_identities_boundary_id", "boundary_id"),
)

roles = Table(  # the columns that only roles have
    "roles",
    metadata,
    Column("id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("trust_hash", String(64), ForeignKey("policy_documents.hash"), nullable=False),
    Column("max_session_seconds", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("service", String(128)),  # of a service-linked role; set by CreateServiceLinkedRole only
    Index("ix_roles_trust_hash", "trust_hash"),
)

group_members = Table(
    "group_members",
    metadata,
    Column("user_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("added_at", Float, nullable=False),
    Index("ix_group_members_group_id", "group_id"),
)

inline_policies = Table(
    "inline_policies",
    metadata,
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash"), nullable=False),
    Index("ix_inline_policies_policy_hash", "policy_hash"),
)

managed_policies = Table(  # an account's own; AWS's are in identity/policies/aws_managed.py
    "managed_policies",
    metadata,
    Column("id", String(32), primary_key=True),  # ANPA…
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("name_folded", String(128), nullable=False),
    Column("path", String(512), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("default_version", Integer, nullable=False),
    Column("newest_version", Integer, nullable=False),  # numbers are never reused
    UniqueConstraint("account", "name_folded"),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("policy_id", String(32), ForeignKey("managed_policies.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash"), nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_policy_versions_policy_hash", "policy_hash"),
)

attachments = Table(
    "attachments",
    metadata,
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("policy_id", String(32), primary_key=True),  # managed_policies.id, or the id of one of AWS's own
    Index("ix_attachments_policy_id", "policy_id"),
)

identity_tags = Table(  # of users, roles and managed policies
    "identity_tags",
    metadata,
    Column("owner_id", String(32), primary_key=True),
    Column("key_folded", String(128), primary_key=True),  # keys are unique whatever their case
    Column("key", String(128), nullable=False),
    Column("value", String(256), nullable=False),
)

identity_history = Table(  # what an identity or managed policy had, and from when on; rows outlive their owner
    "identity_history",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("aspect", String(10), nullable=False),  # inline | attached | boundary | member | trust | default
    Column("name", String(128), nullable=False),  # of the policy or group; empty where an owner has but one
    Column("value", String(64)),  # a document's hash, or the id of a policy or group; null: removed
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Index("ix_identity_history_owner_id", "owner_id", "id"),
    Index("ix_identity_history_value", "value"),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(32), primary_key=True),  # AKIA…
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("user_id", String(32), ForeignKey("identities.id")),  # null: a key of the account's root
    Column("secret", Text, nullable=False),  # sealed
    Column("active", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("deleted_at", Float),  # the id of a deleted key stays, so that it is never accepted again
    Index("ix_access_keys_user_id", "user_id"),
    Index("ix_access_keys_deleted_at", "account", "deleted_at"),
)

pull_tokens = Table(  # named passwords of the data plane, each limited by a session policy
    "pull_tokens",
    metadata,
    Column("id", String(32), primary_key=True),  # MPTK…
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    # The user whose permissions it has, and with whom it is deleted; null: the root of the account.
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE")),
    Column("name", String(32), nullable=False),
    Column("name_folded", String(32), nullable=False),
    Column("secret_hash", String(64), nullable=False),  # SHA-256, hex
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash"), nullable=False),  # the scope
    Column("repositories", Text, nullable=False),  # JSON array: the scope as it was given
    Column("actions", Text, nullable=False),  # JSON array
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),  # the row stays for a while, so that its holder gets a clear error
    Index("ix_pull_tokens_identity_id", "identity_id"),
    Index("ix_pull_tokens_account", "account"),
    Index("ix_pull_tokens_policy_hash", "policy_hash"),
)
index_of_some(
    "uq_pull_tokens_living",
    text("revoked_at IS NULL"),
    pull_tokens.c.account,
    pull_tokens.c.name_folded,
    unique=True,
)

last_uses = Table(  # of access keys, pull tokens and roles; written up to a minute later, without an event
    "last_uses",
    metadata,
    Column("id", String(32), primary_key=True),  # AKIA… | MPTK… | AROA…
    Column("at", Float, nullable=False),
    Column("service", String(64), nullable=False),
    Column("region", String(25), nullable=False),
)

sessions = Table(  # temporary credentials
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),  # ASIA…
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    # session: GetSessionToken, the user or root itself. role: AssumeRole and its kin. federated: GetFederationToken.
    Column("kind", String(9), nullable=False),
    # The user or role whose permissions it has, and with which it is deleted; null: the root of the account.
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE")),
    Column("name", String(64), nullable=False),  # role session name, federated user's name; else empty
    Column("secret", Text, nullable=False),  # sealed
    Column("token_hash", String(64), nullable=False),  # SHA-256 of the session token, hex
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash")),  # the inline session policy
    Column("policy_ids", Text),  # JSON array of managed policies' ids; null: none were passed
    Column("tags", Text),  # JSON object: session tags, over the role's
    Column("transitive_keys", Text),  # JSON array of tag keys that a chained session inherits
    Column("source_identity", String(64)),
    Column("provider", Text),  # of a web identity: the issuer's provider
    Column("chained", Boolean, nullable=False),  # created with the credentials of another role session
    Column("context", Text),  # JSON object: further condition keys, in lower case
    Index("ix_sessions_expires_at", "expires_at"),
    Index("ix_sessions_identity_id", "identity_id"),
    Index("ix_sessions_policy_hash", "policy_hash"),
)
