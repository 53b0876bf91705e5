"""Four workers over one store are one registry: on SQLite, and on PostgreSQL."""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import digest, push_image
from tests.support.oci_http import OciClient
from tests.support.server_process import Error, ServerProcess

WORKERS = 4
ROUNDS = 12  # requests on connections of their own: with four workers each of them is asked, as good as surely
OWNER, READER = "111122223333", "444455556666"


@pytest.fixture(scope="module")
def server(database_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(
        tmp_path_factory.mktemp("workers") / "data", "--workers", str(WORKERS), *database_options
    ).start()
    yield running
    assert running.stop() == 0


def workers_of(server: ServerProcess) -> set[int]:
    """The processes that the server has started to answer requests."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if int(after_name[1]) == server.pid and after_name[0] != "Z" and b"resource_tracker" not in command:
                found.add(int(entry.name))
    return found


def metric(server: ServerProcess, pattern: str) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{pattern} ([0-9.e+]+)$", text, re.MULTILINE))


def allow(action: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_bites_on_the_next_request_in_every_worker(server: ServerProcess) -> None:
    owner, reader = server.client("ecr", OWNER), OciClient(server, READER)
    owner.create_repository(repositoryName="shared")
    push_image(owner, "shared", "v1")
    path = f"/v2/{OWNER}/us-east-1/shared/manifests/v1"
    for _ in range(3):
        owner.set_repository_policy(repositoryName="shared", policyText=allow("ecr:BatchGetImage"))
        assert {reader("GET", path).status for _ in range(ROUNDS)} == {200}
        owner.delete_repository_policy(repositoryName="shared")
        assert {reader("GET", path).status for _ in range(ROUNDS)} == {403}


def test_a_revoked_token_is_dead_in_every_worker_at_once(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="tokens")
    push_image(ecr, "tokens", "v1")
    environment = os.environ | {"AWS_ENDPOINT_URL": server.url}
    environment |= {"AWS_ACCESS_KEY_ID": OWNER, "AWS_SECRET_ACCESS_KEY": "test"}
    made = run_moorage("token", "create", "ci", "-r", "tokens", "--pull", env=environment).stdout.strip()
    oci, path = OciClient(server, "ci", made), f"/v2/{OWNER}/us-east-1/tokens/manifests/v1"
    assert {oci("GET", path).status for _ in range(ROUNDS)} == {200}
    run_moorage("token", "revoke", "ci", env=environment)
    assert {oci("GET", path).status for _ in range(ROUNDS)} == {401}


def test_a_key_is_dead_in_every_worker_at_once(server: ServerProcess) -> None:
    iam = server.client("iam", OWNER)
    iam.create_user(UserName="ci")
    key = iam.create_access_key(UserName="ci")["AccessKey"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=json.dumps(everything))
    for _ in range(ROUNDS):
        server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"]).describe_registry()
    iam.delete_access_key(UserName="ci", AccessKeyId=key["AccessKeyId"])
    for _ in range(ROUNDS):
        with pytest.raises(Error) as refused:
            server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"]).describe_registry()
        assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_what_is_attached_counts_in_every_worker_at_once(server: ServerProcess) -> None:
    iam = server.client("iam", OWNER)
    iam.create_user(UserName="member")
    iam.create_group(GroupName="members")
    key = iam.create_access_key(UserName="member")["AccessKey"]
    pull_only, admin = (
        f"arn:aws:iam::aws:policy/{name}" for name in ("AmazonEC2ContainerRegistryPullOnly", "AdministratorAccess")
    )

    def verdicts() -> set[str]:
        found = set()
        for _ in range(ROUNDS):
            try:
                server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"]).describe_registry()
                found.add("allowed")
            except Error as error:
                found.add(error.response["Error"]["Message"].rpartition(" because ")[2])
        return found

    no_identity, no_boundary = (
        f"no {name} allows the ecr:DescribeRegistry action"
        for name in ("identity-based policy", "permissions boundary")
    )
    assert verdicts() == {no_identity}
    iam.attach_group_policy(GroupName="members", PolicyArn=admin)
    iam.add_user_to_group(GroupName="members", UserName="member")
    assert verdicts() == {"allowed"}
    iam.put_user_permissions_boundary(UserName="member", PermissionsBoundary=pull_only)
    assert verdicts() == {no_boundary}
    iam.delete_user_permissions_boundary(UserName="member")
    assert verdicts() == {"allowed"}
    iam.remove_user_from_group(GroupName="members", UserName="member")
    assert verdicts() == {no_identity}


def test_an_upload_goes_on_with_any_worker(server: ServerProcess) -> None:
    oci = OciClient(server)
    chunks = [os.urandom(70_000) for _ in range(ROUNDS)]
    location = oci("POST", "/v2/parts/blobs/uploads/").headers["location"]
    sent = 0
    for chunk in chunks:
        answer = oci("PATCH", location, chunk, content_range=f"{sent}-{sent + len(chunk) - 1}")
        assert answer.status == 202, answer
        sent += len(chunk)
        location = answer.headers["location"]
        assert oci("GET", location).headers["range"] == f"0-{sent - 1}"
    whole = b"".join(chunks)
    assert oci("PUT", f"{location}?digest={digest(whole)}").status == 201
    assert {oci("GET", f"/v2/parts/blobs/{digest(whole)}").body == whole for _ in range(4)} == {True}


def test_what_one_worker_stored_all_others_have(server: ServerProcess) -> None:
    oci = OciClient(server)
    for serial in range(4):
        pushed = oci.push("everywhere", "v1", b"content %d" % serial)
        assert {oci.pull("everywhere", "v1") for _ in range(4)} == {pushed}


def test_pushes_of_one_tag_at_once_end_with_one_of_them(server: ServerProcess) -> None:
    with ThreadPoolExecutor(6) as pool:
        pushed = list(pool.map(lambda number: OciClient(server).push("race", "v1", b"racer %d" % number), range(6)))
    assert OciClient(server).pull("race", "v1") in pushed


def test_a_denial_is_explained_by_any_worker(server: ServerProcess) -> None:
    owner, reader = server.client("ecr", OWNER), server.client("ecr", READER)
    owner.create_repository(repositoryName="told")
    for _ in range(4):
        with pytest.raises(Error) as denied:
            reader.list_images(registryId=OWNER, repositoryName="told")
        decision = denied.value.response["ResponseMetadata"]["RequestId"]
        environment = os.environ | {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": READER}
        said = run_moorage("why", decision, env=environment | {"AWS_SECRET_ACCESS_KEY": "any"}).stdout
        assert decision in said
        assert "ecr:ListImages" in said


def test_metrics_are_the_sum_of_all_workers(server: ServerProcess) -> None:
    asked = r'moorage_requests_total\{api="oci",method="GET",status="200"\}'
    before = metric(server, asked)
    oci = OciClient(server)
    for _ in range(ROUNDS):
        assert oci("GET", "/v2/").status == 200
    assert metric(server, asked) == before + ROUNDS
    assert metric(server, r'moorage_decisions_total\{verdict="deny"\}') > 0
    assert metric(server, r'moorage_stored\{what="repositories"\}') > 0


def test_a_worker_that_is_killed_is_brought_back(server: ServerProcess) -> None:
    oci = OciClient(server)
    pushed = oci.push("survives", "v1", b"before the kill")
    before = workers_of(server)
    assert len(before) == WORKERS
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 60
    while len(workers_of(server) - {victim}) < WORKERS and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers_of(server) - {victim}) == WORKERS
    assert {oci.pull("survives", "v1") for _ in range(ROUNDS)} == {pushed}
