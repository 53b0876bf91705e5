"""The ECR API against moto: requests signed beforehand, from 16 connections, with few repositories and many."""

import base64
import hashlib
import http.client
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from competitors import POLICY, REGION, Moorage, Server, moto
from measure import MANIFEST, Row, compare, console, prepared, replay

FEW = 100
MANY = 10_000
WITH_IMAGE = 1_000
"""Of the many, spread evenly."""
_TARGET = "AmazonEC2ContainerRegistry_V20150921"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"

Parameters = dict[str, Any]


@dataclass
class Side:
    """A server, the key to sign with, and what it holds."""

    server: Server
    key: tuple[str, str]
    names: Sequence[str]
    with_image: Sequence[str]


TEXTS = tuple(json.dumps({**POLICY, "Id": name}) for name in ("old", "new"))
"""Two policies, set in turn, so that each call changes what is in force."""


def batch_get_image(side: Side) -> list[Parameters]:
    return [{"repositoryName": name, "imageIds": [{"imageTag": "v1"}]} for name in side.with_image]


def describe_repositories(side: Side) -> list[Parameters]:
    return [{"repositoryNames": [name]} for name in side.names]


def set_repository_policy(side: Side) -> list[Parameters]:
    return [{"repositoryName": name, "policyText": text} for text in TEXTS for name in side.names]


def new_policy(number: int) -> str:
    """The policy as no other call sets it: it names another account."""
    statements: list[Any] = json.loads(json.dumps(POLICY["Statement"]))
    statements[-1]["Principal"] = {"AWS": ["arn:aws:iam::123456789012:user/bench", f"{number:012}"]}
    return json.dumps({**POLICY, "Statement": statements})


def long_policy(number: int) -> str:
    """A policy of twenty statements, as no other call sets it: it names twenty other accounts."""
    statements = [
        {
            "Sid": f"Team{at}",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{number * 20 + at:012}:root"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            "Condition": {"IpAddress": {"aws:SourceIp": f"10.{at}.0.0/16"}},
        }
        for at in range(20)
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


_numbers = itertools.count(1)
NEW = 30_000
"""Requests of a round whose texts are all different, more than a round replays."""


def set_new_policy(side: Side, text: Callable[[int], str], requests: int) -> list[Parameters]:
    names = itertools.cycle(side.names)
    return [{"repositoryName": next(names), "policyText": text(next(_numbers))} for _ in range(requests)]


OPERATIONS: dict[str, tuple[float, Callable[[Side], list[Parameters]]]] = {
    "BatchGetImage": (10, batch_get_image),
    "DescribeRepositories": (10, describe_repositories),
    "SetRepositoryPolicy": (6, set_repository_policy),
}
"""The ratio to reach, and the parameters of one request after the other."""
NEW_TEXTS: dict[str, tuple[float, Callable[[Side], list[Parameters]]]] = {
    "SetRepositoryPolicy, a new text each time": (6, partial(set_new_policy, text=new_policy, requests=NEW)),
    "SetRepositoryPolicy, 20 statements, a new text each time": (
        2,
        partial(set_new_policy, text=long_policy, requests=NEW // 3),
    ),
}
"""The same for texts that the server has never seen; each round has its own."""


def headers(server: Server, key: tuple[str, str], operation: str, body: bytes) -> dict[str, str]:
    """The headers of a signed request."""
    unsigned = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{_TARGET}.{operation}",
        "Host": f"127.0.0.1:{server.port}",
    }
    request = AWSRequest("POST", server.url + "/", data=body, headers=unsigned)
    SigV4Auth(Credentials(*key), "ecr", REGION).add_auth(request)
    return dict(request.headers.items())


def signed(server: Server, key: tuple[str, str], operation: str, parameters: Parameters) -> bytes:
    """A whole request, ready to be sent."""
    body = json.dumps(parameters).encode()
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers(server, key, operation, body).items())]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Filler:
    """Makes repositories and images over one connection; botocore's own client would take minutes for thousands."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._connection = http.client.HTTPConnection("127.0.0.1", side.server.port)

    def call(self, operation: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode()
        self._connection.request("POST", "/", body, headers(self._side.server, self._side.key, operation, body))
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"{operation} on {self._side.server.url}: {response.status} {content.decode()}")
        return json.loads(content)

    def repository(self, name: str) -> None:
        self.call("CreateRepository", repositoryName=name)
        self.call("SetRepositoryPolicy", repositoryName=name, policyText=TEXTS[1])

    def image(self, name: str) -> None:
        layer = self._blob(name, b"layer of " + name.encode(), _LAYER)
        config = self._blob(name, b'{"architecture":"amd64","os":"linux"}', _CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        self.call(
            "PutImage",
            repositoryName=name,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType=MANIFEST,
            imageTag="v1",
        )

    def _blob(self, name: str, content: bytes, media_type: str) -> dict[str, Any]:
        upload = self.call("InitiateLayerUpload", repositoryName=name)["uploadId"]
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.call(
            "UploadLayerPart",
            repositoryName=name,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(content) - 1,
            layerPartBlob=base64.b64encode(content).decode(),
        )
        self.call("CompleteLayerUpload", repositoryName=name, uploadId=upload, layerDigests=[digest])
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def fill(server: Server, key: tuple[str, str], count: int, images: int) -> Side:
    """So many repositories, each with the policy, and in every so-manieth an image."""
    names = [f"bench/ecr-{number:05d}" for number in range(count)]
    side = Side(server, key, names, names[:: count // images])
    with_image = set(side.with_image)

    def make(some: Iterable[str]) -> None:
        filler = Filler(side)
        for name in some:
            filler.repository(name)
            if name in with_image:
                filler.image(name)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(make, (names[start::16] for start in range(16))))
    return side


def requests(work: Path, side: Side, operation: str, parameters: Sequence[Parameters]) -> str:
    """The file of an operation's requests, signed now: good for the minutes that the rounds take."""
    return prepared(
        work / f"{operation}-{side.server.port}",
        [signed(side.server, side.key, operation, each) for each in parameters],
    )


def replay_new(work: Path, side: Side, parameters: Callable[[Side], list[Parameters]]) -> float:
    """One round of requests that were never sent before."""
    return replay(side.server, requests(work, side, "SetRepositoryPolicy", parameters(side)))


def ecr_api(work: Path) -> list[Row]:
    """Two servers of ours, since a repository once made is not gone without a trace, and moto's."""
    rows = []
    servers: list[Server] = []
    try:
        few = Moorage(work / "few", 24583)
        servers.append(few)
        many = Moorage(work / "many", 24584)
        servers.append(many)
        servers.append(moto(work, 24582))
        console.print(f"  making {MANY:,} repositories …")
        ours = fill(few, few.key, FEW, FEW)
        theirs = fill(servers[-1], ("test", "test"), FEW, FEW)
        crowded = fill(many, many.key, MANY, WITH_IMAGE)
        for operation, (goal, parameters) in OPERATIONS.items():
            rates = [
                partial(replay, side.server, requests(work, side, operation, parameters(side)))
                for side in (ours, theirs, crowded)
            ]
            rows.append(compare(f"{operation}, {FEW} repositories", "requests/s", goal, rates[0], rates[1]))
            what = f"{operation}, {MANY:,} repositories, against Moorage with {FEW}"
            rows.append(compare(what, "requests/s", 0.8, rates[2], rates[0]))
        for what, (goal, parameters) in NEW_TEXTS.items():
            us, them = (partial(replay_new, work, side, parameters) for side in (ours, theirs))
            rows.append(compare(what, "requests/s", goal, us, them))
    finally:
        for server in servers:
            server.stop()
    return rows
