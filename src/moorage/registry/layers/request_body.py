"""The body of an upload request: counted, and refused beyond its announced length and beyond the limit."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from moorage.errors import BodyIncomplete, LimitExceeded


class RequestBody:
    """`body`, of `length` bytes when that is known, for an upload that may take `room` more bytes.

    Raises LimitExceeded while it is read when it is longer than either.
    """

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
        """Read the body if it is at most `most` bytes long, otherwise as much as shows that it is longer."""
        if self._length is not None and self._length > most:
            return Beginning([], complete=False)
        chunks: list[bytes] = []
        try:
            async for chunk in self._chunks:
                chunks.append(chunk)
                if self.received > most:
                    return Beginning(chunks, complete=False)
        except LimitExceeded:
            raise
        except BaseException as error:  # noqa: BLE001 - the caller stores what arrived, then raises it
            return Beginning(chunks, complete=True, error=error)
        return Beginning(chunks, complete=True)

    async def whole(self, beginning: "Beginning") -> AsyncIterator[bytes]:
        """Yield what `begin` read, then the rest."""
        for chunk in beginning.chunks:
            yield chunk
        beginning.chunks.clear()
        async for chunk in self._chunks:
            yield chunk

    def check(self) -> None:
        """Raise BodyIncomplete when the body ended before its announced length."""
        if self._length is not None and self.received < self._length:
            raise BodyIncomplete


class Beginning(NamedTuple):
    """What `RequestBody.begin` read: the whole body when it is `complete`, even if it broke off with `error`."""

    chunks: list[bytes]
    complete: bool
    error: BaseException | None = None


class UnbrokenBody:
    """A body that ends where it breaks off, so that the bytes before are stored. `error` is what it raised then.

    Raises what forbids storing them: an exception of one of the classes `refusals`.
    """

    def __init__(self, body: AsyncIterator[bytes], refusals: tuple[type[BaseException], ...]) -> None:
        self._body = body
        self._refusals = refusals
        self.error: BaseException | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            raise
        except self._refusals:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the caller when the bytes are stored
            self.error = error
            raise StopAsyncIteration from None


async def body_of(*contents: bytes) -> AsyncIterator[bytes]:
    """Yield bytes that are at hand, as a body."""
    for content in contents:
        yield content
