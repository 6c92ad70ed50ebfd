//! An answer for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::core::activity::presentable;
use crate::core::desired::{Referent, ReferentKind};
use crate::core::model::Direction;

use super::answer::{Answer, Hop, Live, LiveRule, Through, Verdict};
use super::{Other, Question, Remedy};

/// The version of what [`answer_json`] gives: another one where a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The answer as people read it.
pub fn answer_text(answer: &Answer) -> String {
    let Answer { question, verdict, live, open, hops, notes } = answer;
    let mut text = format!("{} {}\n", word(*verdict), sentence(question, *verdict));
    if *verdict != Verdict::Yes && !open.is_empty() {
        let _ = writeln!(text, "Open is {}.", open.join(", "));
    }
    if let Some(live) = live {
        let _ = writeln!(text, "That is by what is declared. By what is live, as last seen: {}", word(*live).to_lowercase());
    }
    for hop in hops {
        text += &hop_text(hop);
    }
    for note in notes {
        let _ = writeln!(text, "Note: {}.", presentable(note));
    }
    text
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Yes => "Yes.",
        Verdict::No => "No.",
        Verdict::Partly => "Partly.",
        Verdict::Unknown => "Cannot tell.",
    }
}

/// `10.0.3.7/32 can reach tcp 5432 on shop/db.`
fn sentence(question: &Question, verdict: Verdict) -> String {
    let Question { group, direction, other, traffic, family } = question;
    let (group, other) = (name(group), shown(other));
    let over = family.map(|family| format!(" over {family}")).unwrap_or_default();
    let (from, to) = match direction {
        Direction::Ingress => (other, group),
        Direction::Egress => (group, other),
    };
    match verdict {
        Verdict::Yes => format!("{from} can reach {traffic} on {to}{over}."),
        Verdict::No => format!("{from} cannot reach {traffic} on {to}{over}."),
        Verdict::Partly => format!("{from} can reach a part of {traffic} on {to}{over}."),
        Verdict::Unknown => format!("Whether {from} can reach {traffic} on {to}{over} depends on what is not known here."),
    }
}

fn hop_text(hop: &Hop) -> String {
    let Hop { group, direction, declared_in, verdict, through, unknown, members, barred, nearest, rules, remedy, live } = hop;
    let mut text = format!("{direction} of {}: {}   {}\n", name(group), verdict.as_str(), presentable(declared_in));
    let listed =
        [("", through), ("perhaps ", unknown), ("for members only: ", members), ("not in force: ", barred), ("nearest: ", nearest)];
    for (title, list) in listed {
        for through in list {
            let _ = writeln!(text, "  {title}{}", rule(through, *direction));
        }
    }
    if *verdict != Verdict::Yes && *rules == 0 {
        let _ = writeln!(text, "  it declares no {direction} rules");
    }
    if let Some(remedy) = remedy {
        text += &remedy_text(remedy, *verdict);
    }
    if let Some(Live { verdict, through }) = live {
        let _ = writeln!(text, "  live, as last seen: {}", verdict.as_str());
        for LiveRule { rule, traffic, peer, drift, by } in through {
            let origin = match (rule, drift) {
                (Some(rule), _) => format!("rule {rule}"),
                (None, Some(drift)) => {
                    format!("nobody declared it: {}, drift {drift}", by.as_deref().unwrap_or("by whom is not known"))
                }
                (None, None) => "nobody declared it".to_owned(),
            };
            let _ = writeln!(text, "    {traffic} {} {peer}   {origin}", direction.preposition());
        }
    }
    text
}

/// `rule from-web: tcp 5432 from shop/web`
fn rule(through: &Through, direction: Direction) -> String {
    let Through { rule, traffic, peer, via: _, why } = through;
    let why = why.as_ref().map(|why| format!(" ({})", presentable(why))).unwrap_or_default();
    format!("rule {rule}: {traffic} {} {}{why}", direction.preposition(), presentable(peer))
}

fn remedy_text(remedy: &Remedy, verdict: Verdict) -> String {
    let Remedy { rule, list, yaml, besides } = remedy;
    let to = match rule {
        Some(rule) => format!("rule {rule}, under {list}"),
        None => (*list).to_owned(),
    };
    let end = if verdict == Verdict::Unknown { "to allow it in any case" } else { "to allow it" };
    let mut text = format!("  {end}, add to {to}:\n");
    for line in yaml {
        let _ = writeln!(text, "    {}{line}", if rule.is_some() { "- " } else { "" });
    }
    for besides in besides {
        let _ = writeln!(text, "  and {besides}");
    }
    text
}

/// The answer for programs; docs/cli.md lists the fields.
pub fn answer_json(answer: &Answer) -> Value {
    let Answer { question, verdict, live, open, hops, notes } = answer;
    let Question { group, direction, other, traffic, family } = question;
    json!({
        "version": VERSION,
        "question": {
            "group": name(group),
            "direction": direction.to_string(),
            "other": shown(other),
            "traffic": traffic.to_string(),
            "family": family.map(|family| family.to_string()),
        },
        "answer": verdict.as_str(),
        "live": live.map(Verdict::as_str),
        "open": open,
        "hops": hops.iter().map(hop_json).collect::<Vec<_>>(),
        "notes": notes,
    })
}

fn hop_json(hop: &Hop) -> Value {
    let Hop { group, direction, declared_in, verdict, through, unknown, members, barred, nearest, rules, remedy, live } = hop;
    let list = |list: &[Through]| list.iter().map(through_json).collect::<Vec<_>>();
    json!({
        "group": name(group),
        "direction": direction.to_string(),
        "declaredIn": declared_in,
        "answer": verdict.as_str(),
        "rules": rules,
        "through": list(through),
        "unknown": list(unknown),
        "forMembersOnly": list(members),
        "notInForce": list(barred),
        "nearest": list(nearest),
        "remedy": remedy.as_ref().map(|Remedy { rule, list, yaml, besides }| json!({
            "rule": rule.as_ref().map(ToString::to_string),
            "list": list,
            "yaml": yaml,
            "besides": besides,
        })),
        "live": live.as_ref().map(|Live { verdict, through }| json!({
            "answer": verdict.as_str(),
            "through": through.iter().map(live_rule_json).collect::<Vec<_>>(),
        })),
    })
}

fn live_rule_json(live: &LiveRule) -> Value {
    let LiveRule { rule, traffic, peer, drift, by } = live;
    json!({ "rule": rule, "traffic": traffic, "peer": peer, "drift": drift, "by": by })
}

fn through_json(through: &Through) -> Value {
    let Through { rule, traffic, peer, via, why } = through;
    let via = via.as_ref().map(|Referent { kind, namespace, name }| {
        let kind = match kind {
            ReferentKind::SecurityGroup => "SecurityGroup",
            ReferentKind::CidrSet => "CidrSet",
        };
        json!({ "kind": kind, "namespace": namespace, "name": name })
    });
    json!({ "rule": rule, "traffic": traffic, "peer": peer, "via": via, "why": why })
}

fn name(referent: &Referent) -> String {
    format!("{}/{}", referent.namespace, referent.name)
}

fn shown(other: &Other) -> String {
    match other {
        Other::Range(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Other::Range(net) => net.to_string(),
        Other::Object(referent) => name(referent),
        Other::Group { id, account: None } => id.to_string(),
        Other::Group { id, account: Some(account) } => format!("{account}/{id}"),
    }
}
