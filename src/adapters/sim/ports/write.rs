//! Writes, each made once.

use super::convert::{change, group_ref, live_rule, parsed, permissions, range, tag_inputs};
use super::error::{OTHER, refused, unreadable};
use super::lane::Lane;
use super::request::Request;
use crate::adapters::sim::world::command::{Command, RuleChange, RuleSelection};
use crate::adapters::sim::world::reply::Reply;
use crate::adapters::sim::world::rule::Direction as Way;
use crate::adapters::sim::world::tags::TagSpec;
use crate::core::model::{Direction, NewRule, RuleId, SecurityGroupId, Tags};
use crate::ports::cloud::{CloudError, Ec2Write, NewGroup, Receipt};
use async_trait::async_trait;

/// A call with nothing in it is not made.
#[async_trait]
impl Ec2Write for Lane {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        const ACTION: &str = "CreateSecurityGroup";
        const KIND: &str = "security-group";
        let NewGroup { name, description, vpc, tags } = group;
        let spec = TagSpec { resource_type: Some(KIND.to_owned()), tags: tag_inputs(tags) };
        let command = Command::CreateSecurityGroup {
            name: Some(name.clone()),
            description: Some(description.clone()),
            vpc: Some(vpc.to_string()),
            tag_specs: if tags.is_empty() { Vec::new() } else { vec![spec] },
        };
        let request = Request::new(ACTION, command).with("GroupName", name).with("GroupDescription", description);
        let request = request.with("VpcId", vpc).tags("TagSpecification.1.", tags);
        let request = request.maybe("TagSpecification.1.ResourceType", Some(KIND).filter(|_| !tags.is_empty()));
        let (reply, receipt) = self.write(&request).await?;
        let Reply::GroupCreated { id, arn: _, tags: _ } = reply else { return Err(unreadable(ACTION, receipt.request_id, OTHER)) };
        let created = parsed(id.as_str()).map_err(|what| unreadable(ACTION, receipt.request_id.clone(), what))?;
        Ok(Receipt { created: Some(created), ..receipt })
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        let request = Request::new("DeleteSecurityGroup", Command::DeleteSecurityGroup(group_ref(group)));
        self.done(&request.with("GroupId", group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let (action, way) = match direction {
            Direction::Ingress => ("AuthorizeSecurityGroupIngress", Way::Ingress),
            Direction::Egress => ("AuthorizeSecurityGroupEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        if let Some(stray) = rules.iter().find(|rule| rule.atom.direction != direction) {
            return Err(refused(action, format!("sgwarden itself errs: '{}' in a call for {direction}", stray.atom)));
        }
        let permissions = permissions(rules);
        let selection = RuleSelection { group: group_ref(group), permissions: permissions.clone(), ..RuleSelection::default() };
        let request = Request::new(action, Command::Authorize(way, selection)).with("GroupId", group).permissions(&permissions);
        let (reply, receipt) = self.write(&request).await?;
        let Reply::Authorized(rows) = reply else { return Err(unreadable(action, receipt.request_id, OTHER)) };
        let authorized: Result<_, String> = rows.iter().map(live_rule).collect();
        let authorized = authorized.map_err(|what| unreadable(action, receipt.request_id.clone(), what))?;
        Ok(Receipt { authorized, ..receipt })
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        let (action, way) = match direction {
            Direction::Ingress => ("RevokeSecurityGroupIngress", Way::Ingress),
            Direction::Egress => ("RevokeSecurityGroupEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let rule_ids = rules.iter().map(ToString::to_string).collect();
        let selection = RuleSelection { group: group_ref(group), rule_ids, ..RuleSelection::default() };
        let request = Request::new(action, Command::Revoke(way, selection)).with("GroupId", group);
        let (reply, receipt) = self.write(&request.list("SecurityGroupRuleId", rules)).await?;
        let Reply::Revoked { revoked, unknown: _ } = reply else { return Err(unreadable(action, receipt.request_id, OTHER)) };
        let revoked: Result<_, String> = revoked.iter().map(|rule| parsed(&rule.id.to_string())).collect();
        let revoked = revoked.map_err(|what| unreadable(action, receipt.request_id.clone(), what))?;
        Ok(Receipt { revoked, ..receipt })
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let changes: Vec<RuleChange> = rules.iter().map(|(id, rule)| change(id, rule)).collect();
        let command = Command::ModifySecurityGroupRules { group: group.to_string(), changes: changes.clone() };
        let request = Request::new("ModifySecurityGroupRules", command).with("GroupId", group);
        let request = (1..).zip(changes).fold(request, |request, (n, change): (u32, _)| {
            let RuleChange { rule_id, protocol, from_port, to_port, v4, v6, list, group, description } = change;
            let field = |name: &str| format!("SecurityGroupRule.{n}.SecurityGroupRule.{name}");
            let request = request.maybe(format!("SecurityGroupRule.{n}.SecurityGroupRuleId"), rule_id);
            let request = request.maybe(field("IpProtocol"), protocol).maybe(field("FromPort"), from_port);
            let request = request.maybe(field("ToPort"), to_port).maybe(field("CidrIpv4"), v4).maybe(field("CidrIpv6"), v6);
            let request = request.maybe(field("PrefixListId"), list).maybe(field("ReferencedGroupId"), group);
            request.maybe(field("Description"), description)
        });
        self.done(&request).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        let (action, direction) = match direction {
            Direction::Ingress => ("UpdateSecurityGroupRuleDescriptionsIngress", Way::Ingress),
            Direction::Egress => ("UpdateSecurityGroupRuleDescriptionsEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let by_id: Vec<_> = rules.iter().map(|(id, text)| range(id, text.as_ref())).collect();
        let command =
            Command::UpdateDescriptions { direction, group: group_ref(group), permissions: Vec::new(), by_id: by_id.clone() };
        let request = Request::new(action, command).with("GroupId", group);
        self.done(&request.ranges("SecurityGroupRuleDescription", "SecurityGroupRuleId", &by_id)).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let command = Command::CreateTags { resources: vec![group.to_string()], tags: tag_inputs(tags) };
        self.done(&Request::new("CreateTags", command).with("ResourceId.1", group).tags("", tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        // Without any tag EC2 would delete all of them.
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let command = Command::DeleteTags { resources: vec![group.to_string()], tags: tag_inputs(tags) };
        self.done(&Request::new("DeleteTags", command).with("ResourceId.1", group).tags("", tags)).await
    }
}
