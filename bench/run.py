"""Moorage against real competitors, side by side in one run: ratios of medians of three rounds.

`make bench` runs everything; `make bench ARGS="pull ecr"` only the named groups (pull, push, large, ecr, memory).
"""

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

from competitors import POLICY, REGION, Moorage, Server, clean_environment, client, docker_registry, missing, moto

HERE = Path(__file__).resolve().parent
ROUNDS = 3
SECONDS = 5
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LARGE = 256 << 20
console = Console()


@dataclass
class Row:
    """One line of the table: `ours` and `theirs` in `unit`, higher is better."""

    what: str
    unit: str
    ours: float
    theirs: float
    goal: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("inf")


def wrk(url: str, script: str, *arguments: str, threads: int = 1, connections: int = 16) -> dict[str, float]:
    """The figures that a script's `done` prints."""
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{SECONDS}s",
        "-s",
        str(HERE / script),
        url,
        "--",
        *arguments,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", said)}
    if figures["failed"]:
        raise SystemExit(f"{figures['failed']:.0f} requests failed: {' '.join(command)}\n{said}")
    return figures


def compare(what: str, unit: str, goal: float, ours: Callable[[], float], theirs: Callable[[], float]) -> Row:
    """Both in turn, `ROUNDS` times; the medians."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    row = Row(what, unit, statistics.median(us for us, _ in pairs), statistics.median(them for _, them in pairs), goal)
    console.print(f"  {what}: {row.ours:,.1f} against {row.theirs:,.1f} {unit}: [bold]{row.ratio:.2f}×[/]")
    return row


# --- Data plane ---


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


def prepared(file: Path, requests: list[bytes]) -> str:
    file.write_bytes(b"".join(b"%d\n%s" % (len(each), each) for each in requests))
    return str(file)


def plain(server: Server, path: str, authorization: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Accept: {MANIFEST}"]
    if authorization != "-":
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


def replay(server: Server, file: str) -> float:
    figures = wrk(server.url, "replay.lua", file)
    return figures["requests"] / figures["seconds"]


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


# --- ECR API ---


def signed(server: Server, key: tuple[str, str], operation: str, parameters: dict[str, Any]) -> bytes:
    body = json.dumps(parameters).encode()
    request = AWSRequest(
        "POST",
        server.url + "/",
        data=body,
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
            "Host": f"127.0.0.1:{server.port}",
        },
    )
    SigV4Auth(Credentials(*key), "ecr", REGION).add_auth(request)
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def fill(server: Server, key: tuple[str, str], names: list[str], *, images: int = 100) -> None:
    """Make repositories with the policy, and an image in the first `images` of them."""
    ecr = client(server, "ecr", key)
    policy = json.dumps(POLICY)

    def make(numbered: tuple[int, str]) -> None:
        number, name = numbered
        try:
            ecr.create_repository(repositoryName=name)
        except ecr.exceptions.RepositoryAlreadyExistsException:
            return
        ecr.set_repository_policy(repositoryName=name, policyText=policy)
        if number < images:
            put_image(ecr, name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, enumerate(names)))


def put_image(ecr: Any, name: str) -> None:
    described = []
    for content in (b"layer of " + name.encode(), b'{"architecture":"amd64","os":"linux"}'):
        upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=name, uploadId=upload, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
        )
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
        described.append(
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}
        )
    config = described.pop() | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
    ecr.put_image(
        repositoryName=name, imageManifest=json.dumps(manifest), imageManifestMediaType=MANIFEST, imageTag="v1"
    )


OPERATIONS: dict[str, tuple[float, Callable[[str], dict[str, Any]]]] = {
    "BatchGetImage": (10, lambda name: {"repositoryName": name, "imageIds": [{"imageTag": "v1"}]}),
    "DescribeRepositories": (10, lambda name: {"repositoryNames": [name]}),
    "SetRepositoryPolicy": (6, lambda name: {"repositoryName": name, "policyText": json.dumps(POLICY)}),
}


def ecr_api(work: Path, ours: Moorage, theirs: Server) -> list[Row]:
    rows = []
    names = [f"bench/ecr-{number:05d}" for number in range(10_000)]
    few = names[:100]
    fill(ours, ours.key, few)
    fill(theirs, ("test", "test"), few)

    def rate(server: Server, key: tuple[str, str], operation: str, of: list[str]) -> float:
        parameters = OPERATIONS[operation][1]
        requests = [signed(server, key, operation, parameters(name)) for name in of]
        return replay(server, prepared(work / f"{operation}-{server.port}", requests))

    with_few: dict[str, float] = {}
    for operation, (goal, _) in OPERATIONS.items():
        row = compare(
            f"{operation}, 100 repositories",
            "requests/s",
            goal,
            lambda operation=operation: rate(ours, ours.key, operation, few),  # type: ignore[misc]
            lambda operation=operation: rate(theirs, ("test", "test"), operation, few),  # type: ignore[misc]
        )
        rows.append(row)
        with_few[operation] = row.ours
    console.print("  making 10,000 repositories …")
    fill(ours, ours.key, names)
    for operation in OPERATIONS:
        # spread over all repositories where the operation works on any, over those with images for BatchGetImage
        of = few if operation == "BatchGetImage" else names[:: len(names) // 1000]
        many = statistics.median(rate(ours, ours.key, operation, of) for _ in range(ROUNDS))
        rows.append(
            Row(
                f"{operation}, 10,000 repositories against Moorage with 100",
                "requests/s",
                many,
                with_few[operation],
                0.8,
            )
        )
    return rows


# --- Memory ---


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


GROUPS = ("pull", "push", "large", "ecr", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all when none is named")
    groups = set(parser.parse_args().groups or GROUPS)
    if lacking := missing():
        sys.exit(f"needed and not here: {', '.join(lacking)} (Debian: apt-get install docker-registry wrk curl)")
    clean_environment()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as directory:
        work = Path(directory)
        ours = Moorage(work, 24580)
        client(ours, "ecr", ours.key)
        for name in ("bench/pull", "bench/push", "bench/large"):
            ecr = client(ours, "ecr", ours.key)
            ecr.create_repository(repositoryName=name)
            ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(POLICY))
        try:
            if "memory" in groups:
                memory(work, ours)
            if groups & {"pull", "push", "large"}:
                registry = docker_registry(work, 24581)
                try:
                    rows += data_plane(work, ours, registry, groups)
                finally:
                    registry.stop()
            if "ecr" in groups:
                theirs = moto(work, 24582)
                try:
                    rows += ecr_api(work, ours, theirs)
                finally:
                    theirs.stop()
        finally:
            ours.stop()
    table = Table("", "Moorage", "the other", "unit", "ratio", "goal")
    for row in rows:
        met = "green" if row.ratio >= row.goal else "red"
        table.add_row(
            row.what, f"{row.ours:,.1f}", f"{row.theirs:,.1f}", row.unit, f"[{met}]{row.ratio:.2f}×[/]", f"{row.goal}×"
        )
    console.print(table)


if __name__ == "__main__":
    main()
