//! The one error type of the world, and a constructor for every code it answers with.
//!
//! Entry point: [`ApiError`]. Codes and messages follow EC2's published error list and messages seen in the field.
//!
//! Invariant: an error code is spelled in this file only; the rest of the world names constructors.

use std::fmt::Display;

/// A refusal as EC2 words it: code, message and HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// EC2's error code, without the `Client.` or `Server.` prefix that `CloudTrail` adds.
    pub code: String,
    /// The message for people.
    pub message: String,
    /// The HTTP status it travels with.
    pub status: u16,
}

impl ApiError {
    /// An error of any code; client errors of EC2 are status 400.
    pub fn new(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status }
    }
}

fn client(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, 400, message)
}

pub(crate) fn dry_run() -> ApiError {
    ApiError::new("DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set.")
}

pub(crate) fn throttled(account: impl Display, action: &str) -> ApiError {
    ApiError::new(
        "RequestLimitExceeded",
        503,
        format!(
            "Request limit exceeded. Account {account} has been throttled on ec2:{action} because it exceeded its request rate limit."
        ),
    )
}

pub(crate) fn missing(parameter: &str) -> ApiError {
    client("MissingParameter", format!("The request must contain the parameter {parameter}"))
}

pub(crate) fn missing_because(message: impl Into<String>) -> ApiError {
    client("MissingParameter", message)
}

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    client("InvalidParameterValue", message)
}

pub(crate) fn combination(message: impl Into<String>) -> ApiError {
    client("InvalidParameterCombination", message)
}

pub(crate) fn unsupported(message: impl Into<String>) -> ApiError {
    client("UnsupportedOperation", message)
}

pub(crate) fn not_permitted(message: impl Into<String>) -> ApiError {
    client("OperationNotPermitted", message)
}

/// `kind` is the word in the code (`GroupId`), `prefix` what the id should begin with (`sg`).
pub(crate) fn malformed_id(kind: &str, prefix: &str, id: &str) -> ApiError {
    client(&format!("Invalid{kind}.Malformed"), format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")"))
}

pub(crate) fn not_found(kind: &str, noun: &str, id: impl Display) -> ApiError {
    client(&format!("Invalid{kind}.NotFound"), format!("The {noun} '{id}' does not exist"))
}

pub(crate) fn no_group(id: impl Display) -> ApiError {
    not_found("Group", "security group", id)
}

pub(crate) fn no_named_group(name: &str, vpc: impl Display) -> ApiError {
    client("InvalidGroup.NotFound", format!("The security group '{name}' does not exist in default VPC '{vpc}'"))
}

pub(crate) fn different_networks() -> ApiError {
    client("InvalidGroup.NotFound", "You have specified two resources that belong to different networks")
}

pub(crate) fn no_rule(id: impl Display) -> ApiError {
    not_found("SecurityGroupRuleId", "security group rule ID", id)
}

pub(crate) fn no_vpc(id: impl Display) -> ApiError {
    not_found("VpcID", "vpc ID", id)
}

pub(crate) fn no_subnet(id: impl Display) -> ApiError {
    not_found("SubnetID", "subnet ID", id)
}

pub(crate) fn no_interface(id: impl Display) -> ApiError {
    not_found("NetworkInterfaceID", "networkInterface ID", id)
}

pub(crate) fn no_prefix_list(id: impl Display) -> ApiError {
    not_found("PrefixListID", "prefix list ID", id)
}

pub(crate) fn no_peering(id: impl Display) -> ApiError {
    not_found("VpcPeeringConnectionID", "vpcPeeringConnection ID", id)
}

pub(crate) fn no_default_vpc() -> ApiError {
    client("VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.")
}

pub(crate) fn group_exists(name: &str, vpc: impl Display) -> ApiError {
    client("InvalidGroup.Duplicate", format!("The security group '{name}' already exists for VPC '{vpc}'"))
}

pub(crate) fn reserved_name(name: &str) -> ApiError {
    client("InvalidGroup.Reserved", format!("Cannot use reserved security group name: {name}"))
}

pub(crate) fn cannot_delete(group: impl Display, name: &str) -> ApiError {
    client("CannotDelete", format!("the specified group: \"{group}\" name: \"{name}\" cannot be deleted by a user"))
}

pub(crate) fn depended_on(resource: impl Display) -> ApiError {
    client("DependencyViolation", format!("resource {resource} has a dependent object"))
}

pub(crate) fn has_dependencies(noun: &str, id: impl Display) -> ApiError {
    client("DependencyViolation", format!("The {noun} '{id}' has dependencies and cannot be deleted."))
}

pub(crate) fn rule_exists(rule: &str) -> ApiError {
    client("InvalidPermission.Duplicate", format!("the specified rule \"{rule}\" already exists"))
}

pub(crate) fn repeated_permission() -> ApiError {
    invalid("The same permission must not appear multiple times")
}

pub(crate) fn no_permission() -> ApiError {
    client("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

pub(crate) fn too_many_rules() -> ApiError {
    client("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
}

pub(crate) fn too_many_groups() -> ApiError {
    client("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
}

pub(crate) fn too_many_groups_on_interface() -> ApiError {
    client("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
}

pub(crate) fn too_many_tags() -> ApiError {
    client("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
}

pub(crate) fn bad_filter(name: &str) -> ApiError {
    client("InvalidFilter", format!("The filter '{name}' is invalid"))
}

pub(crate) fn too_many_filters(message: impl Into<String>) -> ApiError {
    client("FilterLimitExceeded", message)
}

pub(crate) fn bad_max_results(value: i64, low: usize, high: usize) -> ApiError {
    client(
        "InvalidMaxResults",
        format!("Value ( {value} ) for parameter maxResults is invalid. Expecting a value from {low} to {high}."),
    )
}

pub(crate) fn bad_token() -> ApiError {
    client("InvalidNextToken", "The token is invalid.")
}

pub(crate) fn foreign_token() -> ApiError {
    client("InvalidPaginationToken", "The pagination token was not issued for a request with these parameters.")
}

pub(crate) fn invalid_resource_id(id: &str) -> ApiError {
    client("InvalidID", format!("The ID '{id}' is not valid"))
}

pub(crate) fn bad_vpc_range(cidr: &str) -> ApiError {
    client("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid."))
}

pub(crate) fn bad_subnet_range(cidr: &str) -> ApiError {
    client("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid."))
}

pub(crate) fn subnet_conflict(cidr: &str) -> ApiError {
    client("InvalidSubnet.Conflict", format!("The CIDR '{cidr}' conflicts with another subnet"))
}

pub(crate) fn address_in_use(address: impl Display) -> ApiError {
    client("InvalidIPAddress.InUse", format!("Address {address} is in use."))
}

pub(crate) fn no_free_address() -> ApiError {
    client("InsufficientFreeAddressesInSubnet", "The specified subnet does not have enough free addresses.")
}

pub(crate) fn interface_in_use(id: impl Display) -> ApiError {
    client("InvalidNetworkInterface.InUse", format!("The networkInterface '{id}' is currently in use."))
}

pub(crate) fn list_version_mismatch() -> ApiError {
    client("PrefixListVersionMismatch", "The prefix list has the incorrect version number.")
}

pub(crate) fn list_full() -> ApiError {
    client("PrefixListMaxEntriesExceeded", "You've reached the maximum number of entries for the prefix list.")
}

pub(crate) fn too_many_lists() -> ApiError {
    client("PrefixListLimitExceeded", "The maximum number of prefix lists has been reached.")
}

pub(crate) fn idempotent_mismatch() -> ApiError {
    client("IdempotentParameterMismatch", "The request uses the same client token as a previous, but non-identical request.")
}

pub(crate) fn no_list_version(version: i64) -> ApiError {
    invalid(format!("The prefix list has no version {version}."))
}

pub(crate) fn wrong_state(message: impl Into<String>) -> ApiError {
    client("InvalidStateTransition", message)
}

pub(crate) fn no_association(group: impl Display, vpc: impl Display) -> ApiError {
    client("InvalidGroup.NotFound", format!("The security group '{group}' is not associated with the VPC '{vpc}'"))
}

pub(crate) fn association_exists(group: impl Display, vpc: impl Display) -> ApiError {
    client("InvalidParameterValue", format!("The security group '{group}' is already associated with the VPC '{vpc}'"))
}
