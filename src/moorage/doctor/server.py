"""Checks of the server: whether it is Moorage, knows this host name and has the right time; and the disk of a local
server."""

import shutil
import time
from collections.abc import Iterator

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.network import owner_of, who_listens
from moorage.doctor.target import Target
from moorage.login.endpoint import Answer

_SKEW_REFUSED = 300.0  # seconds: the limit of SigV4, MOORAGE_CLOCK_SKEW_SECONDS
_SKEW_NOTED = 60.0
_LITTLE_SPACE = 1 << 30  # bytes
_LITTLE_SHARE = 0.05


def answer(target: Target) -> Iterator[Finding]:
    """Check that /v2/ is a registry, and that it is Moorage."""
    said = target.ping
    if not isinstance(said, Answer):
        # The earlier checks reported why there is no response, except for what only HTTP shows.
        yield fail(str(said)) if said.code == "answer" else skip(target.silence or "")
    elif said.status == 421:
        yield fail(
            f"the server does not serve the name {target.name}. On the server, add the name and restart",
            f"export MOORAGE_HOSTS={target.name}",
        )
    elif target.is_moorage:
        yield ok("it is Moorage")
    elif said.status in {200, 401}:
        yield warn(f"it is a registry, but not Moorage (Server: {said.headers.get('Server', 'unnamed')})")
    else:
        yield _somebody_else(target, said)


def _somebody_else(target: Target, said: Answer) -> Finding:
    server = said.headers.get("Server")
    text = f"the server is not a registry: /v2/ returned {said.status}{f' (Server: {server})' if server else ''}"
    if not target.is_local:
        return fail(f"{text}. Is this the right host and port?", f"curl -i {target.registry_url}/v2/")
    owner = owner_of(target.port)
    if owner is None:
        return fail(f"{text}. Find out which program it is", who_listens(target.port))
    text += f"; port {target.port} is used by {owner}. Use another"
    return fail(text, f"moorage dev --port {target.port + 1}")


def clock(target: Target) -> Iterator[Finding]:
    """Check that the two clocks agree: a signature that is more than five minutes off is refused."""
    said = target.ping
    if not isinstance(said, Answer) or said.clock is None:
        yield skip("the server sent no time")
        return
    off = target.asked_at - said.clock
    if abs(off) < _SKEW_NOTED:
        yield ok("both clocks agree")
        return
    text = f"this machine's clock is {_span(abs(off))} {'ahead of' if off > 0 else 'behind'} the server's"
    true = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(said.clock))
    fix = (
        ("sudo timedatectl set-ntp true   # on the one that is wrong",)
        if shutil.which("timedatectl")
        else (f"sudo date -u -s '{true}'   # if this one is wrong",)
    )
    if abs(off) < _SKEW_REFUSED:
        yield warn(f"{text}; beyond 5 minutes, signatures are refused", *fix)
    else:
        yield fail(f"{text}: signatures more than 5 minutes off are refused", *fix)


def disk(target: Target) -> Iterator[Finding]:
    """Check that a server of this machine has space left, and that its secrets are private."""
    if not target.is_local or not target.data.is_dir():
        return
    usage = shutil.disk_usage(target.data)
    free = usage.free / (1 << 30)
    if usage.free < _LITTLE_SPACE or usage.free < usage.total * _LITTLE_SHARE:
        found = fail if usage.free < _LITTLE_SPACE / 10 else warn
        yield found(
            f"{free:.1f} GiB are free on the disk of {target.data}; pushes need space. Find out what uses it",
            f"du -xh --max-depth=2 {target.data} | sort -h | tail",
        )
    else:
        yield ok(f"{free:.0f} GiB free for {target.data}")
    for secret in ("sealing.key", "credentials"):
        file = target.data / secret
        if file.exists() and file.stat().st_mode & 0o077:
            yield fail(f"others on this machine can read {file}", f"chmod 600 {file}")


def _span(seconds: float) -> str:
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.0f} days"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.0f} hours"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
