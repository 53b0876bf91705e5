"""Every operation of STS that is built, with its actions and the resource that they are decided on."""

from typing import Final

from moorage.api.authorization import AUTHENTICATED
from moorage.api.aws.operation import Operation, Service
from moorage.api.sts import assume_role, authorization_messages, callers, federation, saml, shapes, web_identity
from moorage.api.sts.service import StsServices, no_resource, the_role

OPERATIONS: Final = (
    Operation(
        "AssumeRole",
        assume_role.assume_role,
        assume_role.actions,
        assume_role.the_role_to_assume,
        assume_role.conditions,
    ),
    Operation(
        "AssumeRoleWithSAML",
        saml.assume_role_with_saml,
        "sts:AssumeRoleWithSAML",
        the_role,
        authenticate=saml.no_provider,
    ),
    Operation(
        "AssumeRoleWithWebIdentity",
        web_identity.assume_role_with_web_identity,
        web_identity.actions,
        the_role,
        web_identity.conditions,
        authenticate=web_identity.bearer,
    ),
    Operation(
        "DecodeAuthorizationMessage",
        authorization_messages.decode_authorization_message,
        "sts:DecodeAuthorizationMessage",
        no_resource,
    ),
    Operation("GetAccessKeyInfo", callers.get_access_key_info, "sts:GetAccessKeyInfo", no_resource),
    Operation("GetCallerIdentity", callers.get_caller_identity, AUTHENTICATED),
    Operation(
        "GetFederationToken",
        federation.get_federation_token,
        federation.actions,
        federation.federated_user,
        federation.conditions,
    ),
    Operation("GetSessionToken", callers.get_session_token, AUTHENTICATED),
)

STS: Final[Service[StsServices]] = Service("sts", "query", "2011-06-15", OPERATIONS, shapes.OPERATIONS)
