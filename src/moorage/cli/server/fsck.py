"""`moorage fsck`: check the stored data byte by byte, and say how to repair it."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moorage.cli import options
from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.on_host import settings_on_host
from moorage.settings import SettingError, Settings

if TYPE_CHECKING:
    from moorage.store.blobs.store import BlobStore
    from moorage.store.checking import Finding
    from moorage.store.metadata.database.database import Database

WRONG, UNCHECKED = 1, 2
"""Exit statuses: data is lost or wrong; the check failed."""


def fsck(
    data: options.Data = None,
    database_url: options.DatabaseUrl = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare the lengths of files only; do not read and hash them.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Correct wrong counters, and stop serving layers with wrong bytes."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line; the last one is the summary.")
    ] = False,
) -> None:
    """Check the stored data: digests, missing and stray files, references, counters. The server may run meanwhile.

    The exit status is 0 if nothing is lost or wrong, 1 if something is, and 2 if the data could not be checked.
    """
    show = _show_json if as_json else _show
    try:
        settings = settings_on_host(data, database_url)
        wrong = asyncio.run(_fsck(settings, show, quick=quick, repair=repair))
    except (ServerSaidNoError, SettingError, OSError) as error:
        typer.echo(f"moorage: {error}", err=True)
        raise typer.Exit(UNCHECKED) from error
    raise typer.Exit(WRONG if wrong else 0)


async def _fsck(settings: Settings, show: Callable[[dict[str, Any]], None], *, quick: bool, repair: bool) -> int:
    """Check, print each finding, and return how many harmful ones remain."""
    # Imported here: importing them takes longer than any other command runs.
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from moorage.store import checking  # noqa: PLC0415
    from moorage.store.blobs.open import open_blob_store  # noqa: PLC0415

    started = time.monotonic()
    found: dict[str, int] = {}
    repaired = 0

    def report(finding: "Finding", done: str | None = None) -> None:
        nonlocal repaired
        found[finding.kind] = found.get(finding.kind, 0) + 1
        repaired += done is not None
        show({**asdict(finding), "harmful": finding.harmful, "repaired": done})

    if settings.database_url is None:
        for name in ("audit.db", "moorage.db"):
            findings = checking.problems_of_database(settings.data / name, quick=quick)
            for finding in findings:
                report(finding)
        is_readable = all(finding.kind != "database" for finding in findings)  # of the last kind, the metadata
    else:
        is_readable = True
    checked: dict[str, int] | None = None
    if is_readable:
        blobs = open_blob_store(settings)
        database = await _open(settings)
        try:
            check = checking.Check(database, blobs, quick=quick)
            async for finding in check.findings():
                done = None
                if repair and finding.kind in checking.WRONG_BYTES:
                    await _set_aside(settings, database, blobs, finding.subject)
                    done = f"its bytes are no longer served. {checking.PUSH_AGAIN if finding.images else ''}".strip()
                elif repair and finding.kind == "counter":
                    done = await _repair_counters(database)
                report(finding, done)
            checked = asdict(check.checked)
        except DBAPIError as error:
            raise ServerSaidNoError(f"the database cannot be read: {error.orig}") from error
        finally:
            await database.close()
            await blobs.close()
    strays = found.get("stray", 0)
    harmful = sum(found.values()) - strays
    counters = found.get("counter", 0) if repair else 0
    show(
        {
            "kind": "summary",
            "checked": checked,
            "quick": quick,
            "found": found,
            "repaired": repaired,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return harmful - counters


async def _open(settings: Settings) -> "Database":
    """Open the metadata as it is, without migrating it. Raise ServerSaidNoError if it has another schema."""
    from moorage.store.metadata.database.sqlite import SqliteDatabase  # noqa: PLC0415
    from moorage.store.metadata.migrations import METADATA, is_current  # noqa: PLC0415

    database: Database
    if settings.database_url is None:
        database = SqliteDatabase.open(settings.data / "moorage.db")
    else:
        from moorage.store.metadata.database.postgres import PostgresDatabase  # noqa: PLC0415 - asyncpg only where it is used

        database = PostgresDatabase.open(settings.database_url)
    try:
        if not await database.read(lambda conn: is_current(conn, METADATA)):
            raise ServerSaidNoError(
                "the database has the schema of another version of Moorage. "
                "Check it with that version, or start this one first, which migrates older data"
            )
    except BaseException:
        await database.close()
        raise
    return database


async def _set_aside(settings: Settings, database: "Database", blobs: "BlobStore", digest: str) -> None:
    from moorage.clock import Clock  # noqa: PLC0415
    from moorage.names import Digest  # noqa: PLC0415
    from moorage.registry.layers.service import Layers  # noqa: PLC0415

    await Layers(database, blobs, Clock(), settings).set_aside(Digest(digest))


async def _repair_counters(database: "Database") -> str:
    from moorage.store.metadata.deployment.consistency import set_counters  # noqa: PLC0415

    await database.transaction(set_counters, long=True)
    return "set to what is there"


def _show_json(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _show(line: dict[str, Any]) -> None:
    if line["kind"] == "summary":
        _show_summary(line)
        return
    typer.echo(f"{'✗' if line['harmful'] else '!'} {line['kind']:<9} {line['subject']}: {line['problem']}")
    for image in line["images"]:
        typer.echo(f"            needed by {image}")
    typer.echo(f"            {'repaired: ' + line['repaired'] if line['repaired'] else line['repair']}")


def _show_summary(line: dict[str, Any]) -> None:
    found: dict[str, int] = line["found"]
    if line["checked"] is not None:
        checked = line["checked"]
        how = "by length" if line["quick"] else "byte by byte"
        typer.echo(
            f"checked {checked['blobs']:,} blobs ({checked['bytes']:,} bytes) {how}, "
            f"{checked['manifests']:,} manifests, {checked['uploads']:,} uploads "
            f"and {checked['files']:,} files in {line['seconds']} s"
        )
    else:
        typer.echo("the blobs were not checked: repair the database first")
    listed = ", ".join(f"{number} {kind}" for kind, number in found.items())
    typer.echo(f"found: {listed}; repaired: {line['repaired']}" if found else "nothing is wrong")
