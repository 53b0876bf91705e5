"""AssumeRoleWithSAML, for an account that has no SAML provider: every valid request is refused.

The caller does not sign the request; the assertion of a provider that IAM knows would prove who it is.
"""

import base64
import binascii
from typing import NoReturn

from moorage.api.sts import shapes
from moorage.api.sts.service import StsCall, StsServices
from moorage.api.sts.session_parameters import role_arn, session_policies
from moorage.errors import QueryError


async def no_provider(_services: StsServices, request: shapes.AssumeRoleWithSAMLRequest) -> NoReturn:
    """Raise QueryError: for invalid parameters, else InvalidIdentityToken."""
    role_arn(request.role_arn)
    session_policies(request.policy, request.policy_arns)
    try:
        base64.b64decode(request.saml_assertion, validate=True)
    except binascii.Error as error:
        raise QueryError("InvalidIdentityToken", "Invalid base64 SAMLResponse") from error
    raise QueryError("InvalidIdentityToken", "Specified provider doesn't exist")


async def assume_role_with_saml(_call: StsCall, _request: shapes.AssumeRoleWithSAMLRequest) -> NoReturn:
    raise AssertionError("no caller proves an identity by SAML")
