"""A `moorage serve` to attack: real keys, a private repository, and all of the state that an attack could change."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import sqlite3
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.command_line import run_moorage
from tests.support.server_process import Error, ServerProcess

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ECR = "AmazonEC2ContainerRegistry_V20150921"
SECRET = "top secret layer"


@dataclass
class Key:
    id: str
    secret: str
    token: str | None = None


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Signature:
    """A request of SigV4, every part of which can be made wrong."""

    key: Key
    action: str = "CreateRepository"
    content: Any = None
    method: str = "POST"
    path: str = "/"
    query: str = ""
    service: str = "ecr"
    region: str = "us-east-1"
    at: float = 0.0
    terminator: str = "aws4_request"
    date: str | None = None
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    unsigned: tuple[str, ...] = ()
    """Headers that are sent but not signed."""

    def make(self, host: str) -> tuple[str, str, dict[str, str], bytes]:
        """Method, target, headers and body."""
        body = json.dumps(self.content if self.content is not None else {"repositoryName": "forged/x"}).encode()
        instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.at or time.time()))
        date = instant[:8] if self.date is None else self.date
        sent = {
            "host": self.host or host,
            "content-type": "application/x-amz-json-1.1",
            "x-amz-date": instant,
            "x-amz-target": f"{ECR}.{self.action}",
            **({"x-amz-security-token": self.key.token} if self.key.token is not None else {}),
            **self.headers,
        }
        signed = sorted(name for name in sent if name not in self.unsigned)
        lines = "".join(f"{name}:{sent[name]}\n" for name in signed)
        payload = hashlib.sha256(body).hexdigest()
        canonical = "\n".join([self.method, self.path, self.query, lines, ";".join(signed), payload])
        scope = f"{date}/{self.region}/{self.service}/{self.terminator}"
        to_sign = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = f"AWS4{self.key.secret}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
        listed = ";".join(signed)
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key.id}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        target = self.path + (f"?{self.query}" if self.query else "")
        return self.method, target, sent, body


class AttackedServer:
    """The server, its keys and passwords."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.server = ServerProcess(data, command="serve")
        self.host = self.server.registry

    def prepare(self) -> None:
        """Start it, and make everybody."""
        data = self.data
        run_moorage("init", "--data", str(data), "--account", "111122223333")
        lines = (data / "credentials").read_text().splitlines()
        self.root = Key(*(line.partition(" = ")[2] for line in lines[1:3]))
        self.server.start()
        iam = self.client("iam")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        keys = []
        for name in ("ada", "bob", "gone", "resting"):
            iam.create_user(UserName=name)
            iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
            made = iam.create_access_key(UserName=name)["AccessKey"]
            keys.append(Key(made["AccessKeyId"], made["SecretAccessKey"]))
        self.ada, self.bob, self.gone, self.resting = keys
        self.dead_passwords = [self.password(self.gone), self.password(self.resting)]
        iam.delete_access_key(UserName="gone", AccessKeyId=self.gone.id)
        iam.update_access_key(UserName="resting", AccessKeyId=self.resting.id, Status="Inactive")
        trust = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.role: str = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        iam.put_role_policy(RoleName="r", PolicyName="all", PolicyDocument=json.dumps(policy))
        self.session, self.other_session, self.ended_session = self._session(), self._session(), self._session()
        with contextlib.closing(sqlite3.connect(data / "moorage.db")) as database:
            ended = (time.time() - 1, self.ended_session.id)
            assert database.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", ended).rowcount == 1
            database.commit()
        ecr = self.client("ecr")
        for name in ("team/app", "team/secret"):
            ecr.create_repository(repositoryName=name)
        self.digest = self._push("team/app", b"public layer")
        self.secret_digest = self._push("team/secret", SECRET.encode())

    def client(self, service: str, key: Key | None = None) -> Any:
        key = key or self.root
        return self.server.client(service, key.id, key.secret, aws_session_token=key.token)

    def _session(self) -> Key:
        made = self.client("sts", self.ada).assume_role(RoleArn=self.role, RoleSessionName="attack")["Credentials"]
        return Key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    def password(self, key: Key) -> str:
        token = self.client("ecr", key).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().partition(":")[2]

    def pull_token(self, **asked: Any) -> str:
        """A pull token of the root."""
        from moorage.login import keys, signing

        content = {"name": f"t{time.monotonic_ns()}", "pull": True, "push": False, "actions": []} | asked
        content.setdefault("expires_at", time.time() + 3600)
        body = json.dumps(content).encode()
        url = f"{self.server.url}/_moorage/tokens/create"
        key = keys.Key(self.root.id, self.root.secret)
        headers = signing.sign(key, "POST", url, body, region="us-east-1", service="moorage")
        reply = self.send("POST", "/_moorage/tokens/create", headers, body)
        assert reply.status == 200, reply
        password: str = json.loads(reply.body)["password"]
        return password

    def _push(self, repository: str, layer: bytes) -> str:
        authorization = {"Authorization": basic("AWS", self.password(self.root))}
        config = b"{}"
        for blob in (layer, config):
            begun = self.send("POST", f"/v2/{repository}/blobs/uploads/", authorization)
            where = urllib.parse.urlsplit(begun.headers["location"])
            query = "&".join(filter(None, [where.query, f"digest={sha256(blob)}"]))
            assert self.send("PUT", f"{where.path}?{query}", authorization, blob).status == 201
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": sha256(config),
                    "size": 2,
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar",
                        "digest": sha256(layer),
                        "size": len(layer),
                    }
                ],
            }
        ).encode()
        put = authorization | {"Content-Type": MANIFEST_TYPE}
        assert self.send("PUT", f"/v2/{repository}/manifests/v1", put, manifest).status == 201
        return sha256(manifest)

    def send(
        self, method: str, target: str, headers: dict[str, str] | list[tuple[str, str]], body: bytes = b""
    ) -> Reply:
        """One request, whose target and headers are sent as they are."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            pairs = list(headers.items()) if isinstance(headers, dict) else headers
            if not any(name.lower() == "host" for name, _ in pairs):
                connection.putheader("Host", self.host)
            for name, value in pairs:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def state(self) -> Any:
        """Everything that an attack could have changed."""
        ecr, iam = self.client("ecr"), self.client("iam")
        repositories = sorted(each["repositoryName"] for each in ecr.describe_repositories()["repositories"])
        images = {name: ecr.list_images(repositoryName=name)["imageIds"] for name in repositories}
        policies = {}
        for name in repositories:
            try:
                policies[name] = ecr.get_repository_policy(repositoryName=name)["policyText"]
            except Error:
                policies[name] = None
        users = sorted(each["UserName"] for each in iam.list_users()["Users"])
        with contextlib.closing(sqlite3.connect(self.data / "moorage.db")) as database:
            uploads = database.execute("SELECT count(*) FROM uploads").fetchone()[0]
        return repositories, images, policies, users, uploads


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
