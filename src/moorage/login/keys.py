"""Where an access key comes from: environment, AWS profile, the file of `moorage init`, or dev mode's open key.

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
"""The key id that stands for the default account's root in `moorage dev`."""

_PROCESS_PATIENCE = 60.0  # seconds
_ID = "AWS_ACCESS_KEY_ID"
_SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a name
_HOLDS_A_KEY = frozenset({"aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url"})
"""Settings without which a profile says nothing of credentials."""


class Key(NamedTuple):
    """An access key as clients use it."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, secret=…)"


_NO_KEY = Key("", "")


class Role(NamedTuple):
    """A role to assume: by a key, or by the web identity token in `token_file`."""

    arn: str
    session: str | None = None
    token_file: str | None = None
    external_id: str | None = None
    seconds: str | None = None


class Found(NamedTuple):
    """A key, where it was found (in words), and how to find it there again.

    `reference` names the place and holds no secret: {"profile": name}, {"data": directory, "account": id},
    {"open": id} or {"environment": ""}. Region and endpoint are those of the place, if it has any. `roles` are assumed
    one after the other, the first with `key`, before anything is asked (`roles.assume`); a web identity has no key.
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
    """Return the key to use. Raises KeyNotFoundError where one is named, wholly or in part, and cannot be used.

    The first of: `profile`; `account` (see `account_key`); the environment; the profile that AWS_PROFILE names; the
    data directory's first key; the default profile; dev mode's open key. Within them the AWS CLI's rules hold: a
    profile that is named must exist, and a web identity in the environment goes before a profile that holds keys. A
    local key goes before the default profile because that one mostly belongs to Amazon.
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
    """The key at the place that `Found.reference` named; by `find_key` when it names none. KeyNotFoundError."""
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
    """The key of AWS_ACCESS_KEY_ID and its siblings, else the environment's web identity. KeyNotFoundError."""
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
    """What Kubernetes and CI platforms set: a role, and a file with the token that assumes it."""
    arn = environment.get("AWS_ROLE_ARN")
    if not arn:
        raise KeyNotFoundError(
            "Partial credentials found in env, missing: AWS_ROLE_ARN (AWS_WEB_IDENTITY_TOKEN_FILE is set)"
        )
    role = Role(arn, environment.get("AWS_ROLE_SESSION_NAME"), environment["AWS_WEB_IDENTITY_TOKEN_FILE"])
    return Found(_NO_KEY, "the environment (AWS_WEB_IDENTITY_TOKEN_FILE)", {"environment": ""}, roles=(role,))


def is_minted(key: Key) -> bool:
    """Does it look like a key that a server made? Every other key is open: its id says it all, and is no secret."""
    return key.id[:4].upper() in {"AKIA", "ASIA"}


def open_key(key_id: str) -> Found:
    """A key of dev mode: 12 digits are the root of that account, any word the root of the default one."""
    return Found(Key(key_id, "test"), f"the open key {key_id} of moorage dev", {"open": key_id})


def account_key(data: Path, account: str) -> Found:
    """The key of an account, when a person names it: the data directory's, else dev mode's open key.

    Raises KeyNotFoundError where `moorage init` made other accounts: an open key would be of no use there.
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
    """The key that `moorage init` left in the data directory for `account` (or its first one).

    Where `moorage dev` keeps its data, the open key of the default account.
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
    """The key under a section of a file in AWS's credentials format; None when there is none."""
    return _key_of(_sections(file).get(section, {}), str(file))


def profile_key(environment: Mapping[str, str], name: str) -> Found:
    """The key of a profile of the AWS CLI: written down in its files, printed by its `credential_process`, or the key
    that assumes its role (`source_profile`, `credential_source = Environment`, `web_identity_token_file`).

    Raises KeyNotFoundError.
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
    """The role of a profile, and what assumes it."""
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
    """The AWS CLI's credentials and config files."""
    home = Path(environment.get("HOME") or Path.home()) / ".aws"
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    config = environment.get("AWS_CONFIG_FILE") or home / "config"
    return Path(credentials).expanduser(), Path(config).expanduser()


def read_profile(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """What both files say of a profile; the credentials file wins. An ECR endpoint of its `services` section counts."""
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
    """A file of AWS's format; empty when there is none. Raises KeyNotFoundError: another key is no substitute."""
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
    """The key that a section holds; None when it holds none. KeyNotFoundError when it holds half of one."""
    if not section.get(_ID.lower()):
        return None
    if not section.get(_SECRET.lower()):
        raise KeyNotFoundError(f"Partial credentials found in {where}, missing: {_SECRET.lower()}")
    return Key(section[_ID.lower()], section[_SECRET.lower()], section.get("aws_session_token") or None)


def _key_of_process(command: str, name: str) -> Key:
    """What a `credential_process` prints (AWS's format, Version 1)."""
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
