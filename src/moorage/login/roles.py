"""Assumes the roles that a profile or the environment names, as the AWS CLI does, at the registry's STS."""

import time
from pathlib import Path

from moorage.login.endpoint import Endpoint
from moorage.login.errors import KeyNotFoundError
from moorage.login.keys import Found, Key, Role


def assume(found: Found, endpoint: Endpoint) -> Found:
    """Return `found` with the key of the assumed role's session; unchanged if it names no roles.

    Raises KeyNotFoundError if a token cannot be read, and EndpointError if STS refuses.
    """
    for role in found.roles:
        found = found._replace(key=_assume(role, found.key, endpoint))
    return found._replace(roles=())


def _assume(role: Role, key: Key, endpoint: Endpoint) -> Key:
    asked = {"RoleArn": role.arn, "RoleSessionName": role.session or f"moorage-{int(time.time())}"}
    asked |= {} if role.seconds is None else {"DurationSeconds": role.seconds}
    if role.token_file is None:
        asked |= {} if role.external_id is None else {"ExternalId": role.external_id}
        return endpoint.session(key, "AssumeRole", asked)
    try:
        token = Path(role.token_file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyNotFoundError(f"the web identity token {role.token_file} cannot be read: {error}") from None
    return endpoint.session(None, "AssumeRoleWithWebIdentity", asked | {"WebIdentityToken": token.strip()})
