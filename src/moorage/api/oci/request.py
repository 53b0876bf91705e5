"""One request to /v2/ and its response: what every handler gets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from moorage.access.caller import Caller, Connection
from moorage.api.asgi import Headers, Receive, Scope, Send, content_length, read_body, respond
from moorage.api.oci.errors import ChunkInvalid, DigestInvalid
from moorage.api.oci.operation import Operation, no_body
from moorage.api.oci.routes import Route
from moorage.api.oci.streams import Streams
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
    streams: Streams

    @property
    def aws(self) -> bool:
        """Whether the profile is `aws`, with ECR's deviations from the specification."""
        return self.settings.profile == "aws"


class OciRequest:
    """A request whose host, caller, operation and repository name are known.

    The application has decided what the operation declares before a handler runs. `authorizer` is for the rules of the
    registry whose decisions depend on stored data.
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
        """What the audit record keeps of the response: responseElements, as JSON."""
        self.pushed_tags: tuple[Tag, ...] = ()
        """The tags that a push by digest asks for, for the audit record; empty for a push by tag."""
        self.started = False
        """Whether the response has begun. From then on, an error can only close the connection."""
        self.is_noted = False
        """Whether its event has been recorded."""
        self.before_answer: Callable[[OciRequest, None], None] | None = None
        """Called with this request, and no error, when the response begins."""

    @property
    def ref(self) -> RepositoryRef:
        """The repository. Only routes with a name have one; raises LookupError for others."""
        if self.repository is None:
            raise LookupError("this route names no repository")
        return self.repository

    @property
    def by(self) -> str:
        """The ARN of the caller, as the history keeps it."""
        return self.caller.principal.arn

    @property
    def unknown(self) -> bool:
        """Whether the caller sent no credentials. The response then asks for some before it refuses."""
        return b"authorization" not in self.headers and self.caller.principal.kind == "anonymous"

    @property
    def head(self) -> bool:
        return bool(self.scope["method"] == "HEAD")

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the query; the last one wins if one is repeated."""
        text = self.scope.get("query_string", b"")
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}

    def query_values(self, name: str) -> list[str]:
        """Return every value of a parameter of the query, in order."""
        text = self.scope.get("query_string", b"")
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else []
        return [value for each, value in pairs if each == name]

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes; None if it is chunked. Raises ChunkInvalid."""
        try:
            return content_length(self.headers)
        except ValueError as error:
            raise ChunkInvalid(str(error)) from error

    @property
    def has_body(self) -> bool:
        """Whether the request can have a body (RFC 9112, section 6.3). Over HTTP/2, a body need not be announced."""
        length = self.headers.get(b"content-length")
        if length is not None:
            return length != b"0"
        return b"transfer-encoding" in self.headers or self.scope.get("http_version", "2") not in {"1.0", "1.1"}

    def check_length(self) -> None:
        """Raise RequestTooLarge if the announced length exceeds the operation's limit."""
        limit = self.operation.body_limit
        if limit is not no_body and (self.length or 0) > limit(self.services.settings):
            raise RequestTooLarge("Request size exceeded")

    async def body(self) -> bytes:
        """Return the whole body. Raise RequestTooLarge beyond the operation's limit."""
        return await read_body(self.receive, self.length, self.operation.body_limit(self.services.settings))

    def path(self, *parts: str) -> str:
        """Return the URL of something in this repository, under the name that the client used."""
        return self.url("/".join((f"/v2/{self.route.name}", *parts)))

    def url(self, path: str) -> str:
        """Return the URL of a path: relative to the host in profile `oci`, so that it works behind any proxy; absolute
        in profile `aws`, as ECR does."""
        if not self.services.aws:
            return path
        scheme = "https" if self.connection.secure else "http"
        return self.services.locations.base_url(scheme, self.connection.host) + path

    def _start(self) -> None:
        self.started = True
        if self.before_answer is not None:
            self.before_answer(self, None)

    async def answer(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Send a whole response. The response to a HEAD request has the length and no body."""
        headers.append(VERSION)
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        self._start()
        await respond(self._send, status, headers, b"" if self.head else body)

    async def answer_head(self, status: int, headers: Headers) -> None:
        """Send a response without a body, with the given headers (Content-Length included)."""
        self._start()
        await respond(self._send, status, headers)

    async def begin(self, status: int, headers: Headers) -> Send:
        """Begin a response, and return what its body is sent through."""
        self._start()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        return self._send


def parse_digest(text: str) -> Digest:
    """Return the digest in a path or query. Raise DigestInvalid if it is not valid."""
    try:
        return digest(text)
    except InvalidNameError as error:
        raise DigestInvalid(text) from error


def names_etag(headers: dict[bytes, bytes], name: bytes, value: Digest) -> bool:
    """Return whether a conditional header (`if-none-match`, `if-range`) names the content `value`."""
    given = headers.get(name)
    return given is not None and (given == b"*" or b'"%s"' % value.encode() in given)
