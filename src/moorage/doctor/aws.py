"""The AWS side: where do the AWS CLI and SDKs send their calls, in which region, and as whom?"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Patient
from moorage.login.endpoint import Answer
from moorage.login.errors import DockerConfigError, EndpointError, KeyNotFoundError
from moorage.login.hosts import endpoint_of_environment, is_loopback, region_of
from moorage.login.keys import Found, read_profile

_UNKNOWN = {"UnrecognizedClientException", "InvalidClientTokenId"}
_WRONG = {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException"}
_LATE = {"RequestExpired", "RequestTimeTooSkewed"}


def endpoint(patient: Patient) -> Iterator[Finding]:
    """The AWS CLI's calls go to this server."""
    url = endpoint_of_environment(patient.environment)
    fix = _environment_line(patient)
    if patient.environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true" and url:
        variable = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
        yield fail(f"{variable} makes AWS_ENDPOINT_URL of no effect", f"unset {variable}")
    elif url is None:
        key = patient.key
        if isinstance(key, Found) and key.endpoint:
            yield ok(f"{key.source} sends calls to {key.endpoint}")
        else:
            yield warn("AWS_ENDPOINT_URL is not set: the AWS CLI here speaks to Amazon itself", fix)
    elif urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
        yield fail(f"AWS_ENDPOINT_URL is {url!r}, which is no URL", fix)
    elif url.rstrip("/") != patient.place.endpoint and not _same(url, patient):
        yield warn(f"the AWS CLI speaks to {url}, not to {patient.place.endpoint}", fix)
    elif urlsplit(url).netloc != patient.host and is_loopback(patient.host) and not _is_logged_in(patient, url):
        there = urlsplit(url).netloc
        yield fail(
            f"the AWS CLI speaks to {there}, so repositoryUri begins with it, and docker is logged in to "
            f"{patient.host} only: it keeps logins by the letters of the name",
            f"export AWS_ENDPOINT_URL={patient.registry_url}",
        )
    else:
        yield ok(f"the AWS CLI speaks to {url}")
    for service in ("ECR", "STS", "IAM"):
        other = patient.environment.get(f"AWS_ENDPOINT_URL_{service}")
        if other and url and other != url and service != "ECR":
            yield warn(f"AWS_ENDPOINT_URL_{service} is another server, {other}", f"unset AWS_ENDPOINT_URL_{service}")


def _is_logged_in(patient: Patient, url: str) -> bool:
    """Does docker hold a password for the host of `url`? Without its file nothing is known, and nothing is wrong."""
    try:
        configuration = patient.docker
        return isinstance(configuration, DockerConfigError) or (
            configuration.credential_of(urlsplit(url).netloc, patient.environment) is not None
        )
    except DockerConfigError:
        return True


def _same(url: str, patient: Patient) -> bool:
    """Two names of this machine and one port are the same server."""
    one, two = urlsplit(url), urlsplit(patient.place.endpoint)
    both_here = is_loopback(one.netloc) and is_loopback(two.netloc)
    return both_here and (one.scheme, one.port) == (two.scheme, two.port)


def _environment_line(patient: Patient) -> str:
    if patient.is_local and patient.place.plain:
        return f'eval "$(moorage env --port {patient.port})"'
    return f"export AWS_ENDPOINT_URL={patient.place.endpoint}"


def region(patient: Patient) -> Iterator[Finding]:
    """A region is set, the same for all, and that of the host name."""
    environment = patient.environment
    one, two, named = environment.get("AWS_REGION"), environment.get("AWS_DEFAULT_REGION"), region_of(patient.host)
    taken = one or two or _region_of_profile(patient)
    if one and two and one != two:
        text = f"AWS_REGION is {one}, AWS_DEFAULT_REGION is {two}, and not every client takes the same"
        yield warn(text, f"export AWS_DEFAULT_REGION={one}")
    elif taken is None:
        yield warn("no region is set, and the AWS CLI will not start without", _region_line(patient.region))
    elif named is not None and named != taken:
        yield warn(f"{patient.host} is in {named}, the AWS CLI in {taken}", _region_line(named))
    elif one and not two and _region_of_profile(patient) is None:
        text = "AWS_REGION is set, but version 1 of the AWS CLI and boto3 read AWS_DEFAULT_REGION"
        yield warn(text, f"export AWS_DEFAULT_REGION={one}")
    else:
        yield ok(f"region {taken}")


def _region_line(name: str) -> str:
    return f"export AWS_REGION={name} AWS_DEFAULT_REGION={name}"


def _region_of_profile(patient: Patient) -> str | None:
    name = patient.profile or patient.environment.get("AWS_PROFILE") or "default"
    try:
        return read_profile(patient.environment, name).get("region")
    except KeyNotFoundError:
        return None


def key(patient: Patient) -> Iterator[Finding]:
    """There is an access key, and the server knows it."""
    found = patient.key
    if isinstance(found, KeyNotFoundError):
        yield fail(str(found), f"aws configure --profile {patient.profile or 'default'}")
        return
    if patient.silence is not None:
        yield skip(f"{patient.silence} (the key would be {found.source})")
        return
    try:
        arn = patient.endpoint.identity(found.key)
    except EndpointError as error:
        yield _refused(patient, found, error)
        return
    yield ok(f"{arn}, by {found.source}")


def _refused(patient: Patient, found: Found, error: EndpointError) -> Finding:
    key_id = found.key.id
    if error.code in _LATE or "Signature expired" in str(error) or "Signature not yet current" in str(error):
        return fail(f"the server finds the signature too old or too young: {error}", _clock_line(patient))
    if error.code in _UNKNOWN:
        return fail(f"the server does not know the key {key_id} of {found.source}", *_other_key(patient, found))
    if error.code in _WRONG:
        return fail(f"the secret of {key_id} is not the right one ({found.source})", *_other_key(patient, found))
    if error.code in {"ExpiredToken", "ExpiredTokenException"}:
        return fail(f"the session of {key_id} has ended ({found.source})", *_other_key(patient, found))
    if error.code == "answer":
        return warn(
            f"no STS answers at {patient.place.endpoint}",
            f"moorage doctor {patient.host} --endpoint-url https://YOUR-SERVER",
        )
    return fail(str(error), f"moorage login {patient.host}")


def _clock_line(patient: Patient) -> str:
    """The machines' clocks are apart; or they agree, and a development server was told another time."""
    said = patient.ping
    if isinstance(said, Answer) and said.clock is not None and abs(patient.asked_at - said.clock) < 60:
        return f"""curl -X POST {patient.place.endpoint}/_moorage/clock -d '{{"now": '$(date +%s)'}}'"""
    return "sudo timedatectl set-ntp true"


def _other_key(patient: Patient, found: Found) -> tuple[str, ...]:
    """How to come by a key that works, from where this one was found."""
    if "profile" in found.reference:
        return (f"aws configure --profile {found.reference['profile']}",)
    if patient.is_local and found.source.startswith("the environment"):
        return ("unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN", _environment_line(patient))
    if patient.is_local:
        return (f"cd WHERE-MOORAGE-DATA-IS && moorage doctor {patient.host}   # moorage init left a key there",)
    return (
        "aws configure --profile moorage   # with a key that an administrator made",
        f"moorage doctor --profile moorage {patient.host}",
    )
