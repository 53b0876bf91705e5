"""AssumeRoleWithSAML, for an account that has no SAML provider: every valid request is refused.

The caller does not sign the request; the assertion of a provider that IAM knows would prove who it is.
"""

import base64
import binascii
from collections.abc import Mapping

from moorage.access.caller import Caller
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields
from moorage.api.sts.role_assumption import MOST_SECONDS
from moorage.api.sts.service import STS, StsCall, StsServices, the_role
from moorage.errors import QueryError


async def _no_provider(_services: StsServices, request: Parameters) -> Caller:
    """Raise ValidationError for fields that break the service model, else InvalidIdentityToken."""
    fields.role_arn_alone(request)
    fields.saml_provider(request)
    assertion = fields.saml_assertion(request)
    fields.seconds(request, MOST_SECONDS, MOST_SECONDS)
    fields.session_policies(request)
    try:
        base64.b64decode(assertion, validate=True)
    except binascii.Error as error:
        raise QueryError("InvalidIdentityToken", "Invalid base64 SAMLResponse") from error
    raise QueryError("InvalidIdentityToken", "Specified provider doesn't exist")


@STS.operation("AssumeRoleWithSAML", action="sts:AssumeRoleWithSAML", resource=the_role, authenticate=_no_provider)
async def assume_role_with_saml(_call: StsCall, _request: Parameters) -> Mapping[str, Value]:
    raise AssertionError("no caller proves an identity by SAML")
