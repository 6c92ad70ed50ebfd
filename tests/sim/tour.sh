#!/bin/sh
# A tour of every call of the stand-in with an unchanged AWS CLI.
#
# Needs AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_CLOUDTRAIL to point at a running stand-in. Makes its
# own account, so that it may be run again on the same one. Exits 0 and prints one line if all is as expected.
set -eu

account=$(awk 'BEGIN { srand(); printf "%012d", 100000000000 + rand() * 899999999999 }')
other_account=$(awk 'BEGIN { srand(); printf "%012d", 999999999999 - rand() * 99999999999 }')
export AWS_DEFAULT_REGION=eu-west-1 AWS_SECRET_ACCESS_KEY=any AWS_ACCESS_KEY_ID="AKIA${account}ALICE" AWS_MAX_ATTEMPTS=1 AWS_PAGER=
unset AWS_SESSION_TOKEN AWS_PROFILE

ec2() { aws ec2 "$@" --output text; }
theirs() { AWS_ACCESS_KEY_ID="AKIA${other_account}BOB" aws ec2 "$@" --output text; }
is() { [ "$1" = "$2" ] || { echo "tour.sh: '$1' instead of '$2'" >&2; exit 1; }; }
fails() {
  code=$1
  shift
  if said=$(aws ec2 "$@" 2>&1); then echo "tour.sh: $* should have failed with $code" >&2; exit 1; fi
  case $said in *"($code)"*) ;; *) echo "tour.sh: $* said: $said" >&2; exit 1 ;; esac
}

is "$(aws sts get-caller-identity --query Account --output text)" "$account"
is "$(ec2 describe-regions --region-names eu-west-1 --query 'Regions[].RegionName')" eu-west-1

vpc=$(ec2 create-vpc --cidr-block 10.1.0.0/16 --query Vpc.VpcId)
vpc6=$(ec2 create-vpc --cidr-block 10.2.0.0/16 --amazon-provided-ipv6-cidr-block --query Vpc.VpcId)
ec2 associate-vpc-cidr-block --vpc-id "$vpc" --amazon-provided-ipv6-cidr-block > /dev/null
is "$(ec2 describe-vpcs --vpc-ids "$vpc6" --query 'length(Vpcs[0].Ipv6CidrBlockAssociationSet)')" 1

web=$(ec2 create-security-group --group-name web --description 'web tier' --vpc-id "$vpc" \
  --tag-specifications 'ResourceType=security-group,Tags=[{Key=team,Value=shop}]' --query GroupId)
db=$(ec2 create-security-group --group-name db --description data --vpc-id "$vpc" --query GroupId)
rule=$(ec2 authorize-security-group-ingress --group-id "$web" --query 'SecurityGroupRules[0].SecurityGroupRuleId' \
  --ip-permissions 'IpProtocol=6,FromPort=443,ToPort=443,IpRanges=[{CidrIp=10.9.0.18/24,Description=office}]')
ec2 authorize-security-group-ingress --group-id "$db" --protocol tcp --port 5432 --source-group "$web" > /dev/null
ec2 authorize-security-group-egress --group-id "$db" --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,IpRanges=[{CidrIp=10.0.0.2/32}]' > /dev/null
fails InvalidPermission.Duplicate authorize-security-group-ingress --group-id "$web" --protocol tcp --port 443 --cidr 10.9.0.0/24
fails DependencyViolation delete-security-group --group-id "$web"
ec2 modify-security-group-rules --group-id "$web" --security-group-rules \
  "SecurityGroupRuleId=$rule,SecurityGroupRule={IpProtocol=tcp,FromPort=8443,ToPort=8443,CidrIpv4=10.8.0.0/16,Description=moved}" > /dev/null
ec2 update-security-group-rule-descriptions-ingress --group-id "$web" \
  --security-group-rule-descriptions "SecurityGroupRuleId=$rule,Description=by id" > /dev/null
ec2 update-security-group-rule-descriptions-egress --group-id "$db" \
  --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,IpRanges=[{CidrIp=10.0.0.2/32,Description=resolver}]' > /dev/null
is "$(ec2 describe-security-group-rules --security-group-rule-ids "$rule" --query 'SecurityGroupRules[0].[CidrIpv4,FromPort,Description]')" \
  "$(printf '10.8.0.0/16\t8443\tby id')"
is "$(ec2 describe-security-groups --filters "Name=group-name,Values=we?" "Name=vpc-id,Values=$vpc" --query 'SecurityGroups[].GroupId')" "$web"
is "$(ec2 describe-security-groups --page-size 5 --query 'length(SecurityGroups)')" 5
ec2 revoke-security-group-egress --group-id "$db" --ip-permissions 'IpProtocol=udp,FromPort=53,ToPort=53,IpRanges=[{CidrIp=10.0.0.2/32}]' > /dev/null
ec2 revoke-security-group-ingress --group-id "$web" --security-group-rule-ids "$rule" > /dev/null
fails DryRunOperation delete-security-group --group-id "$db" --dry-run

ec2 create-tags --resources "$web" "$db" --tags Key=k,Value=v > /dev/null
is "$(ec2 describe-tags --filters Name=key,Values=k --query 'length(Tags)')" 2
ec2 delete-tags --resources "$web" --tags Key=k > /dev/null

subnet=$(ec2 create-subnet --vpc-id "$vpc" --cidr-block 10.1.1.0/24 --query Subnet.SubnetId)
is "$(ec2 describe-subnets --subnet-ids "$subnet" --query 'Subnets[0].CidrBlock')" 10.1.1.0/24
eni=$(ec2 create-network-interface --subnet-id "$subnet" --groups "$web" --query NetworkInterface.NetworkInterfaceId)
is "$(ec2 describe-network-interfaces --filters "Name=group-id,Values=$web" --query 'NetworkInterfaces[].NetworkInterfaceId')" "$eni"
ec2 modify-network-interface-attribute --network-interface-id "$eni" --groups "$db" > /dev/null
ec2 delete-network-interface --network-interface-id "$eni" > /dev/null
ec2 delete-subnet --subnet-id "$subnet" > /dev/null

list=$(ec2 create-managed-prefix-list --prefix-list-name office --address-family IPv4 --max-entries 5 \
  --entries Cidr=10.0.0.0/8,Description=all --query PrefixList.PrefixListId)
ec2 modify-managed-prefix-list --prefix-list-id "$list" --current-version 1 --add-entries Cidr=192.168.0.0/16 > /dev/null
is "$(ec2 get-managed-prefix-list-entries --prefix-list-id "$list" --query 'length(Entries)')" 2
ec2 get-managed-prefix-list-associations --prefix-list-id "$list" > /dev/null
ec2 restore-managed-prefix-list-version --prefix-list-id "$list" --previous-version 1 --current-version 2 > /dev/null
is "$(ec2 describe-managed-prefix-lists --prefix-list-ids "$list" --query 'PrefixLists[0].Version')" 3
ec2 delete-managed-prefix-list --prefix-list-id "$list" > /dev/null

their_vpc=$(theirs create-vpc --cidr-block 10.3.0.0/16 --query Vpc.VpcId)
peering=$(ec2 create-vpc-peering-connection --vpc-id "$vpc" --peer-vpc-id "$their_vpc" --peer-owner-id "$other_account" \
  --query VpcPeeringConnection.VpcPeeringConnectionId)
theirs accept-vpc-peering-connection --vpc-peering-connection-id "$peering" > /dev/null
is "$(ec2 describe-vpc-peering-connections --vpc-peering-connection-ids "$peering" --query 'VpcPeeringConnections[0].Status.Code')" active
far=$(theirs create-security-group --group-name far --description x --vpc-id "$their_vpc" --query GroupId)
ec2 authorize-security-group-ingress --group-id "$web" > /dev/null \
  --ip-permissions "IpProtocol=tcp,FromPort=22,ToPort=22,UserIdGroupPairs=[{GroupId=$far,UserId=$other_account}]"
is "$(theirs describe-security-group-references --group-id "$far" --query 'SecurityGroupReferenceSet[].ReferencingVpcId')" "$vpc"
ec2 delete-vpc-peering-connection --vpc-peering-connection-id "$peering" > /dev/null
is "$(ec2 describe-stale-security-groups --vpc-id "$vpc" --query 'StaleSecurityGroupSet[].GroupId')" "$web"
again=$(ec2 create-vpc-peering-connection --vpc-id "$vpc" --peer-vpc-id "$their_vpc" --peer-owner-id "$other_account" \
  --query VpcPeeringConnection.VpcPeeringConnectionId)
theirs reject-vpc-peering-connection --vpc-peering-connection-id "$again" > /dev/null

is "$(ec2 associate-security-group-vpc --group-id "$db" --vpc-id "$vpc6")" associating
is "$(ec2 describe-security-group-vpc-associations --filters "Name=group-id,Values=$db" --query 'SecurityGroupVpcAssociations[].State')" associated
is "$(ec2 get-security-groups-for-vpc --vpc-id "$vpc6" --filters "Name=group-id,Values=$db" --query 'SecurityGroupForVpcs[].PrimaryVpcId')" "$vpc"
is "$(ec2 disassociate-security-group-vpc --group-id "$db" --vpc-id "$vpc6")" disassociating

is "$(aws sts assume-role --role-arn "arn:aws:iam::$other_account:role/target" --role-session-name tour --query AssumedRoleUser.Arn --output text)" \
  "arn:aws:sts::$other_account:assumed-role/target/tour"
is "$(aws cloudtrail lookup-events --lookup-attributes "AttributeKey=ResourceName,AttributeValue=$db" --query 'Events[-1].EventName' --output text)" \
  CreateSecurityGroup

ec2 delete-security-group --group-id "$db" > /dev/null
ec2 delete-security-group --group-id "$web" > /dev/null
theirs delete-security-group --group-id "$far" > /dev/null
ec2 delete-vpc --vpc-id "$vpc"
ec2 delete-vpc --vpc-id "$vpc6"
theirs delete-vpc --vpc-id "$their_vpc"
fails InvalidGroup.NotFound describe-security-groups --group-ids "$web"
echo "tour of $AWS_ENDPOINT_URL_EC2 by the AWS CLI: all calls answered as expected"
