"""Checks what a registry stores: bytes against digests, objects against metadata, counters against what they count.

Servers may run meanwhile. What looks wrong is checked again with the metadata as they are then, because between two
reads an upload may finish and a background job may delete. Rows are read in pages, and findings are yielded one by one.
"""

import asyncio
import hashlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy.exc import DBAPIError

from moorage.store.blobs.reading import digest_of_object
from moorage.store.blobs.store import BlobStore, Leftover, ObjectNotFoundError
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.sqlite_connection import connect, core_connection
from moorage.store.metadata.deployment import consistency
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import suspects as suspect_rows
from moorage.store.metadata.layers import uploads as upload_rows

Kind = Literal[
    "database",
    "rows",
    "missing",
    "length",
    "damaged",
    "unreadable",
    "manifest",
    "reference",
    "upload",
    "counter",
    "stray",
]

_PAGE: Final = 200
"""Rows read at a time, with the bytes of small layers: 64 KiB each by default."""
_MANIFESTS: Final = 16
"""Manifests read at a time: up to 4 MiB each."""
_READERS: Final = 4
"""Objects hashed at once."""
_NAMES: Final = 10
"""Images that a finding names at most."""
_SETTLING_SECONDS: Final = 2.0
"""How long after the first check a file without a row is checked again: it may be about to get one, or to go."""

WRONG_BYTES: Final = frozenset({"damaged", "length"})
"""Findings of blobs that `registry.layers.service.Layers.set_aside` repairs."""
PUSH_AGAIN: Final = "Push one of these images again: the client uploads the missing bytes, and every image has them."
_SET_ASIDE: Final = f"Run `moorage fsck --repair`, which sets the wrong bytes aside. {PUSH_AGAIN}"
_REPAIRS: Final[dict[str, str]] = {
    "damaged": _SET_ASIDE,
    "length": _SET_ASIDE,
    "unreadable": "Check the disk, and the owner and mode of the file; then check again.",
    "missing": f"Check that the disk of the blobs is mounted, or restore the file from a backup. {PUSH_AGAIN}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the stored data."""

    kind: Kind
    subject: str
    """The digest, upload, counter or file that it is about."""
    problem: str
    repair: str
    images: Sequence[str] = ()
    """Names of at most ten images that need it. Those that were deleted and can be restored say so."""

    @property
    def harmful(self) -> bool:
        """Whether data is lost or wrong; a stray file only takes space."""
        return self.kind != "stray"


@dataclass(slots=True)
class Checked:
    """How much was checked."""

    blobs: int = 0
    bytes: int = 0
    manifests: int = 0
    uploads: int = 0
    files: int = 0


class _Blob(NamedTuple):
    digest: str
    object_key: str
    size: int


def problems_of_database(path: Path, *, quick: bool) -> list[Finding]:
    """Check the SQLite file `path`. A missing file has no problems."""
    if not path.exists():
        return []
    dangling: Counter[tuple[str, str]] = Counter()
    try:
        raw = connect(path)
        try:
            conn = core_connection(raw)
            problems = consistency.problems_of_file(conn, quick=quick)
            if not problems:
                dangling = consistency.dangling_rows(conn)
            conn.close()
        finally:
            raw.close()
    except (sqlite3.DatabaseError, DBAPIError) as error:
        problems = [str(error.orig if isinstance(error, DBAPIError) else error)]
    repair = _repair_of_database(path)
    return [Finding("database", path.name, problem, repair) for problem in problems] + [
        Finding("rows", path.name, f"{number} rows of {table} refer to missing rows of {target}", repair)
        for (table, target), number in dangling.items()
    ]


def _repair_of_database(path: Path) -> str:
    if path.name == "audit.db":
        return f"Stop the server and move {path.name}, {path.name}-wal and {path.name}-shm away. A new record begins."
    return (
        "Stop the server and restore the data directory from a backup. Without one, "
        f"`sqlite3 {path} .recover | sqlite3 recovered.db` saves what can be read."
    )


class Check:
    """One check of a registry's metadata and blobs."""

    def __init__(self, database: Database, blobs: BlobStore, *, quick: bool) -> None:
        """`quick` compares lengths and leaves out the digests."""
        self._db = database
        self._blobs = blobs
        self._quick = quick
        self.checked = Checked()

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield everything that is wrong. A finding may be repaired before the next one is asked for."""
        for part in (self._check_blobs, self._check_manifests, self._check_uploads, self._check_counters, self._strays):
            async for finding in part():
                yield finding

    # --- blobs ---

    async def _check_blobs(self) -> AsyncIterator[Finding]:
        after = ""
        while page := await self._page_of_blobs(after):
            after = page[-1].digest
            for start in range(0, len(page), _READERS):
                looked = await asyncio.gather(*(self._check_blob(row) for row in page[start : start + _READERS]))
                for finding in looked:
                    if finding is not None:
                        yield finding

    async def _page_of_blobs(self, after: str) -> Sequence[Any]:
        contents = not self._quick
        return await self._db.read(lambda conn: consistency.page_of_blobs(conn, after, _PAGE, contents=contents))

    async def _check_blob(self, row: Any) -> Finding | None:
        self.checked.blobs += 1
        self.checked.bytes += row.size
        if not row.object_key:
            return await self._finding_of_blob(_Blob(row.digest, "", row.size), *self._problem_of_content(row))
        blob = _Blob(row.digest, row.object_key, row.size)
        found = await self._problem_of_object(blob)
        while found[0] is not None:
            now = await self._db.read(lambda conn: blob_rows.find(conn, row.digest))
            if now is None:
                return None  # it was deleted meanwhile
            again = _Blob(now.digest, now.object_key, now.size)
            if not again.object_key:
                return None  # stored again in the metadata
            found_before, found = found, await self._problem_of_object(again)
            if again == blob and found == found_before:
                return await self._finding_of_blob(blob, *found)
            blob = again
        return None

    def _problem_of_content(self, row: Any) -> tuple[Kind | None, str]:
        if row.length is None:
            return "missing", "its bytes are not in the database"
        if row.length != row.size:
            return "length", f"the database has {row.length} of {row.size} bytes"
        if not self._quick:
            algorithm, _, expected = row.digest.partition(":")
            actual = hashlib.new(algorithm, row.content).hexdigest()
            if actual != expected:
                return "damaged", f"the bytes in the database have the digest {algorithm}:{actual}"
        return None, ""

    async def _problem_of_object(self, blob: _Blob) -> tuple[Kind | None, str]:
        """Return what is wrong with the object of the blob."""
        where = self._where(blob.object_key)
        try:
            async for _ in self._blobs.read(blob.object_key, 0, min(1, blob.size)):
                pass
            length = await self._blobs.length(blob.object_key)
            if length is None:
                return "missing", f"{where} does not exist"
            if length != blob.size:
                return "length", f"{where} has {length} bytes instead of {blob.size}"
            if not self._quick:
                algorithm, _, expected = blob.digest.partition(":")
                actual = await digest_of_object(self._blobs, blob.object_key, blob.size, algorithm)
                if actual != expected:
                    return "damaged", f"{where} has the digest {algorithm}:{actual}"
        except ObjectNotFoundError:
            if await self._blobs.length(blob.object_key) == 0:
                return "length", f"{where} has 0 bytes instead of {blob.size}"
            return "missing", f"{where} does not exist"
        except OSError as error:
            return "unreadable", f"{where} cannot be read: {error.strerror}"
        return None, ""

    def _where(self, object_key: str) -> str:
        """Return the name by which an operator finds the object."""
        return str(self._blobs.local_path(object_key) or f"the object {object_key}")

    async def _finding_of_blob(self, blob: _Blob, kind: Kind | None, problem: str) -> Finding | None:
        if kind is None:
            return None
        images = await self._db.read(lambda conn: consistency.images_with(conn, blob.digest, _NAMES))
        if not images:
            return Finding(
                kind, blob.digest, problem, "No image needs it: the server deletes it after its grace period."
            )
        return Finding(kind, blob.digest, problem, _REPAIRS.get(kind, PUSH_AGAIN), images)

    # --- manifests ---

    async def _check_manifests(self) -> AsyncIterator[Finding]:
        after = 0
        while page := await self._page_of_manifests(after):
            after = page[-1].id
            self.checked.manifests += len(page)
            if not self._quick:
                for row in page:
                    algorithm, _, expected = row.digest.partition(":")
                    if hashlib.new(algorithm, row.body).hexdigest() != expected:
                        problem = "the manifest in the database does not have its digest"
                        repair = "Delete the image, purge it, and push it again."
                        yield Finding("manifest", row.digest, problem, repair, await self._names(row.id))
            for missing in await self._missing_references([row.id for row in page]):
                what = "image" if missing.kind == "child" else missing.kind
                problem = f"the repository does not have the {what} {missing.digest}"
                digest = next(row.digest for row in page if row.id == missing.manifest_id)
                repair = "Push the image again: the client uploads what is missing."
                yield Finding("reference", digest, problem, repair, await self._names(missing.manifest_id))

    async def _page_of_manifests(self, after: int) -> Sequence[Any]:
        limit, bodies = (_PAGE, False) if self._quick else (_MANIFESTS, True)
        return await self._db.read(lambda conn: consistency.page_of_manifests(conn, after, limit, bodies=bodies))

    async def _missing_references(self, ids: Sequence[int]) -> Sequence[Any]:
        return await self._db.read(lambda conn: consistency.missing_references(conn, ids))

    async def _names(self, manifest_id: int) -> list[str]:
        return await self._db.read(lambda conn: consistency.names_of(conn, manifest_id, _NAMES))

    # --- uploads and counters ---

    async def _check_uploads(self) -> AsyncIterator[Finding]:
        """Compare what is recorded with what is stored. Rows are read first, because uploads only grow."""
        recorded: dict[str, int] = {}
        after = ""
        while page := await self._page_of_uploads(after):
            after = page[-1].id
            recorded.update({row.id: row.size for row in page})
        self.checked.uploads += len(recorded)
        for upload, held in await self._shorter(recorded):
            # It may have ended, or become an object, between the two reads.
            if await self._is_open(upload) and await self._blobs.length(upload) is None:
                problem = f"it counts {recorded[upload]} bytes and has {held}"
                repair = "Push again. The upload ends by itself when it has rested for MOORAGE_UPLOAD_SECONDS."
                yield Finding("upload", upload, problem, repair)

    async def _is_open(self, upload: str) -> bool:
        return bool(await self._db.read(lambda conn: upload_rows.known(conn, [upload])))

    async def _shorter(self, recorded: dict[str, int]) -> list[tuple[str, int]]:
        """Return the uploads of which the store has fewer bytes than are recorded, and how many."""
        if not recorded:
            return []
        held = {each.name: each.size async for each in self._blobs.leftovers() if each.kind == "upload"}
        return [(upload, held.get(upload, 0)) for upload, size in recorded.items() if held.get(upload, 0) < size]

    async def _page_of_uploads(self, after: str) -> Sequence[Any]:
        return await self._db.read(lambda conn: consistency.page_of_uploads(conn, after, _PAGE))

    async def _check_counters(self) -> AsyncIterator[Finding]:
        for each in await self._db.read(consistency.wrong_counters):
            problem = f"it says {each.stored} where there are {each.counted}"
            yield Finding("counter", each.scope, problem, "Run `moorage fsck --repair`.")

    # --- uploads and objects that no row names ---

    async def _strays(self) -> AsyncIterator[Finding]:
        suspects: list[Leftover] = []
        async for batch in self._batches():
            self.checked.files += len(batch)
            suspects += await self._unknown(batch)
        if not suspects:
            return
        await asyncio.sleep(_SETTLING_SECONDS)
        names = {(each.kind, each.name) for each in suspects}
        async for batch in self._batches():
            for stray in await self._unknown([each for each in batch if (each.kind, each.name) in names]):
                problem = f"no row names this {stray.kind} of {stray.size} bytes"
                repair = "Nothing needs to be done: a running server deletes it within a few hours."
                subject = stray.name if stray.kind == "upload" else self._where(stray.name)
                yield Finding("stray", subject, problem, repair)

    async def _batches(self) -> AsyncIterator[list[Leftover]]:
        batch: list[Leftover] = []
        async for leftover in self._blobs.leftovers():
            batch.append(leftover)
            if len(batch) == _PAGE:
                yield batch
                batch = []
        yield batch

    async def _unknown(self, found: Sequence[Leftover]) -> list[Leftover]:
        """Return those that belong to no blob and no upload."""
        if not found:
            return []
        known = await self._db.read(lambda conn: suspect_rows.known(conn, [(each.kind, each.name) for each in found]))
        return [each for each in found if (each.kind, each.name) not in known]
