"""The body of an upload request on its way in: counted, and stopped at its announced length and at the limit."""

from collections.abc import AsyncIterator

from moorage.errors import BodyIncomplete, LimitExceeded


class Incoming:
    """`body`, of `length` bytes when that is known, into `room` bytes. More than either raises LimitExceeded."""

    def __init__(self, body: AsyncIterator[bytes], length: int | None, room: int) -> None:
        self._body = body
        self._length = length
        self._room = room
        self.received = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self.received += len(chunk)
            if self.received > self._room:
                raise LimitExceeded("The layer is longer than a layer may be")
            if self._length is not None and self.received > self._length:
                raise LimitExceeded("The body is longer than it was announced to be")
            yield chunk

    def check(self) -> None:
        """BodyIncomplete when the body ended before its announced length."""
        if self._length is not None and self.received < self._length:
            raise BodyIncomplete


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body at hand; without contents an empty one."""
    for content in contents:
        yield content
