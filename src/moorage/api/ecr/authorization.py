"""GetAuthorizationToken: the registry password (docs/development/ecr-behavior.md §7)."""

import base64

from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall
from moorage.names import AccountId


async def get_authorization_token(
    call: EcrCall, request: shapes.GetAuthorizationTokenRequest
) -> shapes.GetAuthorizationTokenResponse:
    services = call.services
    password, expires_at = await services.authenticator.issue_password(call.caller, call.region)
    token = base64.b64encode(f"AWS:{password}".encode()).decode()
    return shapes.GetAuthorizationTokenResponse(
        authorization_data=[
            shapes.AuthorizationData(
                authorization_token=token,
                expires_at=expires_at,
                proxy_endpoint=services.locations.proxy_endpoint(account, call.region, call.scheme, call.host),
            )
            for account in map(AccountId, request.registry_ids or (call.account,))
        ]
    )
