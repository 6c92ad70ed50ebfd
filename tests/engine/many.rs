//! A Region full of groups that are as declared, without the time it takes to create them.

use std::time::Duration;

use sgwarden::adapters::sim::{Config, DEFAULT_ACCOUNT, VpcSeed};

use crate::rig::{REGION, Rig, VPC, manifest, tcp};

/// One group that the engine made, and as many more that are like it to the letter, but for what tells them apart. The engine does
/// not run.
pub(crate) async fn groups(many: usize, rules: u16) -> Rig {
    let mut rig = Rig::ticking(Config { vpcs: vec![VpcSeed::new(VPC)], ..Config::default() }, Duration::from_secs(1)).await;
    let rules: Vec<String> = (0..rules).map(|n| tcp(&format!("rule-{n}"), 443 + n, "10.0.0.0/8")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let declared = |name: &str| manifest(name, &rules);
    rig.store.apply(&declared("web-0"));
    rig.start_engine();
    let first = rig.settled("web-0").await;
    rig.stop_engine().await;
    let (id, uid) = (rig.group("web-0"), first.metadata.uid.unwrap());
    let status = serde_json::to_string(&first.status).unwrap();
    let dump = rig.sim.dump();
    let place = dump["places"].as_array().unwrap().iter().find(|place| place["account"] == DEFAULT_ACCOUNT).unwrap();
    let group = place["groups"].as_array().unwrap().iter().find(|group| group["id"] == id.as_str()).unwrap();
    let rows: Vec<&str> = group["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(rows.len(), rules.len());
    let mut groups = Vec::new();
    for n in 1..many {
        let name = format!("web-{n}");
        rig.store.apply(&declared(&name));
        let own = rig.store.get(&name).unwrap().metadata.uid.unwrap();
        let alike = |text: &str| {
            let text = text.replace("web-0", &name).replace(&format!("\"{uid}\""), &format!("\"{own}\""));
            let text = text.replace(id.as_str(), &format!("sg-{n:017x}"));
            rows.iter().enumerate().fold(text, |text, (at, row)| text.replace(row, &format!("sgr-{n:013x}{at:04x}")))
        };
        rig.store.look_after(&name, serde_json::from_str(&alike(&status)).unwrap());
        groups.push(alike(&group.to_string()));
    }
    // The reader of worlds takes no more than so much at a time.
    for some in groups.chunks(500) {
        let place = format!("{{\"account\": \"{DEFAULT_ACCOUNT}\", \"region\": \"{REGION}\", \"groups\": [{}]}}", some.join(", "));
        rig.sim.load(&format!("{{\"places\": [{place}]}}")).unwrap();
    }
    rig
}
