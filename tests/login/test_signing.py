"""Signatures are those of botocore, for every path and query."""

import hashlib
import string
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from moorage.login.keys import Key
from moorage.login.signing import sign

words = st.text(string.ascii_letters + "-_.~ =&+/%*é", min_size=1, max_size=12)


@given(
    st.lists(words.filter(lambda word: word not in {".", ".."} and "/" not in word), max_size=3),
    st.lists(st.tuples(words, words), max_size=4),
    st.binary(max_size=20),
    st.sampled_from([None, "a-token"]),
)
def test_as_botocore_signs(path: list[str], query: list[tuple[str, str]], body: bytes, token: str | None) -> None:
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    url = f"http://localhost:4580/{'/'.join(quote(part, safe='') for part in path)}?{encoded}"
    headers = sign(
        Key("AKIDEXAMPLE", "secret", token),
        "POST",
        url,
        body,
        region="eu-west-1",
        service="moorage",
        headers={"X-Amz-Target": "Some.Thing  spaced"},
        now=1_700_000_000.5,
    )
    assert headers["X-Amz-Date"] == "20231114T221320Z"
    assert headers["X-Amz-Content-Sha256"] == hashlib.sha256(body).hexdigest()
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "secret", token), "moorage", "eu-west-1")
    given_headers = {name: value for name, value in headers.items() if name != "Authorization"}
    request = AWSRequest("POST", url, data=body, headers=given_headers)
    request.context["timestamp"] = headers["X-Amz-Date"]
    prepared = request.prepare()
    request.url = prepared.url
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")


def test_a_key_does_not_print_its_secret() -> None:
    assert "hidden" not in repr(Key("AKIDEXAMPLE", "hidden", "hidden"))
