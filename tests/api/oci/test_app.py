"""Who comes in, and how refusals look."""

from ipaddress import ip_network

import pytest

from moorage import errors
from moorage.api.oci.errors import shape
from tests.api.oci.conftest import MakeOciApi, OciApi


async def test_without_a_credential(oci: OciApi) -> None:
    nobody = oci.client.as_user(None)
    for method, path in (("GET", "/v2/"), ("GET", "/v2/app/manifests/v1"), ("GET", "/v2/BAD/manifests/v1"),
                         ("POST", "/v2/app/blobs/uploads/"), ("GET", "/v2/nothing"), ("PUT", "/v2/")):  # fmt: skip
        answer = await nobody(method, path)
        assert (answer.status, answer.body) == (401, b"Not Authorized\n")
        assert answer.headers["www-authenticate"] == (
            'Basic realm="http://localhost:4580/",service="ecr.amazonaws.com"'
        )
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert oci.rights.asked == []
    assert (await oci.client.as_user("forged")("GET", "/v2/")).status == 401


async def test_an_expired_password(oci: OciApi) -> None:
    answer = await oci.client.as_user("expired")("GET", "/v2/")
    assert (answer.status, answer.code) == (403, "DENIED")
    assert answer.message == "Your authorization token has expired. Reauthenticate and try again."


async def test_the_ping(oci: OciApi) -> None:
    for path in ("/v2", "/v2/"):
        answer = await oci.client("GET", path)
        assert (answer.status, answer.body) == (200, b"{}")
        assert (await oci.client("HEAD", path)).status == 200
    assert oci.rights.asked == []


async def test_a_denial_says_why_in_the_body_and_in_headers(oci: OciApi, aws: OciApi) -> None:
    sentence = "User: arn:aws:iam::000000000000:user/tester is not authorized"
    for tested, message in ((oci, f"{sentence} (decision d-1)"), (aws, sentence)):
        tested.rights.denied = {("BatchGetImage", "app")}
        answer = await tested.client("GET", "/v2/app/manifests/v1")
        assert (answer.status, answer.code, answer.message) == (403, "DENIED", message)
        head = await tested.client("HEAD", "/v2/app/manifests/v1")
        assert (head.status, head.body) == (403, b"")
        assert head.headers["x-moorage-decision-id"] == "d-1"
        assert head.headers["x-moorage-reason"] == "identity: no  allow"


@pytest.mark.parametrize("name", ["UPPER", "a", "a//b", "a/../b", "..", "-a", "a" * 257])
async def test_names_that_are_none(oci: OciApi, name: str) -> None:
    for rest in ("manifests/v1", "tags/list", "blobs/uploads/x"):
        answer = await oci.client("GET", f"/v2/{name}/{rest}")
        assert (answer.status, answer.code) == (400, "NAME_INVALID")
    assert oci.rights.asked == []


async def test_paths_and_methods_that_are_not_there(oci: OciApi) -> None:
    assert (await oci.client("GET", "/v2/app")).status == 404
    for method, path, allow in (("POST", "manifests/v1", "GET, HEAD, PUT, DELETE"), ("PUT", "tags/list", "GET")):
        answer = await oci.client(method, f"/v2/app/{path}")
        assert (answer.status, answer.code, answer.headers["allow"]) == (405, "UNSUPPORTED", allow)


async def test_hosts_and_pages_of_others(oci: OciApi) -> None:
    answer = await oci.client("GET", "/v2/", host="evil.example")
    assert answer.status == 421
    for headers in ({"origin": "http://evil.example"}, {"origin": "http://localhost:3000"}, {"origin": "null"},
                    {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}):  # fmt: skip
        answer = await oci.client("GET", "/v2/", extra=headers)
        assert (answer.status, answer.code) == (403, "DENIED"), headers
    for headers in ({"origin": "http://localhost:4580"}, {"sec_fetch_site": "none"}, {"sec_fetch_site": "same-origin"}):
        assert (await oci.client("GET", "/v2/", extra=headers)).status == 200


async def test_the_host_names_the_registry(oci: OciApi) -> None:
    await oci.push("app", "v1")
    same = oci.client.as_user("tester", "000000000000.dkr.ecr.us-east-1.amazonaws.com")
    assert (await same("GET", "/v2/app/manifests/v1")).status == 200
    assert (await oci.client("GET", "/v2/000000000000/us-east-1/app/manifests/v1")).status == 200
    other = oci.client.as_user("tester", "000000000000.dkr.ecr.eu-west-1.amazonaws.com")
    assert (await other("GET", "/v2/app/manifests/v1")).code == "NAME_UNKNOWN"


async def test_the_challenge_behind_a_trusted_proxy(make_oci: MakeOciApi) -> None:
    forwarded = {"x_forwarded_proto": "https", "x_forwarded_host": "registry.example"}
    trusting: OciApi = await make_oci(trusted_proxies=(ip_network("127.0.0.0/8"),),
                                       hosts=("registry.example",))  # fmt: skip
    answer = await trusting.client.as_user(None)("GET", "/v2/", extra=forwarded)
    assert 'realm="https://registry.example/"' in answer.headers["www-authenticate"]
    plain: OciApi = await make_oci(hosts=("registry.example",))
    answer = await plain.client.as_user(None)("GET", "/v2/", extra=forwarded)
    assert 'realm="http://localhost:4580/"' in answer.headers["www-authenticate"]


async def test_a_fault_of_ours_tells_nothing(oci: OciApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(oci.registry.images), "find", broken)
    answer = await oci.client("GET", "/v2/app/manifests/v1")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert b"secret" not in answer.body


def test_every_error_has_a_shape() -> None:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.MoorageError)
    ]
    assert len(classes) > 30
    for each in classes:
        error = each.__new__(each)
        for profile in ("oci", "aws"):
            status, code = shape(error, profile)
            assert 400 <= status < 600
            assert code.isupper()
