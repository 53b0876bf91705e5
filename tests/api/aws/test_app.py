"""The door's steps and their order, the errors' bytes, and both protocols, with small made-up services behind it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import pytest

from moorage.access.caller import Connection
from moorage.api.asgi import Message, Scope
from moorage.api.authorization import AUTHENTICATED
from moorage.api.aws.app import AwsApp
from moorage.api.aws.operation import Call, Operation, Service
from moorage.api.aws.sigv4 import Claim
from moorage.errors import (
    AccessDenied,
    InvalidLayerPart,
    InvalidSignature,
    MoorageError,
    QueryError,
    UnrecognizedClient,
)
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.settings import Settings

REF = RepositoryRef(AccountId("111122223333"), Region("us-east-1"), RepositoryName("team/app"))


class Wish(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    fails_with: str | None = None


class Granted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    zulu: str
    alpha: str
    absent: str | None = None


def _named(_call: Call[list[str]], request: Wish) -> Sequence[Any]:
    return [REF._replace(name=RepositoryName(name)) for name in request.name.split(",")]


async def wish(call: Call[list[str]], request: Wish) -> Granted:
    call.services.append("ran")
    if request.fails_with == "part":
        raise InvalidLayerPart(REF, "an-upload", 9, "it is not there")
    if request.fails_with == "fault":
        raise RuntimeError("secret inside")
    return Granted(zulu=request.name, alpha=call.account)


async def carry(call: Call[list[str]], request: Wish) -> Granted:
    call.services.append("carrying")
    await asyncio.sleep(0)
    call.services.append("carried")
    return Granted(zulu=request.name, alpha=call.account)


def _nothing(_call: Call[list[str]], _request: Wish) -> Sequence[Any]:
    return ()


async def slip(call: Call[list[str]], request: Wish) -> Granted:
    call.services.append("ran undecided")
    return Granted(zulu=request.name, alpha=call.account)


class Greet(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str
    friends: list[str] | None = None


class Greeted(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    greeting: str
    friends: list[str] | None
    old: bool = True


async def greet(_call: Call[list[str]], request: Greet) -> Greeted:
    if request.name == "nobody":
        raise QueryError("NoSuchEntity", "no <one>", 404)
    return Greeted(greeting=f"hello {request.name} & co", friends=request.friends)


class Declared(NamedTuple):
    request: type[Any]


THING: Service[list[str]] = Service(
    "thing",
    "json",
    "Thing_V1",
    (
        Operation("Wish", wish, "thing:Wish", _named, body_limit=200),
        Operation("Carry", carry, "thing:Carry", _named, body_limit=32 << 20),
        Operation("Slip", slip, "thing:Slip", _nothing),
    ),
    dict.fromkeys(("Wish", "Carry", "Slip"), Declared(Wish)),
)
FOLK: Service[list[str]] = Service(
    "folk", "query", "2010-05-08", (Operation("Greet", greet, AUTHENTICATED),), {"Greet": Declared(Greet)}
)


class FakeVerifier:
    """Lets everybody in, except where a test says otherwise; writes down what it is asked."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.begins: MoorageError | None = None
        self.finishes: MoorageError | None = None

    async def begin(self, _scope: Scope, _headers: dict[bytes, bytes], service: str, *, host: str) -> Claim:  # noqa: ARG002 - the verifier's signature
        self.log.append(f"begin {service}")
        if self.begins is not None:
            raise self.begins
        caller: Any = SimpleNamespace(principal=SimpleNamespace(account="111122223333"), verified=True)
        signed: Any = SimpleNamespace(region=Region("eu-west-1"), key_id="AKIA")
        return Claim(caller, signed, None, "", None, False)

    async def finish(self, claim: Claim, _body: bytes) -> Any:
        return self.finish_hashed(claim, "")

    def finish_hashed(self, claim: Claim, _payload: str) -> Any:
        self.log.append("finish")
        if self.finishes is not None:
            raise self.finishes
        return claim.caller


class FakeAccess:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.denied: str | None = None

    async def require(
        self, _caller: Any, connection: Connection, action: str, resource: Any, *, decision_id: str | None, **_: Any
    ) -> None:
        self.log.append(f"decide {action} {resource.name} in {connection.region}")
        if resource.name == self.denied:
            raise AccessDenied("User: x is not authorized", decision_id or "the-decision")


class FakeVisits:
    def connection(self, _scope: Scope, _headers: Mapping[bytes, bytes]) -> Connection:
        return Connection(
            source_ip="127.0.0.1", secure=False, user_agent="", referer="", host="localhost", region=Region("us-east-1")
        )


class FakedApp:
    """A door with its fakes."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.verifier = FakeVerifier(self.log)
        self.access = FakeAccess(self.log)
        request_sources: Any = FakeVisits()
        verifier: Any = self.verifier
        access: Any = self.access
        self.door = AwsApp(
            [(THING, self.log), (FOLK, self.log)], verifier, access, request_sources, Settings(part_uploads_at_once=1)
        )

    async def send(
        self, body: bytes, headers: Mapping[str, str], method: str = "POST", query_string: bytes = b""
    ) -> "Answer":
        sent: list[Message] = []

        async def receive() -> Message:
            self.log.append("body")
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": "/",
            "query_string": query_string,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        await self.door(scope, receive, send)
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])

    async def wish(self, body: Any, **headers: str) -> "Answer":
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.send(
            raw, {"X-Amz-Target": "Thing_V1.Wish", "Authorization": "x", "Content-Length": str(len(raw)), **headers}
        )

    async def folk(self, body: bytes) -> "Answer":
        scope = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/folk/aws4_request"
        return await self.send(
            body, {"Authorization": scope, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        )


class Answer:
    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        assert self.headers[b"content-type"] == b"application/x-amz-json-1.1"
        return json.loads(self.body)


@pytest.fixture
def app() -> FakedApp:
    return FakedApp()


async def test_the_steps_of_a_request(app: FakedApp) -> None:
    answer = await app.wish({"name": "a"})
    assert app.log == ["begin thing", "body", "finish", "decide thing:Wish a in eu-west-1", "ran"]
    assert answer.status == 200
    assert answer.body == b'{"alpha":"111122223333","zulu":"a"}'
    assert answer.headers[b"content-length"] == b"35"
    assert len(answer.headers[b"x-amzn-requestid"]) == 36


async def test_a_bad_key_is_refused_before_the_body_is_read(app: FakedApp) -> None:
    app.verifier.begins = UnrecognizedClient()
    answer = await app.wish({"name": "a"})
    assert (answer.status, answer.json) == (
        400,
        {
            "__type": "UnrecognizedClientException",
            "message": "The security token included in the request is invalid.",
        },
    )
    assert app.log == ["begin thing"]


async def test_a_bad_signature_comes_before_a_bad_body(app: FakedApp) -> None:
    app.verifier.finishes = InvalidSignature("no")
    assert (await app.wish(b"{")).json["__type"] == "InvalidSignatureException"
    assert app.log == ["begin thing", "body", "finish"]


async def test_a_bad_body_comes_before_the_decision(app: FakedApp) -> None:
    app.access.denied = "a"
    answer = await app.wish(b"{")
    assert answer.json["__type"] == "com.amazon.coral.service#SerializationException"
    assert answer.json["Message"]
    assert (await app.wish({})).json["__type"] == "InvalidParameterException"
    assert "ran" not in app.log


async def test_a_denial_keeps_the_body_from_running(app: FakedApp) -> None:
    app.access.denied = "a"
    answer = await app.wish({"name": "a"})
    assert (answer.status, answer.json) == (
        400,
        {"__type": "AccessDeniedException", "message": "User: x is not authorized"},
    )
    assert "ran" not in app.log


async def test_each_of_several_resources_is_decided_and_the_denials_id_is_the_requests(app: FakedApp) -> None:
    app.access.denied = "b"
    answer = await app.wish({"name": "a,b,c"})
    assert [line for line in app.log if line.startswith("decide")] == [
        "decide thing:Wish a in eu-west-1",
        "decide thing:Wish b in eu-west-1",
    ]
    assert answer.headers[b"x-amzn-requestid"] == b"the-decision"


async def test_a_request_for_which_nothing_is_decided_does_not_run(app: FakedApp) -> None:
    answer = await app.wish({"name": "a"}, **{"X-Amz-Target": "Thing_V1.Slip"})
    assert (answer.status, answer.json["__type"]) == (500, "ServerException")
    assert "ran undecided" not in app.log


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_its_limit_is_refused_unread(
    app: FakedApp, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read on after the answer, so that the client reads it, is left out here."""
    monkeypatch.setattr("moorage.api.asgi.LINGER_BYTES", 0)
    body = b'{"name":"' + b"a" * 200 + b'"}'
    answer = await (app.wish(body) if announced else app.send(body, {"X-Amz-Target": "Thing_V1.Wish"}))
    assert answer.status == 413
    assert ("body" in app.log) is not announced
    assert "finish" not in app.log


@pytest.mark.parametrize("target", ["Thing_V1.Unknown", "Thing_V2.Wish", "Thing_V1", "", "\xff"])
async def test_an_unknown_operation(app: FakedApp, target: str) -> None:
    answer = await app.wish({"name": "a"}, **{"X-Amz-Target": target})
    assert answer.status == 400
    assert answer.json == {"__type": "com.amazon.coral.service#UnknownOperationException"}
    assert app.log == []


async def test_nothing_at_all_is_a_missing_token(app: FakedApp) -> None:
    assert (await app.send(b"", {})).json["__type"] == "MissingAuthenticationTokenException"


async def test_further_members_of_an_error(app: FakedApp) -> None:
    answer = await app.wish({"name": "a", "failsWith": "part"})
    assert answer.json == {
        "__type": "InvalidLayerPartException",
        "message": "Layer part invalid for upload id 'an-upload': it is not there",
        "registryId": "111122223333",
        "repositoryName": "team/app",
        "uploadId": "an-upload",
        "lastValidByteReceived": 9,
    }


async def test_a_fault_of_ours_tells_nothing_of_the_inside(app: FakedApp) -> None:
    answer = await app.wish({"name": "a", "failsWith": "fault"})
    assert answer.status == 500
    assert answer.json["__type"] == "ServerException"
    assert b"secret" not in answer.body


async def test_a_content_length_that_is_no_number(app: FakedApp) -> None:
    answer = await app.wish({"name": "a"}, **{"Content-Length": "many"})
    assert answer.status == 400


async def test_query_answers_xml(app: FakedApp) -> None:
    answer = await app.folk(b"Action=Greet&Version=2010-05-08&Name=a%3Cb&Friends.member.1=x&Friends.member.2=y")
    request_id = answer.headers[b"x-amzn-requestid"].decode()
    assert answer.headers[b"content-type"] == b"text/xml"
    assert answer.body.decode() == (
        '<GreetResponse xmlns="https://folk.amazonaws.com/doc/2010-05-08/"><GreetResult>'
        "<Greeting>hello a&lt;b &amp; co</Greeting><Friends><member>x</member><member>y</member></Friends>"
        "<Old>true</Old>"
        f"</GreetResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></GreetResponse>"
    )


async def test_a_presigned_query_needs_no_body(app: FakedApp) -> None:
    answer = await app.send(
        b"",
        {},
        "GET",
        b"Action=Greet&Name=a&X-Amz-Signature=0&X-Amz-Credential=A%2F20260101%2Fus-east-1%2Ffolk%2Faws4_request",
    )
    assert answer.status == 200
    assert b"hello a" in answer.body


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"Action=Greet&Name=nobody", 404, b"NoSuchEntity"),
        (b"Action=Greet", 400, b"ValidationError"),
        (b"Action=Dance", 400, b"InvalidAction"),
        (b"Action=Greet&Version=1999-01-01&Name=a", 400, b"InvalidAction"),
        (b"Name=%ff", 400, b"MalformedQueryString"),
        (b"\xff", 400, b"MalformedQueryString"),
    ],
)
async def test_query_errors(app: FakedApp, body: bytes, status: int, code: bytes) -> None:
    answer = await app.folk(body)
    assert answer.status == status
    assert b"<Error><Type>Sender</Type><Code>" + code + b"</Code>" in answer.body


async def test_query_names_authentication_errors_its_own_way(app: FakedApp) -> None:
    app.verifier.begins = UnrecognizedClient()
    answer = await app.folk(b"Action=Greet&Name=a")
    assert answer.status == 403
    assert b"<Code>InvalidClientTokenId</Code>" in answer.body


async def test_long_bodies_are_held_one_after_the_other(app: FakedApp) -> None:
    carrying = {"X-Amz-Target": "Thing_V1.Carry"}
    await asyncio.gather(*(app.wish({"name": "a"}, **carrying) for _ in range(3)))
    assert [line for line in app.log if line.startswith("carr")] == ["carrying", "carried"] * 3


async def test_a_long_body_takes_a_place_once_its_signature_is_right(app: FakedApp) -> None:
    app.verifier.finishes = InvalidSignature("no")
    async with app.door._large_bodies._decoding.place("111122223333"):  # the only one
        answer = await app.wish({"name": "a"}, **{"X-Amz-Target": "Thing_V1.Carry"})
    assert answer.json["__type"] == "InvalidSignatureException"
