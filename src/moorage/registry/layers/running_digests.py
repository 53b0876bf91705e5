"""Digests of uploads, computed while their bytes arrive.

The digest of everything that arrived is recorded with the size of the upload, so any worker can finish it. To continue
the computation takes hashlib's state, which cannot leave its process. So a worker keeps the states of the uploads that
it appended to last. An upload that continues in another worker has no digest from then on: it is read again when it is
finished (`Storing.large`), before any row refers to it.

With S3, reading again means a download. libcrypto exports the state of its SHA-256 (`SHA256_*` through ctypes: 112
bytes, at 720 to 960 MB/s without the GIL). Once that is proven against hashlib at the start, the state can be recorded
beside the digest, in the same compare-and-set, and this cache can go.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MOST: Final = 1024
"""Uploads whose state is kept."""
_BATCH: Final = 1 << 20
"""Bytes hashed at a time."""
_SMALL: Final = 256 << 10
"""Bytes that are hashed in the event loop, which is quicker than asking a thread."""


class RunningDigests:
    """The SHA-256 of uploads so far, in this process; the ones used last."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, tuple[int, Hash]] = OrderedDict()

    def resume(self, upload: str, size: int) -> "Hash | None":
        """Return a copy of the state after the upload's first `size` bytes; None when it is not here."""
        if size == 0:
            return hashlib.sha256()
        kept, state = self._states.get(upload, (None, None))
        return state.copy() if state is not None and kept == size else None

    def keep(self, upload: str, size: int, state: "Hash | None") -> None:
        """Remember the state after `size` bytes, which have been recorded."""
        self._states.pop(upload, None)
        if state is not None:
            self._states[upload] = (size, state)
            if len(self._states) > MOST:
                self._states.popitem(last=False)


class HashedBody:
    """Yields the chunks of `body` and hashes them at the same time, off the event loop. None: it only yields them."""

    def __init__(self, body: AsyncIterator[bytes], state: "Hash | None") -> None:
        self._body = body
        self._state = state
        self._batch: list[bytes] = []
        self._size = 0
        self._hashing: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._body)
        if self._state is not None:
            self._batch.append(chunk)
            self._size += len(chunk)
            if self._size >= _BATCH:
                await self._flush(self._state)
        return chunk

    async def end(self) -> "Hash | None":
        """Return the state after all chunks that were yielded."""
        if self._state is not None:
            await self._flush(self._state)
            if self._hashing is not None:
                await self._hashing
        return self._state

    async def _flush(self, state: "Hash") -> None:
        """Hash the batch beside what comes next; batches one after the other."""
        if self._hashing is not None:
            await self._hashing
            self._hashing = None
        batch, small = self._batch, self._size <= _SMALL
        self._batch, self._size = [], 0
        if small:
            _update(state, batch)
        else:
            self._hashing = asyncio.get_running_loop().run_in_executor(None, _update, state, batch)


def _update(state: "Hash", chunks: list[bytes]) -> None:
    for chunk in chunks:
        state.update(chunk)
