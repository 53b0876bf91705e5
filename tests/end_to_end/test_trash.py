"""What was deleted comes back with `moorage restore`, or is destroyed with `moorage purge`."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.server_process import ServerProcess

ACCOUNT = "121212121212"


@pytest.fixture
def owner(server: ServerProcess) -> Any:
    return server.client("ecr", ACCOUNT)


def moorage(server: ServerProcess, *arguments: str, key: str = ACCOUNT, secret: str = "test") -> tuple[int, str]:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    done = run_moorage(*arguments, env=environment, check=False)
    return done.returncode, done.stderr if done.returncode else done.stdout


def images(ecr: Any, repository: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = ecr.list_images(repositoryName=repository)["imageIds"]
    return found


def test_a_repository_comes_back_with_its_images(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/whole")
    digest = push_image(owner, "trash/whole", "v1")
    owner.delete_repository(repositoryName="trash/whole", force=True)
    assert moorage(server, "restore", "trash/whole") == (0, "repository trash/whole is back\n")
    assert images(owner, "trash/whole") == [{"imageDigest": digest, "imageTag": "v1"}]


def test_a_name_in_use_is_not_taken_but_another_one_is(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/twice")
    digest = push_image(owner, "trash/twice", "v1")
    owner.delete_repository(repositoryName="trash/twice", force=True)
    owner.create_repository(repositoryName="trash/twice")
    status, said = moorage(server, "restore", "trash/twice")
    assert status == 1
    assert "already exists" in said
    assert moorage(server, "restore", "trash/twice", "--as", "trash/older")[0] == 0
    assert images(owner, "trash/older") == [{"imageDigest": digest, "imageTag": "v1"}]
    assert images(owner, "trash/twice") == []


def test_an_image_and_a_tag_come_back(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/image")
    first = push_image(owner, "trash/image", "v1", content=b"one")
    owner.batch_delete_image(repositoryName="trash/image", imageIds=[{"imageDigest": first}])
    assert moorage(server, "restore", "trash/image", "--digest", first)[0] == 0
    assert images(owner, "trash/image") == [{"imageDigest": first, "imageTag": "v1"}]
    push_image(owner, "trash/image", "v1", content=b"two")
    assert moorage(server, "restore", "trash/image", "--tag", "v1")[0] == 0
    asked = owner.batch_get_image(repositoryName="trash/image", imageIds=[{"imageTag": "v1"}])
    assert asked["images"][0]["imageId"]["imageDigest"] == first


def test_what_was_purged_is_gone(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/gone")
    owner.delete_repository(repositoryName="trash/gone")
    assert moorage(server, "purge", "trash/gone", "--yes") == (0, "repository trash/gone is destroyed\n")
    assert moorage(server, "restore", "trash/gone")[0] == 1


def test_what_was_never_deleted_is_called_that(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/living")
    digest = push_image(owner, "trash/living", "v1")
    for command in (["restore"], ["purge", "--yes"]):
        for name in ("trash/living", "trash/never"):
            status, said = moorage(server, *command, name)
            assert status == 1
            assert f"No deleted repository with name '{name}' is kept in the registry with id '{ACCOUNT}'" in said
        status, said = moorage(server, *command, "trash/living", "--digest", digest)
        assert status == 1
        assert f"No deleted image with digest '{digest}' is kept in the repository with name 'trash/living'" in said
    status, said = moorage(server, "restore", "trash/living", "--tag", "v1")
    assert status == 1
    assert "No other image that the tag 'v1' pointed at is kept in the repository with name 'trash/living'" in said
    assert images(owner, "trash/living") == [{"imageDigest": digest, "imageTag": "v1"}]


def test_a_purge_that_names_a_tag_destroys_nothing(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/kept")
    owner.delete_repository(repositoryName="trash/kept")
    program = (
        "from moorage.cli.client.calls import ServerSaidNoError, call, connect\n"
        "try: call(connect(), 'POST', '/_moorage/purge', {'repository': 'trash/kept', 'tag': 'v1'})\n"
        "except ServerSaidNoError as error: print(error)"
    )
    environment = os.environ | {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert "tag" in done.stdout
    assert moorage(server, "restore", "trash/kept")[0] == 0


def test_restoring_under_another_name_needs_the_right_to_that_name(server: ServerProcess, owner: Any) -> None:
    iam = server.client("iam", ACCOUNT)
    iam.create_user(UserName="restorer")
    key = iam.create_access_key(UserName="restorer")["AccessKey"]
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/trash/mine*"
    allow = {"Effect": "Allow", "Action": "moorage:*", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="restorer", PolicyName="restore", PolicyDocument=document)
    owner.create_repository(repositoryName="trash/mine")
    owner.delete_repository(repositoryName="trash/mine")
    by = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    status, said = moorage(server, "restore", "trash/mine", "--as", "trash/foreign", **by)
    assert status == 1
    assert "repository/trash/foreign because no identity-based policy allows the moorage:Restore action" in said
    assert moorage(server, "restore", "trash/mine", "--as", "trash/mine-again", **by)[0] == 0


def test_a_name_that_reads_as_another_registrys_cannot_be_restored_to(server: ServerProcess, owner: Any) -> None:
    owner.create_repository(repositoryName="trash/form")
    owner.delete_repository(repositoryName="trash/form")
    status, said = moorage(server, "restore", "trash/form", "--as", "123456789012/us-east-1/app")
    assert status == 1
    assert "must not begin with an account id and a region" in said
