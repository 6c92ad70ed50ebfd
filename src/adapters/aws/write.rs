//! Writes, each sent once.

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, RevokedSecurityGroupRule, SecurityGroupRule, TagSpecification};

use super::convert::{self, Unreadable};
use super::error::{Access, refused, unreadable};
use super::lane::Lane;
use crate::core::model::{Direction, LiveRule, NewRule, RuleId, SecurityGroupId, Tags};
use crate::ports::cloud::{CloudError, Ec2Write, ErrorClass, NewGroup, Receipt};

/// Writes of one account and Region. A call with nothing in it is not sent.
#[derive(Debug)]
pub(super) struct Writer {
    /// The client of writes: one attempt.
    pub(super) client: Client,
    /// Whose and where.
    pub(super) lane: Lane,
}

#[async_trait]
impl Ec2Write for Writer {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        const OPERATION: &str = "CreateSecurityGroup";
        let NewGroup { name, description, vpc, tags } = group;
        let mut request = self.client.create_security_group().group_name(name).description(description).vpc_id(vpc.as_str());
        if !tags.is_empty() {
            let tags = convert::sdk_tags(tags);
            request = request.tag_specifications(
                TagSpecification::builder().resource_type(ResourceType::SecurityGroup).set_tags(Some(tags)).build(),
            );
        }
        let (answer, request_id) = self.lane.call(OPERATION, Access::Write, request.send()).await?;
        let bad = |what: String| unreadable(OPERATION, Access::Write, request_id.clone(), &what);
        let id = answer.group_id().ok_or_else(|| bad("the new group has no id".into()))?;
        let created = id.parse().map_err(|error| bad(format!("{error}")))?;
        Ok(Receipt { created: Some(created), ..receipt(request_id) })
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        const OPERATION: &str = "DeleteSecurityGroup";
        let request = self.client.delete_security_group().group_id(group.as_str());
        let (answer, request_id) = self.lane.call(OPERATION, Access::Write, request.send()).await?;
        accepted(OPERATION, answer.r#return, request_id)
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "AuthorizeSecurityGroupIngress",
            Direction::Egress => "AuthorizeSecurityGroupEgress",
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        // Sent the other way round it would open what nobody declared.
        if let Some(stray) = rules.iter().find(|rule| rule.atom.direction != direction) {
            let message = format!("sgwarden itself errs: '{}' in a call for {direction}", stray.atom);
            return Err(refused(operation, ErrorClass::Terminal, message));
        }
        let (id, permissions) = (group.as_str(), Some(convert::permissions(rules)));
        let (accepted, rows, request_id) = match direction {
            Direction::Ingress => {
                let request = self.client.authorize_security_group_ingress().group_id(id).set_ip_permissions(permissions);
                let (answer, request_id) = self.lane.call(operation, Access::Write, request.send()).await?;
                (accepted(operation, answer.r#return, request_id.clone()), answer.security_group_rules, request_id)
            }
            Direction::Egress => {
                let request = self.client.authorize_security_group_egress().group_id(id).set_ip_permissions(permissions);
                let (answer, request_id) = self.lane.call(operation, Access::Write, request.send()).await?;
                (accepted(operation, answer.r#return, request_id.clone()), answer.security_group_rules, request_id)
            }
        };
        let authorized =
            live_rules(&rows.unwrap_or_default()).map_err(|error| unreadable(operation, Access::Write, request_id, &error))?;
        Ok(Receipt { authorized, ..accepted? })
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "RevokeSecurityGroupIngress",
            Direction::Egress => "RevokeSecurityGroupEgress",
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let (id, ids) = (group.as_str(), Some(rules.iter().map(ToString::to_string).collect()));
        let (accepted, rows, request_id) = match direction {
            Direction::Ingress => {
                let request = self.client.revoke_security_group_ingress().group_id(id).set_security_group_rule_ids(ids);
                let (answer, request_id) = self.lane.call(operation, Access::Write, request.send()).await?;
                (accepted(operation, answer.r#return, request_id.clone()), answer.revoked_security_group_rules, request_id)
            }
            Direction::Egress => {
                let request = self.client.revoke_security_group_egress().group_id(id).set_security_group_rule_ids(ids);
                let (answer, request_id) = self.lane.call(operation, Access::Write, request.send()).await?;
                (accepted(operation, answer.r#return, request_id.clone()), answer.revoked_security_group_rules, request_id)
            }
        };
        // Success is not "all of them": EC2 lists what it revoked. Where it lists nothing at all, its success is all there is.
        let revoked = match rows {
            None => rules.to_vec(),
            Some(rows) => revoked_ids(&rows).map_err(|error| unreadable(operation, Access::Write, request_id, &error))?,
        };
        Ok(Receipt { revoked, ..accepted? })
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        const OPERATION: &str = "ModifySecurityGroupRules";
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let updates = rules.iter().map(|(id, rule)| convert::update(id, rule)).collect();
        let request = self.client.modify_security_group_rules().group_id(group.as_str()).set_security_group_rules(Some(updates));
        let (answer, request_id) = self.lane.call(OPERATION, Access::Write, request.send()).await?;
        accepted(OPERATION, answer.r#return, request_id)
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let (id, list) =
            (group.as_str(), Some(rules.iter().map(|(id, text)| convert::new_description(id, text.as_deref())).collect()));
        match direction {
            Direction::Ingress => {
                const OPERATION: &str = "UpdateSecurityGroupRuleDescriptionsIngress";
                let request = self.client.update_security_group_rule_descriptions_ingress().group_id(id);
                let request = request.set_security_group_rule_descriptions(list);
                let (answer, request_id) = self.lane.call(OPERATION, Access::Write, request.send()).await?;
                accepted(OPERATION, answer.r#return, request_id)
            }
            Direction::Egress => {
                const OPERATION: &str = "UpdateSecurityGroupRuleDescriptionsEgress";
                let request = self.client.update_security_group_rule_descriptions_egress().group_id(id);
                let request = request.set_security_group_rule_descriptions(list);
                let (answer, request_id) = self.lane.call(OPERATION, Access::Write, request.send()).await?;
                accepted(OPERATION, answer.r#return, request_id)
            }
        }
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let request = self.client.create_tags().resources(group.as_str()).set_tags(Some(convert::sdk_tags(tags)));
        let (_, request_id) = self.lane.call("CreateTags", Access::Write, request.send()).await?;
        Ok(receipt(request_id))
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        // Without any tag EC2 would delete all of them.
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let request = self.client.delete_tags().resources(group.as_str()).set_tags(Some(convert::sdk_tags(tags)));
        let (_, request_id) = self.lane.call("DeleteTags", Access::Write, request.send()).await?;
        Ok(receipt(request_id))
    }
}

fn receipt(request_id: Option<String>) -> Receipt {
    Receipt { request_id, ..Receipt::default() }
}

/// A receipt, unless EC2 says "false", which no text of AWS explains: then a read must tell.
fn accepted(operation: &'static str, answer: Option<bool>, request_id: Option<String>) -> Result<Receipt, CloudError> {
    match answer {
        Some(true) | None => Ok(receipt(request_id)),
        Some(false) => {
            let refused = refused(operation, ErrorClass::Stale, "EC2 answers 'false' and gives no reason".into());
            Err(CloudError { request_id, outcome_unknown: true, ..refused })
        }
    }
}

fn live_rules(rows: &[SecurityGroupRule]) -> Result<Vec<LiveRule>, Unreadable> {
    rows.iter().map(convert::live_rule).collect()
}

fn revoked_ids(rows: &[RevokedSecurityGroupRule]) -> Result<Vec<RuleId>, Unreadable> {
    rows.iter().map(convert::revoked).collect()
}
