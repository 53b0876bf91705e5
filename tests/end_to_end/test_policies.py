"""Repository policies, set over the API and obeyed on both doors on the very next request."""

import base64
import contextlib
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess

OWNER, READER = "111122223333", "444455556666"


def get(server: ServerProcess, path: str, password: str, user: str = "AWS") -> tuple[int, bytes]:
    credential = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Basic {credential}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def password_of(ecr: Any) -> str:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]


def test_the_request_of_the_api_reference_gets_the_response_of_the_api_reference(server: ServerProcess) -> None:
    ecr = server.client("ecr", "012345678910")
    ecr.create_repository(repositoryName="ubuntu")
    text = (
        '{"Version":"2012-10-17","Statement":[{"Sid":"AllowPull","Effect":"Allow",'
        '"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Principal":"*"}]}\n'
    )
    bodies: list[bytes] = []
    ecr.meta.events.register(
        "after-call.ecr.SetRepositoryPolicy", lambda http_response, **_: bodies.append(http_response.content)
    )
    ecr.set_repository_policy(policyText=text, repositoryName="ubuntu")
    canonical = (
        '{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Sid" : "AllowPull",\n    "Effect" : "Allow",\n'
        '    "Principal" : "*",\n    "Action" : [ "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ]\n  } ]\n}'
    )
    assert json.loads(bodies[0]) == {
        "policyText": canonical,
        "registryId": "012345678910",
        "repositoryName": "ubuntu",
    }
    assert len(bodies[0]) == 301
    assert ecr.get_repository_policy(repositoryName="ubuntu")["policyText"] == canonical


def test_another_account_pulls_only_while_the_policy_allows_it(server: ServerProcess) -> None:
    owner, reader = server.client("ecr", OWNER), server.client("ecr", READER)
    owner.create_repository(repositoryName="shared/app")
    push_image(owner, "shared/app", "v1")
    path = f"/v2/{OWNER}/us-east-1/shared/app/manifests/v1"
    password = password_of(reader)

    status, body = get(server, path, password)
    assert status == 403
    refused = json.loads(body)["errors"][0]
    assert refused["code"] == "DENIED"
    sentence = (
        f"User: arn:aws:iam::{READER}:root is not authorized to perform: ecr:BatchGetImage on resource: "
        f"arn:aws:ecr:us-east-1:{OWNER}:repository/shared/app "
        "because no resource-based policy allows the ecr:BatchGetImage action"
    )
    assert refused["message"].startswith(sentence)
    with pytest.raises(Error) as denied:
        reader.batch_get_image(registryId=OWNER, repositoryName="shared/app", imageIds=[{"imageTag": "v1"}])
    assert denied.value.response["Error"] == {"Code": "AccessDeniedException", "Message": sentence}

    allow = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": READER}, "Action": "ecr:BatchGetImage"}],
    }
    shown = owner.set_repository_policy(repositoryName="shared/app", policyText=json.dumps(allow))["policyText"]
    assert f'"AWS" : "arn:aws:iam::{READER}:root"' in shown
    assert get(server, path, password)[0] == 200
    found = reader.batch_get_image(registryId=OWNER, repositoryName="shared/app", imageIds=[{"imageTag": "v1"}])
    assert len(found["images"]) == 1
    assert found["failures"] == []

    owner.delete_repository_policy(repositoryName="shared/app")
    assert get(server, path, password)[0] == 403


def test_a_policy_that_locks_its_author_out_needs_force(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="locked")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ecr:*"}]}
    with pytest.raises(Error) as refused:
        ecr.set_repository_policy(repositoryName="locked", policyText=json.dumps(everything))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    ecr.set_repository_policy(repositoryName="locked", policyText=json.dumps(everything), force=True)
    with pytest.raises(Error) as denied:
        ecr.list_images(repositoryName="locked")
    assert "with an explicit deny in a resource-based policy" in str(denied.value)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "{}",
        "[]",
        '{"Version":"2012-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:GetAuthorizationToken"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"allow","Principal":"*","Action":"ecr:*"}]}',
        '{"Version":"2024-01-01","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/*"},"Action":"ecr:*"}]}',
        '{"Statement":[{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"ecr:*"}]}',
        '{"Statement":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_an_invalid_policy_is_refused_and_changes_nothing(server: ServerProcess, text: str) -> None:
    ecr = server.client("ecr", OWNER)
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName="untouched")
    with pytest.raises(Error) as refused:
        ecr.set_repository_policy(repositoryName="untouched", policyText=text)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "Invalid parameter at 'PolicyText' failed to satisfy constraint: "
        "'Invalid repository policy provided'",
    }
    with pytest.raises(Error) as missing:
        ecr.get_repository_policy(repositoryName="untouched")
    assert missing.value.response["Error"]["Code"] == "RepositoryPolicyNotFoundException"


def test_a_users_key_is_verified_and_its_policies_are_enforced(server: ServerProcess) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="ci")
    key = iam.create_access_key(UserName="ci")["AccessKey"]
    ecr = server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(Error) as denied:
        ecr.describe_repositories()
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "because no identity-based policy allows the ecr:DescribeRepositories action" in str(denied.value)
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=json.dumps(allow))
    ecr.describe_repositories()
    password = password_of(ecr)
    assert get(server, "/v2/", password)[0] == 200
    iam.delete_access_key(UserName="ci", AccessKeyId=key["AccessKeyId"])
    with pytest.raises(Error) as unknown:
        ecr.describe_repositories()
    assert unknown.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert get(server, "/v2/", password)[0] in {401, 403}


def test_a_wrong_secret_is_refused(server: ServerProcess) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="forger")
    key = iam.create_access_key(UserName="forger")["AccessKey"]
    with pytest.raises(Error) as refused:
        server.client("ecr", key["AccessKeyId"], "x" * 40).describe_repositories()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_a_principal_that_is_not_there_is_not_found(server: ServerProcess) -> None:
    iam, ecr = server.client("iam"), server.client("ecr")
    iam.create_user(UserName="present")
    ecr.create_repository(repositoryName="people")

    def allowing(arn: str) -> str:
        return json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "ecr:BatchGetImage"}],
            }
        )

    with pytest.raises(Error) as refused:
        ecr.set_repository_policy(repositoryName="people", policyText=allowing("arn:aws:iam::000000000000:user/absent"))
    assert "'Principal not found'" in str(refused.value)
    here = "arn:aws:iam::000000000000:user/present"
    assert here in ecr.set_repository_policy(repositoryName="people", policyText=allowing(here))["policyText"]
    iam.delete_user(UserName="present")
    left = ecr.get_repository_policy(repositoryName="people")["policyText"]
    assert here not in left
    assert "AIDA" in left
