//! Somebody with credentials of the account and no manners: edits groups through the same SDK, one edit every few seconds.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::{Atom, Direction, LiveRule, NewRule, SecurityGroupId, Tags};
use crate::ports::cloud::{CloudError, Ec2, GroupQuery};

use super::manifests;
use super::narrator::Narrator;

pub(super) struct Intruder {
    pub(super) ec2: Ec2,
    pub(super) narrator: Narrator,
    pub(super) manifests: PathBuf,
}

/// One act: when, and what.
type Act = (u64, Deed);

#[derive(Clone, Copy)]
enum Deed {
    OpenSsh,
    RemoveHttps,
    EditManifest,
    ChangePort,
    Rewrite,
    RemoveTag,
    DeleteGroup,
}

/// Seconds from the start. Each leaves time for the last to be put right.
const SCRIPT: [Act; 7] = [
    (8, Deed::OpenSsh),
    (15, Deed::RemoveHttps),
    (21, Deed::EditManifest),
    (28, Deed::ChangePort),
    (35, Deed::Rewrite),
    (41, Deed::RemoveTag),
    (47, Deed::DeleteGroup),
];

impl Intruder {
    /// Acts out the script. An act that fails is told and not counted.
    pub(super) async fn act(&self, speedup: u32) {
        for (at, deed) in SCRIPT {
            let due = Duration::from_secs(at) / speedup;
            tokio::time::sleep(due.saturating_sub(self.narrator.elapsed())).await;
            if let Err(error) = self.perform(deed).await {
                self.narrator.say("intruder", &format!("did not get through: {error}"));
            }
        }
    }

    async fn perform(&self, deed: Deed) -> Result<(), CloudError> {
        match deed {
            Deed::OpenSsh => {
                let rule = NewRule { atom: atom("ingress tcp 22 from 0.0.0.0/0"), description: None };
                let db = self.group("db").await?;
                self.narrator.edit("opens tcp 22 of db to 0.0.0.0/0");
                self.ec2.write.authorize(&db, Direction::Ingress, &[rule]).await?;
            }
            Deed::RemoveHttps => {
                let (group, rule) = self.rule("web-public", "ingress tcp 443 from 0.0.0.0/0").await?;
                self.narrator.edit("removes tcp 443 from web-public");
                self.ec2.write.revoke(&group, Direction::Ingress, &[rule.id]).await?;
            }
            Deed::EditManifest => {
                self.narrator.say("edit", "you could change web-public.yaml now; the demo drops port 80 for you");
                if let Err(error) = manifests::drop_port_80(&self.manifests) {
                    self.narrator.say("edit", &format!("the manifest cannot be changed: {error}"));
                }
            }
            Deed::ChangePort => {
                let (group, rule) = self.rule("web-internal", "ingress tcp 443 from 10.0.0.0/8").await?;
                let changed = NewRule { atom: atom("ingress tcp 0-65535 from 10.0.0.0/8"), description: rule.description };
                self.narrator.edit("widens tcp 443 of web-internal to every port, in place");
                self.ec2.write.modify(&group, &[(rule.id, changed)]).await?;
            }
            Deed::Rewrite => {
                let (group, rule) = self.rule("web-internal", "ingress tcp 80 from 10.0.0.0/8").await?;
                self.narrator.edit("rewrites the description of tcp 80 of web-internal");
                self.ec2.write.describe(&group, Direction::Ingress, &[(rule.id, Some("nothing to see here".to_owned()))]).await?;
            }
            Deed::RemoveTag => {
                let group = self.group("web-public").await?;
                self.narrator.edit("removes the tag team of web-public");
                self.ec2.write.remove_tags(&group, &Tags::from([("team".to_owned(), "shop".to_owned())])).await?;
            }
            Deed::DeleteGroup => {
                let group = self.group("web-public").await?;
                self.narrator.edit("deletes the group web-public");
                self.ec2.write.delete_group(&group).await?;
            }
        }
        Ok(())
    }

    async fn group(&self, name: &str) -> Result<SecurityGroupId, CloudError> {
        let owner = Tags::from([("sgwarden.dev/owner".to_owned(), format!("default/{name}"))]);
        let groups = self.ec2.read.groups(&GroupQuery::Tagged(owner)).await?;
        groups.into_iter().next().map(|group| group.id).ok_or_else(|| nothing(name))
    }

    async fn rule(&self, name: &str, text: &str) -> Result<(SecurityGroupId, LiveRule), CloudError> {
        let group = self.group(name).await?;
        let wanted = atom(text);
        let rules = self.ec2.read.rules(&group).await?;
        let rule = rules.into_iter().find(|rule| rule.atom == wanted).ok_or_else(|| nothing(text))?;
        Ok((group, rule))
    }
}

#[expect(clippy::expect_used, reason = "constants of this file; the demo's test runs them all")]
fn atom(text: &str) -> Atom {
    text.parse().expect("an atom in canonical form")
}

fn nothing(what: &str) -> CloudError {
    CloudError {
        operation: "Describe",
        class: crate::ports::cloud::ErrorClass::Stale,
        code: None,
        message: format!("there is no {what}"),
        request_id: None,
        outcome_unknown: false,
    }
}
