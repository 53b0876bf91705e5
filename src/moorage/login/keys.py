"""Where an access key comes from: environment, AWS profile, the file of `moorage init`, or dev mode's open key."""

import configparser
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from moorage.login.errors import KeyNotFoundError

OPEN = "test"
"""The key id that stands for the default account's root in `moorage dev`."""

_PROCESS_PATIENCE = 60.0  # seconds


class Key(NamedTuple):
    """An access key as clients use it."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, secret=…)"


class Found(NamedTuple):
    """A key, where it was found (in words), and how to find it there again.

    `reference` names the place and holds no secret: {"profile": name}, {"data": directory, "account": id},
    {"open": id} or {"environment": ""}. Region and endpoint are those of the place, if it has any.
    """

    key: Key
    source: str
    reference: dict[str, str]
    region: str | None = None
    endpoint: str | None = None


def find_key(
    environment: Mapping[str, str], data: Path, *, profile: str | None = None, account: str | None = None
) -> Found:
    """The key to use, in this order: `profile`; `account` (its local key, else its open key); the environment; the
    profile that AWS_PROFILE names; the data directory's first key; the default profile; dev mode's open key.

    A local key goes before the default profile because that one mostly belongs to Amazon. KeyNotFoundError.
    """
    if profile is not None:
        return profile_key(environment, profile)
    if account is not None:
        return local_key(data, account) or open_key(account)
    if "AWS_ACCESS_KEY_ID" in environment and "AWS_SECRET_ACCESS_KEY" in environment:
        return environment_key(environment)
    named = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    if named:
        return profile_key(environment, named)
    local = local_key(data, None)
    if local is not None:
        return local
    if read_profile(environment, "default"):
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
    """The key of AWS_ACCESS_KEY_ID and its siblings."""
    try:
        key = Key(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    except KeyError as error:
        raise KeyNotFoundError(f"{error.args[0]} is not set. Set it where docker runs, or use a profile") from None
    key = key._replace(token=environment.get("AWS_SESSION_TOKEN") or None)
    reference = {"environment": ""} if is_minted(key) else {"open": key.id}
    return Found(key, "the environment (AWS_ACCESS_KEY_ID)", reference)


def is_minted(key: Key) -> bool:
    """Does it look like a key that a server made? Every other key is open: its id says it all, and is no secret."""
    return key.id[:4].upper() in {"AKIA", "ASIA"}


def open_key(key_id: str) -> Found:
    """A key of dev mode: 12 digits are the root of that account, any word the root of the default one."""
    return Found(Key(key_id, "test"), f"the open key {key_id} of moorage dev", {"open": key_id})


def local_key(data: Path, account: str | None) -> Found | None:
    """The key that `moorage init` left in the data directory for `account` (or its first one)."""
    file = data / "credentials"
    section = account or "default"
    key = read_key(file, section)
    if key is None:
        return None
    reference = {"data": str(data.resolve())} | ({} if account is None else {"account": account})
    return Found(key, f"{file} [{section}]", reference)


def read_key(file: Path, section: str) -> Key | None:
    """The key under a section of a file in AWS's credentials format; None when there is none."""
    return _key_of(_sections(file).get(section, {}))


def profile_key(environment: Mapping[str, str], name: str) -> Found:
    """The key of a profile of the AWS CLI: written down in its files, or told by its `credential_process`."""
    credentials, config = aws_files(environment)
    profile = read_profile(environment, name)
    if not profile:
        raise KeyNotFoundError(
            f"there is no profile {name} in {credentials} or {config}. Make it with: aws configure --profile {name}"
        )
    key = _key_of(profile)
    if key is None and "credential_process" in profile:
        key = _key_of_process(profile["credential_process"], name)
    if key is None:
        raise KeyNotFoundError(
            f"profile {name} holds no key of its own (a role or single sign-on?). "
            f'Take its present one with: eval "$(aws configure export-credentials --profile {name} --format env)"'
        )
    return Found(
        key, f"profile {name} of the AWS CLI", {"profile": name}, profile.get("region"), profile.get("endpoint_url")
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
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        parser.read_string(file.read_text())
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        raise KeyNotFoundError(f"{file} cannot be read as a credentials file: {' '.join(str(error).split())}") from None
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _key_of(section: Mapping[str, str]) -> Key | None:
    if "aws_access_key_id" not in section or "aws_secret_access_key" not in section:
        return None
    return Key(section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token") or None)


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
