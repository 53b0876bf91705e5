"""DescribeRegistry, GetAccountSetting, PutAccountSetting (docs/development/ecr-behavior.md §12)."""

from moorage.access.operations import Conditions
from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, by


async def describe_registry(call: EcrCall, _request: shapes.DescribeRegistryRequest) -> shapes.DescribeRegistryResponse:
    return shapes.DescribeRegistryResponse(
        registry_id=call.account, replication_configuration=shapes.ReplicationConfiguration(rules=[])
    )


def named_setting(
    _call: EcrCall, request: shapes.GetAccountSettingRequest | shapes.PutAccountSettingRequest
) -> Conditions:
    return {"ecr:accountsetting": request.name}


async def get_account_setting(
    call: EcrCall, request: shapes.GetAccountSettingRequest
) -> shapes.GetAccountSettingResponse:
    value = await call.services.registry.account_settings.get(call.account, call.region, request.name)
    return shapes.GetAccountSettingResponse(name=request.name, value=value)


async def put_account_setting(
    call: EcrCall, request: shapes.PutAccountSettingRequest
) -> shapes.PutAccountSettingResponse:
    await call.services.registry.account_settings.put(
        call.account, call.region, request.name, request.value, by=by(call)
    )
    return shapes.PutAccountSettingResponse(name=request.name, value=request.value)
