"""The service prefixes of AWS's actions, to tell the action of another service from a typing error.

They are the signing names of botocore's service models, and known prefixes that have no model. The list is not
complete: a prefix that is missing here gets a warning, and is never refused.
"""

from typing import Final

SERVICES: Final = frozenset(
    """
    access-analyzer account account-access acm acm-pca aco-automation agent-registry aidevops aiops airflow
    airflow-serverless amplify amplifybackend amplifyuibuilder aoss apigateway app-integrations appconfig
    appfabric appflow application-autoscaling application-cost-profiler application-signals applicationinsights
    appmesh appmesh-preview apprunner appstream appsync aps arc-region-switch arc-zonal-shift arsenal artifact
    athena auditmanager autoscaling autoscaling-plans aws-marketplace aws-marketplace-management aws-portal
    awsssoportal b2bi backup backup-gateway backup-search backup-storage batch bcm-dashboards bcm-data-exports
    bcm-pricing-calculator bcm-recommended-actions bedrock bedrock-agentcore billing billingconductor braket
    budgets cases cassandra ce chatbot chime cleanrooms cleanrooms-ml cloud9 cloudcontrolapi clouddirectory
    cloudformation cloudfront cloudfront-keyvaluestore cloudhsm cloudsearch cloudshell cloudtrail cloudtrail-data
    cloudwatch codeartifact codebuild codecatalyst codecommit codeconnections codedeploy codeguru-profiler
    codeguru-reviewer codeguru-security codepipeline codestar-connections codestar-notifications codewhisperer
    cognito-identity cognito-idp cognito-sync comprehend comprehendmedical compute-optimizer config connect
    connect-campaigns consoleapp consolidatedbilling continuum controlcatalog controltower cost-optimization-hub
    cur databrew dataexchange datapipeline datasync datazone dax dbqms deadline detective devicefarm devops-guru
    directconnect discovery dlm dms docdb-elastic drs ds ds-data dsql dynamodb ebs ec2 ec2-instance-connect
    ec2messages ecr ecr-public ecs eks eks-auth elastic-inference elasticache elasticbeanstalk elasticfilesystem
    elasticloadbalancing elasticmapreduce elemental-inference emr-containers emr-serverless emrwal
    end-user-messaging entityresolution es events evs execute-api firehose fis fms forecast frauddetector freertos
    freetier fsx gamelift gameliftstreams geo geo-maps geo-places geo-routes glacier globalaccelerator glue
    grafana greengrass groundstation guardduty health health-agent healthlake honeycode iam identitystore
    imagebuilder importexport inspector inspector-scan inspector2 interconnect internetmonitor invoicing iot
    iot-jobs-data iotdata iotdeviceadvisor iotfleetwise iotjobsdata iotmanagedintegrations iotsitewise
    iotthingsgraph iottwinmaker iotwireless iq ivs ivschat kafka kafkaconnect kendra kendra-ranking kinesis
    kinesisanalytics kinesisvideo kms lakeformation lambda launchwizard lex license-manager
    license-manager-linux-subscriptions license-manager-user-subscriptions lightsail logs lookoutequipment
    lookoutmetrics lookoutvision m2 machinelearning macie2 managedblockchain managedblockchain-query
    marketplacecommerceanalytics mechanicalturk mediaconnect mediaconvert medialive mediapackage mediapackage-vod
    mediapackagev2 mediastore mediatailor medical-imaging memorydb mgh mgn migrationhub-orchestrator
    migrationhub-strategy mobileanalytics mobilehub mobiletargeting mpa mq mturk-requester neptune-db
    neptune-graph network-firewall network-security-manager networkflowmonitor networkmanager networkmonitor
    nimble notifications notifications-contacts nova-act oam observabilityadmin odb omics opsworks organizations
    osis osm outposts panorama partnercentral partnercentral-account partnercentral-benefits
    partnercentral-channel partnercentral-selling payment-cryptography payments pca-connector-ad
    pca-connector-scep pcs personalize pi pipes polly pricing pricingplanmanager profile proton purchase-orders q
    qapps qbusiness qldb quicksight ram rbin rds rds-data rds-db redshift redshift-data redshift-serverless
    refactor-spaces rekognition repostspace resiliencehub resource-explorer resource-explorer-2 resource-groups
    robomaker rolesanywhere route53 route53-recovery-cluster route53-recovery-control-config
    route53-recovery-readiness route53domains route53globalresolver route53profiles route53resolver rtbfabric rum
    s3 s3-object-lambda s3-outposts s3express s3files s3tables s3vectors sagemaker sagemaker-geospatial
    savingsplans scheduler schemas scn sdb secretsmanager security-ir securityagent securityhub securitylake
    serverlessrepo servicecatalog servicediscovery servicequotas ses shield signer signin sms-voice
    snow-device-management snowball sns social-messaging sqlworkbench sqs ssm ssm-contacts ssm-guiconnect
    ssm-incidents ssm-quicksetup ssm-sap ssmmessages sso sso-directory sso-oauth states storagegateway sts
    sumerian support supportapp supportauthz supportplans sustainability swf synthetics tag tagging tax textract
    thinclient timestream timestream-influxdb transcribe transfer translate trustedadvisor user-subscriptions uxc
    vendor-insights verifiedpermissions voiceid vpc-lattice waf waf-regional wafv2 wam wellarchitected wickr
    wisdom workdocs worklink workmail workmailmessageflow workspaces workspaces-instances workspaces-web xray
    """.split()  # noqa: SIM905 - a paragraph reads better than four hundred lines
)


def is_service(prefix: str) -> bool:
    """Return whether AWS has a service of that prefix (in any case)."""
    return prefix.lower() in SERVICES
