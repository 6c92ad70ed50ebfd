//! What a person does about the tags that make a group ours, where sgwarden may not or will not: one that is gone, and one that
//! says somebody else's name.

use crate::core::model::{GroupFacts, Region, Tags};
use crate::core::plan::{TAG_ADOPT, TAG_CLUSTER};
use crate::ports::cloud::{CloudError, ErrorClass};

use super::pass::{Pass, Seen};
use super::site::Site;

/// A tag of ours that is not as it has to be.
struct Wrong {
    key: String,
    live: Option<String>,
    right: String,
}

impl Pass<'_> {
    /// A call that AWS denied because the group does not carry the tag by which the policy tells our groups. `None`: that is not
    /// why.
    pub(super) fn explain_unmarked(&self, seen: &Seen<'_>, error: &CloudError) -> Option<String> {
        let group = &seen.observed?.group;
        if error.class != ErrorClass::Permission || group.tags.contains_key(TAG_CLUSTER) {
            return None;
        }
        let heal = "statement Heal of deploy/iam/heal.json";
        if seen.restraint.adopting {
            let applies = !group.tags.contains_key(TAG_ADOPT) && !error.is_denied();
            return applies.then(|| {
                error.explain_denied(&format!(
                    "{heal} allows it for groups that no person tagged {TAG_ADOPT}={}",
                    self.owner.consent()
                ))
            });
        }
        let wrong = self.wrong_marks(&group.tags);
        let tags = if wrong.len() > 1 { "tags" } else { "tag" };
        let command = put_back(seen.site.region(), group, &wrong);
        let or = if error.is_denied() {
            "or take that deny away, which wins over whatever allows".to_owned()
        } else {
            format!("or add {heal} to the policy, with which sgwarden does it by itself")
        };
        let remedy =
            format!("somebody took off the {tags} by which the policy knows the group: put the {tags} back ({command}), {or}");
        Some(error.explain_denied(&remedy))
    }

    /// The group carries somebody else's tags.
    pub(super) fn explain_claimed(&self, claimant: &str, site: &Site, group: &GroupFacts, adopting: bool) -> String {
        let message = format!("the group carries the tags of {claimant}; sgwarden does not touch it");
        if adopting {
            return format!("{message}: name another one in spec.adopt, or delete this object");
        }
        let wrong = self.wrong_marks(&group.tags);
        let differs = |mark: &Wrong| {
            let live = mark.live.as_ref().map_or("missing".to_owned(), |live| format!("'{live}'"));
            format!("tag {} is {live} and has to be '{}'", mark.key, mark.right)
        };
        let differences: Vec<String> = wrong.iter().map(differs).collect();
        format!(
            "{message} meanwhile. If it is this object's, somebody forged that: {}; put it back ({}). If it is theirs, delete this \
             object, and the group stays",
            differences.join(", "),
            put_back(site.region(), group, &wrong)
        )
    }

    fn wrong_marks(&self, live: &Tags) -> Vec<Wrong> {
        let marks = self.owner.tags(self.origin()).into_iter();
        let wrong = marks.filter(|(key, right)| live.get(key) != Some(right));
        wrong.map(|(key, right)| Wrong { live: live.get(&key).cloned(), key, right }).collect()
    }
}

/// The command that sets tags as they have to be.
fn put_back(region: &Region, group: &GroupFacts, wrong: &[Wrong]) -> String {
    let tags: String = wrong.iter().fold(String::new(), |all, mark| all + " " + &argument(&mark.key, &mark.right));
    format!("aws ec2 create-tags --region {region} --resources {} --tags{tags}", group.id)
}

/// A tag as the AWS CLI takes it, quoted for it and for a shell where that is needed.
fn argument(key: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+".contains(c);
    if value.chars().all(plain) {
        return format!("Key={key},Value={value}");
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "'\\''");
    format!("'Key={key},Value=\"{value}\"'")
}

#[cfg(test)]
mod tests {
    use super::argument;

    #[test]
    fn a_tag_is_quoted_where_a_shell_or_the_aws_cli_would_split_it() {
        assert_eq!(argument("sgwarden.dev/owner", "shop/web"), "Key=sgwarden.dev/owner,Value=shop/web");
        assert_eq!(argument("k", "my cluster, no. 1"), "'Key=k,Value=\"my cluster, no. 1\"'");
        assert_eq!(argument("k", "it's \"it\""), "'Key=k,Value=\"it'\\''s \\\"it\\\"\"'");
        assert_eq!(argument("k", "$(reboot)"), "'Key=k,Value=\"$(reboot)\"'");
    }
}
