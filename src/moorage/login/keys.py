"""Finds access keys: in the environment, in AWS profiles, in the file of `moorage init`, or dev mode's open key.

botocore has the same rules and is not used: importing it takes half a second, and docker starts the credential helper
for every command.
"""

import configparser
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from moorage.login.errors import KeyNotFoundError
from moorage.login.local import read_server

OPEN = "test"
"""The key id of the default account's root in `moorage dev`."""

_PROCESS_PATIENCE = 60.0  # seconds
_ID = "AWS_ACCESS_KEY_ID"
_SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a name
_HOLDS_A_KEY = frozenset({"aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url"})
"""Settings of which a profile needs one to have credentials."""


class Key(NamedTuple):
    """An access key for signing."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, secret=…)"


_NO_KEY = Key("", "")


class Role(NamedTuple):
    """A role to assume: with a key, or with the web identity token in `token_file`."""

    arn: str
    session: str | None = None
    token_file: str | None = None
    external_id: str | None = None
    seconds: str | None = None


class Found(NamedTuple):
    """A key, where it was found (in words), and how to find it there again.

    `reference` says where the key is stored and contains no secret: {"profile": name}, {"data": directory, "account":
    id}, {"open": id} or {"environment": ""}. Region and endpoint are those configured there, if any. `roles` are
    assumed one after the other, the first with `key`, before any call (`roles.assume`); a web identity has no key.
    """

    key: Key
    source: str
    reference: dict[str, str]
    region: str | None = None
    endpoint: str | None = None
    roles: tuple[Role, ...] = ()


def find_key(
    environment: Mapping[str, str], data: Path, *, profile: str | None = None, account: str | None = None
) -> Found:
    """Return the key to use. Raise KeyNotFoundError if one is named, wholly or in part, and cannot be used.

    The first of: `profile`; `account` (see `account_key`); the environment; the profile that AWS_PROFILE names; the
    first key of the data directory; the default profile; dev mode's open key. Otherwise the rules of the AWS CLI apply:
    a profile that is named must exist, and a web identity in the environment takes precedence over a profile with keys.
    A local key takes precedence over the default profile, which usually belongs to Amazon.
    """
    if profile is not None:
        return profile_key(environment, profile)
    if account is not None:
        return account_key(data, account)
    named = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    section = read_profile(environment, named) if named else {}
    if named and not section:
        raise _no_profile(named)
    if environment.get(_ID) or environment.get(_SECRET):
        return environment_key(environment)
    if named and "role_arn" in section:
        return profile_key(environment, named)
    if environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return _web_identity(environment)
    if named:
        return profile_key(environment, named)
    local = local_key(data, None)
    if local is not None:
        return local
    if not _HOLDS_A_KEY.isdisjoint(read_profile(environment, "default")):
        return profile_key(environment, "default")
    return open_key(OPEN)


def look_up(environment: Mapping[str, str], reference: Mapping[str, str]) -> Found:
    """Return the key that `Found.reference` names; without one, that of `find_key`. Raise KeyNotFoundError."""
    if "profile" in reference:
        return profile_key(environment, reference["profile"])
    if "data" in reference:
        account = reference.get("account")
        local = local_key(Path(reference["data"]), account)
        if local is None:
            raise KeyNotFoundError(f"there is no key of account {account} in {reference['data']}/credentials any more")
        return local
    if "open" in reference:
        return open_key(reference["open"])
    if "environment" in reference:
        return environment_key(environment)
    return find_key(environment, Path(environment.get("MOORAGE_DATA") or "moorage-data"))


def environment_key(environment: Mapping[str, str]) -> Found:
    """Return the key of AWS_ACCESS_KEY_ID and related variables, or the environment's web identity. Raise
    KeyNotFoundError."""
    key_id, secret = environment.get(_ID), environment.get(_SECRET)
    if not key_id and not secret and environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return _web_identity(environment)
    if not key_id or not secret:
        missing = ", ".join(name for name in (_ID, _SECRET) if not environment.get(name))
        raise KeyNotFoundError(
            f"Partial credentials found in env, missing: {missing}"
            if key_id or secret
            else f"{missing} are not set. Set them where docker runs, or use a profile"
        )
    key = Key(key_id, secret, environment.get("AWS_SESSION_TOKEN") or None)
    reference = {"environment": ""} if is_minted(key) else {"open": key.id}
    return Found(key, f"the environment ({_ID})", reference)


def _web_identity(environment: Mapping[str, str]) -> Found:
    """Return what Kubernetes and CI platforms set: a role, and a file with the token that assumes it."""
    arn = environment.get("AWS_ROLE_ARN")
    if not arn:
        raise KeyNotFoundError(
            "Partial credentials found in env, missing: AWS_ROLE_ARN (AWS_WEB_IDENTITY_TOKEN_FILE is set)"
        )
    role = Role(arn, environment.get("AWS_ROLE_SESSION_NAME"), environment["AWS_WEB_IDENTITY_TOKEN_FILE"])
    return Found(_NO_KEY, "the environment (AWS_WEB_IDENTITY_TOKEN_FILE)", {"environment": ""}, roles=(role,))


def is_minted(key: Key) -> bool:
    """Return whether it looks like a key that a server created. Every other key is open: its id is enough, and is no
    secret."""
    return key.id[:4].upper() in {"AKIA", "ASIA"}


def open_key(key_id: str) -> Found:
    """Return a key of dev mode: 12 digits are the root of that account, any other word is the root of the default
    account."""
    return Found(Key(key_id, "test"), f"the open key {key_id} of moorage dev", {"open": key_id})


def account_key(data: Path, account: str) -> Found:
    """Return the key of a named account: that of the data directory, or else dev mode's open key.

    Raises KeyNotFoundError if `moorage init` created other accounts: an open key does not work there.
    """
    local = local_key(data, account)
    if local is not None:
        return local
    here = [name for name in _sections(data / "credentials") if name != "default"]
    if here:
        raise KeyNotFoundError(
            f"{data / 'credentials'} has no key of account {account}; it has those of {', '.join(sorted(here))}. "
            f"Create the account with: moorage init --account {account}"
        )
    return open_key(account)


def local_key(data: Path, account: str | None) -> Found | None:
    """Return the key that `moorage init` stored in the data directory for `account` (or its first one).

    In the data directory of `moorage dev`, it is the open key of the default account.
    """
    file = data / "credentials"
    section = account or "default"
    key = read_key(file, section)
    if key is None:
        server = None if account is not None else read_server(data)
        return open_key(OPEN) if server is not None and server.mode == "dev" else None
    reference = {"data": str(data.resolve())} | ({} if account is None else {"account": account})
    return Found(key, f"{file} [{section}]", reference)


def read_key(file: Path, section: str) -> Key | None:
    """Return the key in a section of a file in AWS's credentials format; None if there is none."""
    return _key_of(_sections(file).get(section, {}), str(file))


def profile_key(environment: Mapping[str, str], name: str) -> Found:
    """Return the key of an AWS CLI profile: from its files, from its `credential_process`, or the key that assumes its
    role.

    Roles: `source_profile`, `credential_source = Environment`, `web_identity_token_file`. Raises KeyNotFoundError.
    """
    found = _profile(environment, name, ())
    return found._replace(source=f"profile {name} of the AWS CLI", reference={"profile": name})


def _profile(environment: Mapping[str, str], name: str, above: tuple[str, ...]) -> Found:
    """`above`: the profiles that name this one as their source."""
    profile = read_profile(environment, name)
    if not profile:
        raise _no_profile(name)
    place = (profile.get("region"), profile.get("endpoint_url"))
    if "role_arn" in profile and name not in above:
        below, role = _assuming(environment, name, profile, above)
        return Found(below.key, "", {}, place[0] or below.region, place[1] or below.endpoint, (*below.roles, role))
    key = _key_of(profile, f"profile {name}")
    if key is None and "credential_process" in profile:
        key = _key_of_process(profile["credential_process"], name)
    if key is None:
        raise KeyNotFoundError(_no_key(name))
    return Found(key, "", {}, *place)


def _assuming(
    environment: Mapping[str, str], name: str, profile: Mapping[str, str], above: tuple[str, ...]
) -> tuple[Found, Role]:
    """Return the role of a profile, and the key that assumes it."""
    role = Role(
        profile["role_arn"],
        profile.get("role_session_name"),
        profile.get("web_identity_token_file"),
        profile.get("external_id"),
        profile.get("duration_seconds"),
    )
    if "mfa_serial" in profile:
        raise KeyNotFoundError(_no_key(name))
    if role.token_file is not None:
        return Found(_NO_KEY, "", {}), role
    if profile.get("credential_source") == "Environment":
        return environment_key(environment), role
    if "source_profile" not in profile:
        raise KeyNotFoundError(
            f"Partial credentials found in assume-role, missing: source_profile (profile {name})"
            if "credential_source" not in profile
            else _no_key(name)
        )
    source = profile["source_profile"]
    if source in above:
        raise KeyNotFoundError(
            f"Infinite loop in credential configuration detected. Attempting to load from profile {source} which has "
            f"already been visited. Visited profiles: {', '.join((*above, name))}"
        )
    if not read_profile(environment, source):
        raise KeyNotFoundError(f'The source_profile "{source}" referenced in the profile "{name}" does not exist.')
    return _profile(environment, source, (*above, name)), role


def _no_profile(name: str) -> KeyNotFoundError:
    return KeyNotFoundError(
        f"The config profile ({name}) could not be found. Create it with: aws configure --profile {name}"
    )


def _no_key(name: str) -> str:
    return (
        f"profile {name} holds no key of its own, and only the AWS CLI can get it one (single sign-on, MFA?). "
        f'Take its present one with: eval "$(aws configure export-credentials --profile {name} --format env)"'
    )


def aws_files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the credentials and config files of the AWS CLI."""
    home = Path(environment.get("HOME") or Path.home()) / ".aws"
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    config = environment.get("AWS_CONFIG_FILE") or home / "config"
    return Path(credentials).expanduser(), Path(config).expanduser()


def read_profile(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the settings of a profile in both files; the credentials file wins. An ECR endpoint in its `services`
    section counts."""
    credentials, config = aws_files(environment)
    sections = _sections(config)
    found = dict(sections.get(name if name == "default" else f"profile {name}", {}))
    services = sections.get(f"services {found.get('services')}", {})
    for line in services.get("ecr", "").splitlines():
        setting, _, value = line.partition("=")
        if setting.strip() == "endpoint_url":
            found["endpoint_url"] = value.strip()
    return found | _sections(credentials).get(name, {})


def _sections(file: Path) -> dict[str, dict[str, str]]:
    """Read a file in AWS's format; a missing file is empty. Raise KeyNotFoundError: another key is no substitute."""
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        parser.read_string(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise KeyNotFoundError(f"{file} cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise KeyNotFoundError(f"{file} cannot be read as a credentials file: {' '.join(str(error).split())}") from None
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _key_of(section: Mapping[str, str], where: str) -> Key | None:
    """Return the key in a section; None if it has none. Raise KeyNotFoundError if it has half of one."""
    if not section.get(_ID.lower()):
        return None
    if not section.get(_SECRET.lower()):
        raise KeyNotFoundError(f"Partial credentials found in {where}, missing: {_SECRET.lower()}")
    return Key(section[_ID.lower()], section[_SECRET.lower()], section.get("aws_session_token") or None)


def _key_of_process(command: str, name: str) -> Key:
    """Return the key that a `credential_process` prints (AWS's format, Version 1)."""
    import shlex  # noqa: PLC0415 - the helper must start fast, and few profiles have one
    import subprocess  # noqa: PLC0415

    try:
        done = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, timeout=_PROCESS_PATIENCE, check=True, text=True
        )
        said = json.loads(done.stdout)
        return Key(said["AccessKeyId"], said["SecretAccessKey"], said.get("SessionToken"))
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        raise KeyNotFoundError(
            f"the credential_process of profile {name} gave no key ({type(error).__name__})"
        ) from None
