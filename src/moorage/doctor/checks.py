"""Every check by name, in the order in which a connection is made: the first failure explains those that follow."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from moorage.doctor import aws, docker, network, password, repository, server, tls
from moorage.doctor.finding import Finding
from moorage.doctor.target import Target

Check: TypeAlias = Callable[[Target], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "docker config": docker.config,
    "docker helper": docker.helpers,
    "proxy": network.proxy,
    "name": network.name,
    "port": network.port,
    "transport": tls.scheme,
    "certificate name": tls.names,
    "certificate dates": tls.dates,
    "certificate trust": tls.trust,
    "docker engine": docker.engine,
    "answer": server.answer,
    "clock": server.clock,
    "disk": server.disk,
    "AWS endpoint": aws.endpoint,
    "AWS region": aws.region,
    "access key": aws.key,
    "password": password.passwords,
    "repository": repository.repository,
}


class Named(NamedTuple):
    """A finding with the name of its check."""

    check: str
    finding: Finding


def examine(target: Target) -> Iterator[Named]:
    """Yield every finding as soon as it is made."""
    for name, check in CHECKS.items():
        for finding in check(target):
            yield Named(name, finding)
