"""Pull, push and delete of manifests."""

import hashlib
import json

from tests.api.oci.conftest import INDEX, MANIFEST, MakeOciApi, OciApi, ref, sha256


async def test_what_was_pushed_is_pulled_by_tag_and_digest(oci: OciApi) -> None:
    text = await oci.manifest("app")
    pushed = await oci.push_text("app", "v1", text, MANIFEST + "; charset=utf-8")
    assert pushed.status == 201
    assert pushed.headers["docker-content-digest"] == sha256(text)
    assert pushed.headers["location"] == f"/v2/app/manifests/{sha256(text)}"
    for reference in ("v1", sha256(text)):
        answer = await oci.client("GET", f"/v2/app/manifests/{reference}")
        assert (answer.status, answer.body) == (200, text)
        assert answer.headers["content-type"] == MANIFEST
        assert answer.headers["docker-content-digest"] == sha256(text)
        assert answer.headers["etag"] == f'"{sha256(text)}"'
        head = await oci.client("HEAD", f"/v2/app/manifests/{reference}")
        assert (head.status, head.body, head.headers) == (200, b"", answer.headers)


async def test_a_manifest_that_the_client_has_is_not_sent_again(oci: OciApi) -> None:
    pushed = await oci.push("app", "v1")
    etag = f'"{pushed.headers["docker-content-digest"]}"'
    for condition in (etag, f'"x", W/{etag}', "*"):
        answer = await oci.client("GET", "/v2/app/manifests/v1", if_none_match=condition)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == etag
    assert (await oci.client("GET", "/v2/app/manifests/v1", if_none_match='"sha256:other"')).status == 200
    assert (await oci.client("GET", "/v2/app/manifests/v1")).headers["content-length"] != "0"


async def test_what_is_not_there(oci: OciApi) -> None:
    for reference in ("nothing", "a+b", sha256(b"nothing")):
        answer = await oci.client("GET", f"/v2/app/manifests/{reference}")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    answer = await oci.client("GET", "/v2/other/manifests/v1")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert (await oci.client("HEAD", "/v2/app/manifests/nothing")).body == b""


async def test_digests_and_tags_that_are_none(oci: OciApi) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await oci.client(method, "/v2/app/manifests/sha256:short")
        assert answer.status == 400
    assert (await oci.client("GET", "/v2/app/manifests/md5:00")).code == "DIGEST_INVALID"
    refused = await oci.push("app", "-v1")
    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert oci.rights.asked[-1] == ("PutImage", "app")  # permission first


async def test_a_manifest_must_be_what_its_digest_says(oci: OciApi) -> None:
    refused = await oci.push("app", sha256(b"other"))
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")


async def test_a_manifest_by_sha512(oci: OciApi) -> None:
    text = await oci.manifest("app")
    digest = "sha512:" + hashlib.sha512(text).hexdigest()
    pushed = await oci.push_text("app", digest, text)
    assert (pushed.status, pushed.headers["docker-content-digest"]) == (201, digest)
    assert (await oci.client("GET", f"/v2/app/manifests/{digest}")).body == text


async def test_a_manifest_is_refused_before_it_is_read_whole(oci: OciApi) -> None:
    too_long = await oci.client("PUT", "/v2/app/manifests/v1", b"", content_length=str((4 << 20) + 1))
    assert too_long.status == 413
    pieces = [b" " * (1 << 20)] * 5
    streamed = await oci.client("PUT", "/v2/app/manifests/v1", pieces, streamed=True)
    assert streamed.status == 413
    just = await oci.client("PUT", "/v2/app/manifests/v1", b"{" + b" " * ((4 << 20) - 1))
    assert (just.status, just.code) == (400, "MANIFEST_INVALID")


async def test_a_manifest_cut_off_is_not_there(oci: OciApi) -> None:
    text = await oci.manifest("app")
    cut = await oci.client("PUT", "/v2/app/manifests/v1", text[:-2], content_length=str(len(text)), cut=True)
    assert (cut.status, cut.code) == (400, "SIZE_INVALID")
    assert (await oci.client("GET", "/v2/app/manifests/v1")).status == 404


async def test_a_manifest_that_names_what_is_not_there(oci: OciApi, aws: OciApi) -> None:
    missing = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(b"x"), "size": 1}
    for tested, code in ((oci, "MANIFEST_BLOB_UNKNOWN"), (aws, "BLOB_UPLOAD_UNKNOWN")):
        refused = await tested.push("app", "v1", layers=[missing])
        assert (refused.status, refused.code) == (404, code)
        assert refused.message == (
            f"Layers with digests '[{sha256(b'x')}]' required for pushing image into repository with name 'app' "
            "in the registry with id '000000000000' do not exist"
        )
        child = {"mediaType": MANIFEST, "digest": sha256(b"y"), "size": 1}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
        refused = await tested.push_text("app", "v1", index, INDEX)
        assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")


async def test_bad_manifests_by_profile(oci: OciApi, aws: OciApi) -> None:
    bad = await oci.push_text("app", "v1", b"{")
    assert (bad.status, bad.code) == (400, "MANIFEST_INVALID")
    bad = await aws.push_text("app", "v1", b"{")
    assert (bad.status, bad.code) == (405, "UNSUPPORTED")
    assert bad.message == "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"


async def test_a_manifest_whose_media_type_nobody_names_by_profile(oci: OciApi, aws: OciApi) -> None:
    for tested, status in ((oci, 201), (aws, 405)):
        document = json.loads(await tested.manifest("app"))
        del document["mediaType"]
        text = json.dumps(document).encode()
        answer = await tested.client("PUT", "/v2/app/manifests/v1", text)
        assert answer.status == status
        assert (await tested.push_text("app", "v2", text)).status == 201
    assert answer.message == "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"


async def test_an_image_without_layers_by_profile(oci: OciApi, aws: OciApi) -> None:
    assert (await oci.push("app", "v1", layers=[])).status == 201
    refused = await aws.push("app", "v1", layers=[])
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")


async def test_pushing_again_succeeds(oci: OciApi, aws: OciApi) -> None:
    for tested in (oci, aws):
        first = await tested.push("app", "v1")
        again = await tested.push("app", "v1")
        assert again.status == 201
        assert again.headers == first.headers


async def test_an_immutable_tag_stays(oci: OciApi) -> None:
    await oci.registry.repositories.set_mutability(ref("app"), "IMMUTABLE", (), by="test")
    assert (await oci.push("app", "v1")).status == 201
    refused = await oci.push("app", "v1", content=b"another")
    assert (refused.status, refused.code) == (400, "TAG_INVALID")
    assert "cannot be overwritten because the repository is immutable" in refused.message


async def test_a_subject_is_acknowledged(oci: OciApi) -> None:
    subject = {"mediaType": MANIFEST, "digest": sha256(b"not there"), "size": 9}
    pushed = await oci.push("app", "v1", subject=subject)
    assert pushed.status == 201
    assert pushed.headers["oci-subject"] == sha256(b"not there")
    again = await oci.push("app", "v1", subject=subject)
    assert again.headers["oci-subject"] == sha256(b"not there")


async def test_deleting_a_tag_keeps_the_image_and_a_digest_deletes_it(oci: OciApi) -> None:
    pushed = await oci.push("app", "v1")
    digest = pushed.headers["docker-content-digest"]
    await oci.push("app", "v2")
    for tag in ("v1", "v2"):
        assert (await oci.client("DELETE", f"/v2/app/manifests/{tag}")).status == 202
    assert (await oci.client("GET", "/v2/app/manifests/v1")).status == 404
    assert (await oci.client("GET", f"/v2/app/manifests/{digest}")).status == 200
    assert (await oci.client("DELETE", f"/v2/app/manifests/{digest}")).status == 202
    assert (await oci.client("GET", f"/v2/app/manifests/{digest}")).status == 404
    gone = await oci.client("DELETE", f"/v2/app/manifests/{digest}")
    assert (gone.status, gone.code) == (404, "MANIFEST_UNKNOWN")


async def test_the_child_of_an_index_by_profile(oci: OciApi, aws: OciApi) -> None:
    for tested, status in ((oci, 202), (aws, 405)):
        text = await tested.manifest("app")
        await tested.push_text("app", sha256(text), text)
        child = {"mediaType": MANIFEST, "digest": sha256(text), "size": len(text)}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
        assert (await tested.push_text("app", "all", index, INDEX)).status == 201
        answer = await tested.client("DELETE", f"/v2/app/manifests/{sha256(text)}")
        assert answer.status == status
        if status == 405:
            assert answer.message == f"Requested image referenced by manifest list: [{sha256(index)}]"


async def test_actions(oci: OciApi) -> None:
    text = await oci.manifest("app")
    for method, action in (("PUT", "PutImage"), ("GET", "BatchGetImage"), ("HEAD", "BatchGetImage"),
                           ("DELETE", "BatchDeleteImage")):  # fmt: skip
        oci.rights.denied = {(action, "app")}
        answer = await oci.client(method, "/v2/app/manifests/v1", text if method == "PUT" else b"")
        assert answer.status == 403, method
        oci.rights.denied, oci.rights.asked = set(), []
        answer = await oci.client(method, "/v2/app/manifests/v1", text if method == "PUT" else b"")
        assert answer.status < 300
        assert oci.rights.asked == [(action, "app")]


async def test_create_on_push(make_oci: MakeOciApi) -> None:
    oci: OciApi = await make_oci(create_on_push=True)
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    oci.rights.denied = {("CreateRepository", "new/app")}
    assert (await oci.push_text("new/app", "v1", text, INDEX)).status == 403
    oci.rights.denied = {("PutImage", "new/app")}
    assert (await oci.push_text("new/app", "v1", text, INDEX)).status == 403
    assert (await oci.client("GET", "/v2/new/app/tags/list")).status == 404
    oci.rights.denied = set()
    assert (await oci.push_text("new/app", "v1", text, INDEX)).status == 201
    assert (await oci.client("GET", "/v2/new/app/tags/list")).json == {"name": "new/app", "tags": ["v1"]}
