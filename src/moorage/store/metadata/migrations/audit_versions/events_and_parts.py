"""Events, and what many decisions share kept once: callers, condition-key values, policy sets."""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "audit0002"
down_revision = "audit0001"
branch_labels = None
depends_on = None

_BATCH = 1000
_DAY = 86_400
_KINDS = {"Account": "root", "User": "user", "Anonymous": "anonymous"}
_SET_KINDS = {"identity": "identity", "resource": "repository"}
_CLOCK = ("aws:currenttime", "aws:epochtime")


def upgrade() -> None:
    op.create_table(
        "audit_parts",
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_audit_parts"),
    )
    op.create_index("ix_audit_parts_seen", "audit_parts", ["seen"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("recipient", sa.String(length=12), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("last", sa.Float(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("region", sa.String(length=25), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("source_ip", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=7), nullable=False),
        sa.Column("error_code", sa.String(length=128), nullable=True),
        sa.Column("caller", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "recipient", name="pk_events"),
    )
    op.create_index("ix_events_at", "events", ["at"], unique=False)
    op.create_index("ix_events_recipient", "events", ["recipient", "at"], unique=False)
    op.add_column("decisions", sa.Column("last", sa.Float(), nullable=True))
    op.add_column("decisions", sa.Column("caller", sa.String(length=32), nullable=True))
    _share(op.get_bind())
    with op.batch_alter_table("decisions") as table:
        table.drop_column("principal_account")
        table.drop_column("principal_id")
        table.alter_column("last", existing_type=sa.Float(), nullable=False)
        table.alter_column("caller", existing_type=sa.String(length=32), nullable=False)
        table.alter_column("context", existing_type=sa.Text(), type_=sa.String(length=32), existing_nullable=False)
        table.alter_column("policies", existing_type=sa.Text(), type_=sa.String(length=32), existing_nullable=False)
    op.create_index("ix_decisions_account", "decisions", ["account", "at"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("what was shared is not taken apart again")


def _share(conn: sa.Connection) -> None:
    """Move callers, contexts and policy sets of the decisions there are into `audit_parts`."""
    kept: set[str] = set()
    after = ""
    newest = conn.execute(sa.text("SELECT max(at) FROM decisions")).scalar_one()
    day = int((newest or 0) // _DAY)
    page = sa.text("SELECT * FROM decisions WHERE id > :after ORDER BY id LIMIT :limit")
    while rows := conn.execute(page, {"after": after, "limit": _BATCH}).mappings().all():
        after = rows[-1]["id"]
        parts: dict[str, str] = {}
        changes = [_changed(dict(row), parts) for row in rows]
        new = [{"hash": name, "text": text, "seen": day} for name, text in parts.items() if name not in kept]
        if new:
            conn.execute(sa.text("INSERT INTO audit_parts (hash, text, seen) VALUES (:hash, :text, :seen)"), new)
            kept.update(parts)
        conn.execute(
            sa.text(
                "UPDATE decisions SET last = :at, caller = :caller, context = :context, policies = :policies"
                " WHERE id = :id"
            ),
            changes,
        )


def _changed(row: dict[str, Any], parts: dict[str, str]) -> dict[str, Any]:
    values = json.loads(row["context"])
    principal = {
        "kind": _KINDS.get(values.get("aws:principaltype"), "user"),
        "account": row["principal_account"] or "",
        "arn": row["principal"],
        "id": row["principal_id"],
        "user_name": values.get("aws:username"),
    }
    caller = {"principal": principal, "credential": "key", "key_id": "", "context": {}}
    sets = {
        name: [{**each, "kind": _SET_KINDS.get(name, name)} for each in named]
        for name, named in json.loads(row["policies"]).items()
    }
    context = {key: value for key, value in values.items() if key not in _CLOCK}

    def part(value: Any) -> str:
        text = json.dumps(value, separators=(",", ":"))
        name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        parts[name] = text
        return name

    return {
        "id": row["id"],
        "at": row["at"],
        "caller": part(caller),
        "context": part(context),
        "policies": part(sets),
    }
