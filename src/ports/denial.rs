//! What AWS says when it forbids a call, and which line of our policies would allow it.
//!
//! Entry point: [`in_words`].
//!
//! Invariant: the text is AWS's, so it is foreign: what does not look as it should is shown as it came, never guessed at.

use super::cloud::CloudError;

/// The longest part of a message that is taken for a name.
const LONGEST: usize = 400;
/// What every statement over groups that exist asks for.
const OWN: &str = " for groups that carry this cluster's tag sgwarden.dev/cluster";

/// What helps against a deny.
const DENIED: &str = "a deny wins over whatever allows: it has to go";

/// Which statement of `deploy/iam/enforce.json` allows an action on a kind of resource ("" where it may be any), and for
/// which ones of them.
const STATEMENTS: &[(&str, &str, &str, &str)] = &[
    ("ec2:AuthorizeSecurityGroupEgress", "", "WriteOwned", OWN),
    ("ec2:AuthorizeSecurityGroupIngress", "", "WriteOwned", OWN),
    ("ec2:CreateSecurityGroup", "security-group", "CreateTagged", ""),
    ("ec2:CreateSecurityGroup", "vpc", "CreateInVpc", ""),
    ("ec2:CreateTags", "", "TagAdopted", " for groups that a person tagged sgwarden.dev/adopt"),
    ("ec2:CreateTags", "", "TagOwned", OWN),
    ("ec2:DeleteSecurityGroup", "", "WriteOwned", OWN),
    ("ec2:DeleteTags", "", "UntagOwned", OWN),
    ("ec2:DescribeManagedPrefixLists", "", "Read", ""),
    ("ec2:DescribeNetworkInterfaces", "", "Read", ""),
    ("ec2:DescribeSecurityGroupRules", "", "Read", ""),
    ("ec2:DescribeSecurityGroupVpcAssociations", "", "Read", ""),
    ("ec2:DescribeSecurityGroups", "", "Read", ""),
    ("ec2:DescribeStaleSecurityGroups", "", "Read", ""),
    ("ec2:DescribeVpcs", "", "Read", ""),
    ("ec2:ModifySecurityGroupRules", "prefix-list", "ModifyAlsoRules", ""),
    ("ec2:ModifySecurityGroupRules", "security-group", "WriteOwned", OWN),
    ("ec2:ModifySecurityGroupRules", "security-group-rule", "ModifyAlsoRules", ""),
    ("ec2:RevokeSecurityGroupEgress", "", "WriteOwned", OWN),
    ("ec2:RevokeSecurityGroupIngress", "", "WriteOwned", OWN),
    ("ec2:UpdateSecurityGroupRuleDescriptionsEgress", "", "WriteOwned", OWN),
    ("ec2:UpdateSecurityGroupRuleDescriptionsIngress", "", "WriteOwned", OWN),
];

/// The parts of "User: … is not authorized to perform: … on resource: … because …".
#[derive(Debug, PartialEq, Eq)]
struct Denial<'a> {
    who: Option<&'a str>,
    action: &'a str,
    resource: Option<&'a str>,
    why: Option<&'a str>,
}

impl<'a> Denial<'a> {
    fn parse(message: &'a str) -> Option<Self> {
        let (before, after) = message.split_once("not authorized to perform: ")?;
        let (action, after) = word(after);
        let action = action.filter(|action| is_action(action))?;
        let who = before.rsplit_once("User: ").and_then(|(_, who)| word(who).0);
        let (resource, after) = match after.strip_prefix("on resource: ") {
            Some(rest) => word(rest),
            None => (None, after),
        };
        let why = after.trim().trim_end_matches('.');
        let why = why.strip_prefix("because ").or_else(|| why.strip_prefix("with "));
        Some(Self { who, action, resource, why: why.filter(|why| why.len() <= LONGEST && !why.is_empty()) })
    }

    /// The kind of a resource: `vpc` of `arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0a1b2c3d`.
    fn kind(&self) -> Option<&'a str> {
        let last = self.resource?.splitn(6, ':').nth(5)?;
        last.split_once('/').map(|(kind, _)| kind)
    }
}

/// The first word, if it is one that a name could be, and what follows it.
fn word(text: &str) -> (Option<&str>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let word = word.trim_end_matches(['.', ',']);
    (Some(word).filter(|word| !word.is_empty() && word.len() <= LONGEST), rest)
}

/// `service:Action`.
fn is_action(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.len() <= 100 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.split_once(':').is_some_and(|(service, action)| plain(service) && plain(action))
}

/// Who may not do what, on what, why, and what would allow it. The same for the same refusal, time and again.
pub(super) fn in_words(error: &CloudError) -> String {
    let denial = Denial::parse(&error.message);
    let called = called(error);
    let (action, kind) = denial.as_ref().map_or((called.as_str(), None), |denial| (denial.action, denial.kind()));
    let told = what(error, denial.as_ref(), action);
    let remedy = if is_explicit(error) { DENIED.to_owned() } else { remedy(error, action, kind) };
    format!("{told}; {remedy}")
}

/// The same with what helps, where somebody knows better than the table.
pub(super) fn with_remedy(error: &CloudError, remedy: &str) -> String {
    let denial = Denial::parse(&error.message);
    let called = called(error);
    let action = denial.as_ref().map_or(called.as_str(), |denial| denial.action);
    format!("{}; {remedy}", what(error, denial.as_ref(), action))
}

/// Whether it is a deny that forbids the call, and not that nothing allows it.
pub(super) fn is_explicit(error: &CloudError) -> bool {
    match Denial::parse(&error.message) {
        Some(denial) => denial.why.is_some_and(|why| why.contains("explicit deny")),
        None => error.message.contains("explicit deny"),
    }
}

fn called(error: &CloudError) -> String {
    let service = if matches!(error.operation, "GetCallerIdentity" | "AssumeRole") { "sts" } else { "ec2" };
    format!("{service}:{}", error.operation)
}

/// Who may not do what, on what and why.
fn what(error: &CloudError, denial: Option<&Denial<'_>>, action: &str) -> String {
    let code = error.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let who = denial.and_then(|denial| denial.who).unwrap_or("the credentials");
    let on = denial.and_then(|denial| denial.resource).map(|arn| format!(" on {arn}")).unwrap_or_default();
    let why = match denial {
        Some(Denial { who: _, action: _, resource: _, why: Some(why) }) => format!(": {why}"),
        Some(Denial { who: _, action: _, resource: _, why: None }) => String::new(),
        None => format!(": {}", error.message),
    };
    format!("{who} may not {action}{on}{why}{code}")
}

/// The line to add to the policy.
fn remedy(error: &CloudError, action: &str, kind: Option<&str>) -> String {
    // The tags of a new group are allowed by a statement of their own.
    if error.operation == "CreateSecurityGroup" && action == "ec2:CreateTags" {
        return "statement TagOnCreate of deploy/iam/enforce.json allows it".to_owned();
    }
    let fits = |of: &str| of.is_empty() || kind.is_none_or(|kind| kind == of);
    let of_action = STATEMENTS.iter().filter(|(allowed, of, _, _)| *allowed == action && fits(of));
    let mut statements: Vec<(&str, &str)> = of_action.map(|(_, _, sid, which)| (*sid, *which)).collect();
    statements.sort_unstable();
    statements.dedup();
    match statements.as_slice() {
        [] => "compare the policy with deploy/iam/enforce.json".to_owned(),
        [(sid, which)] => format!("statement {sid} of deploy/iam/enforce.json allows it{which}"),
        several => {
            let sids = several.iter().map(|(sid, _)| *sid).collect::<Vec<_>>().join(" and ");
            format!("statements {sids} of deploy/iam/enforce.json allow it")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::ports::cloud::ErrorClass;

    const POLICY: &str = include_str!("../../deploy/iam/enforce.json");

    fn denied(operation: &'static str, message: &str) -> String {
        let error = CloudError {
            operation,
            class: ErrorClass::Permission,
            code: Some("UnauthorizedOperation".into()),
            message: message.into(),
            request_id: Some("req-1".into()),
            outcome_unknown: false,
        };
        error.explain(&"eu-west-1".parse().unwrap())
    }

    #[test]
    fn a_refusal_names_who_what_where_why_and_the_statement_that_is_missing() {
        let message = "You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/sgwarden/pod \
                       is not authorized to perform: ec2:CreateSecurityGroup on resource: \
                       arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0a1b2c3d because no identity-based policy allows the \
                       ec2:CreateSecurityGroup action.";
        assert_eq!(
            denied("CreateSecurityGroup", message),
            "arn:aws:sts::111122223333:assumed-role/sgwarden/pod may not ec2:CreateSecurityGroup on \
             arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0a1b2c3d: no identity-based policy allows the ec2:CreateSecurityGroup \
             action (UnauthorizedOperation); statement CreateInVpc of deploy/iam/enforce.json allows it"
        );
    }

    #[test]
    fn a_message_that_says_nothing_is_shown_with_what_was_called() {
        assert_eq!(
            denied("AuthorizeSecurityGroupIngress", "You are not authorized to perform this operation."),
            "the credentials may not ec2:AuthorizeSecurityGroupIngress: You are not authorized to perform this operation. \
             (UnauthorizedOperation); statement WriteOwned of deploy/iam/enforce.json allows it for groups that carry this \
             cluster's tag sgwarden.dev/cluster"
        );
        assert!(
            denied("CreateSecurityGroup", "no")
                .ends_with("statements CreateInVpc and CreateTagged of deploy/iam/enforce.json allow it")
        );
        assert!(denied("CreateVpc", "no").ends_with("compare the policy with deploy/iam/enforce.json"));
    }

    #[test]
    fn the_statement_is_that_of_the_resource_and_of_the_call() {
        let of = |operation, action: &str, resource: &str| {
            let said = denied(
                operation,
                &format!("User: x is not authorized to perform: {action} on resource: arn:aws:ec2:r:a:{resource}"),
            );
            said.split_once("; statement ").map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned()).unwrap_or(said)
        };
        let modify = "ModifySecurityGroupRules";
        assert_eq!(of(modify, "ec2:ModifySecurityGroupRules", "security-group/sg-1"), "WriteOwned");
        assert_eq!(of(modify, "ec2:ModifySecurityGroupRules", "security-group-rule/sgr-1"), "ModifyAlsoRules");
        assert_eq!(of("CreateSecurityGroup", "ec2:CreateSecurityGroup", "security-group/*"), "CreateTagged");
        assert_eq!(of("CreateSecurityGroup", "ec2:CreateTags", "security-group/*"), "TagOnCreate");
        let tags = of("CreateTags", "ec2:CreateTags", "security-group/sg-1");
        assert!(tags.ends_with("; statements TagAdopted and TagOwned of deploy/iam/enforce.json allow it"), "{tags}");
        assert_eq!(of("DescribeVpcs", "ec2:DescribeVpcs", "*"), "Read");
    }

    #[test]
    fn no_statement_helps_against_a_deny() {
        let said = denied(
            "DeleteSecurityGroup",
            "User: arn:aws:iam::111122223333:user/a is not authorized to perform: ec2:DeleteSecurityGroup on resource: \
             arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1 with an explicit deny in a service control policy",
        );
        assert!(said.contains(": an explicit deny in a service control policy (Unauth"), "{said}");
        assert!(said.ends_with("; a deny wins over whatever allows: it has to go"), "{said}");
    }

    #[test]
    fn what_looks_like_the_sentence_and_is_not_is_shown_as_it_came() {
        let long = "x".repeat(1000);
        for odd in [
            "is not authorized to perform: ".to_owned(),
            "not authorized to perform: everything".to_owned(),
            format!("User: {long} is not authorized to perform: {long}"),
            "is not authorized to perform: ec2:<b> on resource: ".to_owned(),
        ] {
            let said = denied("DeleteTags", &odd);
            assert!(said.starts_with("the credentials may not ec2:DeleteTags: ") && said.contains(&odd), "{said}");
        }
        let said = denied(
            "DeleteTags",
            &format!("User: {long} is not authorized to perform: ec2:DeleteTags on resource: {long} because {long}"),
        );
        assert!(said.starts_with("the credentials may not ec2:DeleteTags (Unauth"), "{said}");
        for odd in ["é not authorized to perform: ec2:DeleteTags on resource:", "not authorized to perform: ec2:DeleteTags."] {
            assert!(denied("DeleteTags", odd).contains("may not ec2:DeleteTags"), "{odd}");
        }
    }

    /// Every action of the policy has its line here, with a statement that allows it, and none here is made up.
    #[test]
    fn the_table_says_what_the_policy_says() {
        let policy: Value = serde_json::from_str(POLICY).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = |value: &Value| -> Vec<String> {
            value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
        };
        let mut allowed = BTreeSet::new();
        for statement in policy["Statement"].as_array().unwrap() {
            for action in listed(&statement["Action"]) {
                for resource in listed(&statement["Resource"]) {
                    let kind = resource.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
                    let own = statement["Condition"].to_string().contains("aws:ResourceTag/sgwarden.dev/cluster");
                    allowed.insert((action.clone(), kind, statement["Sid"].as_str().unwrap().to_owned(), own));
                }
            }
        }
        let of = |(action, kind, sid, which): &(&str, &str, &str, &str)| {
            allowed.iter().any(|(an_action, a_kind, a_sid, own)| {
                an_action == action && (kind.is_empty() || a_kind == kind) && a_sid == sid && (*own == (*which == OWN))
            })
        };
        assert!(STATEMENTS.iter().all(of), "{:?}", STATEMENTS.iter().find(|row| !of(row)));
        assert!(allowed.contains(&("ec2:CreateTags".into(), "security-group".into(), "TagOnCreate".into(), false)));
        for (action, kind, sid, _) in &allowed {
            let told = STATEMENTS
                .iter()
                .any(|(an_action, a_kind, a_sid, _)| an_action == action && (a_kind.is_empty() || a_kind == kind) && a_sid == sid);
            assert!(told || sid == "TagOnCreate", "{action} on {kind} by {sid} is not in the table");
        }
    }
}
