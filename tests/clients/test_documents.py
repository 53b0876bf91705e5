"""Manifests of the shapes that newer builders push: attestations, zstd layers, build caches, referrers."""

import base64
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from tests.clients.conftest import password
from tests.clients.images import digest
from tests.support.server_process import ServerProcess

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Plain:
    """A registry client of a few lines, for documents that no installed client makes."""

    def __init__(self, server: ServerProcess, repository: str) -> None:
        self.base = f"{server.url}/v2/{repository}"
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"AWS:{password(server)}".encode()).decode()}

    def send(
        self, method: str, url: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data=body, method=method, headers=self.headers | named)
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        _, headers, _ = self.send("POST", f"{self.base}/blobs/uploads/", b"")
        where = headers["Location"]
        where = where if where.startswith("http") else self.base.partition("/v2/")[0] + where
        joint = "&" if "?" in where else "?"
        self.send("PUT", f"{where}{joint}digest={digest(content)}", content, Content_Type="application/octet-stream")
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    def manifest(self, document: dict[str, Any], reference: str | None = None) -> dict[str, Any]:
        body = json.dumps(document).encode()
        media_type = document["mediaType"]
        status, headers, _ = self.send(
            "PUT", f"{self.base}/manifests/{reference or digest(body)}", body, Content_Type=media_type
        )
        assert status == 201
        assert headers["Docker-Content-Digest"] == digest(body)
        _, _, back = self.send("GET", f"{self.base}/manifests/{digest(body)}", Accept=media_type)
        assert back == body
        return {"mediaType": media_type, "digest": digest(body), "size": len(body)}


@pytest.fixture
def plain(server: ServerProcess) -> Plain:
    return Plain(server, "documents/app")


def image(plain: Plain, layer_type: str = "application/vnd.oci.image.layer.v1.tar+gzip", **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": plain.blob(b'{"architecture":"amd64","os":"linux"}', "application/vnd.oci.image.config.v1+json"),
        "layers": [plain.blob(b"a layer", layer_type)],
        **more,
    }


def test_an_index_with_an_attestation(plain: Plain) -> None:
    built = plain.manifest(image(plain))
    attestation = plain.manifest(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": plain.blob(b'{"os":"unknown"}', "application/vnd.oci.image.config.v1+json"),
            "layers": [plain.blob(b'{"_type":"statement"}', "application/vnd.in-toto+json")],
        }
    )
    annotations = {"vnd.docker.reference.digest": built["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    plain.manifest(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                built | {"platform": {"architecture": "amd64", "os": "linux"}},
                attestation | {"platform": {"architecture": "unknown", "os": "unknown"}, "annotations": annotations},
            ],
        },
        "attested",
    )


def test_zstd_layers(plain: Plain) -> None:
    plain.manifest(image(plain, "application/vnd.oci.image.layer.v1.tar+zstd"), "zstd")


@pytest.mark.parametrize("as_index", [False, True])
def test_a_build_cache(plain: Plain, as_index: bool) -> None:
    layer = plain.blob(b"a cached layer", "application/vnd.oci.image.layer.v1.tar+gzip")
    config = plain.blob(b'{"layers":[],"records":[]}', "application/vnd.buildkit.cacheconfig.v0")
    document: dict[str, Any]
    if as_index:  # an index whose entries are blobs: what older builders push
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [layer, config]}
    else:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    plain.manifest(document, f"cache-{as_index}".lower())


def test_a_referrer_is_found_through_its_subject(plain: Plain) -> None:
    subject = plain.manifest(image(plain), "signed")
    empty = plain.blob(b"{}", "application/vnd.oci.empty.v1+json")
    signature = plain.manifest(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.signature",
            "config": empty,
            "layers": [empty],
            "subject": subject,
            "annotations": {"signer": "tests"},
        }
    )
    _, _, body = plain.send("GET", f"{plain.base}/referrers/{subject['digest']}")
    assert json.loads(body)["manifests"] == [
        signature | {"artifactType": "application/vnd.example.signature", "annotations": {"signer": "tests"}}
    ]
    _, headers, body = plain.send("GET", f"{plain.base}/referrers/{subject['digest']}?artifactType=other/type")
    assert json.loads(body)["manifests"] == []
    assert headers["OCI-Filters-Applied"] == "artifactType"
