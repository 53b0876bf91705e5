"""Clients are told why when the registry's policy, or a guard rail of the organization, denies them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.commands import Client
from tests.clients.test_clients import tag_of
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

ACCOUNT, MANAGEMENT = "000000000000", "999900009999"


def deny(repository: str, action: str, **more: Any) -> dict[str, Any]:
    resource = f"arn:aws:ecr:*:{ACCOUNT}:repository/{repository}"
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": resource, **more}]}


def told(client: Client, tail: str, said: str) -> None:
    assert (tail if client.shows_reason else "403") in said, said


@pytest.mark.parametrize("guard", ["registry", "rcp", "scp"])
def test_a_denied_client_is_told_which_guard_it_was(
    client: Client, server: ServerProcess, tmp_path: Path, guard: str
) -> None:
    repository = f"{client.program}/{guard}/app"
    unpushed = f"{client.program}/unpushed/app"
    reference = f"{server.registry}/{repository}:{tag_of(client)}"
    client.push(reference)
    if guard == "registry":
        ecr = server.client("ecr")
        ecr.put_registry_policy(policyText=json.dumps(deny(repository, "ecr:BatchGetImage", Principal="*")))
        denied = client.pull(reference, check=False)
        ecr.delete_registry_policy()
        told(client, "with an explicit deny in a resource-based policy", denied.stdout + denied.stderr)
        return
    member: dict[str, Any] = {"id": ACCOUNT, "serviceControlPolicies": ["FullAWSAccess", "S"]}
    organization = {
        "id": "o-moorage000",
        "managementAccount": MANAGEMENT,
        "serviceControlPolicies": {"S": deny(unpushed, "ecr:InitiateLayerUpload")},
        "resourceControlPolicies": {"R": deny(repository, "ecr:BatchGetImage", Principal="*")},
        "root": {"id": "r-ab12", "accounts": [{"id": MANAGEMENT}, {**member, "resourceControlPolicies": ["R"]}]},
    }
    file = tmp_path / "organization.json"
    file.write_text(json.dumps(organization))
    host = ("--on-host", "--data", str(server.data))
    run_moorage("organization", "set", str(file), *host)
    try:
        if guard == "rcp":
            denied = client.pull(reference, check=False)
            tail = "with an explicit deny in a resource control policy"
        else:
            denied = client.push(f"{server.registry}/{unpushed}:{tag_of(client)}", check=False)
            tail = "with an explicit deny in a service control policy"
    finally:
        run_moorage("organization", "remove", "--yes", *host)
    assert denied.returncode != 0
    told(client, tail, denied.stdout + denied.stderr)
