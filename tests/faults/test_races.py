"""Fifty at once want the same: one wins, quotas are exact, and what is counted is what is there."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.ecr_push import MANIFEST, digest
from tests.support.oci_http import CONFIG, LAYER, OciClient
from tests.support.server_process import Error, ServerProcess

pytestmark = pytest.mark.torture

RACERS = 50
IMAGES = 20
"""Quota of the images of a repository."""


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    options = ["--workers", "2"]
    if request.param == "postgresql":
        options += ["--database-url", request.getfixturevalue("postgres").new_database()]
    running = ServerProcess(tmp_path / "data", *options).start(
        environment={"MOORAGE_IMAGES_PER_REPOSITORY": str(IMAGES)}
    )
    yield running
    assert running.stop() == 0


def race(act: Callable[[int], str]) -> Counter[str]:
    """What fifty racers that start together got, and how many of them."""
    barrier = threading.Barrier(RACERS)

    def run(number: int) -> str:
        barrier.wait()
        try:
            return act(number)
        except Error as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(RACERS) as pool:
        return Counter(pool.map(run, range(RACERS)))


def manifest(oci: OciClient, repository: str, number: int) -> str:
    """A manifest as no other number has it, whose blobs are there."""
    content = b'{"architecture":"amd64","os":"linux","number":%d}' % number
    config = {"mediaType": CONFIG, "digest": oci.push_blob(repository, content), "size": len(content)}
    layer = {"mediaType": LAYER, "digest": oci.push_blob(repository, b"shared"), "size": 6}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})


def images(ecr: Any, repository: str) -> list[dict[str, Any]]:
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=repository)
    return [each for page in pages for each in page["imageDetails"]]


def test_one_creates_a_repository(server: ServerProcess) -> None:
    ecr = server.client("ecr")

    def create(_: int) -> str:
        ecr.create_repository(repositoryName="race/one")
        return "created"

    assert race(create) == {"created": 1, "RepositoryAlreadyExistsException": RACERS - 1}


def test_an_immutable_tag_has_one_winner(server: ServerProcess) -> None:
    ecr, oci = server.client("ecr", config={"max_pool_connections": RACERS}), OciClient(server)
    ecr.create_repository(repositoryName="race/tag", imageTagMutability="IMMUTABLE")
    texts = [manifest(oci, "race/tag", number) for number in range(RACERS)]

    def put(number: int) -> str:
        if number % 2:
            answer = oci("PUT", "/v2/race/tag/manifests/v1", texts[number].encode(), content_type=MANIFEST)
            return "won" if answer.status == 201 else json.loads(answer.body)["errors"][0]["code"]
        ecr.put_image(repositoryName="race/tag", imageManifest=texts[number], imageTag="v1")
        return "won"

    results = race(put)
    assert results["won"] == 1
    assert set(results) <= {"won", "ImageTagAlreadyExistsException", "TAG_INVALID", "DENIED"}
    [image] = images(ecr, "race/tag")
    assert image["imageTags"] == ["v1"]
    assert image["imageDigest"] in {digest(text.encode()) for text in texts}


def test_the_quota_of_images_is_exact(server: ServerProcess) -> None:
    ecr, oci = server.client("ecr", config={"max_pool_connections": RACERS}), OciClient(server)
    ecr.create_repository(repositoryName="race/quota")
    texts = [manifest(oci, "race/quota", number) for number in range(RACERS)]

    def put(number: int) -> str:
        ecr.put_image(repositoryName="race/quota", imageManifest=texts[number], imageTag=f"v{number}")
        return "pushed"

    assert race(put) == {"pushed": IMAGES, "LimitExceededException": RACERS - IMAGES}
    there = images(ecr, "race/quota")
    assert len(there) == IMAGES

    def delete(number: int) -> str:
        image = {"imageDigest": there[number % IMAGES]["imageDigest"]}
        answer = ecr.batch_delete_image(repositoryName="race/quota", imageIds=[image])
        return "deleted" if not answer["failures"] else str(answer["failures"][0]["failureCode"])

    assert race(delete) == {"deleted": IMAGES, "ImageNotFound": RACERS - IMAGES}
    assert images(ecr, "race/quota") == []
    # What is counted is what is there: the whole quota is free again.
    assert race(put) == {"pushed": IMAGES, "LimitExceededException": RACERS - IMAGES}


def test_a_layer_that_fifty_push_is_stored_whole(server: ServerProcess) -> None:
    ecr, oci = server.client("ecr"), OciClient(server)
    content = b"the same bytes from everybody " * 50_000
    for number in range(5):
        ecr.create_repository(repositoryName=f"race/layer{number}")

    def push(number: int) -> str:
        return oci.push_blob(f"race/layer{number % 5}", content)

    assert race(push) == {digest(content): RACERS}
    for number in range(5):
        assert oci("GET", f"/v2/race/layer{number}/blobs/{digest(content)}").body == content


def test_whoever_pushes_while_others_delete_has_a_whole_image_or_an_error(server: ServerProcess) -> None:
    """A push that is acknowledged last is pulled whole, however often the same image was deleted beside it."""
    ecr, oci = server.client("ecr", config={"max_pool_connections": RACERS}), OciClient(server)
    ecr.create_repository(repositoryName="race/both")

    def act(number: int) -> str:
        if number % 2:
            image = {"imageTag": "v1"}
            ecr.batch_delete_image(repositoryName="race/both", imageIds=[image])
            return "deleted"
        oci.push("race/both", "v1", b"always the same image")
        return "pushed"

    for _ in range(3):
        assert set(race(act)) <= {"pushed", "deleted"}
        pushed = oci.push("race/both", "v1", b"always the same image")
        assert oci.pull("race/both", "v1") == pushed
        assert len(images(ecr, "race/both")) == 1


def test_one_ends_an_upload(server: ServerProcess) -> None:
    ecr, oci = server.client("ecr"), OciClient(server)
    ecr.create_repository(repositoryName="race/upload")
    location = oci("POST", "/v2/race/upload/blobs/uploads/").headers["location"]
    location = oci("PATCH", location, b"some bytes").headers["location"]
    joint = "&" if "?" in location else "?"

    def finish(_: int) -> str:
        answer = oci("PUT", f"{location}{joint}digest={digest(b'some bytes')}")
        return str(answer.status)

    results = race(finish)
    assert results["201"] >= 1
    assert set(results) <= {"201", "404", "409", "416"}, results
    assert oci("GET", f"/v2/race/upload/blobs/{digest(b'some bytes')}").body == b"some bytes"
