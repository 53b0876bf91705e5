"""`moorage policy generate` against a running server."""

import json
import os
from typing import Any

from tests.end_to_end.test_why import Key, office, pull, user
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

OWNER, READER = "888800000001", "888800000002"


def generate(key: Key, *arguments: str, check: bool = True) -> Any:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": key.server.url,
        "AWS_ACCESS_KEY_ID": key.name,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": "us-east-1",
    }
    return run_moorage("policy", "generate", *arguments, env=environment, check=check)


def test_from_a_policy_that_is_too_wide_to_the_least_one(server: ServerProcess) -> None:
    office(server, "least/app")
    ecr = server.client("ecr", OWNER)
    wide = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": "ecr:*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [wide]})
    ecr.set_repository_policy(repositoryName="least/app", policyText=text)
    ann = user(server, READER, "least-ann", "ecr:*")
    assert pull(server, ann, "least/app")[0] == 200
    said = generate(Key(server, OWNER), "least/app", "--conditions", "source-ip")
    arn = f"arn:aws:iam::{READER}:user/least-ann"
    assert json.loads(said.stdout)["Statement"] == [
        {
            "Sid": "PartOfPull",
            "Effect": "Allow",
            "Principal": {"AWS": arn},
            "Action": "ecr:BatchGetImage",
            "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.1/32"}},
        }
    ]
    assert "0 would be lost" in said.stderr
    ecr.set_repository_policy(repositoryName="least/app", policyText=said.stdout)
    assert pull(server, ann, "least/app")[0] == 200
    own = json.loads(generate(Key(server, OWNER), "least/app", "--identity", arn).stdout)["Statement"]
    # She is of another account: when she signed in there is no business of the repository's.
    assert {each["Sid"]: each["Action"] for each in own} == {"PartOfPull": ["ecr:BatchGetImage"]}
    assert generate(ann, "least/app", check=False).returncode == 1
    nothing = generate(Key(server, OWNER), "least/app", "--last", "1s", "--identity", f"{arn}x", check=False)
    assert (nothing.returncode, "nothing to allow" in nothing.stderr) == (1, True)
