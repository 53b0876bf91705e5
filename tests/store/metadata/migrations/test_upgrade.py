"""A database made by an earlier release is brought up to date with all it holds."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.settings import Settings
from moorage.store.blobs.store import Part, Staged
from moorage.store.metadata import migrations
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.layers import layers, uploads
from moorage.store.metadata.migrations import METADATA

ACCOUNT, ANN, KEY, DEAD, SESSION = "111111111111", "AIDAANN", "AKIAANN", "AKIADEAD", "ASIAANN"
FIRST = (
    f"INSERT INTO accounts (id, name, created_at) VALUES ('{ACCOUNT}', 'main', 1.0)",
    "INSERT INTO users (id, account, name, name_folded, path, created_at)"
    f" VALUES ('{ANN}', '{ACCOUNT}', 'Ann', 'ann', '/team/', 2.0)",
    "INSERT INTO policy_documents (hash, text) VALUES ('h1', 'one'), ('h2', 'two')",
    f"INSERT INTO user_policies (user_id, name, policy_hash) VALUES ('{ANN}', 'p', 'h2')",
    "INSERT INTO user_policy_history (account, user_id, name, policy_hash, at, by)"
    f" VALUES ('{ACCOUNT}', '{ANN}', 'p', 'h1', 3.0, 'me'), ('{ACCOUNT}', '{ANN}', 'p', 'h2', 4.0, 'me')",
    "INSERT INTO access_keys (id, account, user_id, secret, active, created_at, deleted_at) VALUES"
    f" ('{KEY}', '{ACCOUNT}', '{ANN}', 's', TRUE, 5.0, NULL), ('{DEAD}', '{ACCOUNT}', NULL, '', FALSE, 5.0, 6.0)",
    "INSERT INTO sessions (id, account, user_id, secret, token_hash, issued_at, expires_at)"
    f" VALUES ('{SESSION}', '{ACCOUNT}', '{ANN}', 's', 't', 7.0, 8.0),"
    f" ('ASIAROOT', '{ACCOUNT}', NULL, 's', 't', 7.0, 8.0)",
)


async def made_at(
    settings: Settings, revision: str, statements: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database as the release with that revision left it."""
    from alembic import command

    upgrade = command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(command, "upgrade", lambda config, _: upgrade(config, revision))
        opened = await open_database(settings)
    await opened.transaction(lambda conn: [conn.execute(text(statement)) for statement in statements])
    await opened.close()


def rows(conn: Connection, statement: str) -> list[Any]:
    return [tuple(row) for row in conn.execute(text(statement))]


async def test_users_of_the_first_release_are_identities_now(
    empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made_at(empty_database_settings, "0001", FIRST, monkeypatch)
    opened = await open_database(empty_database_settings)

    async def found(statement: str) -> list[Any]:
        return await opened.read(lambda conn: rows(conn, statement))

    assert await found("SELECT version_num FROM alembic_version") == [(METADATA.head,)]
    assert await found(
        "SELECT id, account, kind, name, name_folded, path, created_at, boundary_id FROM identities"
    ) == [(ANN, ACCOUNT, "user", "Ann", "ann", "/team/", 2.0, None)]
    assert await found("SELECT identity_id, name, policy_hash FROM inline_policies") == [(ANN, "p", "h2")]
    assert await found("SELECT owner_id, aspect, name, value, at FROM identity_history ORDER BY id") == [
        (ANN, "inline", "p", "h1", 3.0),
        (ANN, "inline", "p", "h2", 4.0),
    ]
    assert await found("SELECT id, user_id, active FROM access_keys ORDER BY id") == [
        (KEY, ANN, True),
        (DEAD, None, False),
    ]
    assert await found("SELECT id, kind, identity_id, name, chained, expires_at FROM sessions ORDER BY id") == [
        (SESSION, "session", ANN, "", False, 8.0),
        ("ASIAROOT", "session", None, "", False, 8.0),
    ]
    # What pointed at users points at identities: with the user its sessions go.
    await opened.transaction(lambda conn: conn.execute(text("UPDATE access_keys SET user_id = NULL")))
    await opened.transaction(lambda conn: conn.execute(text("DELETE FROM identities")))
    assert await found("SELECT id FROM sessions") == [("ASIAROOT",)]
    await opened.close()


async def test_layers_of_the_first_release_stay_where_they_are(
    empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = (
        "INSERT INTO repositories (id, account, region, name, created_at, created_by, mutability, exclusion_filters,"
        " scan_on_push, encryption_type)"
        f" VALUES (1, '{ACCOUNT}', 'r', 'app', 1.0, 'me', 'MUTABLE', '[]', FALSE, 'AES256')",
        "INSERT INTO blobs (digest, object_key, size, stored_at) VALUES ('sha256:a', 'key', 3, 1.0)",
        "INSERT INTO layers (repository_id, digest, size, added_at) VALUES (1, 'sha256:a', 3, 1.0)",
        "INSERT INTO uploads (id, repository_id, started_at, updated_at, started_by, size, sha256, parts, small_parts,"
        " last_part_small) VALUES ('u', 1, 1.0, 2.0, 'me', 5, 'abc', 1, 0, TRUE)",
    )
    await made_at(empty_database_settings, "0002", at_work, monkeypatch)
    opened = await open_database(empty_database_settings)
    ref = RepositoryRef(AccountId(ACCOUNT), Region("r"), RepositoryName("app"))
    layer = await opened.read(lambda conn: layers.find(conn, ref, "sha256:a"))
    assert layer is not None
    assert (layer.object_key, layer.content, layer.size) == ("key", None, 3)
    upload = await opened.read(lambda conn: uploads.find(conn, ref, "u"))
    assert upload is not None
    assert (upload.size, upload.in_parts, upload.parts) == (5, 5, 1)
    staged = await opened.read(lambda conn: uploads.staged(conn, upload))
    assert staged == Staged("u", None, (Part(5, ""),))
    await opened.close()


async def test_images_of_an_earlier_release_are_counted(
    empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = (
        "INSERT INTO repositories (id, account, region, name, created_at, created_by, mutability, exclusion_filters,"
        f" scan_on_push, encryption_type) VALUES (%d, '{ACCOUNT}', 'r', 'app%d', 1.0, 'me', 'MUTABLE', '[]', FALSE, '')"
    )
    manifest = (
        "INSERT INTO manifests (repository_id, digest, media_type, body, image_size, pushed_at, pushed_by, deleted_at)"
        " VALUES (%d, 'sha256:%d', 'm', '', 1, 1.0, 'me', %s)"
    )
    held = [repository % (1, 1), repository % (2, 2)]
    held += [manifest % (1, 1, "NULL"), manifest % (1, 2, "NULL"), manifest % (1, 3, "3.0")]
    await made_at(empty_database_settings, "0006", held, monkeypatch)
    opened = await open_database(empty_database_settings)
    assert await opened.read(lambda conn: rows(conn, "SELECT id, images FROM repositories ORDER BY id")) == [
        (1, 2),
        (2, 0),
    ]
    await opened.close()


def test_the_head_named_is_the_newest_revision() -> None:
    """`is_current` trusts it, so that a start need not import alembic."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    here = str(migrations.__file__).rpartition("/")[0]
    config.set_main_option("script_location", here)
    config.set_main_option("path_separator", "newline")
    for history in (METADATA, migrations.AUDIT):
        config.set_main_option("version_locations", f"{here}/{history.folder}")
        assert ScriptDirectory.from_config(config).get_current_head() == history.head


async def test_open_uploads_and_sessions_of_before_are_counted(
    empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = (
        "INSERT INTO repositories (id, account, region, name, created_at, created_by, mutability, exclusion_filters,"
        " scan_on_push, encryption_type) VALUES"
        f" (7, '{ACCOUNT}', 'us-east-1', 'app', 1.0, 'me', 'MUTABLE', '[]', FALSE, 'AES256')"
    )
    upload = (
        "INSERT INTO uploads (id, repository_id, started_at, updated_at, started_by, size, parts, small_parts,"
        " last_part_small) VALUES ('large', 7, 1.0, 1.0, 'me', 1000000, 1, 0, FALSE),"
        " ('small', 7, 1.0, 1.0, 'me', 5, 1, 0, TRUE)"
    )
    content = "INSERT INTO upload_contents (upload_id, content) VALUES ('small', 'bytes')"
    session = (
        "INSERT INTO sessions (id, account, kind, name, secret, token_hash, issued_at, expires_at, chained)"
        f" VALUES ('ASIA1', '{ACCOUNT}', 'session', '', 's', 't', 1.0, 2.0, FALSE)"
    )
    accounts = f"INSERT INTO accounts (id, name, created_at) VALUES ('{ACCOUNT}', 'main', 1.0)"
    await made_at(empty_database_settings, "0007", (accounts, repository, upload, content, session), monkeypatch)
    opened = await open_database(empty_database_settings)
    ref = RepositoryRef(AccountId(ACCOUNT), Region("us-east-1"), RepositoryName("app"))
    counted = await opened.read(lambda conn: rows(conn, "SELECT scope, amount FROM usage ORDER BY scope"))
    assert counted == [
        (f"sessions of account {ACCOUNT}", 1),
        (f"sessions of root {ACCOUNT}", 1),
        (f"upload bytes of account {ACCOUNT}", 1_000_000),
        (f"uploads of account {ACCOUNT}", 2),
        ("uploads of repository 7", 2),
    ]
    small = await opened.read(lambda conn: uploads.find(conn, ref, "small"))
    assert small is not None
    staged = await opened.read(lambda conn: uploads.staged(conn, small))
    assert (staged.parts, [(piece.size, piece.name) for piece in staged.pieces]) == ((), [(5, None)])
    assert await opened.transaction(lambda conn: uploads.end(conn, "large"))
    left = await opened.read(lambda conn: rows(conn, "SELECT amount FROM usage WHERE scope LIKE 'upload bytes%'"))
    assert left == [(0,)]
    await opened.close()
