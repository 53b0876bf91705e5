"""/v2/ against Debian's docker-registry: pushes and pulls, small and large; and the memory they take."""

import hashlib
import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from competitors import Moorage, Server, docker_registry
from measure import MANIFEST, Row, compare, console, prepared, replay, wrk

LARGE = 256 << 20


def http(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, data=body, method=method, headers=headers))


def push_image(server: Server, repository: str, authorization: str) -> list[str]:
    """Push one small image as `v1`; the paths a pull asks for."""
    headers = {} if authorization == "-" else {"Authorization": authorization}
    paths = []
    described = []
    for size in (1024, 20480, 51200, 300):
        content = bytes(str(size), "ascii") * (size // 4)
        name = "sha256:" + hashlib.sha256(content).hexdigest()
        began = http("POST", f"{server.url}/v2/{repository}/blobs/uploads/", b"", headers).headers["Location"]
        where = began if began.startswith("http") else server.url + began
        joint = "&" if "?" in where else "?"
        kind = {"Content-Type": "application/octet-stream"}
        http("PUT", f"{where}{joint}digest={name}", content, headers | kind)
        described.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": name, "size": len(content)})
        paths.append(f"/v2/{repository}/blobs/{name}")
    config = described.pop() | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
    body = json.dumps(manifest).encode()
    http("PUT", f"{server.url}/v2/{repository}/manifests/v1", body, headers | {"Content-Type": MANIFEST})
    return [f"/v2/{repository}/manifests/v1", *paths]


def plain(server: Server, path: str, authorization: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Accept: {MANIFEST}"]
    if authorization != "-":
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


def data_plane(work: Path, ours: Moorage, theirs: Server, groups: set[str]) -> list[Row]:
    sides = [(ours, ours.authorization), (theirs, "-")]
    rows = []
    files: list[tuple[str, str]] = []
    for server, authorization in sides:
        paths = push_image(server, "bench/pull", authorization)
        one = prepared(work / f"manifest-{server.port}", [plain(server, paths[0], authorization)])
        whole = prepared(work / f"pull-{server.port}", [plain(server, path, authorization) for path in paths])
        files.append((one, whole))
    if "pull" in groups:
        rows.append(
            compare(
                "manifest GET by tag",
                "requests/s",
                8.5,
                lambda: replay(ours, files[0][0]),
                lambda: replay(theirs, files[1][0]),
            )
        )
        rows.append(
            compare(
                "pull of small images",
                "images/s",
                3.3,
                lambda: replay(ours, files[0][1]) / 5,
                lambda: replay(theirs, files[1][1]) / 5,
            )
        )
    if "push" in groups:

        def pushes(server: Server, authorization: str) -> float:
            figures = wrk(server.url, "push.lua", authorization, "bench/push", threads=16)
            return figures["images"] / figures["seconds"]

        rows.append(
            compare("push of small images", "images/s", 4, lambda: pushes(*sides[0]), lambda: pushes(*sides[1]))
        )
    if "large" in groups:
        rows += large(work, sides)
    return rows


def large(work: Path, sides: list[tuple[Any, str]]) -> list[Row]:
    """One blob of 256 MiB, PUT and GET with curl."""
    file = work / "large"
    subprocess.run(
        ["dd", "if=/dev/urandom", f"of={file}", "bs=1M", f"count={LARGE >> 20}"], check=True, capture_output=True
    )
    serial = iter(range(1_000_000))
    last: dict[int, str] = {}

    def put(server: Server, authorization: str) -> float:
        with file.open("r+b") as content:  # new bytes each time, so that nothing is deduplicated
            content.write(b"%16d" % next(serial))
        with file.open("rb") as content:
            name = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
        headers = {} if authorization == "-" else {"Authorization": authorization}
        began = http("POST", f"{server.url}/v2/bench/large/blobs/uploads/", b"", headers).headers["Location"]
        where = began if began.startswith("http") else server.url + began
        where += ("&" if "?" in where else "?") + f"digest={name}"
        seconds = curl("-T", str(file), where, authorization=authorization)
        last[server.port] = name
        return LARGE / (1 << 20) / seconds

    def get(server: Server, authorization: str) -> float:
        url = f"{server.url}/v2/bench/large/blobs/{last[server.port]}"
        return LARGE / (1 << 20) / curl("-o", "/dev/null", url, authorization=authorization)

    return [
        compare("PUT of 256 MiB", "MiB/s", 2, lambda: put(*sides[0]), lambda: put(*sides[1])),
        compare("GET of 256 MiB", "MiB/s", 1, lambda: get(*sides[0]), lambda: get(*sides[1])),
    ]


def curl(*arguments: str, authorization: str) -> float:
    """Seconds of one transfer."""
    command = ["curl", "-sS", "-f", "-H", "Expect:", "-H", "Content-Type: application/octet-stream"]
    if authorization != "-":
        command += ["-H", f"Authorization: {authorization}"]
    done = subprocess.run(
        [*command, "-w", "%{stderr}%{time_total}", *arguments], check=True, capture_output=True, text=True
    )
    return float(done.stderr.strip())


def memory(work: Path, ours: Moorage) -> None:
    idle = ours.memory()
    peak = [idle]
    file = work / "gigabyte"
    subprocess.run(["dd", "if=/dev/urandom", f"of={file}", "bs=1M", "count=1024"], check=True, capture_output=True)
    with file.open("rb") as content:
        name = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
    headers = {"Authorization": ours.authorization}
    began = http("POST", f"{ours.url}/v2/bench/large/blobs/uploads/", b"", headers).headers["Location"]
    where = began if began.startswith("http") else ours.url + began
    where += ("&" if "?" in where else "?") + f"digest={name}"
    transfer = subprocess.Popen(
        [
            *("curl", "-sS", "-f", "-o", "/dev/null", "-H", f"Authorization: {ours.authorization}"),
            *("-H", "Content-Type: application/octet-stream", "-H", "Expect:", "-T", str(file), where),
        ]
    )
    while transfer.poll() is None:
        peak.append(ours.memory())
    assert transfer.returncode == 0
    console.print(
        f"  memory of one worker: {idle:.0f} MiB idle (at most 120), "
        f"{max(peak) - idle:+.0f} MiB while 1 GiB is pushed (at most 32)"
    )


def over_v2(work: Path, groups: set[str]) -> list[Row]:
    """The groups that speak to /v2/."""
    rows: list[Row] = []
    ours = Moorage(work / "moorage", 24580)
    try:
        for name in ("bench/pull", "bench/push", "bench/large"):
            ours.repository(name)
        if "memory" in groups:
            memory(work, ours)
        if groups & {"pull", "push", "large"}:
            registry = docker_registry(work, 24581)
            try:
                rows += data_plane(work, ours, registry, groups)
            finally:
                registry.stop()
    finally:
        ours.stop()
    return rows
