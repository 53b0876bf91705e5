"""Every client pushes, pulls, and is told why when a repository policy denies it."""

import json

from tests.clients.commands import Client
from tests.support.server_process import ServerProcess

DENIED = "with an explicit deny in a resource-based policy"


def deny(server: ServerProcess, repository: str, *actions: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": list(actions)}
    server.client("ecr").set_repository_policy(
        repositoryName=repository, policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )


def told(client: Client, server: ServerProcess, repository: str, action: str, said: str) -> None:
    """The client printed AWS's sentence; where it prints no body of a 403, the server's log has the denial."""
    if client.shows_reason:
        assert DENIED in said, said
        assert f"perform: {action}" in said
    else:
        assert "403" in said, said
        log = server.log.read_text().splitlines()
        assert any("denied" in line and f"action={action}" in line and repository in line for line in log)


def tag_of(client: Client) -> str:
    return "0.1.0" if client.program == "helm" else "v1"


def test_pushes_and_pulls(client: Client, server: ServerProcess) -> None:
    repository = f"{client.program}/works/app"
    reference = f"{server.registry}/{repository}:{tag_of(client)}"
    client.push(reference)
    images = server.client("ecr").describe_images(repositoryName=repository)["imageDetails"]
    assert [image["imageTags"] for image in images] == [[tag_of(client)]]
    client.pull(reference)


def test_a_denied_pull_says_why(client: Client, server: ServerProcess) -> None:
    repository = f"{client.program}/no-pull/app"
    reference = f"{server.registry}/{repository}:{tag_of(client)}"
    client.push(reference)
    deny(server, repository, "ecr:BatchGetImage")
    denied = client.pull(reference, check=False)
    assert denied.returncode != 0
    told(client, server, repository, "ecr:BatchGetImage", denied.stdout + denied.stderr)


def test_a_denied_push_says_why(client: Client, server: ServerProcess) -> None:
    repository = f"{client.program}/no-push/app"
    reference = f"{server.registry}/{repository}:{tag_of(client)}"
    server.client("ecr").create_repository(repositoryName=repository)
    deny(server, repository, "ecr:InitiateLayerUpload", "ecr:PutImage")
    denied = client.push(reference, check=False)
    assert denied.returncode != 0
    told(client, server, repository, "ecr:", denied.stdout + denied.stderr)
    assert server.client("ecr").list_images(repositoryName=repository)["imageIds"] == []
