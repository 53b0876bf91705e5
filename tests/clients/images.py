"""Small images made without any client: an OCI layout that every client can start from."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any


def layer(name: str, content: bytes) -> bytes:
    """A gzip-compressed tar of one file, the same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def write_layout(directory: Path, *, tag: str = "v1", files: dict[str, bytes] | None = None) -> str:
    """An OCI image layout with one image named `tag`; returns the manifest's digest."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content: bytes, media_type: str) -> dict[str, Any]:
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    archives = [layer(name, content) for name, content in (files or {"greeting": b"hello from Moorage\n"}).items()]
    layers = [keep(archive, "application/vnd.oci.image.layer.v1.tar+gzip") for archive in archives]
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/greeting"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(gzip.decompress(archive)) for archive in archives]},
    }
    config = keep(json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
    }
    described = keep(json.dumps(manifest).encode(), str(manifest["mediaType"]))
    described["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described],
    }
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(described["digest"])
