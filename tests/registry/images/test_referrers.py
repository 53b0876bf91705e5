"""Referrers of an image: by subject, by type, in pages."""

import json

import pytest

from moorage.errors import RepositoryNotFound
from moorage.names import Digest, RepositoryName
from moorage.registry.images.manifest_document import OCI_MANIFEST
from moorage.registry.images.types import ImageId
from tests.registry.pushing import BY, OTHER, REF, Bench, digest_of, index, manifest


def _subject(digest: Digest) -> dict[str, object]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}


async def test_referrers_of_an_image(bench: Bench) -> None:
    subject = await bench.image("subject")
    body = manifest(
        b"config subject", b"layer subject", subject=_subject(subject), artifactType="a/sbom", annotations={"k": "v\0"}
    )
    put = await bench.push(body)
    assert put.subject == subject
    plain = await bench.image("plain", subject=_subject(subject))
    listed = (await bench.push(index((plain, 1), subject=_subject(subject)))).manifest.digest

    found, after = await bench.images.referrers(REF, subject, limit=10)
    assert after is None
    assert [(each.digest, each.artifact_type) for each in found] == [
        (digest_of(body), "a/sbom"),
        (plain, "application/vnd.oci.image.config.v1+json"),
        (listed, None),
    ]
    assert (found[0].media_type, found[0].size) == (OCI_MANIFEST, len(body))
    assert found[0].annotations is not None
    assert json.loads(bytes(found[0].annotations)) == {"k": "v\0"}
    of_type, _ = await bench.images.referrers(REF, subject, artifact_type="a/sbom", limit=10)
    assert of_type == found[:1]
    (described,) = await bench.images.describe(REF, [ImageId(plain)])
    assert described.subject == subject


async def test_a_subject_need_not_exist(bench: Bench) -> None:
    missing = digest_of(b"missing")
    referrer = await bench.image("a", subject=_subject(missing))
    assert [each.digest for each in (await bench.images.referrers(REF, missing, limit=10))[0]] == [referrer]
    assert await bench.images.referrers(OTHER, missing, limit=10) == ([], None)
    with pytest.raises(RepositoryNotFound):
        await bench.images.referrers(REF._replace(name=RepositoryName("no/where")), missing, limit=10)


async def test_a_deleted_referrer_is_gone(bench: Bench) -> None:
    subject = await bench.image("subject")
    referrer = await bench.image("a", subject=_subject(subject))
    await bench.images.batch_delete(REF, [ImageId(referrer)], by=BY, api="oci")
    assert await bench.images.referrers(REF, subject, limit=10) == ([], None)


async def test_pages(bench: Bench) -> None:
    subject = await bench.image("subject")
    pushed = [await bench.image(f"referrer {number}", subject=_subject(subject)) for number in range(5)]
    seen: list[Digest] = []
    after: int | None = 0
    while after is not None:
        page, after = await bench.images.referrers(REF, subject, after=after, limit=2)
        seen += [each.digest for each in page]
    assert seen == pushed
