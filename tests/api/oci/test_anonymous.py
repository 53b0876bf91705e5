"""Anonymous pulls and the token endpoint, through the whole application; and that nothing of it is there unasked."""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from moorage.api.oci import token as token_endpoint
from moorage.clock import Clock
from moorage.policy import ECR_ACTIONS
from moorage.policy.catalog.actions import ANONYMOUS
from moorage.settings import SettingError, Settings
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import Answer, AsgiClient

ACCOUNT = "000000000000"
PULLS = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
OPEN, CLOSED = "/v2/open/app/manifests/v1", "/v2/closed/app/manifests/v1"
BASIC = 'Basic realm="http://localhost:4580/",service="ecr.amazonaws.com"'


def challenge(scope: str = "") -> str:
    return 'Bearer realm="http://localhost:4580/v2/token",service="ecr.amazonaws.com"' + (
        f',scope="{scope}"' if scope else ""
    )


def policy(actions: list[str]) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def filled(server: InProcess) -> None:
    """`open/app:v1`, which everybody may pull and push, and `closed/app:v1`."""
    oci = await server.oci()
    for name in ("open/app", "closed/app"):
        await server.ok("CreateRepository", repositoryName=name)
        config = b'{"architecture":"amd64","os":"linux"}'
        begun = await oci("POST", f"/v2/{name}/blobs/uploads/")
        digest = "sha256:" + hashlib.sha256(config).hexdigest()
        assert (await oci("PUT", f"{begun.headers['location']}?digest={digest}", config)).status == 201
        media = "application/vnd.oci.image.manifest.v1+json"
        layer = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": media, "config": layer, "layers": []}).encode()
        assert (await oci("PUT", f"/v2/{name}/manifests/v1", manifest, content_type=media)).status == 201
    everything = [*PULLS, "ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage"]
    await server.ok("SetRepositoryPolicy", repositoryName="open/app", policyText=policy(everything))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(data=tmp_path / "data", mode="dev", anonymous_pull=True)) as running:
        await filled(running)
        yield running


@pytest.fixture
def nobody(server: InProcess) -> AsgiClient:
    return AsgiClient(server.asgi, user=None)


async def fetched(client: AsgiClient, query: str = "service=ecr.amazonaws.com", **headers: str) -> Answer:
    return await client("GET", f"/v2/token?{query}", extra=headers)


async def bearer(client: AsgiClient, **headers: str) -> dict[str, str]:
    answer = await fetched(client, **headers)
    assert answer.status == 200, answer
    return {"authorization": f"Bearer {answer.json['token']}"}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_nothing_of_it_is_there_unless_it_is_set(tmp_path: Path) -> None:
    async with in_process(Settings(data=tmp_path / "data", mode="dev")) as server:
        await filled(server)
        nobody = AsgiClient(server.asgi, user=None)
        for url in ("/v2/", OPEN, "/v2/token"):
            refused = await nobody("GET", url)
            assert (refused.status, refused.headers["www-authenticate"], refused.body) == (
                401,
                BASIC,
                b"Not Authorized\n",
            )
        assert (await nobody("GET", OPEN, authorization="Bearer x")).status == 401
        assert (await (await server.oci())("GET", "/v2/token")).status == 404


async def test_who_shows_nothing_pulls_what_is_open_to_all(nobody: AsgiClient) -> None:
    assert (await nobody("GET", OPEN)).status == 200
    assert (await nobody("HEAD", OPEN)).status == 200
    digest = (await nobody("GET", OPEN)).json["config"]["digest"]
    assert (await nobody("GET", f"/v2/open/app/blobs/{digest}")).status == 200


async def test_the_ping_and_what_is_not_open_ask_for_a_token(nobody: AsgiClient) -> None:
    ping = await nobody("GET", "/v2/")
    assert (ping.status, ping.headers["www-authenticate"]) == (401, challenge())
    for url in (CLOSED, "/v2/none/such/manifests/v1"):
        refused = await nobody("GET", url)
        name = url.removeprefix("/v2/").removesuffix("/manifests/v1")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, challenge(f"repository:{name}:pull"))


async def test_a_token_of_nobody_pulls_the_same_and_writes_nothing(nobody: AsgiClient) -> None:
    shown = await bearer(nobody)
    assert (await nobody("GET", "/v2/", extra=shown)).status == 200
    assert (await nobody("GET", OPEN, extra=shown)).status == 200
    refused = await nobody("GET", CLOSED, extra=shown)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert "decision" not in refused.message
    for headers in (shown, {}):
        for method, url in (
            ("POST", "/v2/open/app/blobs/uploads/"),
            ("DELETE", OPEN),
            ("PUT", OPEN),
        ):
            answer = await nobody(method, url, extra=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (
                401,
                challenge("repository:open/app:pull,push"),
            )


async def test_a_policy_counts_from_the_next_request_on(server: InProcess, nobody: AsgiClient) -> None:
    shown = await bearer(nobody)
    await server.ok("DeleteRepositoryPolicy", repositoryName="open/app")
    assert (await nobody("GET", OPEN, extra=shown)).status == 403
    assert (await nobody("GET", OPEN)).status == 401


async def test_anonymous_values_of_condition_keys(server: InProcess, nobody: AsgiClient) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": PULLS}
    for condition, status in (
        ({"StringEquals": {"aws:PrincipalType": "Anonymous"}}, 200),
        ({"Null": {"aws:PrincipalArn": "true"}}, 200),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, 401),
    ):
        document = {"Version": "2012-10-17", "Statement": [statement | {"Condition": condition}]}
        await server.ok("SetRepositoryPolicy", repositoryName="open/app", policyText=json.dumps(document), force=True)
        assert (await nobody("GET", OPEN)).status == status


async def test_a_password_becomes_a_token_that_pushes(server: InProcess, nobody: AsgiClient) -> None:
    oci = await server.oci()
    for authorization in (basic("test", "any"), basic("AWS", oci.user or "")):
        shown = await bearer(nobody, authorization=authorization)
        assert (await nobody("GET", CLOSED, extra=shown)).status == 200
        assert (await nobody("POST", "/v2/closed/app/blobs/uploads/", extra=shown)).status == 202
        assert (await nobody("GET", CLOSED, authorization=authorization)).status == 200  # and Basic is taken as before


async def test_a_wrong_password_gets_no_token_and_is_not_taken_for_nobody(nobody: AsgiClient) -> None:
    for authorization in (basic("AWS", "wrong"), "Basic !", "Basic Og==", "Bearer x"):
        refused = await fetched(nobody, authorization=authorization)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, BASIC)
        assert (await nobody("GET", OPEN, authorization=authorization)).status == 401


async def test_a_token_is_short_lived(nobody: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await fetched(nobody)
    assert 0 < answer.json["expires_in"] <= 300
    assert answer.json["access_token"] == answer.json["token"]
    assert answer.headers["cache-control"] == "no-store"
    shown = {"authorization": f"Bearer {answer.json['token']}"}
    later = time.time() + 301
    monkeypatch.setattr(Clock, "now", lambda _self: later)
    over = await nobody("GET", OPEN, extra=shown)
    assert (over.status, over.headers["www-authenticate"]) == (401, challenge("repository:open/app:pull"))


async def post(client: AsgiClient, **fields: str) -> Answer:
    return await client(
        "POST", "/v2/token", urlencode(fields).encode(), content_type="application/x-www-form-urlencoded"
    )


async def test_oauth2_password_and_refresh_token(server: InProcess, nobody: AsgiClient) -> None:
    password = (await server.oci()).user or ""
    given = await post(nobody, grant_type="password", username="AWS", password=password, service="s", client_id="c")
    assert given.status == 200
    assert "refresh_token" not in given.json
    refreshed = await post(nobody, grant_type="refresh_token", refresh_token=password, service="s", client_id="c")
    assert refreshed.json["refresh_token"] == password
    for answer in (given, refreshed):
        shown = {"authorization": f"Bearer {answer.json['access_token']}"}
        assert (await nobody("GET", CLOSED, extra=shown)).status == 200
    assert (await post(nobody, grant_type="password", username="AWS", password="no")).status == 401
    assert (await post(nobody, grant_type="password")).status == 401
    assert (await post(nobody, grant_type="refresh_token", refresh_token="no")).status == 401
    assert (await post(nobody, grant_type="code")).status == 400


async def test_what_is_too_much_or_no_form_is_refused(nobody: AsgiClient) -> None:
    assert (await nobody("POST", "/v2/token", b"x" * (token_endpoint.BODY_LIMIT + 1))).status == 413
    assert (await nobody("POST", "/v2/token", b"\xff\xfe=")).status == 400
    assert (await nobody("POST", "/v2/token", b"&".join([b"a=b"] * 100))).status == 400
    assert (await nobody("PUT", "/v2/token")).status == 405


async def test_no_page_of_another_site_gets_one(nobody: AsgiClient) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert (await fetched(nobody, **headers)).status == 403
        assert (await nobody("POST", "/v2/token", b"grant_type=password", extra=headers)).status == 403
    assert (await fetched(nobody, host="evil.example")).status == 421


async def test_one_address_gets_so_many_a_second(nobody: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_endpoint, "PER_SECOND", 3)
    now = float(int(time.time()))
    monkeypatch.setattr(Clock, "now", lambda _self: now)
    assert [(await fetched(nobody)).status for _ in range(4)] == [200, 200, 200, 429]
    monkeypatch.setattr(Clock, "now", lambda _self: now + 1)
    assert (await fetched(nobody)).status == 200


def test_profile_aws_has_no_anonymous_callers() -> None:
    with pytest.raises(SettingError, match="anonymous_pull"):
        Settings.from_environment({}, anonymous_pull=True, profile="aws")


async def test_an_anonymous_caller_gets_at_no_other_action_than_the_matrix_says(
    server: InProcess, nobody: AsgiClient
) -> None:
    """Each action alone open to all: which of them let some request past its decision?"""
    digest, upload = f"sha256:{'0' * 64}", "0" * 8 + "-0000-4000-8000-" + "0" * 12
    below = (f"blobs/{digest}", f"blobs/uploads/{upload}", f"referrers/{digest}", "manifests/v1", "tags/list")
    paths = ["/v2/_catalog", *(f"/v2/closed/app/{rest}" for rest in below)]
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    requests = [(method, path) for path in paths for method in methods]
    requests.append(("POST", "/v2/closed/app/blobs/uploads/"))

    async def passes() -> bool:
        return any([(await nobody(*each)).status not in {401, 405} for each in requests])

    await server.ok("DeleteRepositoryPolicy", repositoryName="open/app")
    assert not await passes()
    found = set()
    for name, action in ECR_ACTIONS.items():
        if action.resource == "repository":
            await server.ok("SetRepositoryPolicy", repositoryName="closed/app", policyText=policy([f"ecr:{name}"]))
            found |= {f"ecr:{name}"} if await passes() else set()
    assert found == ANONYMOUS
