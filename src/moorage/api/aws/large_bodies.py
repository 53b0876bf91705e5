"""Request bodies of many MiB (UploadLayerPart), of which a worker can hold only a few at once.

AWS signs the SHA-256 of the body, so the sender of a request is known only once its body has arrived. Until then, the
body is hashed as it arrives; beyond its first MiB it is kept in an unnamed file on disk, which ends with the process.
The few places in memory are for callers whose signature is valid, and no account gets all of them.
"""

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from moorage.api.asgi import Receive, stream_body
from moorage.api.aws.sigv4 import Claim, Verifier
from moorage.errors import InsufficientStorage, RequestTooLarge

ARRIVING: Final = 256
"""Bodies in each worker that are not verified yet. Each takes at most as much disk space as the longest body."""
ARRIVING_OF_ONE: Final = 8
"""The most of these from one address with one key id. A stranger who knows a key id has another address, and cannot
take the places of the key's owner."""
_IN_MEMORY: Final = 1 << 20
"""Bytes of a body that are kept in memory, and that are hashed and written at a time."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Places:
    """At most `total` places, of which each holder gets at most `each`. Others wait."""

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._of: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}
        """The places of each holder, and how many requests have one or wait for one."""

    @asynccontextmanager
    async def place(self, holder: Hashable) -> AsyncIterator[None]:
        """Wait for a place for that holder, and hold it for the duration of the context."""
        own, users = self._of.get(holder) or (asyncio.Semaphore(self._each), 0)
        self._of[holder] = (own, users + 1)
        try:
            async with own, self._all:
                yield
        finally:
            own, users = self._of.pop(holder)
            if users > 1:
                self._of[holder] = (own, users - 1)

    def __len__(self) -> int:
        """The number of holders."""
        return len(self._of)


class LargeBodies:
    """Receives large bodies, and returns them once their signature is verified."""

    def __init__(self, directory: Path, decoded_at_once: int) -> None:
        """`directory`: where unnamed files are created. `decoded_at_once`: bodies in memory at a time."""
        self._directory = directory
        self._arriving = Places(ARRIVING, ARRIVING_OF_ONE)
        self._decoding = Places(decoded_at_once, max(1, decoded_at_once - 1))

    @asynccontextmanager
    async def verified(
        self, receive: Receive, length: int | None, limit: int, claim: Claim, verifier: Verifier, source_ip: str
    ) -> AsyncIterator[bytes]:
        """Yield the body of a request whose claim is valid. Its place is held until the context ends.

        Raises InvalidSignature, RequestTooLarge as soon as the body exceeds `limit` bytes, BodyIncomplete or
        InsufficientStorage.
        """
        async with self._arriving.place((claim.signed.key_id, source_ip)):
            spool = _Spool(self._directory)
            try:
                payload = await spool.fill(receive, length, limit)
                caller = verifier.finish_hashed(claim, payload)
                async with self._decoding.place(caller.principal.account):
                    yield await spool.take()
            finally:
                spool.close()


class _Spool:
    """One body: its first MiB in memory, or all of it in a file if it is longer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._sha256 = hashlib.sha256()

    async def fill(self, receive: Receive, length: int | None, limit: int) -> str:
        """Receive the whole body. Return its SHA-256 in hex."""
        if length is not None and length > limit:
            raise RequestTooLarge("Request size exceeded")
        received = waiting = 0
        async for chunk in stream_body(receive, length):
            received += len(chunk)
            if received > limit:
                raise RequestTooLarge("Request size exceeded")
            self._chunks.append(chunk)
            waiting += len(chunk)
            if waiting > _IN_MEMORY:
                await asyncio.to_thread(self._write)
                waiting = 0
        if self._file is not None:
            await asyncio.to_thread(self._write)
        else:
            for chunk in self._chunks:
                self._sha256.update(chunk)
        return self._sha256.hexdigest()

    async def take(self) -> bytes:
        """Return the whole body, which is then no longer kept here."""
        if self._file is None:
            body = b"".join(self._chunks)
            self._chunks.clear()
            return body
        body = await asyncio.to_thread(_read, self._file)
        self.close()
        return body

    def close(self) -> None:
        """Discard the body."""
        self._chunks.clear()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        batch = b"".join(self._chunks)
        self._chunks.clear()
        self._sha256.update(batch)
        try:
            if self._file is None:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed with the spool
            self._file.write(batch)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise InsufficientStorage from error
            raise


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
