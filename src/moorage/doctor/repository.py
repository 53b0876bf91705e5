"""Checks of one repository: whether the caller may pull and push. It asks the server and changes nothing."""

import json
import re
import shlex
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from moorage.doctor.finding import Finding, fail, ok, skip
from moorage.doctor.password import best
from moorage.doctor.target import Target
from moorage.login.endpoint import Answer
from moorage.login.errors import EndpointError
from moorage.login.passwords import Credential

_NO_TAG = "moorage-doctor-looks-for-nothing"
_DECISION = re.compile(r"[0-9a-zA-Z-]{8,64}")
_NO_BLOB = f"sha256:{'0' * 64}"


def repository(target: Target) -> Iterator[Finding]:
    """Check that each step of a pull and a push is permitted."""
    if target.repository is None:
        return
    if target.silence is not None:
        yield skip(target.silence)
        return
    credential = best(target)
    if credential is None:
        yield skip("no password is valid, and none could be requested")
        return
    try:
        yield from _steps(target, credential, f"/v2/{quote(target.repository)}")
    except EndpointError as error:
        yield fail(str(error), f"moorage doctor {target.host}")


def _steps(target: Target, credential: Credential, base: str) -> Iterator[Finding]:
    manifest = target.ask("GET", f"{base}/manifests/{_NO_TAG}", credential)
    if _code(manifest) in {"NAME_UNKNOWN", "NAME_INVALID"}:
        yield from _not_there(target, manifest)
        return
    blob = target.ask("GET", f"{base}/blobs/{_NO_BLOB}", credential)
    yield from _permitted(target, "pull", {"ecr:BatchGetImage": manifest, "ecr:GetDownloadUrlForLayer": blob})
    steps = {"ecr:BatchCheckLayerAvailability": target.ask("HEAD", f"{base}/blobs/{_NO_BLOB}", credential)}
    begun = steps["ecr:InitiateLayerUpload"] = target.ask("POST", f"{base}/blobs/uploads/", credential, b"")
    if begun.status == 202:  # status and cancellation need the same permissions as sending and completing an upload
        where = urlsplit(begun.headers.get("Location", ""))
        upload = f"{where.path}{f'?{where.query}' if where.query else ''}"
        steps["ecr:UploadLayerPart"] = target.ask("GET", upload, credential)
        steps["ecr:CompleteLayerUpload"] = target.ask("DELETE", upload, credential)
    # An invalid manifest is never stored; whether it would be accepted is decided first.
    steps["ecr:PutImage"] = target.ask("PUT", f"{base}/manifests/{_NO_TAG}", credential, b"{}")
    yield from _permitted(target, "push", steps)


def _not_there(target: Target, said: Answer) -> Iterator[Finding]:
    if _code(said) == "NAME_INVALID":
        yield fail("no repository can have that name", f"moorage doctor --repository team/app {target.host}")
        return
    line = f"aws ecr create-repository --repository-name {shlex.quote(str(target.repository))}"
    if _makes_repositories(target):
        yield ok(f"{target.repository} does not exist yet; the first push creates it")
    else:
        yield fail(f"there is no repository {target.repository}", line)


def _makes_repositories(target: Target) -> bool:
    try:
        return target.document("/_moorage/password", best(target)).get("mode") == "dev"
    except EndpointError:
        return False


def _permitted(target: Target, what: str, answers: dict[str, Answer]) -> Iterator[Finding]:
    denied = {action: answer for action, answer in answers.items() if answer.status in {401, 403}}
    if not denied:
        yield ok(f"you may {what}")
    for action, answer in denied.items():
        decision = answer.headers.get("X-Moorage-Decision-Id", "")
        yield fail(
            f"you may not {what}: {action} is denied. {_message(answer)}",
            f"moorage why {decision}" if _DECISION.fullmatch(decision) else f"moorage login {target.host}",
        )


def _code(answer: Answer) -> str:
    return _error(answer)[0]


def _message(answer: Answer) -> str:
    """Return the server's message; the response to a HEAD has it in a header only."""
    return _error(answer)[1] or answer.headers.get("X-Moorage-Reason", "")


def _error(answer: Answer) -> tuple[str, str]:
    """Return code and message of the specification's error body; empty texts if it is not one."""
    try:
        first = json.loads(answer.body)["errors"][0]
        return str(first["code"]), str(first["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return "", ""
