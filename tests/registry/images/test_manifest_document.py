"""Reading a manifest: what it names, and that nothing a client sends breaks the reader."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import InvalidParameter
from moorage.registry.images.manifest_document import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_V1_SIGNED,
    OCI_INDEX,
    OCI_MANIFEST,
    ManifestDocument,
    read_manifest,
)
from tests.registry.pushing import descriptor, digest_of, index, manifest

SUBJECT = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"subject"), "size": 7}


def _changed(**changes: Any) -> bytes:
    document = json.loads(manifest(b"config", b"layer"))
    document.update(changes)
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def test_an_image() -> None:
    document = read_manifest(manifest(b"config", b"one", b"two", annotations={"a": "b"}, subject=SUBJECT), None)
    assert [(each.kind, each.digest, each.size) for each in document.references] == [
        ("config", digest_of(b"config"), 6),
        ("layer", digest_of(b"one"), 3),
        ("layer", digest_of(b"two"), 3),
    ]
    assert (document.media_type, document.subject, document.annotations) == (
        OCI_MANIFEST,
        SUBJECT["digest"],
        {"a": "b"},
    )
    assert document.artifact_type == document.config_media_type == "application/vnd.oci.image.config.v1+json"
    assert not document.is_index
    assert document.layer_count == 2


def test_an_artifact_type_goes_before_the_configs() -> None:
    assert read_manifest(_changed(artifactType="application/spdx+json"), None).artifact_type == "application/spdx+json"


def test_an_index() -> None:
    document = read_manifest(index((digest_of(b"child"), 5)), OCI_INDEX)
    assert [(each.kind, each.digest) for each in document.references] == [("child", digest_of(b"child"))]
    assert document.is_index
    assert document.artifact_type is None


def test_a_schema_1_manifest() -> None:
    body = json.dumps({"schemaVersion": 1, "fsLayers": [{"blobSum": digest_of(b"layer")}], "signatures": []}).encode()
    document = read_manifest(body, None)
    assert document.media_type == DOCKER_V1_SIGNED
    assert [each.digest for each in document.references] == [digest_of(b"layer")]


@pytest.mark.parametrize(
    ("body", "sent", "read"),
    [
        (_changed(), None, OCI_MANIFEST),
        (_changed(), f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
        (_changed(mediaType=None), DOCKER_MANIFEST, DOCKER_MANIFEST),
        (_changed(mediaType=None), None, OCI_MANIFEST),
        (json.dumps({"schemaVersion": 2, "manifests": []}).encode(), None, OCI_INDEX),
        (json.dumps({"schemaVersion": 2, "manifests": []}).encode(), DOCKER_LIST, DOCKER_LIST),
    ],
)
def test_whose_type_counts(body: bytes, sent: str | None, read: str) -> None:
    assert read_manifest(body, sent).media_type == read


@pytest.mark.parametrize("urls", [None, [], ["https://example.com/layer"]])
@pytest.mark.parametrize("media_type", ["tar", "nondistributable.v1.tar+gzip"])
def test_a_layer_may_be_elsewhere_only_with_urls_and_its_own_type(urls: list[str] | None, media_type: str) -> None:
    layer = descriptor(b"layer", f"application/vnd.oci.image.layer.{media_type}")
    if urls is not None:
        layer["urls"] = urls
    foreign = read_manifest(_changed(layers=[layer]), None).references[1].foreign
    assert foreign == (bool(urls) and media_type.startswith("nondistributable"))


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"schemaVersion": 2}', None),
        (b"[" * 100_000, None),
        (b'{"x":' * 100_000, None),
        (manifest(b"c", b"l")[:-1] + b', "x": "\xff"}', None),
        (_changed(), DOCKER_MANIFEST),
        (_changed(mediaType="application/vnd.oci.artifact.manifest.v1+json"), None),
        (_changed(mediaType=None), "application/json"),
        (_changed(schemaVersion=1), None),
        (_changed(schemaVersion="2"), None),
        (_changed(manifests=[]), None),
        (_changed(mediaType=OCI_INDEX, manifests=[]), None),
        (_changed(config=None), None),
        (_changed(layers=None), None),
        (_changed(config={"mediaType": "a/b", "digest": "sha256:abc", "size": 1}), None),
        (_changed(config={"mediaType": "a/b", "digest": "../../etc/passwd", "size": 1}), None),
        (_changed(config={"mediaType": "a/b", "digest": digest_of(b""), "size": -1}), None),
        (_changed(config={"mediaType": "a/b", "digest": digest_of(b""), "size": 2**60}), None),
        (_changed(config={"mediaType": "a\0b", "digest": digest_of(b""), "size": 1}), None),
        (_changed(config={"mediaType": "a" * 256, "digest": digest_of(b""), "size": 1}), None),
        (_changed(artifactType="a b"), None),
        (_changed(annotations={"a": 1}), None),
        (_changed(subject={"digest": digest_of(b"")}), None),
    ],
)
def test_what_is_refused(body: bytes, sent: str | None) -> None:
    with pytest.raises(InvalidParameter) as raised:
        read_manifest(body, sent)
    expected = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
    assert raised.value.message == expected


def _reads(body: bytes, sent: str | None) -> ManifestDocument | None:
    try:
        return read_manifest(body, sent)
    except InvalidParameter:
        return None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
_MEMBERS = [
    "schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType", "fsLayers",
    "signatures",
]  # fmt: skip


@given(st.binary(max_size=64), st.none() | st.text(max_size=16))
def test_any_bytes_are_read_or_refused(body: bytes, sent: str | None) -> None:
    _reads(body, sent)


@given(st.dictionaries(st.sampled_from(_MEMBERS), _JSON), st.sampled_from([None, OCI_MANIFEST, OCI_INDEX]))
def test_any_member_may_be_anything(changes: dict[str, Any], sent: str | None) -> None:
    document = json.loads(manifest(b"config", b"layer"))
    read = _reads(json.dumps({**document, **changes}).encode(), sent)
    if read is not None:
        assert all(0 <= each.size < 2**53 and each.digest.startswith("sha") for each in read.references)


@given(st.lists(st.binary(max_size=8), max_size=5), st.binary(max_size=8))
def test_references_are_the_config_then_the_layers_in_order(layers: list[bytes], config: bytes) -> None:
    read = read_manifest(manifest(config, *layers), None)
    assert [each.digest for each in read.references] == [digest_of(content) for content in (config, *layers)]
