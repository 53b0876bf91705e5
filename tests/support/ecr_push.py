"""Pushing an image with the ECR API alone."""

import hashlib
import json
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push_layer(ecr: Any, repository: str, content: bytes, **registry: str) -> dict[str, Any]:
    upload = ecr.initiate_layer_upload(repositoryName=repository, **registry)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(content) - 1,
        layerPartBlob=content,
        **registry,
    )
    ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest(content)], **registry)
    return {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest(content),
        "size": len(content),
    }


def push_image(ecr: Any, repository: str, tag: str | None = None, *, content: bytes = b"layer", **registry: str) -> str:
    """Push an image of one layer; its digest."""
    layer = push_layer(ecr, repository, content + repository.encode(), **registry)
    config = push_layer(ecr, repository, b'{"architecture":"amd64","os":"linux","c":"%s"}' % content, **registry)
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})
    tagged = {} if tag is None else {"imageTag": tag}
    image = ecr.put_image(repositoryName=repository, imageManifest=text, **tagged, **registry)["image"]
    return str(image["imageId"]["imageDigest"])
