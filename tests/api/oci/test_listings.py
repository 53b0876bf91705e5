"""Tags, catalog and referrers."""

import base64
from typing import Any
from urllib.parse import quote

from tests.api.oci.conftest import INDEX, MANIFEST, OciApi, sha256
from tests.support.oci_asgi import Answer


def following(answer: Answer) -> str:
    link = answer.headers["link"]
    assert link.startswith("<")
    assert link.endswith('>; rel="next"')
    return link[1:].partition(">")[0]


async def tag(oci: OciApi, *names: str) -> None:
    text = await oci.manifest("app")
    for name in names:
        assert (await oci.push_text("app", name, text)).status == 201


async def test_tags_in_pages(oci: OciApi) -> None:
    assert (await oci.client("GET", "/v2/app/tags/list")).json == {"name": "app", "tags": []}
    await tag(oci, "c", "a", "b", "B", "d")
    whole = await oci.client("GET", "/v2/app/tags/list")
    assert whole.json == {"name": "app", "tags": ["B", "a", "b", "c", "d"]}
    assert "link" not in whole.headers
    first = await oci.client("GET", "/v2/app/tags/list?n=2")
    assert first.json["tags"] == ["B", "a"]
    second = await oci.client("GET", following(first))
    assert second.json["tags"] == ["b", "c"]
    last = await oci.client("GET", following(second))
    assert last.json["tags"] == ["d"]
    assert "link" not in last.headers
    exact = await oci.client("GET", "/v2/app/tags/list?n=5")
    assert "link" not in exact.headers
    assert (await oci.client("GET", "/v2/app/tags/list?last=b")).json["tags"] == ["c", "d"]
    none = await oci.client("GET", "/v2/app/tags/list?n=0")
    assert (none.json["tags"], "link" in none.headers) == ([], False)
    for bad in ("x", "-1", "1e3"):
        assert (await oci.client("GET", f"/v2/app/tags/list?n={bad}")).status == 400
    assert (await oci.client("GET", "/v2/none/tags/list")).code == "NAME_UNKNOWN"


async def test_tags_keep_the_name_by_which_they_were_asked(oci: OciApi) -> None:
    await tag(oci, "a", "b")
    name = "000000000000/us-east-1/app"
    first = await oci.client("GET", f"/v2/{name}/tags/list?n=1")
    assert first.json == {"name": name, "tags": ["a"]}
    assert following(first).startswith(f"/v2/{name}/tags/list?")


async def test_tags_as_ecr_pages_them(aws: OciApi) -> None:
    await tag(aws, "a", "b")
    first = await aws.client("GET", "/v2/app/tags/list?n=1")
    url = following(first)
    assert url.startswith("http://localhost:4580/v2/app/tags/list?")
    second = await aws.client("GET", url.removeprefix("http://localhost:4580"))
    assert second.json["tags"] == ["b"]
    refused = await aws.client("GET", "/v2/app/tags/list?n=1001")
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    assert refused.message == (
        "Invalid parameter at 'maxResults' failed to satisfy constraint: "
        "'Member must have value less than or equal to 1000'"
    )
    for token in ("a!", base64.urlsafe_b64encode(b"\xff").decode()):
        assert (await aws.client("GET", f"/v2/app/tags/list?last={token}")).status == 405


async def test_the_right_to_list_tags(oci: OciApi) -> None:
    oci.rights.denied = {("ListImages", "app")}
    assert (await oci.client("GET", "/v2/app/tags/list")).status == 403


async def test_the_catalog_shows_what_the_caller_may_see(oci: OciApi) -> None:
    for name in ("b/one", "b/two", "c", "secret"):
        await oci.create(name)
    oci.rights.denied = {("DescribeRepositories", "secret"), ("DescribeRepositories", "*")}
    whole = await oci.client("GET", "/v2/_catalog")
    assert whole.json == {"repositories": ["app", "b/one", "b/two", "c"]}
    first = await oci.client("GET", "/v2/_catalog?n=3")
    assert first.json == {"repositories": ["app", "b/one", "b/two"]}
    second = await oci.client("GET", following(first))
    assert second.json == {"repositories": ["c"]}
    assert "link" not in second.headers
    assert (await oci.client("GET", "/v2/_catalog?n=0")).json == {"repositories": []}


async def test_a_caller_that_may_see_nothing_is_told(oci: OciApi, aws: OciApi) -> None:
    denied = {("DescribeRepositories", "app"), ("DescribeRepositories", "*")}
    oci.rights.denied = denied
    assert (await oci.client("GET", "/v2/_catalog")).status == 403
    oci.rights.denied = {("DescribeRepositories", "app")}
    assert (await oci.client("GET", "/v2/_catalog")).json == {"repositories": []}
    aws.rights.denied = {("DescribeRepositories", "*")}
    assert (await aws.client("GET", "/v2/_catalog")).status == 403


async def test_pages_of_a_catalog_with_little_to_see(oci: OciApi, monkeypatch: Any) -> None:
    monkeypatch.setattr("moorage.registry.repositories.service.NAMES_DECIDED", 3)
    names = [f"zz/{number}" for number in range(7)]
    for name in names:
        await oci.create(name)
    oci.rights.denied = {("DescribeRepositories", name) for name in (*names[:6], "*")}
    url, seen, pages = "/v2/_catalog?n=1", [], 0
    while url:
        answer = await oci.client("GET", url)
        assert answer.status == 200
        seen += answer.json["repositories"]
        pages += 1
        url = following(answer) if "link" in answer.headers else ""
        assert "zz%2F" not in url  # where the next page begins tells no name that the caller may not see
    assert seen == ["app", "zz/6"]
    assert pages < 10


async def test_the_last_page_of_a_catalog_may_be_empty(oci: OciApi) -> None:
    await oci.create("secret")
    oci.rights.denied = {("DescribeRepositories", "secret"), ("DescribeRepositories", "*")}
    first = await oci.client("GET", "/v2/_catalog?n=1")
    assert first.json == {"repositories": ["app"]}
    last = await oci.client("GET", following(first))
    assert (last.status, last.json) == (200, {"repositories": []})


async def test_the_catalog_is_the_hosts(oci: OciApi) -> None:
    other = oci.client.as_user("tester", "111122223333.dkr.ecr.us-east-1.localhost:4580")
    assert (await other("GET", "/v2/_catalog")).json == {"repositories": []}


async def refer(oci: OciApi, subject: str, kind: str, **given: Any) -> str:
    descriptor = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    pushed = await oci.push(
        "app",
        f"t-{len(kind)}{kind[-5:].replace('+', '-')}",
        subject=descriptor,
        artifactType=kind,
        annotations={"kind": kind},
        **given,
    )
    assert pushed.status == 201
    return pushed.headers["docker-content-digest"]


async def test_referrers(oci: OciApi) -> None:
    subject = sha256(b"subject")
    empty = await oci.client("GET", f"/v2/app/referrers/{subject}")
    assert empty.json == {"manifests": [], "schemaVersion": 2, "mediaType": INDEX}
    assert empty.headers["content-type"] == INDEX
    signature = await refer(oci, subject, "application/vnd.test.signature")
    bill = await refer(oci, subject, "application/vnd.test.sbom+json")
    found = (await oci.client("GET", f"/v2/app/referrers/{subject}")).json["manifests"]
    assert {each["digest"] for each in found} == {signature, bill}
    wanted = quote("application/vnd.test.sbom+json", safe="")
    filtered = await oci.client("GET", f"/v2/app/referrers/{subject}?artifactType={wanted}")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    (one,) = filtered.json["manifests"]
    body = (await oci.client("GET", f"/v2/app/manifests/{bill}")).body
    assert one == {
        "mediaType": MANIFEST,
        "digest": bill,
        "size": len(body),
        "artifactType": "application/vnd.test.sbom+json",
        "annotations": {"kind": "application/vnd.test.sbom+json"},
    }
    assert "oci-filters-applied" not in empty.headers


async def test_referrers_in_pages(oci: OciApi, monkeypatch: Any) -> None:
    monkeypatch.setattr("moorage.api.oci.referrers.PAGE", 2)
    subject = sha256(b"subject")
    pushed = [await refer(oci, subject, f"application/vnd.test.kind{number}") for number in range(3)]
    url, seen = f"/v2/app/referrers/{subject}", []
    while url:
        answer = await oci.client("GET", url)
        seen += [each["digest"] for each in answer.json["manifests"]]
        url = following(answer) if "link" in answer.headers else ""
    assert seen == pushed


async def test_referrers_of_nothing(oci: OciApi, aws: OciApi) -> None:
    subject = sha256(b"subject")
    assert (await oci.client("GET", f"/v2/none/referrers/{subject}")).json["manifests"] == []
    assert (await aws.client("GET", f"/v2/none/referrers/{subject}")).code == "NAME_UNKNOWN"
    bad = await oci.client("GET", "/v2/app/referrers/sha256:bad")
    assert (bad.status, bad.code) == (400, "DIGEST_INVALID")
    assert (await oci.client("GET", f"/v2/app/referrers/{subject}?after=x")).status == 400
    oci.rights.denied = {("BatchGetImage", "none")}
    assert (await oci.client("GET", f"/v2/none/referrers/{subject}")).status == 403
