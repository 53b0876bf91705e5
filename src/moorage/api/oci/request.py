"""One request to the data plane and its answer: what every handler is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from moorage.access.caller import Caller, Connection
from moorage.api.asgi import Headers, Receive, Scope, Send, content_length, read_body, respond
from moorage.api.oci.errors import ChunkInvalid, DigestInvalid
from moorage.api.oci.operation import Operation, no_body
from moorage.api.oci.routes import Route
from moorage.errors import RequestTooLarge
from moorage.locations import Locations
from moorage.names import Digest, InvalidNameError, RepositoryRef, Tag, digest
from moorage.registry.authorizer import Authorizer
from moorage.registry.registry import Registry
from moorage.settings import Settings

VERSION = (b"docker-distribution-api-version", b"registry/2.0")


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers may use."""

    registry: Registry
    locations: Locations
    settings: Settings

    @property
    def aws(self) -> bool:
        """Profile `aws`: ECR's own deviations from the specification."""
        return self.settings.profile == "aws"


class OciRequest:
    """A request whose host, caller, operation and repository name are known.

    The door decides what the operation declares before a handler gets it; `authorizer` is for rules of the registry
    that decide on what is stored.
    """

    def __init__(
        self,
        services: Services,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
        route: Route,
        operation: Operation,
        authorizer: Authorizer,
        caller: Caller,
        connection: Connection,
        ref: RepositoryRef | None,
    ) -> None:
        self.services = services
        self.scope = scope
        self.receive = receive
        self._send = send
        self.headers = headers
        self.route = route
        self.operation = operation
        self.authorizer = authorizer
        self.caller = caller
        self.connection = connection
        self.repository = ref
        self.responded = b"null"
        """What the audit record says of the answer: responseElements, JSON."""
        self.pushed_tags: tuple[Tag, ...] = ()
        """The tags that a push by digest asks for, for the audit record; none of a push by tag."""
        self.started = False
        """The answer has begun: an error can no longer be told, only the connection be broken."""
        self.is_noted = False
        """Its event is in the audit record."""
        self.before_answer: Callable[[OciRequest, None], None] | None = None
        """Called with this exchange (and no error) when the answer begins."""

    @property
    def ref(self) -> RepositoryRef:
        """The repository; only the routes below a name have one."""
        if self.repository is None:
            raise LookupError("this route names no repository")
        return self.repository

    @property
    def by(self) -> str:
        """Who acts, as the history keeps it."""
        return self.caller.principal.arn

    @property
    def unknown(self) -> bool:
        """The caller showed nothing. It may have something to show, so it is asked before it is refused."""
        return b"authorization" not in self.headers and self.caller.principal.kind == "anonymous"

    @property
    def head(self) -> bool:
        return bool(self.scope["method"] == "HEAD")

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last of a repeated one."""
        text = self.scope.get("query_string", b"")
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}

    def query_values(self, name: str) -> list[str]:
        """Return every value of a parameter of the query, in order."""
        text = self.scope.get("query_string", b"")
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else []
        return [value for each, value in pairs if each == name]

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes, None when it is chunked; ChunkInvalid when it is no number."""
        try:
            return content_length(self.headers)
        except ValueError as error:
            raise ChunkInvalid(str(error)) from error

    @property
    def has_body(self) -> bool:
        """Whether the request can have a body (RFC 9112, section 6.3); one over HTTP/2 need not announce it."""
        length = self.headers.get(b"content-length")
        if length is not None:
            return length != b"0"
        return b"transfer-encoding" in self.headers or self.scope.get("http_version", "2") not in {"1.0", "1.1"}

    def check_length(self) -> None:
        """RequestTooLarge when the announced length is beyond the operation's limit."""
        limit = self.operation.body_limit
        if limit is not no_body and (self.length or 0) > limit(self.services.settings):
            raise RequestTooLarge("Request size exceeded")

    async def body(self) -> bytes:
        """The whole body; RequestTooLarge beyond the operation's limit."""
        return await read_body(self.receive, self.length, self.operation.body_limit(self.services.settings))

    def path(self, *parts: str) -> str:
        """The URL of something in this repository, under the name by which the client knows it."""
        return self.url("/".join((f"/v2/{self.route.name}", *parts)))

    def url(self, path: str) -> str:
        """Profile `oci`: relative to the host, so that it holds behind any proxy; profile `aws`: absolute, as ECR's."""
        if not self.services.aws:
            return path
        scheme = "https" if self.connection.secure else "http"
        return self.services.locations.base_url(scheme, self.connection.host) + path

    def _start(self) -> None:
        self.started = True
        if self.before_answer is not None:
            self.before_answer(self, None)

    async def answer(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """A whole answer; a HEAD gets its length and no body."""
        headers.append(VERSION)
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        self._start()
        await respond(self._send, status, headers, b"" if self.head else body)

    async def answer_head(self, status: int, headers: Headers) -> None:
        """An answer without a body whose headers say everything, Content-Length too."""
        self._start()
        await respond(self._send, status, headers)

    async def begin(self, status: int, headers: Headers) -> Send:
        """Begin an answer whose body the caller sends through what is returned."""
        self._start()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        return self._send


def parse_digest(text: str) -> Digest:
    """The digest in a path or query, or DigestInvalid."""
    try:
        return digest(text)
    except InvalidNameError as error:
        raise DigestInvalid(text) from error


def names_etag(headers: dict[bytes, bytes], name: bytes, value: Digest) -> bool:
    """Does a conditional header (`if-none-match`, `if-range`) name the content `value`?"""
    given = headers.get(name)
    return given is not None and (given == b"*" or b'"%s"' % value.encode() in given)
