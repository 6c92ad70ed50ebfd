//! STS: who one is, and becoming another (issue: an assumed role's credentials reach the other account).

use crate::support::{KEY, Node, OTHER_KEY, REGION, VPC, World, answer};
use bytes::Bytes;
use sgwarden::adapters::sim::{Config, Principal, RoleSeed};

fn sts(world: &World, key: &str, body: &str) -> (u16, Node) {
    let credential =
        format!("AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/sts/aws4_request, SignedHeaders=host, Signature=0");
    let request = http::Request::post("/").header("authorization", credential);
    let response = world.sim.handle(request.body(Bytes::from(format!("Version=2011-06-15&{body}"))).unwrap());
    let answer = answer(&response);
    (answer.status, answer.body)
}

#[test]
fn the_account_is_that_of_the_key() {
    let world = World::new();
    for (key, account, arn) in [
        (KEY, "111122223333", "arn:aws:iam::111122223333:user/alice"),
        (OTHER_KEY, "444455556666", "arn:aws:iam::444455556666:user/bob"),
        ("AKIAIOSFODNN7EXAMPLE", "111122223333", "arn:aws:iam::111122223333:user/akiaiosfodnn7example"),
    ] {
        let (status, body) = sts(&world, key, "Action=GetCallerIdentity");
        assert_eq!(status, 200);
        assert_eq!(body.text("GetCallerIdentityResult/Account"), account);
        assert_eq!(body.text("GetCallerIdentityResult/Arn"), arn);
    }
}

#[test]
fn an_assumed_role_acts_in_its_own_account() {
    let world = World::new();
    let role = "RoleArn=arn:aws:iam::444455556666:role/team/target&RoleSessionName=sgwarden";
    let (status, body) = sts(&world, KEY, &format!("Action=AssumeRole&{role}"));
    assert_eq!(status, 200);
    let arn = body.text("AssumeRoleResult/AssumedRoleUser/Arn").to_owned();
    assert_eq!(arn, "arn:aws:sts::444455556666:assumed-role/target/sgwarden");
    let key = body.text("AssumeRoleResult/Credentials/AccessKeyId");
    assert!(key.starts_with("ASIA") && !body.text("AssumeRoleResult/Credentials/SessionToken").is_empty());
    let (_, identity) = sts(&world, key, "Action=GetCallerIdentity");
    assert_eq!(identity.text("GetCallerIdentityResult/Arn"), arn);
    let vpcs = answer(&world.sim.query(key, REGION, &[("Action", "DescribeVpcs"), ("VpcId.1", VPC)]));
    vpcs.fails("InvalidVpcID.NotFound");
}

#[test]
fn a_role_that_wants_an_external_id_refuses_callers_without_it() {
    let arn = "arn:aws:iam::444455556666:role/target";
    let role = RoleSeed { external_id: Some("secret".into()), ..RoleSeed::new(arn) };
    let world = World::with(Config { roles: vec![role], ..Config::default() });
    let assume = |more: &str| sts(&world, KEY, &format!("Action=AssumeRole&RoleArn={arn}&RoleSessionName=me{more}"));
    let (status, body) = assume("");
    assert_eq!((status, body.text("Error/Code")), (403, "AccessDenied"));
    assert_eq!(assume("&ExternalId=secret").0, 200);
}

#[test]
fn once_a_role_is_named_there_are_only_those_that_are() {
    let world = World::new();
    let assume = |key: &str, role: &str| {
        let arn = format!("arn:aws:iam::444455556666:role/{role}");
        sts(&world, key, &format!("Action=AssumeRole&RoleArn={arn}&RoleSessionName=me"))
    };
    assert_eq!(assume(KEY, "any").0, 200);
    world.sim.add_role(RoleSeed::new("arn:aws:iam::444455556666:role/open")).unwrap();
    let (status, body) = assume(KEY, "any");
    assert_eq!((status, body.text("Error/Code")), (403, "AccessDenied"));
    let message = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole on resource: \
                   arn:aws:iam::444455556666:role/any";
    assert_eq!(body.text("Error/Message"), message);
    assert_eq!(assume(KEY, "open").0, 200);
    world.sim.clear_roles();
    assert_eq!(assume(KEY, "any").0, 200);
}

#[test]
fn a_role_trusts_whom_it_says() {
    let world = World::new();
    let arn = "arn:aws:iam::444455556666:role/target";
    let assume = |key: &str| sts(&world, key, &format!("Action=AssumeRole&RoleArn={arn}&RoleSessionName=me")).0;
    let hub = "arn:aws:iam::111122223333:role/hub";
    let (_, body) = sts(&world, KEY, &format!("Action=AssumeRole&RoleArn={hub}&RoleSessionName=pod"));
    let session = body.text("AssumeRoleResult/Credentials/AccessKeyId").to_owned();
    for (trusts, alice, hub, bob) in [
        (vec![], 200, 200, 200),
        (vec!["111122223333"], 200, 200, 403),
        (vec!["arn:aws:iam::111122223333:root"], 200, 200, 403),
        (vec!["arn:aws:iam::111122223333:user/alice"], 200, 403, 403),
        (vec![hub], 403, 200, 403),
        (vec!["arn:aws:sts::111122223333:assumed-role/hub/pod"], 403, 200, 403),
        (vec!["arn:aws:sts::111122223333:assumed-role/hub/other", "444455556666"], 403, 403, 200),
    ] {
        let trusts: Vec<String> = trusts.into_iter().map(str::to_owned).collect();
        world.sim.add_role(RoleSeed { trusts: trusts.clone(), ..RoleSeed::new(arn) }).unwrap();
        assert_eq!((assume(KEY), assume(&session), assume(OTHER_KEY)), (alice, hub, bob), "{trusts:?}");
    }
}

#[test]
fn roles_are_named_over_the_control_endpoint_and_at_the_start() {
    let world = World::new();
    let control = |method: &str, body: &str| {
        let request = http::Request::builder().method(method).uri("/_sim/roles").body(Bytes::from(body.to_owned())).unwrap();
        let answer = world.sim.handle(request);
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    };
    let role = r#"{"arn":"arn:aws:iam::444455556666:role/a","externalId":"w","trusts":["111122223333"]}"#;
    assert_eq!(control("POST", role), (200, format!("[{role}]")));
    assert_eq!(control("GET", "").1, format!("[{role}]"));
    assert_eq!(control("POST", r#"{"arn":"nonsense"}"#).0, 400);
    assert_eq!(control("POST", r#"{"arn":"arn:aws:iam::444455556666:role/a","colour":"red"}"#).0, 400);
    assert_eq!(control("DELETE", ""), (200, "[]".into()));
    let bad = Config { roles: vec![RoleSeed::new("arn:aws:iam::44:role/a")], ..Config::default() };
    assert!(sgwarden::adapters::sim::Sim::try_new(bad).is_err());
}

#[test]
fn accounts_that_one_hub_reaches_are_apart() {
    let world = World::new();
    let (status, body) =
        sts(&world, KEY, "Action=AssumeRole&RoleArn=arn:aws:iam::444455556666:role/target&RoleSessionName=sgwarden");
    assert_eq!(status, 200);
    let away = body.text("AssumeRoleResult/Credentials/AccessKeyId").to_owned();
    let ours = world.group(VPC, "web");
    let query = |params: &[(&str, &str)]| answer(&world.sim.query(&away, REGION, params));
    query(&[("Action", "DescribeSecurityGroups"), ("GroupId.1", &ours)]).fails("InvalidGroup.NotFound");
    let vpc = world.sim.default_vpc("444455556666", REGION).unwrap();
    let create = [("Action", "CreateSecurityGroup"), ("GroupName", "web"), ("GroupDescription", "d"), ("VpcId", &vpc)];
    let theirs = query(&create).ok().text("groupId").to_owned();
    world.call("DescribeSecurityGroups", &[("GroupId.1", &theirs)]).fails("InvalidGroup.NotFound");
    assert_eq!(world.other().described(&theirs).text("ownerId"), "444455556666");
}

#[test]
fn bad_requests_get_errors_in_the_form_of_sts() {
    let world = World::new();
    for bad in [
        "Action=AssumeRole&RoleArn=nonsense&RoleSessionName=me",
        "Action=AssumeRole&RoleArn=arn:aws:iam::444455556666:role/target",
        "Action=AssumeRole&RoleArn=arn:aws:iam::444455556666:role/target&RoleSessionName=me&DurationSeconds=1",
        "Action=GetSessionToken",
        "",
    ] {
        let (status, body) = sts(&world, KEY, bad);
        assert_eq!(status, 400, "{bad}");
        assert!(!body.text("Error/Code").is_empty(), "{bad}");
    }
}

#[test]
fn a_registered_key_stands_for_its_principal() {
    let world = World::new();
    let account = "444455556666".to_owned();
    world.sim.register("AKIAX", Principal::Sso { account, permission_set: "Admin".into(), user: "alice@example.com".into() });
    let (_, body) = sts(&world, "AKIAX", "Action=GetCallerIdentity");
    let arn = body.text("GetCallerIdentityResult/Arn");
    assert!(arn.starts_with("arn:aws:sts::444455556666:assumed-role/AWSReservedSSO_Admin_"), "{arn}");
    assert!(arn.ends_with("/alice@example.com"), "{arn}");
}
