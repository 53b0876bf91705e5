"""The ECR API as boto3 sees it: repositories, layers, images, tags, and its errors to the letter."""

import json
from typing import Any

import pytest

from tests.support.ecr_push import MANIFEST, digest, push_image, push_layer
from tests.support.server_process import Error

ACCOUNT = "000000000000"


def refused(call: Any, **parameters: Any) -> dict[str, str]:
    with pytest.raises(Error) as error:
        call(**parameters)
    said: dict[str, str] = error.value.response["Error"]
    return said


def test_a_repository_from_creation_to_deletion(ecr: Any) -> None:
    made = ecr.create_repository(repositoryName="life/cycle", tags=[{"Key": "team", "Value": "a"}])["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/life/cycle"
    assert made["registryId"] == ACCOUNT
    assert made["imageTagMutability"] == "MUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": False}
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert refused(ecr.create_repository, repositoryName="life/cycle") == {
        "Code": "RepositoryAlreadyExistsException",
        "Message": f"The repository with name 'life/cycle' already exists in the registry with id '{ACCOUNT}'",
    }
    described = ecr.describe_repositories(repositoryNames=["life/cycle"])["repositories"]
    assert described == [made]
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "team", "Value": "a"}]
    push_image(ecr, "life/cycle", "v1")
    assert refused(ecr.delete_repository, repositoryName="life/cycle") == {
        "Code": "RepositoryNotEmptyException",
        "Message": f"The repository with name 'life/cycle' in registry with id '{ACCOUNT}' "
        "cannot be deleted because it still contains images",
    }
    assert (
        ecr.delete_repository(repositoryName="life/cycle", force=True)["repository"]["repositoryName"] == "life/cycle"
    )
    assert refused(ecr.describe_repositories, repositoryNames=["life/cycle"])["Code"] == "RepositoryNotFoundException"


def test_pages_of_repositories(ecr: Any) -> None:
    names = {f"pages/{number}" for number in range(7)}
    for name in names:
        ecr.create_repository(repositoryName=name)
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = ecr.describe_repositories(maxResults=3, **token)
        assert len(page["repositories"]) <= 3
        seen += [each["repositoryName"] for each in page["repositories"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert names <= set(seen)
    assert len(seen) == len(set(seen))
    assert refused(ecr.describe_repositories, nextToken="made-up")["Code"] == "InvalidParameterException"


def test_an_image_pushed_in_parts_comes_back_as_sent(ecr: Any) -> None:
    ecr.create_repository(repositoryName="images")
    pushed = push_image(ecr, "images", "v1")
    got = ecr.batch_get_image(repositoryName="images", imageIds=[{"imageTag": "v1"}, {"imageTag": "absent"}])
    assert digest(got["images"][0]["imageManifest"].encode()) == pushed
    assert got["images"][0]["imageId"] == {"imageDigest": pushed, "imageTag": "v1"}
    assert got["failures"] == [
        {
            "imageId": {"imageTag": "absent"},
            "failureCode": "ImageNotFound",
            "failureReason": "Requested image not found",
        }
    ]
    detail = ecr.describe_images(repositoryName="images")["imageDetails"][0]
    assert detail["imageDigest"] == pushed
    assert detail["imageTags"] == ["v1"]
    assert detail["imageManifestMediaType"] == MANIFEST
    manifest = json.loads(got["images"][0]["imageManifest"])
    assert detail["imageSizeInBytes"] == manifest["config"]["size"] + manifest["layers"][0]["size"]


def test_pushing_an_image_twice_says_so(ecr: Any) -> None:
    ecr.create_repository(repositoryName="twice")
    push_image(ecr, "twice", "v1")
    text = ecr.batch_get_image(repositoryName="twice", imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    assert refused(ecr.put_image, repositoryName="twice", imageManifest=text, imageTag="v1") == {
        "Code": "ImageAlreadyExistsException",
        "Message": f"Image with digest '{digest(text.encode())}' and tag 'v1' already exists in the repository with "
        f"name 'twice' in registry with id '{ACCOUNT}'",
    }


def test_an_immutable_tag_stays(ecr: Any) -> None:
    ecr.create_repository(repositoryName="still", imageTagMutability="IMMUTABLE")
    push_image(ecr, "still", "v1", content=b"one")
    with pytest.raises(Error) as error:
        push_image(ecr, "still", "v1", content=b"two")
    assert error.value.response["Error"] == {
        "Code": "ImageTagAlreadyExistsException",
        "Message": "The image tag 'v1' already exists in the 'still' repository and cannot be overwritten "
        "because the repository is immutable.",
    }


def test_layers_must_be_in_the_repository_itself(ecr: Any) -> None:
    for name in ("layers/here", "layers/there"):
        ecr.create_repository(repositoryName=name)
    there = push_layer(ecr, "layers/there", b"only there")
    checked = ecr.batch_check_layer_availability(
        repositoryName="layers/here", layerDigests=[there["digest"], "malformed"]
    )
    assert checked["layers"] == [{"layerDigest": there["digest"], "layerAvailability": "UNAVAILABLE"}]
    assert checked["failures"][0]["failureCode"] == "InvalidLayerDigest"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": there, "layers": [there]})
    error = refused(ecr.put_image, repositoryName="layers/here", imageManifest=manifest, imageTag="v1")
    assert error["Code"] == "LayersNotFoundException"
    assert there["digest"] in error["Message"]
    assert ecr.list_images(repositoryName="layers/here")["imageIds"] == []


def test_parts_that_leave_a_gap_are_refused(ecr: Any) -> None:
    ecr.create_repository(repositoryName="parts")
    upload = ecr.initiate_layer_upload(repositoryName="parts")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="parts", uploadId=upload, partFirstByte=0, partLastByte=3, layerPartBlob=b"abcd"
    )
    with pytest.raises(Error) as error:
        ecr.upload_layer_part(
            repositoryName="parts", uploadId=upload, partFirstByte=10, partLastByte=12, layerPartBlob=b"xyz"
        )
    assert error.value.response["Error"]["Code"] == "InvalidLayerPartException"
    assert error.value.response["lastValidByteReceived"] == 3
    ecr.create_repository(repositoryName="parts-elsewhere")
    other = refused(
        ecr.complete_layer_upload, repositoryName="parts-elsewhere", uploadId=upload, layerDigests=[digest(b"abcd")]
    )
    assert other["Code"] == "UploadNotFoundException"
    wrong = refused(ecr.complete_layer_upload, repositoryName="parts", uploadId=upload, layerDigests=[digest(b"other")])
    assert wrong["Code"] == "InvalidLayerException"


def test_deleting_images(ecr: Any) -> None:
    ecr.create_repository(repositoryName="deleting")
    pushed = push_image(ecr, "deleting", "v1")
    text = ecr.batch_get_image(repositoryName="deleting", imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    ecr.put_image(repositoryName="deleting", imageManifest=text, imageTag="v2")
    gone = ecr.batch_delete_image(repositoryName="deleting", imageIds=[{"imageTag": "v1"}])
    assert gone["imageIds"] == [{"imageDigest": pushed, "imageTag": "v1"}]
    assert ecr.list_images(repositoryName="deleting")["imageIds"] == [{"imageDigest": pushed, "imageTag": "v2"}]
    gone = ecr.batch_delete_image(repositoryName="deleting", imageIds=[{"imageDigest": pushed}])
    assert gone == gone | {"imageIds": [{"imageDigest": pushed, "imageTag": "v2"}], "failures": []}
    assert ecr.list_images(repositoryName="deleting")["imageIds"] == []


def test_accounts_and_regions_do_not_see_each_other(server: Any) -> None:
    here = server.client("ecr", "777788889999")
    here.create_repository(repositoryName="mine")
    assert server.client("ecr", "999988887777").describe_repositories()["repositories"] == []
    assert server.client("ecr", "777788889999", region="eu-west-1").describe_repositories()["repositories"] == []
    assert [each["repositoryName"] for each in here.describe_repositories()["repositories"]] == ["mine"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"repositoryName": "UPPER"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
            "'[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
        ),
        (
            {"repositoryName": "../etc/passwd"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
            "'[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
        ),
        (
            {"repositoryName": "x"},
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: "
            "'must have length greater than or equal to 2'",
        ),
        (
            {"repositoryName": "fine", "imageTagMutability": "SOMETIMES"},
            "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value "
            "set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]'",
        ),
    ],
)
def test_a_violated_constraint_is_named_as_ecr_names_it(ecr: Any, parameters: dict[str, str], message: str) -> None:
    assert refused(ecr.create_repository, **parameters) == {"Code": "InvalidParameterException", "Message": message}


def test_account_settings_have_their_defaults(ecr: Any) -> None:
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"
    ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")


def test_an_operation_to_come_says_that_it_is_unknown(ecr: Any) -> None:
    assert refused(ecr.describe_pull_through_cache_rules)["Code"] == "UnknownOperationException"


def test_the_registry_describes_itself(ecr: Any) -> None:
    described = ecr.describe_registry()
    assert described["registryId"] == ACCOUNT
    assert described["replicationConfiguration"] == {"rules": []}


def test_who_am_i(server: Any) -> None:
    assert server.client("sts", "222233334444").get_caller_identity()["Arn"] == "arn:aws:iam::222233334444:root"
