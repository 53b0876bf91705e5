"""The STS service: what its operations may use."""

from dataclasses import dataclass
from typing import TypeAlias

from moorage.api.aws.operation import Call, Service
from moorage.clock import Clock
from moorage.identity.identity import Identity


@dataclass(frozen=True, slots=True)
class StsServices:
    """Everything an STS operation may use, as `call.services`."""

    identity: Identity
    clock: Clock


StsCall: TypeAlias = Call[StsServices]

STS: Service[StsServices] = Service("sts", "query", "2011-06-15")
