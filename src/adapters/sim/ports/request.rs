//! Calls as EC2 gets them, with the parameters that a client would send.

use crate::adapters::sim::world::command::{Call, Command, PairInput, PermissionInput, RangeInput};
use crate::adapters::sim::world::error::ApiError;
use crate::core::model::Tags;
use std::collections::BTreeMap;
use std::fmt::Display;

/// A call to EC2, and its parameters by the names of the Query protocol: for the record, and for faults about one resource.
pub(super) struct Request {
    pub(super) action: &'static str,
    pub(super) call: Result<Call, ApiError>,
    pub(super) params: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn new(action: &'static str, command: Command) -> Self {
        Self { action, call: Ok(Call { command, dry_run: false }), params: BTreeMap::new() }
    }

    pub(super) fn with(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.params.insert(name.into(), value.to_string());
        self
    }

    pub(super) fn maybe(self, name: impl Into<String>, value: Option<impl Display>) -> Self {
        if let Some(value) = value { self.with(name, value) } else { self }
    }

    /// `<list>.N.<field>` for each value.
    pub(super) fn list(self, list: &str, values: impl IntoIterator<Item: Display>) -> Self {
        (1..).zip(values).fold(self, |all, (n, value): (u32, _)| all.with(format!("{list}.{n}"), value))
    }

    pub(super) fn tags(self, prefix: &str, tags: &Tags) -> Self {
        let tag = |all: Self, (n, (key, value)): (u32, (&String, &String))| {
            all.with(format!("{prefix}Tag.{n}.Key"), key).with(format!("{prefix}Tag.{n}.Value"), value)
        };
        (1..).zip(tags).fold(self, tag)
    }

    pub(super) fn permissions(self, permissions: &[PermissionInput]) -> Self {
        (1..).zip(permissions).fold(self, |all, (n, permission): (u32, _)| {
            let PermissionInput { protocol, from_port, to_port, v4, v6, lists, groups } = permission;
            let at = format!("IpPermissions.{n}");
            let all = all.maybe(format!("{at}.IpProtocol"), protocol.as_ref());
            let all = all.maybe(format!("{at}.FromPort"), *from_port).maybe(format!("{at}.ToPort"), *to_port);
            let all = all.ranges(&format!("{at}.IpRanges"), "CidrIp", v4).ranges(&format!("{at}.Ipv6Ranges"), "CidrIpv6", v6);
            let all = all.ranges(&format!("{at}.PrefixListIds"), "PrefixListId", lists);
            (1..).zip(groups).fold(all, |all, (m, pair): (u32, _)| {
                let PairInput { group_id, group_name: _, user_id, description } = pair;
                let at = format!("{at}.Groups.{m}");
                let all = all.maybe(format!("{at}.GroupId"), group_id.as_ref()).maybe(format!("{at}.UserId"), user_id.as_ref());
                all.maybe(format!("{at}.Description"), description.as_ref())
            })
        })
    }

    pub(super) fn ranges(self, list: &str, field: &str, ranges: &[RangeInput]) -> Self {
        (1..).zip(ranges).fold(self, |all, (n, RangeInput { value, description }): (u32, _)| {
            let all = all.maybe(format!("{list}.{n}.{field}"), value.as_ref());
            all.maybe(format!("{list}.{n}.Description"), description.as_ref())
        })
    }
}
