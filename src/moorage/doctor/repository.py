"""One repository: may this person pull from it and push to it? Asked of the server itself, changing nothing."""

import json
import re
import shlex
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from moorage.doctor.finding import Finding, fail, ok, skip
from moorage.doctor.password import best
from moorage.doctor.target import Patient
from moorage.login.endpoint import Answer
from moorage.login.errors import EndpointError
from moorage.login.passwords import Credential

_NO_TAG = "moorage-doctor-looks-for-nothing"
_DECISION = re.compile(r"[0-9a-zA-Z-]{8,64}")
_NO_BLOB = f"sha256:{'0' * 64}"


def repository(patient: Patient) -> Iterator[Finding]:
    """Each step of a pull and of a push is permitted."""
    if patient.repository is None:
        return
    if patient.silence is not None:
        yield skip(patient.silence)
        return
    credential = best(patient)
    if credential is None:
        yield skip("no password is good, and none could be made")
        return
    try:
        yield from _steps(patient, credential, f"/v2/{quote(patient.repository)}")
    except EndpointError as error:
        yield fail(str(error), f"moorage doctor {patient.host}")


def _steps(patient: Patient, credential: Credential, base: str) -> Iterator[Finding]:
    manifest = patient.ask("GET", f"{base}/manifests/{_NO_TAG}", credential)
    if _code(manifest) in {"NAME_UNKNOWN", "NAME_INVALID"}:
        yield from _not_there(patient, manifest)
        return
    blob = patient.ask("GET", f"{base}/blobs/{_NO_BLOB}", credential)
    yield from _permitted(patient, "pull", {"ecr:BatchGetImage": manifest, "ecr:GetDownloadUrlForLayer": blob})
    steps = {"ecr:BatchCheckLayerAvailability": patient.ask("HEAD", f"{base}/blobs/{_NO_BLOB}", credential)}
    begun = steps["ecr:InitiateLayerUpload"] = patient.ask("POST", f"{base}/blobs/uploads/", credential, b"")
    if begun.status == 202:  # asked how far it is, and given up: the same rights as sending and finishing it
        where = urlsplit(begun.headers.get("Location", ""))
        upload = f"{where.path}{f'?{where.query}' if where.query else ''}"
        steps["ecr:UploadLayerPart"] = patient.ask("GET", upload, credential)
        steps["ecr:CompleteLayerUpload"] = patient.ask("DELETE", upload, credential)
    # Nothing can come of a manifest that is none; whether it would be taken is decided first.
    steps["ecr:PutImage"] = patient.ask("PUT", f"{base}/manifests/{_NO_TAG}", credential, b"{}")
    yield from _permitted(patient, "push", steps)


def _not_there(patient: Patient, said: Answer) -> Iterator[Finding]:
    if _code(said) == "NAME_INVALID":
        yield fail("no repository can have that name", f"moorage doctor --repository team/app {patient.host}")
        return
    line = f"aws ecr create-repository --repository-name {shlex.quote(str(patient.repository))}"
    if _makes_repositories(patient):
        yield ok(f"{patient.repository} is not there yet; the first push makes it")
    else:
        yield fail(f"there is no repository {patient.repository}", line)


def _makes_repositories(patient: Patient) -> bool:
    try:
        return patient.document("/_moorage/password", best(patient)).get("mode") == "dev"
    except EndpointError:
        return False


def _permitted(patient: Patient, what: str, answers: dict[str, Answer]) -> Iterator[Finding]:
    denied = {action: answer for action, answer in answers.items() if answer.status in {401, 403}}
    if not denied:
        yield ok(f"you may {what}")
    for action, answer in denied.items():
        decision = answer.headers.get("X-Moorage-Decision-Id", "")
        yield fail(
            f"you may not {what}: {action} is denied. {_message(answer)}",
            f"moorage why {decision}" if _DECISION.fullmatch(decision) else f"moorage login {patient.host}",
        )


def _code(answer: Answer) -> str:
    return _error(answer)[0]


def _message(answer: Answer) -> str:
    """What the server said; a HEAD can say it in a header only."""
    return _error(answer)[1] or answer.headers.get("X-Moorage-Reason", "")


def _error(answer: Answer) -> tuple[str, str]:
    """Code and message of the specification's error body; empty texts when it is none."""
    try:
        first = json.loads(answer.body)["errors"][0]
        return str(first["code"]), str(first["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return "", ""
