"""Checks of the AWS side: where the AWS CLI and SDKs send their calls, in which region, and as whom."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Target
from moorage.login.endpoint import Answer
from moorage.login.errors import DockerConfigError, EndpointError, KeyNotFoundError
from moorage.login.hosts import endpoint_of_environment, is_loopback, region_of
from moorage.login.keys import Found, read_profile

_UNKNOWN = {"UnrecognizedClientException", "InvalidClientTokenId"}
_WRONG = {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException"}
_LATE = {"RequestExpired", "RequestTimeTooSkewed"}


def endpoint(target: Target) -> Iterator[Finding]:
    """Check that the calls of the AWS CLI go to this server."""
    url = endpoint_of_environment(target.environment)
    fix = _environment_line(target)
    if target.environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true" and url:
        variable = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
        yield fail(f"{variable} makes the AWS CLI ignore AWS_ENDPOINT_URL", f"unset {variable}")
    elif url is None:
        key = target.key
        if isinstance(key, Found) and key.endpoint:
            yield ok(f"{key.source} sends calls to {key.endpoint}")
        else:
            yield warn("AWS_ENDPOINT_URL is not set: the AWS CLI here sends its calls to Amazon", fix)
    elif urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
        yield fail(f"AWS_ENDPOINT_URL is {url!r}, which is not a URL", fix)
    elif url.rstrip("/") != target.place.endpoint and not _same(url, target):
        yield warn(f"the AWS CLI sends its calls to {url}, not to {target.place.endpoint}", fix)
    elif urlsplit(url).netloc != target.host and is_loopback(target.host) and not _is_logged_in(target, url):
        there = urlsplit(url).netloc
        yield fail(
            f"the AWS CLI sends its calls to {there}, so repositoryUri begins with it, and docker is logged in to "
            f"{target.host} only: it stores logins by host name",
            f"export AWS_ENDPOINT_URL={target.registry_url}",
        )
    else:
        yield ok(f"the AWS CLI sends its calls to {url}")
    for service in ("ECR", "STS", "IAM"):
        other = target.environment.get(f"AWS_ENDPOINT_URL_{service}")
        if other and url and other != url and service != "ECR":
            yield warn(f"AWS_ENDPOINT_URL_{service} names another server, {other}", f"unset AWS_ENDPOINT_URL_{service}")


def _is_logged_in(target: Target, url: str) -> bool:
    """Return whether docker has a password for the host of `url`; True if docker's file cannot be read, which is
    reported elsewhere."""
    try:
        configuration = target.docker
        return isinstance(configuration, DockerConfigError) or (
            configuration.credential_of(urlsplit(url).netloc, target.environment) is not None
        )
    except DockerConfigError:
        return True


def _same(url: str, target: Target) -> bool:
    """Return whether both are names of this machine with the same port, and so the same server."""
    one, two = urlsplit(url), urlsplit(target.place.endpoint)
    both_here = is_loopback(one.netloc) and is_loopback(two.netloc)
    return both_here and (one.scheme, one.port) == (two.scheme, two.port)


def _environment_line(target: Target) -> str:
    if target.is_local and target.place.plain:
        return f'eval "$(moorage env --port {target.port})"'
    return f"export AWS_ENDPOINT_URL={target.place.endpoint}"


def region(target: Target) -> Iterator[Finding]:
    """Check that a region is set, and that it is the same everywhere and that of the host name."""
    environment = target.environment
    one, two, named = environment.get("AWS_REGION"), environment.get("AWS_DEFAULT_REGION"), region_of(target.host)
    taken = one or two or _region_of_profile(target)
    if one and two and one != two:
        text = f"AWS_REGION is {one}, AWS_DEFAULT_REGION is {two}, and clients differ in which one they use"
        yield warn(text, f"export AWS_DEFAULT_REGION={one}")
    elif taken is None:
        yield warn("no region is set, and the AWS CLI needs one", _region_line(target.region))
    elif named is not None and named != taken:
        yield warn(f"{target.host} is in {named}, the AWS CLI in {taken}", _region_line(named))
    elif one and not two and _region_of_profile(target) is None:
        text = "AWS_REGION is set, but version 1 of the AWS CLI and boto3 read AWS_DEFAULT_REGION"
        yield warn(text, f"export AWS_DEFAULT_REGION={one}")
    else:
        yield ok(f"region {taken}")


def _region_line(name: str) -> str:
    return f"export AWS_REGION={name} AWS_DEFAULT_REGION={name}"


def _region_of_profile(target: Target) -> str | None:
    name = target.profile or target.environment.get("AWS_PROFILE") or "default"
    try:
        return read_profile(target.environment, name).get("region")
    except KeyNotFoundError:
        return None


def key(target: Target) -> Iterator[Finding]:
    """Check that there is an access key, and that the server knows it."""
    found = target.key
    if isinstance(found, KeyNotFoundError):
        yield fail(str(found), f"aws configure --profile {target.profile or 'default'}")
        return
    if target.silence is not None:
        yield skip(f"{target.silence} (the key would be {found.source})")
        return
    try:
        arn = target.endpoint.identity(found.key)
    except EndpointError as error:
        yield _refused(target, found, error)
        return
    yield ok(f"{arn}, by {found.source}")


def _refused(target: Target, found: Found, error: EndpointError) -> Finding:
    key_id = found.key.id
    if error.code in _LATE or "Signature expired" in str(error) or "Signature not yet current" in str(error):
        return fail(f"the server refuses the time of the signature: {error}", _clock_line(target))
    if error.code in _UNKNOWN:
        return fail(f"the server does not know the key {key_id} of {found.source}", *_other_key(target, found))
    if error.code in _WRONG:
        return fail(f"the secret of {key_id} is wrong ({found.source})", *_other_key(target, found))
    if error.code in {"ExpiredToken", "ExpiredTokenException"}:
        return fail(f"the session of {key_id} has expired ({found.source})", *_other_key(target, found))
    if error.code == "answer":
        return warn(
            f"there is no STS at {target.place.endpoint}",
            f"moorage doctor {target.host} --endpoint-url https://YOUR-SERVER",
        )
    return fail(str(error), f"moorage login {target.host}")


def _clock_line(target: Target) -> str:
    """Return why the times differ: the clocks of the machines differ, or the time of a development server was set."""
    said = target.ping
    if isinstance(said, Answer) and said.clock is not None and abs(target.asked_at - said.clock) < 60:
        return f"""curl -X POST {target.place.endpoint}/_moorage/clock -d '{{"now": '$(date +%s)'}}'"""
    return "sudo timedatectl set-ntp true"


def _other_key(target: Target, found: Found) -> tuple[str, ...]:
    """Return how to get a key that works, by where this one was found."""
    if "profile" in found.reference:
        return (f"aws configure --profile {found.reference['profile']}",)
    if target.is_local and found.source.startswith("the environment"):
        return ("unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN", _environment_line(target))
    if target.is_local:
        return (f"cd WHERE-MOORAGE-DATA-IS && moorage doctor {target.host}   # moorage init stored a key there",)
    return (
        "aws configure --profile moorage   # with a key from an administrator",
        f"moorage doctor --profile moorage {target.host}",
    )
