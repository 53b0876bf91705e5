"""DescribeRegistry, GetAccountSetting, PutAccountSetting (docs/development/ecr-behavior.md §12)."""

from moorage.access.operations import Conditions
from moorage.api.ecr import shapes
from moorage.api.ecr.service import ECR, EcrCall, no_resource


@ECR.operation("DescribeRegistry", action="ecr:DescribeRegistry", resource=no_resource)
async def describe_registry(call: EcrCall, _request: shapes.DescribeRegistryRequest) -> shapes.DescribeRegistryResponse:
    return shapes.DescribeRegistryResponse(
        registry_id=call.account, replication_configuration=shapes.ReplicationConfiguration(rules=[])
    )


def _setting(_call: EcrCall, request: shapes.GetAccountSettingRequest | shapes.PutAccountSettingRequest) -> Conditions:
    return {"ecr:accountsetting": request.name}


@ECR.operation("GetAccountSetting", action="ecr:GetAccountSetting", resource=no_resource, conditions=_setting)
async def get_account_setting(
    call: EcrCall, request: shapes.GetAccountSettingRequest
) -> shapes.GetAccountSettingResponse:
    value = await call.services.registry.settings.get(call.account, call.region, request.name)
    return shapes.GetAccountSettingResponse(name=request.name, value=value)


@ECR.operation("PutAccountSetting", action="ecr:PutAccountSetting", resource=no_resource, conditions=_setting)
async def put_account_setting(
    call: EcrCall, request: shapes.PutAccountSettingRequest
) -> shapes.PutAccountSettingResponse:
    await call.services.registry.settings.put(call.account, call.region, request.name, request.value)
    return shapes.PutAccountSettingResponse(name=request.name, value=request.value)
