"""Real requests for every operation of the three doors, made from what each declares; they go into the application
itself, signed as clients sign them.
"""

import asyncio
import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import botocore.session
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.serialize import create_serializer

from moorage.api.admin import operation as admin
from moorage.api.asgi import Message, Scope
from moorage.api.authorization import UNAUTHENTICATED
from moorage.api.oci import operation as oci
from moorage.api.oci.routes import BLOBS, CATALOG, MANIFESTS, PING, REFERRERS, TAGS, UPLOADS

REGION = "us-east-1"
OWNER = "111122223333"
HOST = "localhost:4580"
REPOSITORY = "team/app"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
DIGEST = "sha256:" + "0" * 64
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]})
"""Policies that leave the decision to identity policies, or are never put in force."""
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:*"}],
    }
)
RESOURCE_POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]}
)
_SESSION = botocore.session.get_session()


class NoSample(AssertionError):
    """An operation for which no valid request is known: add one to the tables of this module."""


@dataclass(frozen=True)
class Request:
    """What is sent, but for who signs it."""

    method: str
    path: str
    service: str
    """That it is signed for; `v2`: Basic credentials. Empty: nobody signs it."""
    body: bytes = b""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    region: str = REGION
    """Of the signature."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def denied_action(self) -> str | None:
        """The action that the answer says is missing; None when it is not a denial of access."""
        found = re.search(rb"is not authorized to perform: ([A-Za-z0-9:*-]+) on resource", self.body)
        return found[1].decode() if found and self.status in {400, 403} else None


@dataclass(frozen=True)
class Signer:
    """A key, and a registry password made of it."""

    key: str
    secret: str
    password: str

    def headers(self, request: Request) -> dict[str, str]:
        sent = {"host": HOST, **dict(request.headers)}
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            sent["content-length"] = str(len(request.body))
        if request.service == "v2":
            sent["authorization"] = "Basic " + base64.b64encode(f"AWS:{self.password}".encode()).decode()
        elif request.service:
            query = f"?{request.query}" if request.query else ""
            made = AWSRequest(request.method, f"http://{HOST}{request.path}{query}", data=request.body)
            for name, value in sent.items():
                made.headers[name] = value
            SigV4Auth(Credentials(self.key, self.secret), request.service, request.region).add_auth(made)
            sent = {name.lower(): str(value) for name, value in made.headers.items()}
        return sent


async def ask(application: Any, request: Request, signer: Signer) -> Answer:
    """The application's answer."""
    sent: list[Message] = []
    pending = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Message:
        if not pending and request.service == "moorage":
            await asyncio.Event().wait()  # the client stays to read an answer that is streamed
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in signer.headers(request).items()],
        "client": ("192.0.2.7", 50000),
        "server": ("localhost", 4580),
    }
    await application(scope, receive, send)
    start, *rest = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(each.get("body", b"") for each in rest))


# --- The AWS door: from botocore's model, required members only ---

_MEMBERS: dict[str, Any] = {
    "ActionNames": ["ecr:BatchGetImage"],
    "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "AssumeRolePolicyDocument": TRUST,
    "AWSServiceName": "ecr.amazonaws.com",
    "DeletionTaskId": "task/aws-service-role/ecr.amazonaws.com/AWSServiceRoleForECRTemplate/0",
    "EncodedMessage": "0b2f7a1c",
    "MaxSessionDuration": 3600,
    "Name": "somebody",
    "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "PolicyArn": f"arn:aws:iam::{OWNER}:policy/mine",
    "PolicyDocument": POLICY,
    "PolicyInputList": [POLICY],
    "PolicyName": "mine",
    "ResourceARNList": [f"arn:aws:ecr:{REGION}:{OWNER}:repository/{REPOSITORY}"],
    "PolicySourceArn": f"arn:aws:iam::{OWNER}:user/bob",
    "Encoding": "SSH",
    "OpenIDConnectProviderArn": f"arn:aws:iam::{OWNER}:oidc-provider/token.example.com",
    "SAMLProviderArn": f"arn:aws:iam::{OWNER}:saml-provider/idp",
    "SSHPublicKeyId": "APKAIOSFODNN7EXAMPLE",
    "PrincipalArn": f"arn:aws:iam::{OWNER}:saml-provider/idp",
    "RoleArn": f"arn:aws:iam::{OWNER}:role/closed",
    "RoleName": "closed",
    "RoleSessionName": "session",
    "SAMLAssertion": "PHNhbWxwOlJlc3BvbnNlLz4=",
    "Status": "Inactive",
    "UserName": "bob",
    "VersionId": "v1",
    "imageManifest": "{}",
    "imageTagMutability": "IMMUTABLE",
    "layerDigest": DIGEST,
    "layerDigests": [DIGEST],
    "name": "BLOB_MOUNTING",
    "policyText": RESOURCE_POLICY,
    "repositoryName": REPOSITORY,
    "resourceArn": f"arn:aws:ecr:{REGION}:{OWNER}:repository/{REPOSITORY}",
    "uploadId": "00000000-0000-4000-8000-000000000000",
    "value": "ENABLED",
}
"""Values of members by name, where the type alone does not give a valid one."""
_MODELS = {"tagging": "resourcegroupstaggingapi"}
"""Names of botocore's models where they are not the services' signing names."""
_FURTHER: dict[str, dict[str, Any]] = {
    # Members that the model does not call required, and that the operation needs.
    "iam:UpdateAssumeRolePolicy": {"PolicyDocument": TRUST},
    "iam:ListEntitiesForPolicy": {},
}


def aws_request(service: str, name: str, *, token: str = "", **more: Any) -> Request:
    """The smallest request that botocore's model calls valid. `token`: what WebIdentityToken is, where there is one."""
    model = _SESSION.get_service_model(_MODELS.get(service, service))
    operation = model.operation_model(name)
    shape = operation.input_shape
    members = {} if shape is None else _structure(shape)
    if "WebIdentityToken" in members:
        members["WebIdentityToken"] = token
    members |= _FURTHER.get(f"{service}:{name}", {}) | more
    made = create_serializer(model.resolved_protocol).serialize_to_request(members, operation)
    if model.resolved_protocol == "query":
        form = {"content-type": "application/x-www-form-urlencoded"}
        encoded = "&".join(f"{key}={_quoted(str(value))}" for key, value in made["body"].items())
        return Request("POST", "/", service, encoded.encode(), headers=tuple(form.items()))
    headers = {key.lower(): value for key, value in made["headers"].items()}
    return Request("POST", "/", service, made["body"], headers=tuple(headers.items()))


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _structure(shape: StructureShape) -> dict[str, Any]:
    return {name: _value(name, shape.members[name]) for name in shape.required_members}


def _value(name: str, shape: Shape) -> Any:
    if name in _MEMBERS:
        return _MEMBERS[name]
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        return [_value(shape.member.name, shape.member)]
    if isinstance(shape, MapShape):
        return {_value(shape.key.name, shape.key): _value(shape.value.name, shape.value)}
    enum = getattr(shape, "enum", None)
    if enum:
        return enum[0]
    match shape.type_name:
        case "string":
            return "something"
        case "integer" | "long":
            return shape.metadata.get("min", 0)
        case "boolean":
            return False
        case "blob":
            return b"x"
    raise NoSample(f"no value of the member {name} ({shape.type_name}) is known")


# --- /v2/: from the kind of route ---

_PATHS = {
    PING: "/v2/",
    CATALOG: "/v2/_catalog",
    MANIFESTS: f"/v2/{REPOSITORY}/manifests/v1",
    BLOBS: f"/v2/{REPOSITORY}/blobs/{DIGEST}",
    UPLOADS: f"/v2/{REPOSITORY}/blobs/uploads/00000000-0000-4000-8000-000000000000",
    TAGS: f"/v2/{REPOSITORY}/tags/list",
    REFERRERS: f"/v2/{REPOSITORY}/referrers/{DIGEST}",
}


def oci_requests(operation: oci.Operation, *, manifest: bytes, blob: str) -> list[Request]:
    """A valid request of the operation, in each of the forms that need different permissions.

    `manifest` can be pushed, `blob` is the digest of a layer of another repository.
    """
    if operation.kind not in _PATHS:
        raise NoSample(f"no path of the kind {operation.kind} is known")
    path = _PATHS[operation.kind]
    if (operation.kind, operation.method) == (UPLOADS, "POST"):
        path = path.rpartition("/")[0] + "/"
        forms = [("", b""), (f"mount={blob}&from=team/other", b""), (f"digest={DIGEST}", b"layer")]
        forms += [(f"mount={blob}", b"")]
        return [Request("POST", path, "v2", body, query) for query, body in forms]
    if operation.kind == UPLOADS:
        bodies = {"PATCH": [b"part"], "PUT": [b"", b"part"]}.get(operation.method, [b""])
        query = f"digest={DIGEST}" if operation.method == "PUT" else ""
        return [Request(operation.method, path, "v2", body, query) for body in bodies]
    if operation.method == "PUT":
        return [Request("PUT", path, "v2", manifest, headers=(("content-type", MANIFEST_TYPE),))]
    return [Request(operation.method, path, "v2")]


# --- /_moorage/: from the type of the request ---

_FIELDS: dict[str, Any] = {
    "document": "{}",
    "expires_at": 4_000_000_000.0,
    "id": 1,
    "name": "ci",
    "now": 4_000_000_000.0,
    "repository": REPOSITORY,
    "repositories": [REPOSITORY],
    "since": 0.0,
    "text": "accounts: {}\n",
}
"""Values of required fields by name."""
_BODIES: dict[str, list[dict[str, Any]]] = {
    # Requests in other forms than the one with the required fields alone.
    "/_moorage/access": [{"repository": REPOSITORY}, {"principal": f"arn:aws:iam::{OWNER}:user/bob"}],
    "/_moorage/apply": [{"text": "accounts: {}\n"}, {"text": "not: [yaml", "dry_run": True}],
    "/_moorage/audit": [{}, {"after": "0.0 x"}],
    "/_moorage/policy/generate": [
        {"repository": REPOSITORY, "since": 0},
        {"repository": REPOSITORY, "since": 0, "identity": f"arn:aws:iam::{OWNER}:user/bob"},
    ],
    "/_moorage/purge": [{"repository": "old/app"}, {"repository": REPOSITORY, "digest": DIGEST}],
    "/_moorage/restore": [
        {"repository": "old/app"},
        {"repository": "old/app", "as": "new/app"},
        {"repository": REPOSITORY, "tag": "v1"},
    ],
    "/_moorage/tokens/create": [
        {"name": "new", "repositories": ["*"], "expires_at": 4_000_000_000, "pull": True, "user": "bob"},
        {"name": "new", "repositories": ["*"], "expires_at": 4_000_000_000, "pull": True, "user": "missing"},
    ],
    "/_moorage/tokens/list": [{}, {"user": "bob"}, {"user": "missing"}],
    "/_moorage/tokens/revoke": [{"name": "ci"}, {"name": "missing"}],
}


def admin_requests(operation: admin.Operation) -> list[Request]:
    """Valid requests of the operation."""
    path = re.sub(r"\{[^}]*\}", "00000000-0000-4000-8000-000000000000", operation.path)
    service = "" if operation.action is UNAUTHENTICATED else "moorage"
    bodies = _BODIES.get(operation.path) or [{} if operation.request is None else _fields(operation)]
    return [
        Request(operation.method, path, service, b"" if operation.method == "GET" else json.dumps(each).encode())
        for each in bodies
    ]


def _fields(operation: admin.Operation) -> dict[str, Any]:
    found = {}
    for each in msgspec.structs.fields(operation.request):
        if each.required:
            if each.name not in _FIELDS:
                raise NoSample(f"{operation.path}: no value of the field {each.name} is known")
            found[each.encode_name] = _FIELDS[each.name]
    return found
