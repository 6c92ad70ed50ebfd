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
