//! What is there, what happens, and what is to come of it, whatever write was the last of a process.

use std::collections::BTreeMap;

use crate::rig::VPC;

/// An object and its manifest, in which `{legacy}` stands for the id of a group that somebody made long ago.
pub(super) type Declared = (&'static str, String);

pub(super) struct Scenario {
    pub(super) before: Vec<Declared>,
    pub(super) happens: Happens,
    /// What is declared while no process is there.
    pub(super) meanwhile: Vec<Declared>,
    /// The objects there are in the end, and their rules, in which `{name}` stands for the id of an object's group.
    pub(super) rules: BTreeMap<&'static str, Vec<String>>,
    /// The drift that is told of each of them: how it ended, what it was.
    pub(super) drift: &'static [&'static str],
    /// After which of the writes to EC2 it is killed, in a run each.
    pub(super) after_ec2: [usize; 3],
    /// After which of the writes to the apiserver, in a run each: after every one where there are fewer than three.
    pub(super) after_apiserver: &'static [usize],
}

/// What people do.
pub(super) enum Happens {
    Applied(Vec<Declared>),
    Deleted(&'static [&'static str]),
    /// Somebody edits the group of `web` behind our back.
    Intruded,
    /// Somebody approves what waits for it: a change of `web`, which is declared before.
    Approved(Declared),
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            happens: Happens::Applied(Vec::new()),
            meanwhile: Vec::new(),
            rules: BTreeMap::new(),
            drift: &[],
            after_ec2: [1, 2, 3],
            after_apiserver: &[1, 2],
        }
    }
}

impl Scenario {
    pub(super) fn adopts(&self) -> bool {
        self.applied().iter().any(|(_, manifest)| manifest.contains("{legacy}"))
    }

    /// What is declared at the moment it happens.
    pub(super) fn applied(&self) -> &[Declared] {
        match &self.happens {
            Happens::Applied(declared) => declared,
            Happens::Deleted(_) | Happens::Intruded | Happens::Approved(_) => &[],
        }
    }

    pub(super) fn deleted(&self) -> &[&'static str] {
        match self.happens {
            Happens::Deleted(names) => names,
            Happens::Applied(_) | Happens::Intruded | Happens::Approved(_) => &[],
        }
    }

    /// How many objects there is work to do for.
    pub(super) fn objects(&self) -> usize {
        match &self.happens {
            Happens::Applied(declared) => declared.len(),
            Happens::Deleted(names) => names.len(),
            Happens::Intruded | Happens::Approved(_) => 1,
        }
    }
}

/// A manifest; `spec` is YAML, indented by two.
fn object(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n{spec}"
    )
}

fn named(name: &'static str, spec: &str) -> (&'static str, String) {
    (name, object(name, &format!("  groupName: {name}-group\n{spec}")))
}

fn rule(name: &str, port: u16, cidr: &str) -> String {
    format!("  - {{name: {name}, protocol: tcp, ports: [{port}], from: [{{cidr: {cidr}}}]}}\n")
}

fn only(name: &'static str, rules: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    BTreeMap::from([(name, rules.iter().map(|rule| (*rule).to_owned()).collect())])
}

pub(super) fn creation() -> Scenario {
    let spec = "  tags: {team: shop}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [80, 443], from: [{cidr: 0.0.0.0/0}]}
  - {name: mesh, protocol: all, from: [{self: true}]}
  egress:
  - {name: db, protocol: tcp, ports: [5432], to: [{cidr: 10.1.0.0/16}]}
";
    let rules = [
        "egress tcp 5432 to 10.1.0.0/16 \"\"",
        "ingress all from {web} \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 80 from 0.0.0.0/0 \"The site\"",
    ];
    Scenario {
        happens: Happens::Applied(vec![named("web", spec)]),
        rules: only("web", &rules),
        after_apiserver: &[1, 3, 5],
        ..Scenario::default()
    }
}

pub(super) fn big_edit() -> Scenario {
    let manifest = |moved: std::ops::Range<u16>, port: u16, net: u16, dns: u16| {
        let kept = (0..20).map(|n| rule(&format!("kept{n}"), 443, &format!("10.0.{n}.0/24")));
        let moved = moved.map(|n| rule(&format!("moved{n}"), port, &format!("10.{net}.{n}.0/24")));
        let egress = format!("  egress:\n  - {{name: dns, protocol: udp, ports: [{dns}], to: [{{cidr: 10.0.0.2/32}}]}}\n");
        named("web", &format!("  ingress:\n{}{egress}", kept.chain(moved).collect::<String>()))
    };
    let kept = (0..20).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/24 \"\""));
    let moved = (20..40).map(|n| format!("ingress tcp 8443 from 10.5.{n}.0/24 \"\""));
    let rules = kept.chain(moved).chain(["egress udp 5353 to 10.0.0.2/32 \"\"".to_owned()]).collect();
    Scenario {
        before: vec![manifest(0..20, 22, 1, 53)],
        happens: Happens::Applied(vec![manifest(20..40, 8443, 5, 5353)]),
        rules: BTreeMap::from([("web", rules)]),
        ..Scenario::default()
    }
}

pub(super) fn edit_taken_back() -> Scenario {
    let manifest = |site: &str, app: u16, dns: u16| {
        let site = format!("  - {{name: web, description: {site}, protocol: tcp, ports: [443], from: [{{cidr: 0.0.0.0/0}}]}}\n");
        let egress = format!("  egress:\n  - {{name: dns, protocol: udp, ports: [{dns}], to: [{{cidr: 10.0.0.2/32}}]}}\n");
        named("web", &format!("  ingress:\n{site}{}{egress}", rule("app", app, "10.0.0.0/8")))
    };
    let rules = [
        "egress udp 53 to 10.0.0.2/32 \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 8080 from 10.0.0.0/8 \"\"",
    ];
    Scenario {
        before: vec![manifest("The site", 8080, 53)],
        happens: Happens::Applied(vec![manifest("The shop", 8081, 5353)]),
        meanwhile: vec![manifest("The site", 8080, 53)],
        rules: only("web", &rules),
        ..Scenario::default()
    }
}

pub(super) fn edit_of_a_full_group() -> Scenario {
    let manifest = |narrowed: &str, others: (u16, u16), team: &str| {
        let narrowed = (0..15).map(|n| rule(&format!("narrowed{n}"), 443, &format!("10.0.{n}.0/{narrowed}")));
        let others = (0..15).map(|n| rule(&format!("other{}-{n}", others.0), others.0, &format!("10.{}.{n}.0/24", others.1)));
        let kept = (0..30).map(|n| rule(&format!("kept{n}"), 22, &format!("10.9.{n}.0/24")));
        let rules: String = narrowed.chain(others).chain(kept).collect();
        let rules = rules.replace("ports: [22]", &format!("ports: [22], description: The {team}"));
        named("web", &format!("  egressPolicy: DenyAll\n  tags: {{team: {team}}}\n  ingress:\n{rules}"))
    };
    let narrowed = (0..15).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/25 \"\""));
    let others = (0..15).map(|n| format!("ingress tcp 8443 from 10.5.{n}.0/24 \"\""));
    let kept = (0..30).map(|n| format!("ingress tcp 22 from 10.9.{n}.0/24 \"The store\""));
    Scenario {
        before: vec![manifest("24", (8080, 4), "shop")],
        happens: Happens::Applied(vec![manifest("25", (8443, 5), "store")]),
        rules: BTreeMap::from([("web", narrowed.chain(others).chain(kept).collect())]),
        ..Scenario::default()
    }
}

pub(super) fn deletion() -> Scenario {
    // What refers to the group itself is revoked first, each direction by a call.
    let spec = "  ingress:
  - {name: mesh, protocol: all, from: [{self: true}]}
  - {name: web, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  egress:
  - {name: mesh, protocol: all, to: [{self: true}]}
";
    Scenario { before: vec![named("web", spec)], happens: Happens::Deleted(&["web"]), after_apiserver: &[1], ..Scenario::default() }
}

pub(super) fn adoption() -> Scenario {
    let spec = "  adopt: {groupId: {legacy}}
  tags: {team: shop}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: db, protocol: tcp, ports: [5432], from: [{cidr: 10.0.0.0/8}]}
  egress:
  - {name: all, protocol: all, to: [{cidr: 0.0.0.0/0}]}
  - {name: all6, protocol: all, to: [{cidr: \"::/0\"}]}
";
    let rules = [
        "egress all to 0.0.0.0/0 \"\"",
        "egress all to ::/0 \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 5432 from 10.0.0.0/8 \"\"",
    ];
    Scenario {
        happens: Happens::Applied(vec![("web", object("web", spec))]),
        rules: only("web", &rules),
        after_apiserver: &[2, 3, 5],
        ..Scenario::default()
    }
}

/// Two groups that let each other in.
fn cycle() -> Vec<(&'static str, String)> {
    let from = |other: &str, port: u16| {
        let peer = format!("from: [{{securityGroup: {{name: {other}}}}}]");
        format!("  egressPolicy: DenyAll\n  ingress:\n  - {{name: {other}, protocol: tcp, ports: [{port}], {peer}}}\n")
    };
    vec![named("web", &(from("db", 8080) + &rule("site", 443, "0.0.0.0/0"))), named("db", &from("web", 5432))]
}

pub(super) fn creation_of_a_cycle() -> Scenario {
    let mut rules = only("web", &["ingress tcp 443 from 0.0.0.0/0 \"\"", "ingress tcp 8080 from {db} \"\""]);
    rules.extend(only("db", &["ingress tcp 5432 from {web} \"\""]));
    Scenario {
        happens: Happens::Applied(cycle()),
        rules,
        after_ec2: [2, 4, 6],
        after_apiserver: &[3, 6, 10],
        ..Scenario::default()
    }
}

pub(super) fn deletion_of_a_cycle() -> Scenario {
    Scenario { before: cycle(), happens: Happens::Deleted(&["web", "db"]), ..Scenario::default() }
}

pub(super) fn intrusion() -> Scenario {
    let spec = "  egressPolicy: DenyAll
  tags: {team: shop}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8080], from: [{cidr: 10.0.0.0/8}]}
";
    Scenario {
        before: vec![named("web", spec)],
        happens: Happens::Intruded,
        rules: only("web", &["ingress tcp 443 from 0.0.0.0/0 \"The site\"", "ingress tcp 8080 from 10.0.0.0/8 \"\""]),
        drift: &[
            "Reverted Added: ingress tcp 22 from 0.0.0.0/0",
            "Reverted DescriptionChanged: ingress tcp 443 from 0.0.0.0/0 \"temporary\"",
            "Reverted Removed: ingress tcp 8080 from 10.0.0.0/8",
            "Reverted TagChanged: tag team=mallory",
        ],
        ..Scenario::default()
    }
}

pub(super) fn approval() -> Scenario {
    let manifest = |port: u16, team: &str, egress: &str, required: &str| {
        let rules = rule("https", 443, "0.0.0.0/0") + &rule("app", port, "10.0.0.0/8");
        named("web", &format!("  egressPolicy: {egress}\n  tags: {{team: {team}}}\n{required}  ingress:\n{rules}"))
    };
    let required = "  enforcement: {approval: Required}\n";
    Scenario {
        before: vec![manifest(8080, "shop", "AllowAll", "")],
        happens: Happens::Approved(manifest(8081, "store", "DenyAll", required)),
        rules: only("web", &["ingress tcp 443 from 0.0.0.0/0 \"\"", "ingress tcp 8081 from 10.0.0.0/8 \"\""]),
        ..Scenario::default()
    }
}
