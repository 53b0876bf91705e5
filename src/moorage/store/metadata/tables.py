"""The tables. Account and region are part of every key; times are in seconds since the epoch (float).

Rows with a `deleted_at` are in the trash: the ECR API does not show them, `moorage restore` restores them, and
maintenance destroys them after the retention period. Policy documents are stored by the SHA-256 of their text.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    literal_column,
    text,
)

import moorage.store.metadata.identity.tables
import moorage.store.metadata.jobs.tables  # noqa: F401 - so that `metadata` has all tables
from moorage.store.metadata.database.schema import BIG_ID, index_of_some
from moorage.store.metadata.database.schema import metadata as metadata  # noqa: PLC0414 - complete once this module is imported

_ALIVE = text("deleted_at IS NULL")
_IN_TRASH = text("deleted_at IS NOT NULL")
_REFERRER = text("subject IS NOT NULL AND deleted_at IS NULL")
_REMOVED = text("digest IS NULL")

# One row: the authorization epoch. Every change of identity or policy raises it, in its own transaction.
epoch = Table(
    "epoch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("wide", BigInteger, nullable=False, server_default="0"),  # see `epoch.Epoch`
)

# Values of the deployment as a whole, one row for each; see `deployment`.
deployment = Table(
    "deployment",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# --- Repositories ---

repositories = Table(
    "repositories",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(25), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("mutability", String(32), nullable=False),
    Column("exclusion_filters", Text, nullable=False),  # JSON array of wildcard texts
    Column("scan_on_push", Boolean, nullable=False),
    Column("encryption_type", String(16), nullable=False),
    Column("kms_key", Text),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash")),  # the repository policy in force
    Column("policies", Integer, nullable=False, server_default="0"),  # how often its policy was set or deleted
    Column("images", Integer, nullable=False, server_default="0"),  # the number of its live rows in `manifests`
    Column("deleted_at", Float),
    Column("deleted_by", Text),
)
index_of_some(
    "uq_repositories_alive", _ALIVE, repositories.c.account, repositories.c.region, repositories.c.name, unique=True
)
Index("ix_repositories_deleted_at", repositories.c.deleted_at)
Index("ix_repositories_policy_hash", repositories.c.policy_hash)
index_of_some(
    "ix_repositories_trash", _IN_TRASH, repositories.c.account, repositories.c.region, repositories.c.deleted_at
)

repository_tags = Table(  # resource tags, not image tags
    "repository_tags",
    metadata,
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)

# --- Policies ---

policy_documents = Table(
    "policy_documents",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of `text`, hex
    Column("text", Text, nullable=False),  # canonical; unique ids in place of the ARNs of known principals
    # When nothing was first found to refer to it; 0: the next maintenance deletes it. See `documents`.
    Column("unused_since", Float),
)
index_of_some("ix_policy_documents_unused_since", text("unused_since IS NOT NULL"), policy_documents.c.unused_since)

repository_policy_history = Table(
    "repository_policy_history",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash")),  # null: the policy was deleted
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Index("ix_repository_policy_history_repository_id", "repository_id", "id"),
    Index("ix_repository_policy_history_policy_hash", "policy_hash"),
)

registry_policies = Table(  # at most one for each registry
    "registry_policies",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(25), primary_key=True),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash"), nullable=False),
    Index("ix_registry_policies_policy_hash", "policy_hash"),
)

registry_policy_history = Table(
    "registry_policy_history",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(25), nullable=False),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash")),  # null: the policy was deleted
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Index("ix_registry_policy_history_account", "account", "region", "id"),
    Index("ix_registry_policy_history_policy_hash", "policy_hash"),
)

organization_history = Table(  # the newest row is current
    "organization_history",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("document", Text),  # JSON; null: the organization was removed
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
)

organization_policies = Table(  # the documents of the SCPs and RCPs of each row of `organization_history`
    "organization_policies",
    metadata,
    Column("entry_id", BIG_ID, ForeignKey("organization_history.id", ondelete="CASCADE"), primary_key=True),
    Column("policy_hash", String(64), ForeignKey("policy_documents.hash"), primary_key=True),
    Index("ix_organization_policies_policy_hash", "policy_hash"),
)

# --- Images ---

manifests = Table(
    "manifests",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("digest", String(135), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),  # exactly as pushed
    Column("image_size", BigInteger, nullable=False),  # bytes, as DescribeImages returns it
    Column("artifact_type", String(255)),  # artifactType, else config.mediaType (the referrers API's rule)
    Column("config_media_type", String(255)),
    Column("subject", String(135)),
    Column("annotations", Text),  # JSON object, for referrers
    Column("pushed_at", Float, nullable=False),
    Column("pushed_by", Text, nullable=False),
    Column("last_pulled_at", Float),
    Column("deleted_at", Float),
    Column("deleted_by", Text),
)
index_of_some("uq_manifests_alive", _ALIVE, manifests.c.repository_id, manifests.c.digest, unique=True)
Index("ix_manifests_repository_id_id", manifests.c.repository_id, manifests.c.id)
# Only referrers, because most manifests have no subject. A filtered page must not read referrers of other types.
index_of_some("ix_manifests_referrers", _REFERRER, manifests.c.repository_id, manifests.c.subject)
index_of_some(
    "ix_manifests_typed_referrers",
    _REFERRER,
    manifests.c.repository_id,
    manifests.c.subject,
    manifests.c.artifact_type,
)
index_of_some("ix_manifests_trash", _IN_TRASH, manifests.c.repository_id, manifests.c.digest)
index_of_some("ix_manifests_deleted_at", _IN_TRASH, manifests.c.deleted_at)
# An expression, so that SQLite does not use this index to sort the results of another one. Only maintenance needs it.
DELETED_AT = literal_column("(deleted_at + 0)", Float)
index_of_some("ix_manifests_trash_by_time", _IN_TRASH, manifests.c.repository_id, DELETED_AT)

manifest_references = Table(  # what a manifest names: its config, layers, and (of an index) children
    "manifest_references",
    metadata,
    Column("manifest_id", BIG_ID, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(8), nullable=False),  # config | layer | child
    Column("digest", String(135), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("ix_manifest_references_digest", "repository_id", "digest"),
)

tags = Table(  # current image tags
    "tags",
    metadata,
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(300), primary_key=True),
    Column("manifest_id", BIG_ID, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_tags_manifest_id", "manifest_id"),
)

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(300), nullable=False),
    Column("digest", String(135)),  # null: the tag was removed
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Index("ix_tag_history_repository_id", "repository_id", "name", "id"),
)
index_of_some("ix_tag_history_removed", _REMOVED, tag_history.c.repository_id, tag_history.c.at)

# --- Blobs: stored once, belonging to repositories ---

blobs = Table(
    "blobs",
    metadata,
    Column("digest", String(135), primary_key=True),
    Column("object_key", String(255), nullable=False),  # where the blob store keeps its bytes; "": in blob_contents
    Column("size", BigInteger, nullable=False),
    Column("stored_at", Float, nullable=False),
    # Since when no repository refers to it; null while one does. The sweep frees it after a grace period.
    Column("orphaned_at", Float),
    Index("ix_blobs_orphaned_at", "orphaned_at"),
    Index("ix_blobs_object_key", "object_key"),
)

blob_contents = Table(  # bytes of small blobs: one commit makes them and what names them durable
    "blob_contents",
    metadata,
    Column("digest", String(135), ForeignKey("blobs.digest", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

layers = Table(  # membership: this blob belongs to this repository (config blobs are layers too)
    "layers",
    metadata,
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", String(135), ForeignKey("blobs.digest"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("added_at", Float, nullable=False),
    # Set when the layer was deleted while a deleted image names it: no request finds it, and a restored image brings
    # it back.
    Column("deleted_at", Float),
    Index("ix_layers_digest", "digest"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("repository_id", BIG_ID, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes received and kept
    Column("in_parts", BigInteger, nullable=False, server_default="0"),  # of these, bytes in `upload_parts`
    Column("session", String(255)),  # what the blob store calls the unfinished upload
    Column("sha256", String(64)),  # of all bytes, hex; null: not known
    Column("parts", Integer, nullable=False),  # requests that appended to it: parts of UploadLayerPart
    Column("small_parts", Integer, nullable=False),  # parts under 5 MiB, the last one not counted until another follows
    Column("last_part_small", Boolean, nullable=False),
    Column("reserved", BigInteger, nullable=False, server_default="0"),  # bytes in the blob store, or about to be
    Column("failures", Integer, nullable=False, server_default="0"),  # finishes whose digest was wrong
    Index("ix_uploads_updated_at", "updated_at"),
    Index("ix_uploads_repository_id", "repository_id"),
)

finished_uploads = Table(  # layers now, but still counted: a finish need not wait for the row that counts
    "finished_uploads",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("repository_id", BIG_ID, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Index("ix_finished_uploads_repository_id", "repository_id"),
    Index("ix_finished_uploads_account", "account"),
)

upload_parts = Table(  # bytes of an upload that the blob store holds, in the order of `number`
    "upload_parts",
    metadata,
    Column("upload_id", String(36), ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(255), nullable=False),
)

upload_pieces = Table(  # bytes of an upload after its parts, in the order of `start`
    "upload_pieces",
    metadata,
    Column("upload_id", String(36), ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True),  # offset of the first byte
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary),  # null: the blob store keeps them as `name`
    Column("name", String(255)),
)

# --- Registry-wide ---

usage = Table(  # how much of each quota is used
    "usage",
    metadata,
    Column("scope", String(64), primary_key=True),  # see usage.py
    Column("amount", BigInteger, nullable=False),
)

account_settings = Table(
    "account_settings",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(25), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

leftover_suspects = Table(  # files in the blob store that no row knew; see `layers/suspects.py`
    "leftover_suspects",
    metadata,
    Column("kind", String(8), primary_key=True),  # upload | object
    Column("name", String(255), primary_key=True),
    Column("since", Float, nullable=False),
    Column("modified_at", Float, nullable=False),
)

observed_clock = Table(  # one row, see `store/elapsed.py`
    "observed_clock",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("gaps", Text, nullable=False),  # JSON: [[beginning, end], …]
)

outbox = Table(  # events of state changes, written in the same transaction; see `events/outbox.py`
    "outbox",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("account", String(12), nullable=False),
    Column("region", String(25), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    # Given after the commit, one after the other: whoever reads on from a position misses nothing.
    Column("position", BigInteger),
)
index_of_some("ix_outbox_new", text("position IS NULL"), outbox.c.id)
index_of_some("uq_outbox_position", text("position IS NOT NULL"), outbox.c.position, unique=True)

outbox_cursors = Table(
    "outbox_cursors",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
