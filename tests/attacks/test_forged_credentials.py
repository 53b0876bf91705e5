"""Credentials that are wrong in one way each, over HTTP against `moorage serve`: refused, and nothing is changed."""

import base64
import dataclasses
import hashlib
import hmac
import json
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.attacks.attacked_server import MANIFEST_TYPE, SECRET, AttackedServer, Key, Reply, Signature, basic
from tests.attacks.attacked_server import sha256 as digest_of

Headers = dict[str, str]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedServer]:
    attacked = AttackedServer(tmp_path_factory.mktemp("forged") / "data")
    try:
        attacked.prepare()
        yield attacked
    finally:
        attacked.server.stop()


@pytest.fixture(scope="module")
def before(target: AttackedServer) -> Any:
    return target.state()


@pytest.fixture(autouse=True)
def _changes_nothing(request: pytest.FixtureRequest, target: AttackedServer, before: Any) -> Iterator[None]:
    yield
    if "good" not in request.node.name:
        assert target.state() == before


def refused(reply: Reply) -> None:
    """A 4xx whose body is what its headers say, and that does not hold the secret."""
    assert 400 <= reply.status < 500, reply
    assert SECRET.encode() not in reply.body
    kind = reply.headers.get("content-type", "")
    if "json" in kind:
        assert isinstance(json.loads(reply.body), dict)
    elif "xml" in kind:
        assert reply.body.startswith(b"<")
    else:
        assert kind.startswith("text/plain"), reply


def test_good_requests_are_served(target: AttackedServer) -> None:
    """What the attacks below change one thing of."""
    for key in (target.root, target.ada, target.session):
        method, path, headers, body = Signature(key, "DescribeRepositories", {}).make(target.host)
        assert target.send(method, path, headers, body).status == 200
    for password in (target.password(target.ada), target.pull_token(repositories=["team/*"])):
        reply = target.send("GET", "/v2/team/secret/manifests/v1", {"Authorization": basic("AWS", password)})
        assert reply.status == 200


SIGNATURES: dict[str, Callable[[AttackedServer], Signature]] = {
    "secret of another key": lambda t: Signature(Key(t.ada.id, t.bob.secret)),
    "no secret": lambda t: Signature(Key(t.ada.id, "")),
    "deleted key": lambda t: Signature(t.gone),
    "inactive key": lambda t: Signature(t.resting),
    "unknown key": lambda t: Signature(Key("AKIA" + "A" * 16, t.ada.secret)),
    "open key of dev mode": lambda _t: Signature(Key("test", "test")),
    "account id as key": lambda _t: Signature(Key("111122223333", "any")),
    "empty key id": lambda t: Signature(Key("", t.ada.secret)),
    "key id with a slash": lambda t: Signature(Key(f"x/{t.ada.id}", t.ada.secret)),
    "key id in lower case": lambda t: Signature(Key(t.ada.id.lower(), t.ada.secret)),
    "key id with NUL": lambda t: Signature(Key(f"{t.ada.id}%00", t.ada.secret)),
    "too old": lambda t: Signature(t.ada, at=time.time() - 1200),
    "in the future": lambda t: Signature(t.ada, at=time.time() + 1200),
    "date of another day": lambda t: Signature(t.ada, date="20200101"),
    "no date in the scope": lambda t: Signature(t.ada, date=""),
    "another terminator": lambda t: Signature(t.ada, terminator="aws5_request"),
    "scope of another service": lambda t: Signature(t.ada, service="iam"),
    "scope of an unknown service": lambda t: Signature(t.ada, service="s3"),
    "scope of the admin door": lambda t: Signature(t.ada, service="moorage"),
    "region that is none": lambda t: Signature(t.ada, region="nowhere"),
    "region in upper case": lambda t: Signature(t.ada, region="US-EAST-1"),
    "host of somebody else": lambda t: Signature(t.ada, host="ecr.us-east-1.evil.example"),
    "session without its token": lambda t: Signature(dataclasses.replace(t.session, token=None)),
    "session with another's token": lambda t: Signature(dataclasses.replace(t.session, token=t.other_session.token)),
    "session with an empty token": lambda t: Signature(dataclasses.replace(t.session, token="")),
    "session with half a token": lambda t: Signature(
        dataclasses.replace(t.session, token=(t.session.token or "")[: len(t.session.token or "") // 2])
    ),
    "token of a session with a long-lived key": lambda t: Signature(dataclasses.replace(t.ada, token=t.session.token)),
    "session with the secret of another": lambda t: Signature(
        Key(t.session.id, t.other_session.secret, t.session.token)
    ),
    "session that ended": lambda t: Signature(t.ended_session),
    "pull token as a key": lambda t: Signature(Key("MPTK" + "A" * 16, t.pull_token(repositories=["team/*"]))),
    **{
        f"{name} not signed": lambda t, name=name: Signature(t.ada, unsigned=(name,))  # type: ignore[misc]
        for name in ("host", "x-amz-target", "x-amz-date")
    },
    "session token not signed": lambda t: Signature(t.session, unsigned=("x-amz-security-token",)),
    "payload hash of nothing": lambda t: Signature(
        t.ada, headers={"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
    ),
    "unsigned payload": lambda t: Signature(t.ada, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
    "streaming payload": lambda t: Signature(
        t.ada, headers={"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_is_wrong(target: AttackedServer, name: str) -> None:
    method, path, headers, body = SIGNATURES[name](target).make(target.host)
    refused(target.send(method, path, headers, body))


def _without(*names: str) -> Callable[[Headers], Headers]:
    return lambda headers: {name: value for name, value in headers.items() if name not in names}


def _authorization(change: Callable[[str], str]) -> Callable[[Headers], Headers]:
    return lambda headers: headers | {"authorization": change(headers["authorization"])}


HEADERS: dict[str, Callable[[Headers], Any]] = {
    "no authorization": _without("authorization"),
    "empty authorization": _authorization(lambda _: ""),
    "no signature": _authorization(lambda text: text.rpartition(",")[0]),
    "empty signature": _authorization(lambda text: text.rpartition("=")[0] + "="),
    "signature in upper case": _authorization(lambda text: text[:-64] + text[-64:].upper()),
    "signature cut short": _authorization(lambda text: text[:-1]),
    "signature and more": _authorization(lambda text: text + "0"),
    "two signatures": _authorization(lambda text: f"{text}, Signature={'0' * 64}"),
    "two credentials": _authorization(lambda text: text + ", Credential=x/20200101/us-east-1/ecr/aws4_request"),
    "another algorithm": _authorization(lambda text: text.replace("SHA256", "SHA1")),
    "asymmetric algorithm": _authorization(lambda text: text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
    "algorithm in lower case": _authorization(lambda text: text.replace("AWS4-HMAC-SHA256", "aws4-hmac-sha256")),
    "region swapped": _authorization(lambda text: text.replace("us-east-1", "eu-west-1")),
    "service swapped": _authorization(lambda text: text.replace("/ecr/", "/sts/")),
    "date swapped": _authorization(lambda text: text.replace(text.split("/")[1], "20200101")),
    "a header less in the list": _authorization(lambda text: text.replace(";x-amz-target", "")),
    "a header more in the list": _authorization(lambda text: text.replace("host;", "host;x-more;")),
    "headers in another order": _authorization(lambda text: text.replace("content-type;host", "host;content-type")),
    "basic": _authorization(lambda _: basic("AWS", "x")),
    "another date": lambda headers: headers | {"x-amz-date": "20200101T000000Z"},
    "no date": _without("x-amz-date"),
    "another target": lambda headers: headers | {"x-amz-target": headers["x-amz-target"].replace("Create", "Delete")},
    "no target": _without("x-amz-target"),
    "two targets": lambda headers: [*headers.items(), ("x-amz-target", headers["x-amz-target"].replace("C", "D"))],
    "another content type": lambda headers: headers | {"content-type": "application/x-amz-json-1.0"},
    "a session token put in": lambda headers: headers | {"x-amz-security-token": "x"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_good_request_whose_headers_were_changed(target: AttackedServer, name: str) -> None:
    method, path, headers, body = Signature(target.ada).make(target.host)
    refused(target.send(method, path, HEADERS[name](headers), body))


def test_a_request_sent_again_as_another_one(target: AttackedServer) -> None:
    method, path, headers, body = Signature(target.ada).make(target.host)
    other = body.replace(b"forged", b"forgee")
    for replayed in (
        (method, path, headers, other),
        (method, path, headers, b""),
        (method, path, headers, body + b" "),
        (method, "/?x=1", headers, body),
        (method, "/?", headers | {"x-amz-target": "x"}, body),
        (method, "/x", headers, body),
        (method, "//", headers, body),
        (method, "/.", headers, body),
        (method, "/_moorage/apply", headers, body),
        (method, "/_moorage/purge", headers, body),
        ("PUT", path, headers, body),
        ("GET", path, headers, b""),
        ("DELETE", path, headers, body),
        ("post", path, headers, body),
        (method, "/v2/team/app/blobs/uploads/", headers, body),
    ):
        refused(target.send(*replayed))


def test_every_bit_of_a_signature_counts(target: AttackedServer) -> None:
    method, path, headers, body = Signature(target.ada).make(target.host)
    text = headers["authorization"]
    for number in range(64):
        digit = format(int(text[-64 + number], 16) ^ 1, "x")
        changed = text[: len(text) - 64 + number] + digit + text[len(text) - 63 + number :]
        reply = target.send(method, path, headers | {"authorization": changed}, body)
        refused(reply)
        assert b"InvalidSignatureException" in reply.body


def presigned(key: Key, *, at: float = 0.0, expires: str = "60", action: str = "ListUsers") -> tuple[str, str, str]:
    """The query of a presigned GET of IAM, its instant and its scope."""
    instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at or time.time()))
    scope = f"{instant[:8]}/us-east-1/iam/aws4_request"
    query = {
        "Action": action,
        "Version": "2010-05-08",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{key.id}/{scope}",
        "X-Amz-Date": instant,
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": "host",
    }
    return urllib.parse.urlencode(sorted(query.items())), instant, scope


def test_presigned_requests(target: AttackedServer) -> None:
    def url(method: str = "GET", **asked: Any) -> str:
        text, instant, scope = presigned(target.ada, **asked)
        canonical = f"{method}\n/\n{text}\nhost:{target.host}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
        to_sign = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = f"AWS4{target.ada.secret}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        return f"/?{text}&X-Amz-Signature={hmac.digest(secret, to_sign.encode(), 'sha256').hex()}"

    assert target.send("GET", url(), {}).status == 200, "a good one"
    for method, where, body in (
        ("POST", url(), b""),
        ("DELETE", url(), b""),
        ("GET", url(method="POST"), b""),
        ("GET", url(at=time.time() - 61), b""),
        ("GET", url(at=time.time() + 1200), b""),
        ("GET", url(expires="0"), b""),
        ("GET", url(expires="-1"), b""),
        ("GET", url(expires="604801"), b""),
        ("GET", url(expires="1e9"), b""),
        ("GET", url(expires="٦٠"), b""),
        ("GET", url() + "&X-Amz-Expires=600000", b""),
        ("GET", url() + "&MaxItems=1", b""),
        ("GET", url().replace("ListUsers", "ListRoles"), b""),
        ("GET", url().replace("X-Amz-Signature", "x-amz-signature"), b""),
        ("GET", url() + "0", b""),
        ("GET", url(action="DeleteUser") + "&UserName=bob", b""),
        ("GET", url(), b"Action=DeleteUser&UserName=bob"),
        ("POST", url(), b"Action=DeleteUser&UserName=bob&Version=2010-05-08"),
    ):
        refused(target.send(method, where, {}, body))


def _download(target: AttackedServer) -> str:
    layer = digest_of(b"public layer")
    answer = target.client("ecr").get_download_url_for_layer(repositoryName="team/app", layerDigest=layer)
    url: str = answer["downloadUrl"]
    parts = urllib.parse.urlsplit(url)
    assert target.send("GET", f"{parts.path}?{parts.query}", {}).status == 200
    return parts.query.removeprefix("token=")


def _page(target: AttackedServer) -> str:
    token: str = target.client("ecr").describe_repositories(maxResults=1)["nextToken"]
    return token


AUTHORIZATIONS: dict[str, Callable[[AttackedServer], str]] = {
    "download token as password": lambda t: basic("AWS", _download(t)),
    "download token as bearer": lambda t: f"Bearer {_download(t)}",
    "page token as password": lambda t: basic("AWS", _page(t)),
    "page token as bearer": lambda t: f"Bearer {_page(t)}",
    "password as bearer": lambda t: f"Bearer {t.password(t.ada)}",
    "basic text as bearer": lambda t: "Bearer " + basic("AWS", t.password(t.ada)).split()[1],
    "pull token as bearer": lambda t: f"Bearer {t.pull_token(repositories=['team/*'])}",
    "key as password": lambda t: basic(t.ada.id, t.ada.secret),
    "secret as password": lambda t: basic("AWS", t.ada.secret),
    "session token as password": lambda t: basic("AWS", t.session.token or ""),
    "key id as user of a good password": lambda t: basic(t.ada.id, t.password(t.ada)),
    "user in lower case": lambda t: basic("aws", t.password(t.ada)),
    "no user": lambda t: basic("", t.password(t.ada)),
    "open key": lambda _t: basic("test", "any"),
    "account": lambda _t: basic("111122223333", "any"),
    "no password": lambda _t: basic("AWS", ""),
    "password of a deleted key": lambda t: basic("AWS", t.dead_passwords[0]),
    "password of an inactive key": lambda t: basic("AWS", t.dead_passwords[1]),
    "colon in the password": lambda t: basic("AWS", t.password(t.ada) + ":x"),
    "password cut short": lambda t: basic("AWS", t.password(t.ada)[:-1]),
    "password and more": lambda t: basic("AWS", t.password(t.ada) + "AAAA"),
    "pull token cut short": lambda t: basic("x", t.pull_token(repositories=["team/*"])[:-1]),
    "pull token of nobody": lambda _t: basic("x", "mrg_" + "A" * 60),
    "no scheme": lambda t: basic("AWS", t.password(t.ada)).split()[1],
    "another scheme": lambda t: basic("AWS", t.password(t.ada)).replace("Basic", "Digest"),
    "not base64": lambda _t: "Basic !!!",
    "not UTF-8": lambda _t: "Basic " + base64.b64encode(b"AWS:\xff\xfe").decode(),
    "NUL": lambda t: basic("AWS", t.password(t.ada) + "\0"),
    "empty": lambda _t: "",
    "two in one": lambda t: f"{basic('AWS', 'x')}, {basic('AWS', t.password(t.ada))}",
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_a_password_that_is_wrong(target: AttackedServer, name: str) -> None:
    headers = {"Authorization": AUTHORIZATIONS[name](target)}
    for method, path in (
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/team/secret/manifests/v1"),
        ("GET", f"/v2/team/secret/blobs/{digest_of(SECRET.encode())}"),
        ("DELETE", "/v2/team/secret/manifests/v1"),
        ("POST", "/v2/team/secret/blobs/uploads/"),
        ("PUT", "/v2/team/secret/manifests/forged"),
        # It says of a password that was once good that it is not any more.
        *(() if "password of a" in name else (("GET", "/_moorage/password"),)),
    ):
        refused(target.send(method, path, headers, b"{}" if method == "PUT" else b""))


def test_every_bit_of_a_password_counts(target: AttackedServer) -> None:
    chosen = random.Random(4580)
    for password in (target.password(target.ada), target.pull_token(repositories=["team/*"])):
        for position in [*range(8), *(chosen.randrange(len(password) - 2) for _ in range(60))]:
            digit = "A" if password[position] != "A" else "B"
            changed = password[:position] + digit + password[position + 1 :]
            refused(target.send("GET", "/v2/", {"Authorization": basic("AWS", changed)}))


def test_a_pull_token_does_no_more_than_it_says(target: AttackedServer) -> None:
    password = target.pull_token(repositories=["team/app"])
    headers = {"Authorization": basic("ci", password), "Content-Type": MANIFEST_TYPE}
    assert target.send("GET", "/v2/team/app/manifests/v1", headers).status == 200
    manifest = target.send("GET", "/v2/team/app/manifests/v1", headers).body
    layer = digest_of(SECRET.encode())
    for method, path, body in (
        ("GET", "/v2/team/secret/manifests/v1", b""),
        ("GET", f"/v2/team/secret/blobs/{layer}", b""),
        ("GET", f"/v2/team/app/blobs/{layer}", b""),
        ("GET", "/v2/team/secret/tags/list", b""),
        ("GET", f"/v2/team/secret/referrers/{target.secret_digest}", b""),
        ("GET", "/v2/444455556666/us-east-1/team/app/manifests/v1", b""),
        ("PUT", "/v2/team/app/manifests/forged", manifest),
        ("DELETE", "/v2/team/app/manifests/v1", b""),
        ("DELETE", f"/v2/team/app/blobs/{digest_of(b'public layer')}", b""),
        ("POST", "/v2/team/app/blobs/uploads/", b""),
        ("POST", f"/v2/team/app/blobs/uploads/?mount={layer}&from=team/secret", b""),
    ):
        refused(target.send(method, path, headers, body))


def test_a_download_url_is_for_its_layer_alone(target: AttackedServer) -> None:
    token, layer, secret = _download(target), digest_of(b"public layer"), digest_of(SECRET.encode())
    for method, where in (
        ("GET", f"/v2/team/secret/blobs/{secret}?token={token}"),
        ("GET", f"/v2/team/app/blobs/{secret}?token={token}"),
        ("GET", f"/v2/team/secret/blobs/{layer}?token={token}"),
        ("DELETE", f"/v2/team/app/blobs/{layer}?token={token}"),
        ("GET", f"/v2/team/app/manifests/v1?token={token}"),
        ("GET", f"/v2/team/app/blobs/{layer}?token={token}x"),
        ("GET", f"/v2/team/app/blobs/{layer}?token="),
        ("GET", f"/v2/team/app/blobs/{layer}?xtoken={token}"),
        ("GET", f"/v2/444455556666/us-east-1/team/app/blobs/{layer}?token={token}"),
        ("GET", f"/v2/111122223333/eu-west-1/team/app/blobs/{layer}?token={token}"),
        ("GET", f"/v2/team/app/blobs/{layer}?token={_page(target)}"),
    ):
        refused(target.send(method, where, {}))


PATHS = [
    "team/app/../secret",
    "team/app/..%2fsecret",
    "team/app/%2e%2e/secret",
    "team/app/%2E%2E%2Fsecret",
    "team/app/%252e%252e/secret",
    "team%2fsecret",
    "team%2Fsecret",
    "team//secret",
    "/team/secret",
    "team/./secret",
    "./team/secret",
    "team/app/%c0%ae%c0%ae/secret",
    "team/%c1%b3ecret",
    "team\\secret",
    "team%5csecret",
    "team/secret%00",
    "team/secret%0a",
    "team/secret%20",
    "team/secret;x=1",
    "team/secret/",
    "TEAM/SECRET",
    "team/%73ecret",
    "team/secret%ff",
    "team/secre%E1%B9%AF",
    "team/" + "s" * 8000,
    "../" * 40 + "etc/passwd",
    "team/app/blobs/../../secret",
    "team/app/manifests/v1/../../../secret",
    "111122223333/us-east-1/team/secret",
    "111122223333/us-east-1/../us-east-1/team/secret",
    "localhost/111122223333/us-east-1/team/secret",
]


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name[:40])
def test_another_way_to_write_a_name_leads_nowhere(target: AttackedServer, name: str) -> None:
    """A token for `team/app` alone."""
    headers = {"Authorization": basic("ci", target.pull_token(repositories=["team/app"], push=True))}
    layer = digest_of(SECRET.encode())
    for method, path in (
        ("GET", f"/v2/{name}/manifests/v1"),
        ("GET", f"/v2/{name}/blobs/{layer}"),
        ("GET", f"/v2/{name}/tags/list"),
        ("POST", f"/v2/{name}/blobs/uploads/"),
        ("POST", f"/v2/team/app/blobs/uploads/?mount={layer}&from={name}"),
        ("PUT", f"/v2/{name}/manifests/forged"),
        ("DELETE", f"/v2/{name}/manifests/v1"),
    ):
        reply = target.send(method, path, headers, b"{}" if method == "PUT" else b"")
        if "from=" in path and reply.status == 202:  # not mounted: an upload begins, as the specification has it
            target.send("DELETE", urllib.parse.urlsplit(reply.headers["location"]).path, headers)
            continue
        refused(reply)
