"""Passwords of docker, podman and helm: good, ended, revoked, of another server; and what a repository permits them."""

import base64
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.doctor.target import Target
from tests.doctor.conftest import Make, look, of, only
from tests.login.conftest import FakeServer
from tests.support.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("doctor-password") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def runtime(home: dict[str, str]) -> dict[str, str]:
    """podman's file must not be the one of whoever runs the tests."""
    return {"XDG_RUNTIME_DIR": str(Path(home["HOME"]) / "runtime")}


def password(server: ServerProcess, key: str = "test", secret: str = "test") -> str:
    token = server.client("ecr", key, secret).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode()


def keep(file: Path, host: str, credential: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = base64.b64encode(credential.encode()).decode()
    file.write_text(json.dumps({"auths": {host: {"auth": encoded}}}))


def in_docker(home: dict[str, str], host: str, credential: str) -> None:
    keep(Path(home["HOME"]) / ".docker" / "config.json", host, credential)


def set_clock(server: ServerProcess, now: float) -> None:
    body = json.dumps({"now": now}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/_moorage/clock", data=body, method="POST"))


def test_nobody_is_logged_in(target: Make, server: ServerProcess, runtime: dict[str, str]) -> None:
    examined = target(server.url, environment=runtime)
    found = only("password", examined)
    assert (found.state, found.fix) == ("fail", (f"moorage login {examined.host}",))


def test_only_one_spelling_of_this_machine(
    target: Make, server: ServerProcess, home: dict[str, str], runtime: dict[str, str]
) -> None:
    """Docker keeps logins by letters: who logged in to localhost is nobody to 127.0.0.1."""
    examined = target(server.url, environment=runtime)
    names = (server.registry, f"localhost:{server.port}")
    examined.place = examined.place._replace(hosts=names)
    assert only("password", examined).fix == (f"moorage login --port {server.port}",)
    in_docker(home, f"localhost:{server.port}", password(server))
    one, other = look("password", examined)
    assert one.state == "ok"
    assert (other.state, other.fix) == ("warn", (f"moorage login {server.registry}",))


def test_good_ones_in_every_tools_file(
    target: Make, server: ServerProcess, home: dict[str, str], runtime: dict[str, str]
) -> None:
    where = Path(home["HOME"])
    in_docker(home, server.registry, password(server))
    keep(where / "runtime" / "containers" / "auth.json", server.registry, password(server, "123456789012"))
    keep(where / ".config" / "helm" / "registry" / "config.json", server.registry, "test:any")
    docker, podman, helm = look("password", target(server.url, environment=runtime))
    assert (docker.state, podman.state, helm.state) == ("ok", "ok", "ok")
    assert docker.text.startswith("docker: arn:aws:iam::000000000000:root, until 20")
    assert "podman: arn:aws:iam::123456789012:root" in podman.text
    assert helm.text == "helm: arn:aws:iam::000000000000:root"


def test_one_that_has_ended(target: Make, server: ServerProcess, home: dict[str, str], runtime: dict[str, str]) -> None:
    in_docker(home, server.registry, password(server))
    examined = target(server.url, environment=runtime)
    set_clock(server, time.time() + 11.8 * 3600)
    try:
        assert only("password", examined).state == "ok"  # by its own clock it lasts; see the clock
        set_clock(server, time.time() + 13 * 3600)
        found = only("password", examined)
    finally:
        set_clock(server, time.time())
    assert (found.state, found.fix) == ("fail", (f"moorage login --tool docker {server.registry}",))
    assert "the password of test expired at 20" in found.text


def test_one_that_ends_soon(target: Make, fake: FakeServer, home: dict[str, str], runtime: dict[str, str]) -> None:
    said = {"status": "ready", "state": "valid", "arn": "arn:x", "keyId": "k", "expiresAt": time.time() + 600}
    fake.body = json.dumps(said).encode()
    examined = of(fake, target, environment=runtime)
    in_docker(home, examined.host, "AWS:x")
    found = only("password", examined)
    assert found.state == "warn"
    assert "arn:x, and expires soon" in found.text


def test_one_whose_key_is_gone(
    target: Make, server: ServerProcess, home: dict[str, str], runtime: dict[str, str]
) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="gone")
    key = iam.create_access_key(UserName="gone")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="gone", PolicyName="all", PolicyDocument=json.dumps(policy))
    in_docker(home, server.registry, password(server, key["AccessKeyId"], key["SecretAccessKey"]))
    examined = target(server.url, environment=runtime)
    assert "user/gone" in only("password", examined).text
    iam.delete_access_key(UserName="gone", AccessKeyId=key["AccessKeyId"])
    found = only("password", examined)
    assert found.state == "fail"
    assert f"the key {key['AccessKeyId']} of the password no longer exists" in found.text


def test_one_of_another_server(
    target: Make, server: ServerProcess, home: dict[str, str], runtime: dict[str, str]
) -> None:
    in_docker(home, server.registry, "AWS:" + "x" * 80)
    found = only("password", target(server.url, environment=runtime))
    assert found.state == "fail"
    assert "not issued by this server" in found.text


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "fail"), (403, "fail")])
def test_a_registry_that_is_not_moorage(
    target: Make, fake: FakeServer, home: dict[str, str], runtime: dict[str, str], status: int, state: str
) -> None:
    fake.status = status
    examined = of(fake, target, environment=runtime)
    in_docker(home, examined.host, "someone:x")
    assert only("password", examined).state == state


def test_podmans_broken_file(target: Make, server: ServerProcess, home: dict[str, str]) -> None:
    broken = Path(home["HOME"]) / "auth.json"
    broken.write_text("{")
    found = look("password", target(server.url, environment={"REGISTRY_AUTH_FILE": str(broken)}))[0]
    assert (found.state, found.fix) == ("warn", (f"moorage login --tool podman {server.registry}",))


def test_nobody_answers(target: Make) -> None:
    assert only("password", target("http://127.0.0.1:1")).state == "skip"
    assert only("repository", target("http://127.0.0.1:1", repository="a")).state == "skip"


@pytest.fixture
def permitted(server: ServerProcess) -> Any:
    """Makes a user who may `actions` on everything; returns the environment with its key."""
    iam = server.client("iam")

    def make(*actions: str) -> dict[str, str]:
        name = f"user-{time.monotonic_ns()}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        allowed = {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken", *actions], "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [allowed]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    return make


PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
)


def asked(target: Make, server: ServerProcess, environment: dict[str, str], repository: str) -> Target:
    return target(server.url, environment=environment, repository=repository)


def test_a_repository_that_one_may_use(
    target: Make, server: ServerProcess, runtime: dict[str, str], permitted: Any
) -> None:
    server.client("ecr").create_repository(repositoryName="may/use")
    environment = runtime | permitted(*PULL, *PUSH)
    assert [each.text for each in look("repository", asked(target, server, environment, "may/use"))] == [
        "you may pull",
        "you may push",
    ]
    assert server.client("ecr").list_images(repositoryName="may/use")["imageIds"] == []


@pytest.mark.parametrize("missing", [*PULL, *PUSH])
def test_a_right_that_is_missing_is_named(
    target: Make, server: ServerProcess, runtime: dict[str, str], permitted: Any, missing: str
) -> None:
    name = f"lacks/{missing.partition(':')[2].lower()}"
    server.client("ecr").create_repository(repositoryName=name)
    environment = runtime | permitted(*(set(PULL + PUSH) - {missing}))
    failed = [each for each in look("repository", asked(target, server, environment, name)) if each.state == "fail"]
    assert [missing in each.text for each in failed] == [True]
    assert f"you may not {'pull' if missing in PULL else 'push'}" in failed[0].text
    decision = failed[0].fix[0].removeprefix("moorage why ")
    assert "denied" in failed[0].text or "no " in failed[0].text
    assert len(decision) == 36


def test_a_repository_that_is_not_there(target: Make, server: ServerProcess, runtime: dict[str, str]) -> None:
    found = only("repository", asked(target, server, runtime, "not/there"))
    assert (found.state, found.text) == ("ok", "not/there does not exist yet; the first push creates it")
    assert server.client("ecr").describe_repositories()["repositories"] is not None
    assert only("repository", asked(target, server, runtime, "NO/name")).state == "fail"


def test_a_repository_that_nobody_makes(target: Make, fake: FakeServer, runtime: dict[str, str]) -> None:
    fake.status, fake.body = 404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "no"}]}'
    examined = of(fake, target, environment=runtime, repository="a b")
    found = only("repository", examined)
    assert found.state == "skip"  # nobody could be made a password for
