"""The registry (account and region) that a host name or path names, and the URIs that lead to it.

Host headers: `<acct>.dkr.ecr.<region>.amazonaws.com[:port]`, `<acct>.dkr-ecr.<region>.on.aws`, the same forms under
`localhost` and under the configured hosts (`<acct>.dkr.ecr.<region>.localhost:4580`), and configured hosts that have
such a form themselves. Every other known host is the default account and region. Paths, on any host:
`<acct>/<region>/<repository>`; the path takes precedence over the host.

Dev mode accepts the names of AWS only if they, or `amazonaws.com`, are configured: its keys are open, and a web page
whose host name resolves to this machine must not reach them.
"""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from moorage.cache import Cache, entry_footprint
from moorage.names import (
    AccountId,
    InvalidNameError,
    Region,
    RepositoryRef,
    account_id,
    partition,
    region,
    repository_name,
)
from moorage.settings import Settings

_REGISTRY_HOST = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(.+)")
_API_HOST = re.compile(
    r"(?:(?:(?:api\.)?ecr|sts|tagging)\.[a-z0-9-]+|iam|sts)\.(amazonaws\.com|amazonaws\.com\.cn|localhost)"
)
_AWS_SUFFIXES = frozenset({"amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn"})
LONGEST_HOST: Final = 260
"""Characters of a Host header: a name has at most 253, a port 6."""
_KEPT: Final = 1 << 20
"""Bytes of each cache: of known hosts, and of the repositories that paths on them name."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
"""A Host header: a name or address, and a port (RFC 9110, section 7.2)."""
_PATH_FORM = re.compile(r"([0-9]{12})/([a-z]{2,}(?:-[a-z0-9]+)*-[0-9]{1,2})/(.+)")


class Location(NamedTuple):
    """A registry: an account in one region."""

    account: AccountId
    region: Region


class Locations:
    """Reads every host and path form of one deployment, by its settings."""

    def __init__(self, settings: Settings) -> None:
        self._default = Location(settings.default_account, settings.default_region)
        self._style = settings.style_of_uris
        self._public_url = settings.public_url.rstrip("/") if settings.public_url else None
        public_host = urlsplit(self._public_url).netloc if self._public_url else None
        self._public_host = public_host or None
        own = {_without_port(host.lower()) for host in settings.hosts}
        if self._public_host is not None:
            own.add(_without_port(self._public_host.lower()))
        if not _is_any_address(settings.host):
            own.add(settings.host.lower())
        self._own = frozenset(own)
        self._suffixes = frozenset({"localhost"} | own | (frozenset() if settings.dev else _AWS_SUFFIXES))
        # Unknown hosts and invalid names (which raise) are not cached.
        self._known: Cache[str, Location] = Cache("hosts", _KEPT, entry_footprint)
        self._resolved: Cache[tuple[str, str], RepositoryRef] = Cache("paths", _KEPT, entry_footprint)

    def known_host(self, host: str) -> bool:
        """Return whether this server serves that Host header (with or without a port)."""
        return self.find(host) is not None

    def of_host(self, host: str) -> Location:
        """Return the registry that a Host header names; the default one if it names none."""
        return self.find(host) or self._default

    def repository(self, host: str, path_name: str) -> RepositoryRef:
        """Return the repository that `/v2/<path_name>/…` on `host` names. Raise InvalidNameError."""
        ref = self._resolved.get((host, path_name))
        if ref is None:
            ref = self._resolve(host, path_name)
            self._resolved.keep((host, path_name), ref)
        return ref

    def _resolve(self, host: str, path_name: str) -> RepositoryRef:
        match = _PATH_FORM.fullmatch(path_name)
        if match is not None:
            return RepositoryRef(account_id(match[1]), region(match[2]), repository_name(match[3]))
        location = self.find(host) or self._default
        return RepositoryRef(location.account, location.region, repository_name(path_name))

    def source(self, host: str, text: str) -> RepositoryRef:
        """Return the repository that a mount's `from` names: as a path on `host`, or with one of this server's hosts in
        front.

        Raises InvalidNameError.
        """
        first, slash, rest = text.partition("/")
        # `a.b/c` is a valid repository name too: its first part is a host only if it is one of this server's.
        if slash and self.known_host(first):
            return self.repository(first, rest)
        return self.repository(host, text)

    @staticmethod
    def is_path_form(name: str) -> bool:
        """Return whether this repository name would be read as `<acct>/<region>/<repository>`. Such names cannot be
        created."""
        return _PATH_FORM.fullmatch(name) is not None

    def repository_uri(self, ref: RepositoryRef, host: str) -> str:
        """Return the argument for `docker push`: host and path without a scheme, in the deployment's URI style."""
        if self._style == "aws":
            return f"{_aws_host(ref.account, ref.region)}/{ref.name}"
        named = self._named_host(ref.account, ref.region, host) if self._style == "host" else None
        if named is not None:
            return f"{named}/{ref.name}"
        served = self._served_host(host)
        return f"{served}/{self.data_path(ref, served)}"

    def proxy_endpoint(self, account: AccountId, in_region: Region, scheme: str, host: str) -> str:
        """Return the URL of a registry for `docker login`."""
        if self._style == "aws":
            return f"https://{_aws_host(account, in_region)}"
        named = self._named_host(account, in_region, host) if self._style == "host" else None
        if named is not None:
            return f"{self._scheme(scheme)}://{named}"
        return self.base_url(scheme, host)

    def base_url(self, scheme: str, host: str) -> str:
        """Return the scheme and host of URLs for clients: those of the public URL, or of the request itself."""
        if self._style == "request" or self._public_url is None:
            return f"{scheme}://{host}"
        return self._public_url

    def data_path(self, ref: RepositoryRef, host: str) -> str:
        """Return the `<name>` of `/v2/<name>/…` that names `ref` on `host`: plain if the host names its registry, else
        in path form."""
        if self.of_host(host) == (ref.account, ref.region):
            return ref.name
        return f"{ref.account}/{ref.region}/{ref.name}"

    def _served_host(self, host: str) -> str:
        if self._style == "request" or self._public_host is None:
            return host
        return self._public_host

    def _scheme(self, scheme: str) -> str:
        return urlsplit(self._public_url).scheme if self._public_url else scheme

    def _named_host(self, account: str, in_region: str, host: str) -> str | None:
        """Return `<acct>.dkr.ecr.<region>.` in front of the host of this server; loopback addresses become localhost.

        Returns None if this server does not serve that name, because it is configured for the name of one registry
        only.
        """
        served = self._public_host or host
        name = _without_port(served)
        port = served[len(name) :]
        match = _REGISTRY_HOST.fullmatch(name)
        if match is not None:
            name = match[3]
        if _is_loopback(name):
            name = "localhost"
        named = f"{account}.dkr.ecr.{in_region}.{name}{port}"
        return named if self.known_host(named) else None

    def find(self, host: str) -> Location | None:
        """Return the registry of a known host (with or without a port); None if the host is unknown. Only known hosts
        are cached."""
        known = self._known.get(host)
        if known is None and len(host) <= LONGEST_HOST:
            known = self._read_host(host)
            if known is not None:
                self._known.keep(host, known)
        return known

    def _read_host(self, host: str) -> Location | None:
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return None
        name = match[1]
        own = name in self._own
        match = _REGISTRY_HOST.fullmatch(name)
        if match is not None and (own or match[3] in self._suffixes):
            try:
                return Location(account_id(match[1]), region(match[2]))
            except InvalidNameError:
                return self._default if own else None
        match = _API_HOST.fullmatch(name)
        if own or _is_loopback(name) or (match is not None and match[1] in self._suffixes):
            return self._default
        return None


def _without_port(host: str) -> str:
    """Return the name in a Host header: `[::1]:4580` → `[::1]`, `localhost:4580` → `localhost`."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_any_address(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


def _aws_host(account: str, in_region: str) -> str:
    suffix = "amazonaws.com.cn" if partition(Region(in_region)) == "aws-cn" else "amazonaws.com"
    return f"{account}.dkr.ecr.{in_region}.{suffix}"
