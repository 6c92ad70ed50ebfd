#!/usr/bin/env python3
"""A tour of every call of the stand-in with an unchanged boto3.

Needs AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_CLOUDTRAIL to point at a running stand-in. Makes its
own account and VPCs, so that it may be run again on the same one. Exits 0 and prints one line if all is as expected.
"""

import os
import random

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "eu-west-1"
ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})


def client(service, account, name):
    return boto3.client(
        service,
        region_name=REGION,
        aws_access_key_id=f"AKIA{account}{name}",
        aws_secret_access_key="any",
        config=ONE_ATTEMPT,
    )


def refused(code, call, **params):
    """The call must fail with this code."""
    try:
        call(**params)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{call.__name__}: {got} instead of {code}"
        assert error.response["ResponseMetadata"]["RequestId"], "no request id"
        return error.response
    raise AssertionError(f"{call.__name__} should have failed with {code}")


def tcp(port, *cidrs, **more):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": c} for c in cidrs], **more}


def tags(resource_type, **pairs):
    return [{"ResourceType": resource_type, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


def main():
    account = f"{random.randrange(10**11, 10**12)}"
    other_account = f"{random.randrange(10**11, 10**12)}"
    ec2, theirs = client("ec2", account, "ALICE"), client("ec2", other_account, "BOB")
    sts, trail = client("sts", account, "ALICE"), client("cloudtrail", account, "ALICE")

    # Who am I, and where.
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:user/alice"
    assert REGION in [r["RegionName"] for r in ec2.describe_regions()["Regions"]]
    assert len(ec2.describe_regions(AllRegions=True)["Regions"]) > len(ec2.describe_regions()["Regions"])

    # VPCs and their default groups.
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=tags("vpc", Name="main"))["Vpc"]["VpcId"]
    vpc6 = ec2.create_vpc(CidrBlock="10.2.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["ma*"]}])["Vpcs"]
    assert [v["VpcId"] for v in found] == [vpc]
    ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)
    default = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc6]}])["SecurityGroups"][0]
    assert default["GroupName"] == "default" and len(default["IpPermissionsEgress"][0]["Ipv6Ranges"]) == 1
    refused("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"])

    # Groups.
    web = ec2.create_security_group(
        GroupName="web", Description="web tier", VpcId=vpc, TagSpecifications=tags("security-group", team="shop")
    )
    assert web["SecurityGroupArn"].endswith(web["GroupId"]) and web["Tags"] == [{"Key": "team", "Value": "shop"}]
    web = web["GroupId"]
    ec2.get_waiter("security_group_exists").wait(GroupIds=[web])
    db = ec2.create_security_group(GroupName="db", Description="data", VpcId=vpc)["GroupId"]
    refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="WEB", Description="x", VpcId=vpc)

    # Rules: both ways to name them, canonical forms, one row a rule against aggregation.
    made = ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            tcp(443, "100.68.0.18/18", "10.9.0.0/16", Ipv6Ranges=[{"CidrIpv6": "2001:DB8::/32", "Description": "six"}]),
            {"IpProtocol": "icmpv6", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ],
        TagSpecifications=tags("security-group-rule", kind="public"),
    )["SecurityGroupRules"]
    assert [r.get("CidrIpv4") for r in made] == ["100.68.0.0/18", "10.9.0.0/16", None, None]
    assert made[2]["CidrIpv6"] == "2001:db8::/32" and made[3]["FromPort"] == -1
    group = ec2.describe_security_groups(GroupIds=[web])["SecurityGroups"][0]
    assert len(group["IpPermissions"]) == 2 and len(group["IpPermissions"][0]["IpRanges"]) == 2
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [web]}])["SecurityGroupRules"]
    # The VPC had been given IPv6, so the group was born with both twins.
    assert len(rules) == 6, rules
    refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=web, IpPermissions=[tcp(443, "10.9.0.0/16")])
    ec2.authorize_security_group_ingress(GroupId=db, IpProtocol="tcp", FromPort=5432, ToPort=5432, CidrIp="10.1.0.0/16")
    ec2.authorize_security_group_egress(GroupId=db, IpPermissions=[tcp(443, "10.9.0.0/16")])
    ec2.authorize_security_group_ingress(
        GroupId=db, IpPermissions=[tcp(5432, UserIdGroupPairs=[{"GroupId": web, "Description": "web tier"}])]
    )
    refused("DependencyViolation", ec2.delete_security_group, GroupId=web)
    rule = made[0]["SecurityGroupRuleId"]
    ec2.modify_security_group_rules(
        GroupId=web,
        SecurityGroupRules=[
            {
                "SecurityGroupRuleId": rule,
                "SecurityGroupRule": {
                    "IpProtocol": "tcp", "FromPort": 8443, "ToPort": 8443, "CidrIpv4": "10.8.0.0/16", "Description": "moved",
                },
            }
        ],
    )
    ec2.update_security_group_rule_descriptions_ingress(
        GroupId=web, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rule, "Description": "by id"}]
    )
    shown = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"][0]
    assert (shown["FromPort"], shown["Description"], shown["Tags"]) == (8443, "by id", [{"Key": "kind", "Value": "public"}])
    ec2.update_security_group_rule_descriptions_egress(
        GroupId=db, IpPermissions=[tcp(443, IpRanges=[{"CidrIp": "10.9.0.0/16", "Description": "by permission"}])]
    )
    gone = ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[rule])
    assert gone["Return"] and gone["RevokedSecurityGroupRules"][0]["SecurityGroupRuleId"] == rule
    refused("InvalidPermission.NotFound", ec2.revoke_security_group_egress, GroupId=db, IpPermissions=[tcp(444, "10.9.0.0/16")])
    ec2.revoke_security_group_egress(GroupId=db, IpPermissions=[tcp(443, "10.9.0.0/16")])
    dry = refused("DryRunOperation", ec2.delete_security_group, GroupId=db, DryRun=True)
    assert dry["ResponseMetadata"]["HTTPStatusCode"] == 412

    # Pages, by boto3's own paginators.
    for n in range(12):
        ec2.create_security_group(GroupName=f"page-{n}", Description="x", VpcId=vpc6)
    pages = list(ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 5}))
    assert len(pages) > 2 and sum(len(p["SecurityGroups"]) for p in pages) >= 15
    pages = list(ec2.get_paginator("describe_security_group_rules").paginate(PaginationConfig={"PageSize": 5}))
    assert len({r["SecurityGroupRuleId"] for p in pages for r in p["SecurityGroupRules"]}) > 20

    # Tags.
    ec2.create_tags(Resources=[web, made[1]["SecurityGroupRuleId"]], Tags=[{"Key": "k", "Value": "v"}])
    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["k"]}])["Tags"]
    assert sorted(t["ResourceType"] for t in found) == ["security-group", "security-group-rule"]
    ec2.delete_tags(Resources=[web], Tags=[{"Key": "k"}])
    refused("InvalidParameterValue", ec2.create_tags, Resources=[web], Tags=[{"Key": "aws:x", "Value": "v"}])

    # Subnets and interfaces.
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24", AvailabilityZone=f"{REGION}b")["Subnet"]["SubnetId"]
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailabilityZone"] == f"{REGION}b"
    eni = ec2.create_network_interface(SubnetId=subnet, Groups=[web], Description="x")["NetworkInterface"]["NetworkInterfaceId"]
    used = ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [web]}])["NetworkInterfaces"]
    assert [i["NetworkInterfaceId"] for i in used] == [eni]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[db])
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.delete_subnet(SubnetId=subnet)

    # Prefix lists.
    lists = ec2.describe_managed_prefix_lists(Filters=[{"Name": "owner-id", "Values": ["AWS"]}])["PrefixLists"]
    assert any(x["PrefixListName"] == f"com.amazonaws.{REGION}.s3" for x in lists)
    plist = ec2.create_managed_prefix_list(
        PrefixListName="office", AddressFamily="IPv4", MaxEntries=10, Entries=[{"Cidr": "10.0.0.0/8", "Description": "all"}]
    )["PrefixList"]["PrefixListId"]
    ec2.modify_managed_prefix_list(PrefixListId=plist, CurrentVersion=1, AddEntries=[{"Cidr": "192.168.0.0/16"}])
    assert len(ec2.get_managed_prefix_list_entries(PrefixListId=plist)["Entries"]) == 2
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[tcp(80, PrefixListIds=[{"PrefixListId": plist}])])
    users = ec2.get_managed_prefix_list_associations(PrefixListId=plist)["PrefixListAssociations"]
    assert [u["ResourceId"] for u in users] == [web]
    ec2.restore_managed_prefix_list_version(PrefixListId=plist, PreviousVersion=1, CurrentVersion=2)
    ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=[tcp(80, PrefixListIds=[{"PrefixListId": plist}])])
    ec2.delete_managed_prefix_list(PrefixListId=plist)

    # References across accounts, and how they go stale.
    their_vpc = theirs.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"]
    ask = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=their_vpc, PeerOwnerId=other_account)
    peering = ask["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    theirs.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    status = ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[peering])["VpcPeeringConnections"][0]["Status"]
    assert status["Code"] == "active"
    far = theirs.create_security_group(GroupName="far", Description="x", VpcId=their_vpc)["GroupId"]
    pair = {"GroupId": far, "UserId": other_account}
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[tcp(22, UserIdGroupPairs=[pair])])
    references = theirs.describe_security_group_references(GroupId=[far])["SecurityGroupReferenceSet"]
    assert [r["ReferencingVpcId"] for r in references] == [vpc]
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    stale = ec2.describe_stale_security_groups(VpcId=vpc)["StaleSecurityGroupSet"]
    assert [s["GroupId"] for s in stale] == [web]
    again = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=their_vpc, PeerOwnerId=other_account)
    theirs.reject_vpc_peering_connection(VpcPeeringConnectionId=again["VpcPeeringConnection"]["VpcPeeringConnectionId"])

    # Groups lent to another VPC.
    lent = ec2.create_security_group(GroupName="lent", Description="x", VpcId=vpc)["GroupId"]
    assert ec2.associate_security_group_vpc(GroupId=lent, VpcId=vpc6)["State"] == "associating"
    usable = ec2.get_security_groups_for_vpc(VpcId=vpc6, Filters=[{"Name": "group-id", "Values": [lent]}])
    assert usable["SecurityGroupForVpcs"][0]["PrimaryVpcId"] == vpc
    held = ec2.describe_security_group_vpc_associations(Filters=[{"Name": "group-id", "Values": [lent]}])
    assert held["SecurityGroupVpcAssociations"][0]["State"] == "associated"
    refused("DependencyViolation", ec2.delete_security_group, GroupId=lent)
    assert ec2.disassociate_security_group_vpc(GroupId=lent, VpcId=vpc6)["State"] == "disassociating"

    # An assumed role reaches the other account.
    role = sts.assume_role(RoleArn=f"arn:aws:iam::{other_account}:role/target", RoleSessionName="tour")["Credentials"]
    assumed = boto3.client(
        "ec2",
        region_name=REGION,
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
        config=ONE_ATTEMPT,
    )
    assert [g["OwnerId"] for g in assumed.describe_security_groups(GroupIds=[far])["SecurityGroups"]] == [other_account]

    # What was done is on record.
    events = trail.lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": web}])["Events"]
    names = [e["EventName"] for e in events]
    assert names[-1] == "CreateSecurityGroup" and "ModifySecurityGroupRules" in names
    assert events[0]["Username"] == "alice" and events[0]["EventTime"] >= events[-1]["EventTime"]

    # And away with it.
    for group in (db, web, lent):
        assert ec2.delete_security_group(GroupId=group)["GroupId"] == group
    for group in ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["page-*"]}])["SecurityGroups"]:
        ec2.delete_security_group(GroupId=group["GroupId"])
    theirs.delete_security_group(GroupId=far)
    for owner, doomed in ((ec2, vpc), (ec2, vpc6), (theirs, their_vpc)):
        owner.delete_vpc(VpcId=doomed)
    refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[web])
    refused("InvalidAction", ec2.describe_instances)
    print(f"tour of {os.environ['AWS_ENDPOINT_URL_EC2']}: all calls answered as expected")


if __name__ == "__main__":
    main()
