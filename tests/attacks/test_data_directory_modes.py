"""Nobody but the user who runs a registry can read its data, whatever the umask, and whatever was there before."""

import hashlib
import json
import os
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import MOORAGE, ServerProcess, run

OPEN_TO_OTHERS = 0o077


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def exposed(directory: Path) -> list[str]:
    """Everything in and with the directory that others could reach if they got that far."""
    return [
        f"{stat.S_IMODE(path.lstat().st_mode):04o} {path}"
        for path in [directory, *directory.rglob("*")]
        if not path.is_symlink() and path.lstat().st_mode & OPEN_TO_OTHERS
    ]


def push(server: ServerProcess) -> None:
    server.client("ecr").create_repository(repositoryName="team/app")
    layer = b"x" * 100_000
    password = server.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    headers = {"Authorization": f"Basic {password}", "Content-Type": "application/octet-stream"}
    url = f"{server.url}/v2/team/app/blobs/uploads/"
    start = urllib.request.urlopen(urllib.request.Request(url, b"", headers))
    location = start.headers["Location"]
    target = location if location.startswith("http") else server.url + location
    sent = urllib.request.Request(
        f"{target}{'&' if '?' in target else '?'}digest={digest}", layer, headers, method="PUT"
    )
    assert urllib.request.urlopen(sent).status == 201
    assert urllib.request.urlopen(urllib.request.Request(url, b"", headers)).status == 202  # an upload that stays open


def init(data: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return run([MOORAGE, "init", "--data", str(data), *options])


@pytest.mark.usefixtures("umask")
def test_init_and_serve(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    init(data)
    assert exposed(data.parent) == []
    credentials = (data / "credentials").read_text()
    key, secret = (line.partition(" = ")[2] for line in credentials.splitlines()[1:3])
    server = ServerProcess(data, "--workers", "2", command="serve").start()
    try:
        client = server.client("ecr", key, secret)
        client.describe_repositories()
        init(data, "--account", "111122223333")
        assert exposed(data) == []
    finally:
        server.stop()
    assert exposed(data) == []


@pytest.mark.usefixtures("umask")
def test_dev(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    try:
        push(server)
        assert exposed(tmp_path / "data") == []
    finally:
        server.stop()
    assert exposed(tmp_path / "data") == []
    assert server.log.read_text().count("changed the mode") == 0


@pytest.mark.parametrize("command", ["dev", "serve", "init"])
def test_what_is_there_with_wider_modes_is_tightened_and_said(tmp_path: Path, command: str) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    if command == "dev":  # which takes no data of `init`
        server = ServerProcess(data, command=command).start()
        server.stop()
        said = server.log.read_text()
        server.log.unlink()
    else:
        said = init(data).stderr
    assert f"changed the mode of {data} from 0755 to 0700" in said
    (data / "lost+found").mkdir(mode=0o700)
    (data / "blobs").mkdir(exist_ok=True)
    (data / "moorage.db-wal").touch()
    data.chmod(0o755)
    for file in data.iterdir():
        file.chmod(0o755 if file.is_dir() else 0o644)
    if command == "init":
        said = init(data, "--account", "111122223333").stderr
    else:
        server = ServerProcess(data, command=command).start()
        server.stop()
        said = server.log.read_text()
    names = ["moorage.db", "sealing.key", *(["server.json"] if command == "dev" else ["credentials", "registry.json"])]
    for changed in (data, *(data / name for name in names)):
        assert f"changed the mode of {changed} from " in said
    assert [each for each in exposed(data) if "lost+found" not in each] == []


def test_a_directory_with_other_files_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "notes.txt").chmod(0o644)
    tmp_path.chmod(0o755)
    said = init(tmp_path).stderr
    assert f"chmod 700 {tmp_path}" in said
    assert "notes.txt" in said
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert {each.partition(" ")[2] for each in exposed(tmp_path)} == {str(tmp_path), str(tmp_path / "notes.txt")}


def test_links_in_it_are_not_followed(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    init(data)
    outside.write_text("x")
    outside.chmod(0o644)
    (data / "audit.db-journal").symlink_to(outside)
    os.link(outside, data / ".credentials.linked")
    os.mkfifo(data / ".registry.json.pipe")
    init(data, "--account", "111122223333")
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    (tmp_path / "data").symlink_to(elsewhere)
    init(tmp_path / "data")
    assert exposed(elsewhere) == []
    assert json.loads((elsewhere / "registry.json").read_text())["account"] == "000000000000"


def test_what_is_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "data", tmp_path / "data" / "deeper", tmp_path / "dangling"):
        done = run([MOORAGE, "init", "--data", str(path)], check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"moorage: data: {path} cannot be used: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_directory_of_somebody_else() -> None:
    """As Kubernetes mounts a volume: it belongs to root, and the process is in its group."""
    code = (
        "import os, sys; from pathlib import Path; from moorage import data_directory; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); data_directory.prepare(Path(sys.argv[1])); "
        "(Path(sys.argv[1]) / 'moorage.db').write_text('')"
    )
    for mode, said in ((0o2770, ""), (0o777, "belongs to another user and has mode 0777")):
        data = Path(f"/tmp/moorage-modes-{os.getpid()}-{mode:o}")
        data.mkdir()
        try:
            os.chown(data, 0, 65534)
            data.chmod(mode)
            done = run([str(Path(MOORAGE).with_name("python")), "-c", code, str(data)])
            assert said in done.stderr
            assert bool(said) == bool(done.stderr)
            assert stat.S_IMODE(data.stat().st_mode) == mode
            assert stat.S_IMODE((data / "moorage.db").stat().st_mode) == 0o600
        finally:
            (data / "moorage.db").unlink(missing_ok=True)
            data.rmdir()
