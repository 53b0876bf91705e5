"""Blobs in the memory of the process, kept as S3 keeps them: multipart uploads with a minimum size of parts.

For tests, and for `moorage dev --ephemeral` with one worker. It proves that nothing outside this package needs files.
"""

import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from moorage.store.blobs.cutting import cut
from moorage.store.blobs.locks import FileLocks
from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import (
    LARGEST_PIECE,
    CommittedError,
    Leftover,
    ObjectNotFoundError,
    Part,
    Piece,
    Staged,
    UploadGoneError,
    UploadLocks,
)

READ_CHUNK: Final = 64 << 10


@dataclass(slots=True)
class _Object:
    content: bytes
    modified_at: float = field(default_factory=time.time)


@dataclass(slots=True)
class _Session:
    """An unfinished multipart upload."""

    upload: str
    parts: dict[int, bytes] = field(default_factory=dict)
    modified_at: float = field(default_factory=time.time)


class MemoryBlobStore:
    """A `BlobStore` of one process."""

    part_size = 5 << 20

    def __init__(self, locks: Path) -> None:
        """`locks`: the file of the locks of uploads."""
        self._pool = Pool()
        self.locks: UploadLocks = FileLocks(locks, self._pool)
        self._sessions: dict[str, _Session] = {}
        self._tails: dict[str, _Object] = {}
        """By names that begin with the id of their upload."""
        self._objects: dict[str, _Object] = {}
        self._damaged: dict[str, _Object] = {}
        self._numbers = itertools.count()

    async def append(self, staged: Staged, body: AsyncIterator[bytes], *, reopen: bool = False) -> Staged:
        staged = self._continued(staged, reopen=reopen)
        missing = self.part_size - (staged.size - staged.in_parts)
        arrived: list[bytes] = []
        async for chunk in body:
            arrived.append(chunk)
            missing -= len(chunk)
            if missing <= 0:
                return await self._append_parts(staged, arrived, body)
        content = b"".join(arrived)
        self._require(staged)
        if not content:
            return staged
        return staged._replace(pieces=(*staged.pieces, self._piece(staged.id, staged.size, content)))

    async def _append_parts(self, staged: Staged, arrived: list[bytes], body: AsyncIterator[bytes]) -> Staged:
        """Append what fills at least one part: the pieces, the chunks that arrived, and the rest of the body."""

        async def stream() -> AsyncIterator[bytes]:
            for piece in staged.pieces:
                yield self._content(piece)
            for chunk in arrived:
                yield chunk
            arrived.clear()
            async for chunk in body:
                yield chunk

        session = staged.session
        parts = list(staged.parts)
        pieces: tuple[Piece, ...] = ()
        if session is None:
            session = f"session-{next(self._numbers)}"
            self._sessions[session] = _Session(staged.id)
        try:
            async for content in cut(stream(), self.part_size):
                if len(content) < self.part_size:
                    offset = sum(part.size for part in parts)
                    pieces = (self._piece(staged.id, offset, content),)
                else:
                    self._put_part(session, len(parts), content)
                    parts.append(Part(len(content), _etag(content)))
            result = Staged(staged.id, session, tuple(parts), pieces)
            self._require(result)
        except BaseException:
            if staged.session is None:
                self._sessions.pop(session, None)
            raise
        return result

    async def commit(self, staged: Staged) -> bool:
        existing = self._objects.get(staged.id)
        if existing is not None and len(existing.content) == staged.size:
            return True
        self._require(staged)
        contents: Iterable[bytes] = ()
        if staged.session is not None:
            session = self._sessions[staged.session]
            contents = [session.parts[number] for number in range(len(staged.parts))]
        content = b"".join([*contents, *map(self._content, staged.pieces)])
        self._objects[staged.id] = _Object(content)
        await self.abort(staged.id)
        return True

    async def abort(self, upload: str) -> None:
        for name in [name for name, session in self._sessions.items() if session.upload == upload]:
            del self._sessions[name]
        self._drop_tails(upload)

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        found = self._objects.get(key)
        if found is None:
            raise ObjectNotFoundError(key)
        while start < end:
            chunk = found.content[start : min(start + READ_CHUNK, end)]
            if not chunk:
                raise ObjectNotFoundError(f"the object ends at byte {start}")
            start += len(chunk)
            yield chunk

    async def url_for(self, key: str, *, seconds: float, content_type: str) -> str | None:  # noqa: ARG002 - of the contract
        return None

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - of the contract
        return None

    async def length(self, key: str) -> int | None:
        found = self._objects.get(key)
        return None if found is None else len(found.content)

    async def delete(self, key: str, *, keep_for_examination: bool = False) -> bool:
        found = self._objects.pop(key, None)
        if found is not None and keep_for_examination:
            self._damaged[key] = found
        return found is not None

    async def leftovers(self) -> AsyncIterator[Leftover]:
        uploads: dict[str, Leftover] = {}
        for session in self._sessions.values():
            size = sum(map(len, session.parts.values()))
            _count(uploads, Leftover("upload", session.upload, session.modified_at, size))
        for name, tail in self._tails.items():
            _count(uploads, Leftover("upload", name.partition("/")[0], tail.modified_at, len(tail.content)))
        for leftover in uploads.values():
            yield leftover
        for key, found in list(self._objects.items()):
            yield Leftover("object", key, found.modified_at, len(found.content))

    async def close(self) -> None:
        await self._pool.close()

    def _continued(self, staged: Staged, *, reopen: bool) -> Staged:
        """Return `staged` if the upload is unfinished; what was an object becomes parts and a piece of a new one."""
        if staged.id not in self._objects:
            self._require(staged)
            return staged
        if not reopen:
            raise CommittedError(staged.id)
        content = self._objects.pop(staged.id).content
        session = f"session-{next(self._numbers)}"
        self._sessions[session] = _Session(staged.id)
        parts = []
        for number in range(len(content) // self.part_size):
            part = content[number * self.part_size : (number + 1) * self.part_size]
            self._put_part(session, number, part)
            parts.append(Part(len(part), _etag(part)))
        rest = content[len(parts) * self.part_size :]
        pieces = (self._piece(staged.id, len(content) - len(rest), rest),) if rest else ()
        return Staged(staged.id, session, tuple(parts), pieces)

    def _require(self, staged: Staged) -> None:
        """Raise UploadGoneError unless every part and piece is here and unchanged."""
        session = None if staged.session is None else self._sessions.get(staged.session)
        if staged.session is not None and session is None:
            raise UploadGoneError(f"there is no {staged.session}")
        for number, part in enumerate(staged.parts):
            content = None if session is None else session.parts.get(number)
            if content is None or _etag(content) != part.etag:
                raise UploadGoneError(f"part {number} of {staged.id} is missing or has changed")
        for piece in staged.pieces:
            self._content(piece)

    def _put_part(self, session: str, number: int, content: bytes) -> None:
        found = self._sessions.get(session)
        if found is None:
            raise UploadGoneError(f"there is no {session}")
        found.parts[number] = content
        found.modified_at = time.time()

    def _piece(self, upload: str, offset: int, content: bytes) -> Piece:
        if len(content) <= LARGEST_PIECE:
            return Piece(len(content), content)
        name = f"{upload}/{offset}-{next(self._numbers)}"
        self._tails[name] = _Object(content)
        return Piece(len(content), None, name)

    def _content(self, piece: Piece) -> bytes:
        if piece.content is not None:
            return piece.content
        found = self._tails.get(piece.name or "")
        if found is None:
            raise UploadGoneError(f"there is no {piece.name}")
        return found.content

    def _drop_tails(self, upload: str) -> None:
        for name in [name for name in self._tails if name.startswith(f"{upload}/")]:
            del self._tails[name]


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _count(uploads: dict[str, Leftover], more: Leftover) -> None:
    """Add what is staged under one id."""
    before = uploads.get(more.name)
    if before is not None:
        more = more._replace(size=before.size + more.size, modified_at=max(before.modified_at, more.modified_at))
    uploads[more.name] = more
