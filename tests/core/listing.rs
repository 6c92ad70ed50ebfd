//! Drift and changes as people look them up.

use sgwarden::api::{Actor, DriftAtom, DriftRecord, ExposureChange, SecurityGroup, SecurityGroupSpec, SecurityGroupStatus};
use sgwarden::core::audit::Trail;
use sgwarden::core::listing::{
    ChangeFilter, Colour, DriftFilter, change_json, change_table, changes, drift_json, drift_table, drifts,
};

fn now() -> jiff::Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn group(namespace: &str, name: &str, mode: &str, drift: Vec<DriftRecord>) -> SecurityGroup {
    let mut object = SecurityGroup::new(name, SecurityGroupSpec::default());
    object.metadata.namespace = Some(namespace.to_owned());
    let text = |text: &str| Some(text.to_owned());
    object.status = Some(SecurityGroupStatus {
        group_id: text("sg-0a1b2c3d4e5f67890"),
        account: text("prod"),
        region: text("eu-west-1"),
        mode: text(mode),
        drift,
        ..SecurityGroupStatus::default()
    });
    object
}

fn record(
    id: &str,
    at: &str,
    resolution: &str,
    resolved: Option<&str>,
    atoms: &[(&str, Option<&str>, Option<&str>)],
) -> DriftRecord {
    let atom = |(kind, before, after): &(&str, Option<&str>, Option<&str>)| DriftAtom {
        kind: (*kind).to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        ..DriftAtom::default()
    };
    DriftRecord {
        id: id.to_owned(),
        atoms: atoms.iter().map(atom).collect(),
        count: i32::try_from(atoms.len()).unwrap(),
        detected_at: Some(at.to_owned()),
        resolution: resolution.to_owned(),
        resolved_at: resolved.map(str::to_owned),
        trace_id: Some("4bf92f35".to_owned()),
        ..DriftRecord::default()
    }
}

fn by(name: Option<&str>, ip: Option<&str>, reason: Option<&str>) -> Actor {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Actor { name: text(name), source_ip: text(ip), reason: text(reason), ..Actor::default() }
}

/// One record of every kind and end.
fn account() -> Vec<SecurityGroup> {
    let web = "ingress tcp 22 from 0.0.0.0/0";
    let mut first =
        record("d-7f3a0001", "2026-11-22T11:59:19Z", "Reverted", Some("2026-11-22T11:59:19.840Z"), &[("Added", None, Some(web))]);
    first.actor = Some(by(Some("jane@example.com (SSO role Admins)"), Some("203.0.113.7"), None));
    first.exposure = Some(ExposureChange { opened: Some("tcp/22 to 4,294,967,296 addresses".to_owned()), closed: None });
    let (narrow, wide) = ("ingress tcp 5432 from 10.0.0.0/24", "ingress tcp 5432 from 10.0.0.0/16");
    let second = record("d-1c090002", "2026-11-22T09:00:00Z", "Reported", None, &[("Modified", Some(narrow), Some(wide))]);
    let second = DriftRecord {
        count: 35,
        actor: Some(by(Some("ci-deploy (role Deploy, session gh-88)"), Some("198.51.100.4"), None)),
        ..second
    };
    let gone = [("Removed", Some("egress udp 1194 to 192.0.2.0/24"), None)];
    let third = record("d-0b770003", "2026-11-22T03:00:00Z", "Reverted", Some("2026-11-22T03:01:01Z"), &gone);
    let third = DriftRecord { actor: Some(by(None, None, Some("unknown: no event in 15 min"))), ..third };
    let texts = [(
        "DescriptionChanged",
        Some("ingress tcp 443 from 0.0.0.0/0 \"Web\""),
        Some("ingress tcp 443 from 0.0.0.0/0 \"mine\u{1b}[2J\n\""),
    )];
    let hostile = DriftRecord {
        actor: Some(by(Some("mallory\u{202e}\n  0s ago"), None, None)),
        ..record("d-00000004", "2026-11-21T12:00:00Z", "Pending", None, &texts)
    };
    vec![
        group("shop", "web", "Enforce", vec![first, hostile]),
        group("shop", "db", "Observe", vec![second]),
        group("ops", "vpn", "Enforce", vec![third]),
        group("ops", "quiet", "Enforce", Vec::new()),
        group(
            "old",
            "kinds",
            "Enforce",
            vec![
                record("d-5", "2026-11-12T12:00:05Z", "Tolerated", Some("x"), &[("TagChanged", Some("tag a=b"), Some("tag a=c"))]),
                record("d-6", "2026-11-12T12:00:04Z", "Suspended", None, &[("TagRemoved", Some("tag a=b"), None)]),
                record("d-7", "2026-11-12T12:00:03Z", "Declared", Some("x"), &[("GroupDeleted", Some("sg-1"), None)]),
                record("d-8", "2026-11-12T12:00:02Z", "Transient", Some("x"), &[("Transient", None, Some(web))]),
                record(
                    "d-9",
                    "2026-11-12T12:00:01Z",
                    "Unknown",
                    Some("x"),
                    &[("VpcAssociationChanged", None, Some("vpc-1 associated"))],
                ),
                record("d-10", "yesterday", "Forgiven", Some("x"), &[("Unclassified", None, Some(web)), ("Widened", None, None)]),
                DriftRecord::default(),
            ],
        ),
    ]
}

#[test]
fn drift_is_told_newest_first_in_the_words_of_people() {
    let objects = account();
    let table = drift_table(&drifts(&objects, DriftFilter::default()), now(), Colour::Never);
    insta::assert_snapshot!(table, @r#"
    WHEN      GROUP       WHAT                                                                 OPENED                              WHO                                      FROM           DONE                       ID
    41s ago   shop/web    + tcp 22 from 0.0.0.0/0                                              tcp/22 to 4,294,967,296 addresses   jane@example.com (SSO role Admins)       203.0.113.7    reverted in 0.8 s          d-7f3a0001
    3h ago    shop/db     ~ tcp 5432 from 10.0.0.0/24 → tcp 5432 from 10.0.0.0/16 (+34 more)   -                                   ci-deploy (role Deploy, session gh-88)   198.51.100.4   reported (Observe)         d-1c090002
    9h ago    ops/vpn     - udp 1194 to 192.0.2.0/24                                           -                                   unknown: no event in 15 min              -              reverted in 61 s           d-0b770003
    1d ago    shop/web    ~ tcp 443 from 0.0.0.0/0: "Web" → "mine�[2J�"                        -                                   mallory��  0s ago                        -              being put right            d-00000004
    9d ago    old/kinds   ~ tag a=b → tag a=c                                                  -                                   not known yet                            -              tolerated                  d-5
    9d ago    old/kinds   - tag a=b                                                            -                                   not known yet                            -              left for now (suspended)   d-6
    9d ago    old/kinds   - group sg-1                                                         -                                   not known yet                            -              declared by now            d-7
    9d ago    old/kinds   + tcp 22 from 0.0.0.0/0, gone again                                  -                                   not known yet                            -              over before it was seen    d-8
    9d ago    old/kinds   + vpc-1 associated                                                   -                                   not known yet                            -              nobody can tell            d-9
    -         old/kinds   something                                                            -                                   not known yet                            -              -
    -         old/kinds   ~ nothing → tcp 22 from 0.0.0.0/0 (+1 more)                          -                                   not known yet                            -              Forgiven                   d-10
    "#);
    assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'));
    assert_eq!(table.lines().count(), 12, "a header, and a line a record");
}

#[test]
fn what_is_over_or_old_can_be_left_out() {
    let objects = account();
    let ids = |filter| -> Vec<&str> { drifts(&objects, filter).iter().map(|row| row.record.id.as_str()).collect() };
    let since = Some("2026-11-22T00:00:00Z".parse().unwrap());
    assert_eq!(ids(DriftFilter { since, open: false }), ["d-7f3a0001", "d-1c090002", "d-0b770003", "", "d-10"]);
    assert_eq!(ids(DriftFilter { since: None, open: true }), ["d-1c090002", "d-00000004", "d-6", ""]);
}

#[test]
fn programs_are_told_everything_by_stable_names() {
    let objects = account();
    let rows = drifts(&objects[..1], DriftFilter::default());
    insta::assert_snapshot!(format!("{:#}", drift_json(&rows[..1])), @r#"
    [
      {
        "account": "prod",
        "actor": {
          "name": "jane@example.com (SSO role Admins)",
          "sourceIp": "203.0.113.7"
        },
        "changeId": null,
        "changes": [
          {
            "after": "ingress tcp 22 from 0.0.0.0/0",
            "before": null,
            "kind": "Added",
            "rule": null,
            "ruleId": null
          }
        ],
        "closed": null,
        "count": 1,
        "detectedAt": "2026-11-22T11:59:19Z",
        "groupId": "sg-0a1b2c3d4e5f67890",
        "id": "d-7f3a0001",
        "name": "web",
        "namespace": "shop",
        "open": false,
        "opened": "tcp/22 to 4,294,967,296 addresses",
        "region": "eu-west-1",
        "resolution": "Reverted",
        "resolvedAt": "2026-11-22T11:59:19.840Z",
        "traceId": "4bf92f35"
      }
    ]
    "#);
    assert_eq!(drift_json(&[]).to_string(), "[]");
}

const TRAIL: &str = r#"{"version":1,"id":"c-1","time":"2026-11-22T11:00:00Z","phase":"Intent","cluster":"k","account":"111122223333","region":"eu-west-1","groupId":"sg-1","object":"shop/web","uid":"u","generation":3,"step":0,"operation":"AuthorizeSecurityGroupIngress","items":[{"cause":"SpecChange","rule":"https","after":"ingress tcp 443 from 0.0.0.0/0"},{"cause":"Expiry","after":"x"}],"traceId":"t-1"}
{"version":1,"id":"c-1","time":"2026-11-22T11:00:01Z","phase":"Outcome","object":"shop/web","operation":"AuthorizeSecurityGroupIngress","items":[],"traceId":"t-1","outcome":{"result":"Done","awsRequestId":"r-1"}}
{"version":1,"id":"c-2","time":"2026-11-22T11:30:00Z","phase":"Intent","groupId":"sg-2","object":"shop/db","operation":"RevokeSecurityGroupIngress","items":[{"cause":"Drift","ruleId":"sgr-1","before":"ingress tcp 22 from 0.0.0.0/0","driftId":"d-1"}],"traceId":"t-2"}
{"version":1,"id":"c-3","time":"2026-11-22T11:40:00Z","phase":"Intent","groupId":"sg-2","object":"shop/db","operation":"ModifySecurityGroupRules","items":[{"cause":"SpecChange","before":"ingress tcp 1 from 0.0.0.0/0","after":"ingress tcp 2 from 0.0.0.0/0"}],"traceId":"t-3"}
{"version":1,"id":"c-3","time":"2026-11-22T11:40:01Z","phase":"Outcome","outcome":{"result":"Failed","code":"UnauthorizedOperation"}}
{"version":1,"id":"c-4","time":"2026-11-22T11:50:00Z","phase":"Intent","object":"shop/db","operation":"DeleteSecurityGroup","items":[{"cause":"Deletion"}],"traceId":"t-4"}
{"version":1,"id":"a-1","time":"2026-11-22T11:50:00Z","phase":"Attribution","object":"shop/db","driftId":"d-1","actor":{"name":"alice@example.com"}}
{"version":1,"id":"c-5","ti"#;

fn trail() -> Trail {
    let mut trail = Trail::default();
    TRAIL.lines().for_each(|line| trail.take(line.as_bytes()));
    trail
}

#[test]
fn changes_are_told_newest_first_with_what_came_of_them() {
    let trail = trail();
    assert_eq!(trail.unreadable(), 1);
    let table = change_table(&changes(&trail, &ChangeFilter::default()), now(), Colour::Never);
    insta::assert_snapshot!(table, @r#"
    WHEN      GROUP      CALL                            WHAT                                            WHY                          RESULT                           ID
    10m ago   shop/db    DeleteSecurityGroup             the group                                       Deletion                     no outcome                       c-4
    20m ago   shop/db    ModifySecurityGroupRules        ~ tcp 1 from 0.0.0.0/0 → tcp 2 from 0.0.0.0/0   SpecChange                   Failed (UnauthorizedOperation)   c-3
    30m ago   shop/db    RevokeSecurityGroupIngress      - tcp 22 from 0.0.0.0/0                         Drift by alice@example.com   no outcome                       c-2
    1h ago    shop/web   AuthorizeSecurityGroupIngress   + tcp 443 from 0.0.0.0/0 (+1 more)              Expiry, SpecChange           Done                             c-1
    "#);
}

#[test]
fn changes_are_found_by_group_time_and_trace() {
    let trail = trail();
    let ids = |filter: &ChangeFilter| -> Vec<&str> { changes(&trail, filter).iter().map(|change| change.id.as_str()).collect() };
    let groups = |name: &str| ChangeFilter { groups: vec![name.to_owned()], ..ChangeFilter::default() };
    assert_eq!(ids(&groups("shop/web")), ["c-1"]);
    assert_eq!(ids(&groups("sg-2")), ["c-3", "c-2"]);
    assert_eq!(ids(&ChangeFilter { trace: Some("t-2".to_owned()), ..ChangeFilter::default() }), ["c-2"]);
    let since = Some("2026-11-22T11:40:00Z".parse().unwrap());
    assert_eq!(ids(&ChangeFilter { since, ..ChangeFilter::default() }), ["c-4", "c-3"]);
    let json = change_json(&changes(&trail, &groups("shop/web")));
    assert_eq!((&json[0]["outcome"]["awsRequestId"], &json[0]["items"][0]["rule"]), (&"r-1".into(), &"https".into()));
}
