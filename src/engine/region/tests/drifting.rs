//! Any sequence of our own writes, read through reads that lag by any time up to half a minute but never go back: what is
//! observed is what we made, always.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::core::model::{Direction, LiveRule, NewRule, RuleId, Tags};

use super::super::Urgency;
use super::{Rig, id, pass, tags};

#[derive(Clone, Debug)]
enum Act {
    Authorize(u16),
    /// The nth live rule, round the corner.
    Revoke(usize),
    Modify(usize, u16, u8),
    Describe(usize, u8),
    SetTag(u8, u8),
    RemoveTag(u8),
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..50_u16).prop_map(Act::Authorize),
        any::<usize>().prop_map(Act::Revoke),
        (any::<usize>(), 1..50_u16, 0..3_u8).prop_map(|(rule, port, text)| Act::Modify(rule, port, text)),
        (any::<usize>(), 0..3_u8).prop_map(|(rule, text)| Act::Describe(rule, text)),
        (0..3_u8, 0..3_u8).prop_map(|(key, value)| Act::SetTag(key, value)),
        (0..3_u8).prop_map(Act::RemoveTag),
        Just(Act::Look),
    ]
}

/// What EC2 holds: the truth.
#[derive(Clone, Debug, PartialEq)]
struct Truth {
    rules: BTreeMap<RuleId, LiveRule>,
    tags: Tags,
}

fn atom(port: u16) -> crate::core::model::Atom {
    format!("ingress tcp {port} from 10.0.0.0/8").parse().unwrap()
}

async fn perform(rig: &Rig, truth: &mut Truth, act: Act) {
    let writer = rig.worker.writer(Urgency::Change);
    let nth = |rules: &BTreeMap<RuleId, LiveRule>, at: usize| rules.keys().nth(at % rules.len().max(1)).cloned();
    let is_free = |rules: &BTreeMap<RuleId, LiveRule>, port| rules.values().all(|rule| rule.atom != atom(port));
    match act {
        Act::Authorize(port) if is_free(&truth.rules, port) => {
            let new = NewRule { atom: atom(port), description: None };
            let receipt = writer.authorize(&id(1), Direction::Ingress, &[new]).await.unwrap();
            truth.rules.extend(receipt.authorized.into_iter().map(|rule| (rule.id.clone(), rule)));
        }
        Act::Revoke(at) => {
            if let Some(rule) = nth(&truth.rules, at) {
                writer.revoke(&id(1), Direction::Ingress, std::slice::from_ref(&rule)).await.unwrap();
                truth.rules.remove(&rule);
            }
        }
        Act::Modify(at, port, text) if is_free(&truth.rules, port) => {
            if let Some(rule) = nth(&truth.rules, at) {
                let new = NewRule { atom: atom(port), description: Some(text.to_string()) };
                writer.modify(&id(1), &[(rule.clone(), new.clone())]).await.unwrap();
                truth.rules.insert(rule.clone(), LiveRule { id: rule, atom: new.atom, description: new.description });
            }
        }
        Act::Describe(at, text) => {
            if let Some(rule) = nth(&truth.rules, at) {
                let text = Some(text.to_string());
                writer.describe(&id(1), Direction::Ingress, &[(rule.clone(), text.clone())]).await.unwrap();
                truth.rules.get_mut(&rule).unwrap().description = text;
            }
        }
        Act::SetTag(key, value) => {
            let tag = tags(&[(&key.to_string(), &value.to_string())]);
            writer.set_tags(&id(1), &tag).await.unwrap();
            truth.tags.extend(tag);
        }
        Act::RemoveTag(key) => {
            if let Some((key, value)) = truth.tags.get_key_value(&key.to_string()).map(|(key, value)| (key.clone(), value.clone()))
            {
                writer.remove_tags(&id(1), &tags(&[(&key, &value)])).await.unwrap();
                truth.tags.remove(&key);
            }
        }
        Act::Authorize(_) | Act::Modify(_, _, _) | Act::Look => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn own_writes_never_show_as_drift(steps in prop::collection::vec((act(), 0..20_u64, 0..30_u64), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rig = Rig::settled(1).await;
            let observed = rig.observe(1).await;
            let mut truth = Truth { rules: observed.rules, tags: observed.group.tags };
            let mut lag = 0;
            for (act, pause, wish) in steps {
                perform(&rig, &mut truth, act).await;
                pass(Duration::from_secs(pause)).await;
                // A read never shows less than one before it.
                lag = wish.min(lag + pause).max(if pause == 0 { lag } else { 0 });
                rig.ec2.lag(Duration::from_secs(lag));
                let observed = rig.observe(1).await;
                assert_eq!(Truth { rules: observed.rules, tags: observed.group.tags }, truth);
            }
        });
    }
}
