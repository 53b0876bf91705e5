"""The audit record: what both planes and Moorage's own calls leave in it, and who reads it through `moorage audit`."""

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.server_process import MOORAGE, Error, ServerProcess

OWNER, READER = "777700000001", "777700000002"


def user(server: ServerProcess, account: str, name: str, *actions: str) -> dict[str, str]:
    """A user of the account who may do `actions` on everything, and its key."""
    iam = server.client("iam", account)
    iam.create_user(UserName=name)
    if actions:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=json.dumps(document))
    key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def audit(server: ServerProcess, key: str, *options: str, secret: str = "x", check: bool = True) -> Any:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        "COLUMNS": "200",
    }
    return run_moorage("audit", *options, env=environment, check=check)


def events(server: ServerProcess, key: str, *options: str, secret: str = "x") -> list[dict[str, Any]]:
    done = audit(server, key, "--json", "--since", "1h", *options, secret=secret)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask(server: ServerProcess, path: str, token: str, method: str = "GET", body: bytes | None = None) -> Any:
    request = urllib.request.Request(
        server.url + path,
        headers={"Authorization": f"Basic {token}", "User-Agent": "docker/1"},
        method=method,
        data=body,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def token_of(ecr: Any) -> str:
    token: str = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return token


def test_a_call_of_the_api_is_an_event_as_cloudtrail_has_it(server: ServerProcess) -> None:
    key = user(server, OWNER, "shape", "ecr:*")
    ecr = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"])
    answer = ecr.create_repository(repositoryName="audited/shape")
    (event,) = events(server, OWNER, "-a", "ecr:CreateRepository", "-r", "audited/shape")
    arn = f"arn:aws:ecr:us-east-1:{OWNER}:repository/audited/shape"
    identity = event.pop("userIdentity")
    assert identity.pop("principalId").startswith("AIDA")
    assert identity == {
        "type": "IAMUser",
        "arn": f"arn:aws:iam::{OWNER}:user/shape",
        "accountId": OWNER,
        "accessKeyId": key["AccessKeyId"],
        "userName": "shape",
    }
    assert event.pop("eventTime").endswith("Z")
    assert event.pop("eventVersion") >= "1.04"
    assert "Boto3" in event.pop("userAgent")
    (decision,) = event.pop("additionalEventData")["decisions"]
    assert (decision["action"], decision["resource"], decision["allowed"]) == ("ecr:CreateRepository", arn, True)
    assert decision["context"]["aws:sourceip"] == "127.0.0.1"
    assert decision["context"]["aws:username"] == "shape"
    assert event.pop("responseElements")["repository"]["repositoryArn"] == arn
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (event.pop("requestID"), event.pop("eventID")) == (request_id, request_id)
    assert event == {
        "eventSource": "ecr.amazonaws.com",
        "eventName": "CreateRepository",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "127.0.0.1",
        "requestParameters": {"repositoryName": "audited/shape"},
        "readOnly": False,
        "resources": [{"ARN": arn, "accountId": OWNER, "type": "AWS::ECR::Repository"}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": OWNER,
        "eventCategory": "Management",
    }


def test_pushes_and_pulls_over_v2_are_the_events_of_the_api(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="audited/plane")
    push_image(ecr, "audited/plane", "v1")
    token = token_of(ecr)
    base = f"/v2/{OWNER}/us-east-1/audited/plane"
    config = '{"a":1}'
    assert ask(server, f"{base}/manifests/v1", token)[0] == 200
    assert ask(server, f"{base}/manifests/v2", token)[0] == 404
    assert ask(server, f"{base}/tags/list", token)[0] == 200
    digest = "sha256:" + "0" * 64
    assert ask(server, f"{base}/blobs/{digest}", token, "HEAD")[0] == 404
    assert ask(server, f"{base}/blobs/uploads/", token, "POST", b"")[0] == 202
    assert ask(server, f"{base}/manifests/bad", token, "PUT", config.encode())[0] == 400
    told = [
        (each["eventName"], each["requestParameters"], each.get("errorCode"), each["readOnly"])
        for each in events(server, OWNER, "-r", "audited/plane")
        if each["additionalEventData"].get("plane") == "v2"
    ]
    whose = {"registryId": OWNER, "repositoryName": "audited/plane"}
    assert sorted(told, key=str) == sorted(
        [
            ("BatchGetImage", {**whose, "imageIds": [{"imageTag": "v1"}]}, None, True),
            ("BatchGetImage", {**whose, "imageIds": [{"imageTag": "v2"}]}, "ImageNotFoundException", True),
            ("ListImages", whose, None, True),
            ("BatchCheckLayerAvailability", {**whose, "layerDigests": [digest]}, "LayersNotFoundException", True),
            ("InitiateLayerUpload", whose, None, False),
            ("PutImage", {**whose, "imageTag": "bad"}, "InvalidParameterException", False),
        ],
        key=str,
    )


def test_neither_secrets_nor_images_are_kept(server: ServerProcess) -> None:
    iam, ecr = server.client("iam", OWNER), server.client("ecr", OWNER)
    iam.create_user(UserName="secretive")
    secret = iam.create_access_key(UserName="secretive")["AccessKey"]["SecretAccessKey"]
    session = server.client("sts", OWNER).get_session_token()["Credentials"]
    token = token_of(ecr)
    ecr.create_repository(repositoryName="audited/secret")
    push_image(ecr, "audited/secret", "v1")
    found = events(server, OWNER)
    text = json.dumps(found)
    for never in (secret, session["SessionToken"], session["SecretAccessKey"], token, "mediaType", 'layerPartBlob": "'):
        assert never not in text
    made = next(each for each in found if each["eventName"] == "CreateAccessKey")
    assert made["responseElements"]["accessKey"]["secretAccessKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert made["eventSource"] == "iam.amazonaws.com"
    put = next(each for each in found if each["eventName"] == "PutImage")
    assert set(put["requestParameters"]["imageManifest"]) == {"sha256", "bytes"}


def test_what_was_refused_is_an_event_too(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    key = user(server, OWNER, "refused")
    refusals: list[Callable[[], Any]] = [
        lambda: ecr.describe_images(repositoryName="audited/absent"),
        lambda: ecr.create_repository(repositoryName="Audited/UPPER"),
        lambda: server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"]).delete_repository(
            repositoryName="audited/denied"
        ),
        lambda: server.client("ecr", key["AccessKeyId"], "wrong").list_images(repositoryName="audited/forged"),
        lambda: server.client("iam", OWNER).get_user(UserName="nobody-at-all"),
    ]
    for refused in refusals:
        with pytest.raises(Error):
            refused()
    codes = {(each["eventName"], each.get("errorCode")): each for each in events(server, OWNER)}
    assert ("DescribeImages", "RepositoryNotFoundException") in codes
    assert ("CreateRepository", "InvalidParameterException") in codes
    assert ("GetUser", "NoSuchEntity") in codes
    denied = codes["DeleteRepository", "AccessDeniedException"]
    assert denied["additionalEventData"]["decisions"][0]["id"] == denied["requestID"]
    forged = codes["ListImages", "InvalidSignatureException"]
    assert forged["additionalEventData"] == {"authenticated": False}
    assert forged["userIdentity"]["userName"] == "refused"


def test_moorages_own_calls_are_events(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="audited/trash")
    ecr.delete_repository(repositoryName="audited/trash")
    environment = {**os.environ, "AWS_ENDPOINT_URL": server.url, "AWS_SECRET_ACCESS_KEY": "x"}
    run_moorage("restore", "audited/trash", env={**environment, "AWS_ACCESS_KEY_ID": OWNER})
    (event,) = events(server, OWNER, "-a", "moorage:Restore")
    assert event["eventSource"] == "moorage"
    assert event["requestParameters"] == {"repository": "audited/trash"}
    assert event["additionalEventData"]["decisions"][0]["action"] == "moorage:Restore"


def test_both_accounts_have_what_one_does_in_the_other(server: ServerProcess) -> None:
    owner = server.client("ecr", OWNER)
    owner.create_repository(repositoryName="audited/shared", tags=[{"Key": "team", "Value": "red"}])
    key = user(server, READER, "guest", "ecr:*")
    guest = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(Error):
        guest.list_images(registryId=OWNER, repositoryName="audited/shared")
    (theirs,) = events(server, OWNER, "-r", "audited/shared", "-a", "ListImages")
    (own,) = events(server, READER, "-r", "audited/shared", "-a", "ListImages")
    assert theirs["sharedEventID"] == own["sharedEventID"]
    assert theirs["userIdentity"]["type"] == "AWSAccount"
    assert "accessKeyId" not in theirs["userIdentity"]
    assert own["userIdentity"]["accessKeyId"] == key["AccessKeyId"]
    tag = "aws:resourcetag/team"
    assert theirs["additionalEventData"]["decisions"][0]["context"][tag] == "red"
    assert tag not in own["additionalEventData"]["decisions"][0]["context"]


def test_the_record_is_read_by_whom_the_account_lets(server: ServerProcess) -> None:
    nobody, reader = user(server, OWNER, "curious"), user(server, OWNER, "auditor", "moorage:ReadAudit")
    refused = audit(server, nobody["AccessKeyId"], secret=nobody["SecretAccessKey"], check=False)
    assert refused.returncode != 0
    assert f"not authorized to perform: moorage:ReadAudit on resource: arn:aws:moorage::{OWNER}:audit" in refused.stderr
    assert events(server, reader["AccessKeyId"], secret=reader["SecretAccessKey"])
    other = audit(server, READER, "--account", OWNER, check=False)
    assert other.returncode != 0
    assert "no resource-based policy allows" in other.stderr


def test_events_are_filtered_and_paged_and_exported(server: ServerProcess, tmp_path: Path) -> None:
    ecr = server.client("ecr", OWNER)
    for number in range(7):
        ecr.create_repository(repositoryName=f"paged/{number}")
    names = [each["requestParameters"]["repositoryName"] for each in events(server, OWNER, "-r", "paged/*")]
    assert names == [f"paged/{number}" for number in range(7)]
    assert len(events(server, OWNER, "-r", "paged/*", "-n", "3", "-a", "CreateRepo*", "-p", "root")) == 3
    assert events(server, OWNER, "-r", "paged/*", "--denied") == []
    assert events(server, OWNER, "-r", "paged/*", "--until", "59m") == []
    path = tmp_path / "out.jsonl"
    audit(server, OWNER, "-r", "paged/*", "--export", str(path))
    assert len(path.read_text().splitlines()) == 7
    shown = audit(server, OWNER, "-r", "paged/6").stdout
    assert "allowed" in shown
    assert "ecr:CreateRepository" in shown
    bad = audit(server, OWNER, "--since", "soon", check=False)
    assert bad.returncode == 2
    assert "yesterday" in bad.stderr


def test_follow_shows_what_happens_next(server: ServerProcess, tmp_path: Path) -> None:
    ecr = server.client("ecr", OWNER)
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": OWNER,
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
    }
    path = tmp_path / "followed"
    with path.open("w") as out:
        following = subprocess.Popen(
            [MOORAGE, "audit", "-r", "followed/*", "--follow", "--json"], env=environment, stdout=out
        )
    try:
        end, number = time.monotonic() + 300, 0
        while len(path.read_text().splitlines()) < 2:
            assert time.monotonic() < end
            ecr.create_repository(repositoryName=f"followed/{number}")
            number += 1
            time.sleep(0.5)
        followed = [json.loads(line) for line in path.read_text().splitlines()]
        told = [int(each["requestParameters"]["repositoryName"].partition("/")[2]) for each in followed]
        assert len(set(told)) == len(told)
        assert sorted(told) == told
    finally:
        following.terminate()
        following.wait(30)


def test_a_token_of_somebody_unknown_leaves_no_event(server: ServerProcess) -> None:
    before = len(events(server, OWNER))
    assert ask(server, "/v2/audited/shape/manifests/x", base64.b64encode(b"AWS:nonsense").decode())[0] == 401
    assert len(events(server, OWNER)) == before + 1  # the question of before itself
