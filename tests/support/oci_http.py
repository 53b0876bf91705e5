"""The data plane over real sockets, a connection a request: whichever worker takes it."""

import base64
import http.client
import json
from typing import Any, NamedTuple

from tests.support.ecr_push import MANIFEST, digest
from tests.support.server_process import ServerProcess

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class OciClient:
    """As a user of `docker login`; a fresh connection for each request."""

    def __init__(self, server: ServerProcess, user: str = "test", password: str = "any") -> None:
        self.server = server
        self._credential = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        sent = {"Authorization": self._credential} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            content = answer.read()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
        finally:
            connection.close()

    def push_blob(self, repository: str, content: bytes) -> str:
        """POST, PATCH, PUT, as docker does it; the digest."""
        begun = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        sent = self("PATCH", begun.headers["location"], content)
        assert sent.status == 202, sent
        location = sent.headers["location"]
        joint = "&" if "?" in location else "?"
        done = self("PUT", f"{location}{joint}digest={digest(content)}")
        assert done.status == 201, done
        return digest(content)

    def push(self, repository: str, tag: str, content: bytes) -> str:
        """An image of one layer; its digest."""
        config = b'{"architecture":"amd64","os":"linux","c":"%s"}' % digest(content).encode()
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST}
        document["config"] = {"mediaType": CONFIG, "digest": self.push_blob(repository, config), "size": len(config)}
        layer = {"mediaType": LAYER, "digest": self.push_blob(repository, content), "size": len(content)}
        text = json.dumps(document | {"layers": [layer]}).encode()
        done = self("PUT", f"/v2/{repository}/manifests/{tag}", text, content_type=MANIFEST)
        assert done.status == 201, done
        return digest(text)

    def pull(self, repository: str, tag: str) -> str:
        """The image's digest, once its manifest and every blob came back and are what their digests say."""
        got = self("GET", f"/v2/{repository}/manifests/{tag}")
        assert got.status == 200, got
        manifest = json.loads(got.body)
        for each in (manifest["config"], *manifest["layers"]):
            blob = self("GET", f"/v2/{repository}/blobs/{each['digest']}")
            assert (blob.status, digest(blob.body)) == (200, each["digest"])
        return digest(got.body)
