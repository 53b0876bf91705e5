"""The body of an upload request on its way in: counted, and stopped at its announced length and at the limit."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from moorage.errors import BodyIncomplete, LimitExceeded


class Incoming:
    """`body`, of `length` bytes when that is known, into `room` bytes. More than either raises LimitExceeded."""

    def __init__(self, body: AsyncIterator[bytes], length: int | None, room: int) -> None:
        self._body = body
        self._length = length
        self.room = room
        self.received = 0
        self._chunks = self._counted()

    async def _counted(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self.received += len(chunk)
            if self.received > self.room:
                raise LimitExceeded("The layer is longer than a layer may be")
            if self._length is not None and self.received > self._length:
                raise LimitExceeded("The body is longer than it was announced to be")
            yield chunk

    async def begin(self, most: int) -> "Beginning":
        """Take in the body if it is at most `most` bytes long, else as much of it as shows that it is longer."""
        if self._length is not None and self._length > most:
            return Beginning([], complete=False)
        taken: list[bytes] = []
        try:
            async for chunk in self._chunks:
                taken.append(chunk)
                if self.received > most:
                    return Beginning(taken, complete=False)
        except LimitExceeded:
            raise
        except BaseException as error:  # noqa: BLE001 - what arrived is kept before it is raised
            return Beginning(taken, complete=True, error=error)
        return Beginning(taken, complete=True)

    async def whole(self, beginning: "Beginning", before: bytes = b"") -> AsyncIterator[bytes]:
        """`before`, what `begin` took in, and what comes after it."""
        if before:
            yield before
        for chunk in beginning.taken:
            yield chunk
        beginning.taken.clear()
        async for chunk in self._chunks:
            yield chunk

    def check(self) -> None:
        """BodyIncomplete when the body ended before its announced length."""
        if self._length is not None and self.received < self._length:
            raise BodyIncomplete


class Beginning(NamedTuple):
    """What `Incoming.begin` took in: the whole body when it is `complete`, or broke off with `error`."""

    taken: list[bytes]
    complete: bool
    error: BaseException | None = None


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body at hand; without contents an empty one."""
    for content in contents:
        yield content
