"""What docs/reference/differences.md says of the ECR API and no other test shows."""

from typing import Any

from tests.end_to_end.test_ecr import refused
from tests.support.ecr_push import digest, push_image, push_layer


def test_accepted_media_types_convert_nothing(ecr: Any) -> None:
    ecr.create_repository(repositoryName="differences/types")
    pushed = push_image(ecr, "differences/types", "v1")
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    got = ecr.batch_get_image(
        repositoryName="differences/types", imageIds=[{"imageTag": "v1"}], acceptedMediaTypes=[docker]
    )["images"][0]
    assert got["imageManifestMediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert digest(got["imageManifest"].encode()) == pushed


def test_scan_on_push_is_kept_and_scans_nothing(ecr: Any) -> None:
    scanning = {"scanOnPush": True}
    ecr.create_repository(repositoryName="differences/scan", imageScanningConfiguration=scanning)
    push_image(ecr, "differences/scan", "v1")
    shown = ecr.describe_repositories(repositoryNames=["differences/scan"])["repositories"][0]
    assert shown["imageScanningConfiguration"] == scanning
    assert "imageScanStatus" not in ecr.describe_images(repositoryName="differences/scan")["imageDetails"][0]


def test_no_rate_is_limited(ecr: Any) -> None:
    for _ in range(60):  # PutImage has 10 a second at AWS, GetAuthorizationToken 20 in a row
        ecr.get_authorization_token()


def test_an_upload_has_one_digest(ecr: Any) -> None:
    ecr.create_repository(repositoryName="differences/digests")
    push_layer(ecr, "differences/digests", b"content")
    upload = ecr.initiate_layer_upload(repositoryName="differences/digests")["uploadId"]
    two = [digest(b"one"), digest(b"two")]
    said = refused(ecr.complete_layer_upload, repositoryName="differences/digests", uploadId=upload, layerDigests=two)
    assert said == {
        "Code": "InvalidParameterException",
        "Message": "Invalid parameter at 'layerDigests' failed to satisfy constraint: "
        "'Member must have length less than or equal to 1'",
    }
