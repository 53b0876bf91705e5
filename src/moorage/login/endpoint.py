"""A client of a server's AWS API: the caller's identity, and registry passwords."""

import base64
import email.utils
import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from moorage.login.errors import EndpointError
from moorage.login.keys import Key
from moorage.login.signing import sign

_TIMEOUT = 20.0  # seconds
_ANSWER_LIMIT = 1 << 20  # bytes
_TLS_ALERT = "\x15\x03"
"""How a server that uses TLS begins its response to plain HTTP (RFC 8446, section 5.1)."""
_ECR_VERSION = "20150921"


class Answer(NamedTuple):
    """An HTTP response. `clock`: the server's time in seconds since the epoch, None if it was not sent."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    clock: float | None


class Password(NamedTuple):
    """A registry password. `expires_at`: seconds since the epoch by *this* machine's clock."""

    user: str
    secret: str
    expires_at: float
    registry: str

    def __repr__(self) -> str:
        return f"Password(user={self.user!r}, secret=…, expires_at={self.expires_at})"


class Endpoint:
    """The URL of a server and how to trust it. `ca`: a PEM file, the only one to trust; None: the system's."""

    def __init__(self, url: str, region: str, ca: str | None = None, timeout: float = _TIMEOUT) -> None:
        self.url = url.rstrip("/")
        self.region = region
        self.ca = ca
        self._timeout = timeout
        self._parts = urlsplit(self.url)

    def authorization(self, key: Key) -> Password:
        """Return a new registry password from ECR's GetAuthorizationToken. Raise EndpointError."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V{_ECR_VERSION}.GetAuthorizationToken",
        }
        answer = self._signed(key, "ecr", b"{}", headers)
        try:
            said = json.loads(answer.body)["authorizationData"][0]
            user, _, secret = base64.b64decode(said["authorizationToken"]).decode().partition(":")
            # The lifetime is measured by the server's own clock.
            life = float(said["expiresAt"]) - (answer.clock or time.time())
            return Password(user, secret, time.time() + life, str(said.get("proxyEndpoint", self.url)))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise EndpointError(f"{self.url} gave no password, and not as ECR does", "answer") from error

    def identity(self, key: Key) -> str:
        """Return the ARN of the key's principal from STS's GetCallerIdentity. Raise EndpointError."""
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        answer = self._signed(key, "sts", body, {"Content-Type": "application/x-www-form-urlencoded"})
        found = re.search(rb"<Arn>([^<]{1,2048})</Arn>", answer.body)
        if found is None:
            raise EndpointError(f"{self.url} did not say who the key is, and not as STS does", "answer")
        return found[1].decode("utf-8", "replace")

    def session(self, key: Key | None, action: str, asked: Mapping[str, str]) -> Key:
        """Return the session key that STS's `action` (such as AssumeRole) issues to `key`. Raise EndpointError.

        None: the request is not signed, because it contains a token.
        """
        body = urlencode({"Action": action, "Version": "2011-06-15", **asked}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            answer = self._signed(key, "sts", body, headers)
        else:
            answer = self.send("POST", "/", headers, body)
            if answer.status != 200:
                raise _refusal(self.url, answer)
        found = [_element(answer.body, each) for each in (b"AccessKeyId", b"SecretAccessKey", b"SessionToken")]
        if not all(found):
            raise EndpointError(f"{self.url} gave no session, and not as STS does", "answer")
        return Key(*found)

    def _signed(self, key: Key, service: str, body: bytes, headers: dict[str, str]) -> Answer:
        signed = sign(key, "POST", f"{self.url}/", body, region=self.region, service=service, headers=headers)
        answer = self.send("POST", "/", signed, body)
        if answer.status != 200:
            raise _refusal(self.url, answer)
        return answer

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        """Send one request and return the response, whatever its status. Raise EndpointError if there is none."""
        with self.exchange(method, path, headers or {}, body) as answer:
            return Answer(answer.status, answer.headers, answer.read(_ANSWER_LIMIT), _clock_of(answer.headers))

    @contextmanager
    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send one request, and yield the response to be read within the block. Raise EndpointError if there is none or
        it breaks off.

        Proxies of the environment are not used: a private registry is rarely behind one.
        """
        connection = self._connection()
        try:
            connection.request(method, path, body=body, headers=headers)
            yield connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise EndpointError(
                f"the certificate of {self.url} is not trusted ({error.verify_message})", "tls"
            ) from error
        except ssl.SSLError as error:
            raise EndpointError(f"{self.url} does not speak TLS ({error.reason})", "plain") from error
        except http.client.BadStatusLine as error:
            if _TLS_ALERT in str(error):
                said = f"{self.url} speaks TLS. Use https://{self._parts.netloc}"
                raise EndpointError(said, "secure") from error
            raise EndpointError(f"{self.url} answers, and not with HTTP", "answer") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EndpointError(f"no answer from {self.url} ({reason})", "unreachable") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        try:
            if self._parts.scheme == "https":
                trust = ssl.create_default_context(cafile=self.ca)
                return http.client.HTTPSConnection(self._parts.netloc, timeout=self._timeout, context=trust)
            return http.client.HTTPConnection(self._parts.netloc, timeout=self._timeout)
        except FileNotFoundError:
            raise EndpointError(f"there is no file {self.ca} with certificates to trust", "ca") from None
        except (ssl.SSLError, http.client.InvalidURL, OSError) as error:
            raise EndpointError(f"{self.url} cannot be called: {error}", "ca") from None


def _clock_of(headers: http.client.HTTPMessage) -> float | None:
    text = headers.get("Date")
    if text is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _refusal(url: str, answer: Answer) -> EndpointError:
    """Return the server's error message, from JSON or XML."""
    code, message = "", ""
    try:
        said: Any = json.loads(answer.body)
        code = str(said.get("__type", "")).rpartition("#")[2]
        message = str(said.get("message") or said.get("Message") or "")
    except (ValueError, AttributeError):
        code = _element(answer.body, b"Code")
        message = _element(answer.body, b"Message")
    if not code:
        return EndpointError(f"{url} answered {answer.status}, and not as ECR does", "answer")
    return EndpointError(f"{code}: {message}", code)


def _element(body: bytes, name: bytes) -> str:
    found = re.search(rb"<" + name + rb">([^<]{0,2000})</" + name + rb">", body)
    return "" if found is None else found[1].decode("utf-8", "replace")
