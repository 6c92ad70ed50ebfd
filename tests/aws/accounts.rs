//! Several accounts behind one connector: whose credentials a route leads to, roles and who lends them, and what EC2's clock
//! says. Against the sim through the SDK, and as the ports where these promise the same.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use sgwarden::adapters::aws::{AwsConnector, AwsOptions, CallLimits};
use sgwarden::adapters::sim::{Config, Fault, RoleSeed, Sim, SimConnector, VpcSeed, serve};
use sgwarden::core::model::{Direction, NewRule, SecurityGroupId};
use sgwarden::ports::clock::Clock;
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, ErrorClass, GroupQuery, NewGroup, Route};

use crate::support::{ACCOUNT, Canned, as_role, ec2_answer, identity, limits, options, own, region, sts_error};

const MEMBER: &str = "444455556666";
const THIRD: &str = "777788889999";
const ROLE: &str = "arn:aws:iam::444455556666:role/team/sgwarden";
const THIRD_ROLE: &str = "arn:aws:iam::777788889999:role/sgwarden";
const WORD: &str = "word-that-opens";
const VPC: &str = "vpc-0a1b2c3d4e5f60001";
const MEMBER_VPC: &str = "vpc-0a1b2c3d4e5f60002";

/// Two doors to roles.
#[derive(Clone, Copy, Debug)]
enum Door {
    Process,
    Ports,
}

const DOORS: [Door; 2] = [Door::Process, Door::Ports];

/// A hub account and two members, each with a role for the hub; the first wants a word.
fn world() -> Sim {
    let trusts = vec![ACCOUNT.to_owned()];
    let role = RoleSeed { external_id: Some(WORD.into()), trusts: trusts.clone(), ..RoleSeed::new(ROLE) };
    let vpcs = vec![VpcSeed::new(VPC), VpcSeed { account: MEMBER.into(), ..VpcSeed::new(MEMBER_VPC) }];
    Sim::new(Config { vpcs, roles: vec![role, RoleSeed { trusts, ..RoleSeed::new(THIRD_ROLE) }], ..Config::default() })
}

fn mounted(sim: &Sim, options: AwsOptions) -> AwsConnector {
    let sim = sim.clone();
    AwsConnector::new(options.in_process(move |request| sim.handle(request)))
}

fn connector(sim: &Sim, door: Door) -> Arc<dyn Connect> {
    match door {
        Door::Process => Arc::new(mounted(sim, options())),
        Door::Ports => Arc::new(SimConnector::new(sim.clone(), "AKIDTEST")),
    }
}

fn member() -> Route {
    as_role(MEMBER, ROLE, Some(WORD))
}

async fn refused(connector: &dyn Connect, route: &Route) -> CloudError {
    let refused = connector.connect(route).await.err();
    refused.unwrap_or_else(|| panic!("{route:?} leads somewhere"))
}

async fn group(ec2: &Ec2, vpc: &str) -> SecurityGroupId {
    let new = NewGroup { name: "web".into(), description: "d".into(), vpc: vpc.parse().unwrap(), tags: [].into() };
    ec2.write.create_group(&new).await.unwrap().created.unwrap()
}

#[tokio::test]
async fn a_role_leads_into_its_own_account() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        let (hub, away) = (connector.connect(&own()).await.unwrap(), connector.connect(&member()).await.unwrap());
        assert_eq!((hub.account.as_str(), away.account.as_str()), (ACCOUNT, MEMBER), "{door:?}");
        let (ours, theirs) = (group(&hub, VPC).await, group(&away, MEMBER_VPC).await);
        let found = async |ec2: &Ec2| -> Vec<SecurityGroupId> {
            let query = GroupQuery::Ids(vec![ours.clone(), theirs.clone()]);
            ec2.read.groups(&query).await.unwrap().into_iter().map(|group| group.id).collect()
        };
        assert_eq!((found(&hub).await, found(&away).await), (vec![ours.clone()], vec![theirs.clone()]), "{door:?}");
        let event = sim.all_events().pop().unwrap();
        let who = &event["detail"]["userIdentity"];
        assert_eq!(who["arn"], "arn:aws:sts::444455556666:assumed-role/sgwarden/sgwarden", "{door:?}: who it was");
        assert_eq!(event["account"], MEMBER);
    }
}

#[tokio::test]
async fn a_role_leads_into_its_own_account_over_a_socket_that_the_route_names() {
    let (elsewhere, here) = (world(), world());
    let url = async |sim: &Sim| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(sim.clone(), listener, std::future::pending()));
        url
    };
    let connector = AwsConnector::new(options().endpoint(url(&elsewhere).await));
    let away = Route { endpoint: Some(url(&here).await), ..member() };
    let ec2 = connector.connect(&away).await.unwrap();
    group(&ec2, MEMBER_VPC).await;
    assert_eq!((here.count("AssumeRole"), here.count("GetCallerIdentity"), here.count("CreateSecurityGroup")), (1, 1, 1));
    assert!(elsewhere.calls().is_empty(), "{:?}", elsewhere.counts());
    connector.connect(&member()).await.unwrap();
    assert_eq!(elsewhere.count("AssumeRole"), 1, "without one of its own, the one of the options");
}

#[tokio::test]
async fn a_role_that_is_not_lent_says_which_and_what_to_look_at() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        let unknown = "arn:aws:iam::444455556666:role/nobody";
        for route in
            [as_role(MEMBER, ROLE, Some("another-word")), as_role(MEMBER, ROLE, None), as_role(MEMBER, unknown, Some(WORD))]
        {
            let error = refused(&*connector, &route).await;
            let seen = (error.operation, error.class, error.code.as_deref(), error.outcome_unknown);
            assert_eq!(seen, ("AssumeRole", ErrorClass::Credentials, Some("AccessDenied"), false), "{door:?}: {error}");
            let arn = &route.role.as_ref().unwrap().arn;
            assert_eq!(
                error.to_string(),
                format!(
                    "AssumeRole: role {arn} cannot be assumed: User: arn:aws:iam::111122223333:user/akidtest is not authorized \
                     to perform: sts:AssumeRole on resource: {arn}"
                )
            );
            let told = error.explain(&region());
            for part in [arn.as_str(), "trust policy", "external id", "(AccessDenied)", "deploy/iam/hub.json"] {
                assert!(told.contains(part), "{part} in {told}");
            }
            for text in [told, format!("{error:?}")] {
                assert!(!text.contains("another-word") && !text.contains(WORD), "{text}");
            }
        }
        assert_eq!(sim.count("GetCallerIdentity"), 0, "nobody's credentials, nothing asked with them");
        assert!(sim.calls().iter().all(|call| call.action == "AssumeRole"), "and nothing touched");
    }
}

#[tokio::test]
async fn a_stranger_is_not_lent_a_role() {
    let sim = world();
    let stranger = mounted(&sim, AwsOptions::default().credentials("AKIA999900001111EVE", "x").limits(limits()));
    assert_eq!(refused(&stranger, &member()).await.class, ErrorClass::Credentials);
}

#[tokio::test]
async fn a_route_into_another_account_than_it_says_is_refused_in_words() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        let elsewhere = as_role(THIRD, ROLE, Some(WORD));
        let error = refused(&*connector, &elsewhere).await;
        assert_eq!((error.operation, error.class), ("GetCallerIdentity", ErrorClass::Credentials));
        assert_eq!(
            error.message,
            format!("role {ROLE} is of account {MEMBER}, but account {THIRD} is expected; nothing is touched"),
            "{door:?}"
        );
        let own = Route { account: Some(MEMBER.parse().unwrap()), ..own() };
        assert_eq!(
            refused(&*connector, &own).await.message,
            format!("the credentials are of account {ACCOUNT}, but account {MEMBER} is expected; nothing is touched")
        );
        assert!(sim.calls().iter().all(|call| call.service == "sts"), "{door:?}: {:?}", sim.counts());
    }
}

#[tokio::test]
async fn what_the_command_line_says_of_the_own_account_is_not_said_of_roles() {
    let sim = world();
    let connector = mounted(&sim, options().expect_account(Some(ACCOUNT.parse().unwrap())));
    assert_eq!(connector.connect(&member()).await.unwrap().account.as_str(), MEMBER);
    let connector = mounted(&sim, options().expect_account(Some(MEMBER.parse().unwrap())));
    assert!(refused(&connector, &own()).await.message.contains("--account-id says 444455556666"));
}

#[tokio::test]
async fn a_role_that_breaks_takes_down_its_own_account_only_and_comes_back() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        let third = as_role(THIRD, THIRD_ROLE, None);
        sim.add_role(RoleSeed { trusts: vec!["000000000000".into()], ..RoleSeed::new(ROLE) }).unwrap();
        assert_eq!(refused(&*connector, &member()).await.class, ErrorClass::Credentials, "{door:?}");
        assert_eq!(connector.connect(&third).await.unwrap().account.as_str(), THIRD, "{door:?}");
        assert_eq!(connector.connect(&own()).await.unwrap().account.as_str(), ACCOUNT, "{door:?}");
        sim.add_role(RoleSeed::new(ROLE)).unwrap();
        assert_eq!(connector.connect(&member()).await.unwrap().account.as_str(), MEMBER, "{door:?}: mended");
    }
}

#[tokio::test]
async fn a_session_is_shared_and_taken_again_when_it_ends() {
    let sim = world();
    let connector = mounted(&sim, options());
    let ec2 = connector.connect(&member()).await.unwrap();
    group(&ec2, MEMBER_VPC).await;
    ec2.read.groups(&GroupQuery::All).await.unwrap();
    connector.connect(&member()).await.unwrap();
    assert_eq!((sim.count("AssumeRole"), sim.count("GetCallerIdentity")), (1, 1), "one session for all");

    // An hour ago, a session of an hour ends now.
    sim.run_clock(-SignedDuration::from_hours(1));
    let connector = mounted(&sim, options());
    let ec2 = connector.connect(&member()).await.unwrap();
    sim.clear_calls();
    ec2.read.groups(&GroupQuery::All).await.unwrap();
    assert_eq!(sim.count("AssumeRole"), 1, "a session that has ended is not used");
}

#[tokio::test]
async fn a_session_that_was_ended_before_its_time_is_taken_again_once() {
    for code in ["RequestExpired", "ExpiredToken", "ExpiredTokenException", "InvalidSecurity.RequestHasExpired"] {
        let sim = world();
        let ec2 = mounted(&sim, options()).connect(&member()).await.unwrap();
        let web = group(&ec2, MEMBER_VPC).await;
        sim.clear_calls();
        sim.inject(Fault { times: Some(1), ..Fault::error("CreateTags", code, 400) });
        let error = ec2.write.set_tags(&web, &[("team".into(), "shop".into())].into()).await.unwrap_err();
        assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, false), "{error}");
        assert!(error.is(code) && error.message.starts_with("the credentials have run out and are asked for anew: "), "{error}");
        assert_eq!(sim.count("AssumeRole"), 0, "by whoever calls next");
        ec2.read.groups(&GroupQuery::All).await.unwrap();
        ec2.write.set_tags(&web, &[("team".into(), "shop".into())].into()).await.unwrap();
        assert_eq!(sim.count("AssumeRole"), 1, "{code}: reads and writes share the new session");
        // The clock, perhaps, or a policy: asking again and again does not help.
        sim.inject(Fault::error("CreateTags", code, 400));
        let error = ec2.write.set_tags(&web, &[("team".into(), "web".into())].into()).await.unwrap_err();
        assert_eq!((error.class, sim.count("AssumeRole")), (ErrorClass::Credentials, 1), "{code}");
    }
}

#[tokio::test]
async fn a_role_that_breaks_later_says_so_at_the_call_that_needs_it() {
    let sim = world();
    sim.run_clock(-SignedDuration::from_hours(1));
    let connector = mounted(&sim, options());
    let ec2 = connector.connect(&member()).await.unwrap();
    let web = group(&ec2, MEMBER_VPC).await;
    let rules = [NewRule { atom: "ingress tcp 443 from 10.0.0.0/8".parse().unwrap(), description: None }];
    sim.add_role(RoleSeed { trusts: vec!["000000000000".into()], ..RoleSeed::new(ROLE) }).unwrap();
    let read = ec2.read.groups(&GroupQuery::All).await.unwrap_err();
    let write = ec2.write.authorize(&web, Direction::Ingress, &rules).await.unwrap_err();
    for error in [read, write] {
        let seen = (error.operation, error.class, error.outcome_unknown);
        assert_eq!(seen, ("AssumeRole", ErrorClass::Credentials, false), "{error}");
        assert!(error.message.starts_with(&format!("role {ROLE} cannot be assumed: ")), "{error}");
    }
    assert_eq!(sim.count("AuthorizeSecurityGroupIngress"), 0, "the write was never sent");
    sim.clear_roles();
    ec2.write.authorize(&web, Direction::Ingress, &rules).await.unwrap();
}

#[tokio::test]
async fn trouble_with_sts_has_its_class_and_names_the_role() {
    for (status, code, class) in [
        (400, "Throttling", ErrorClass::Throttled),
        (503, "ServiceUnavailable", ErrorClass::Unavailable),
        (403, "RegionDisabledException", ErrorClass::Credentials),
        (400, "ValidationError", ErrorClass::Terminal),
        (403, "ExpiredTokenException", ErrorClass::Credentials),
    ] {
        for door in DOORS {
            let sim = world();
            sim.inject(Fault { about: Some(ROLE.into()), ..Fault::error("AssumeRole", code, status) });
            let connector = connector(&sim, door);
            let error = refused(&*connector, &member()).await;
            assert_eq!((error.operation, error.class, error.outcome_unknown), ("AssumeRole", class, false), "{door:?}: {error}");
            assert!(error.message.contains(ROLE) && error.is(code), "{door:?}: {error}");
            assert!(connector.connect(&as_role(THIRD, THIRD_ROLE, None)).await.is_ok(), "{door:?}: and no other");
        }
    }
}

#[tokio::test]
async fn an_arn_that_is_none_is_refused_by_sts() {
    for door in DOORS {
        let error = refused(&*connector(&world(), door), &as_role(MEMBER, "sgwarden", None)).await;
        assert_eq!((error.operation, error.class), ("AssumeRole", ErrorClass::Terminal), "{door:?}: {error}");
    }
}

#[tokio::test]
async fn sessions_are_called_what_they_are_to_be_called() {
    let sim = world();
    let connector = mounted(&sim, options().session_name("controller-0"));
    group(&connector.connect(&member()).await.unwrap(), MEMBER_VPC).await;
    let who = sim.all_events().pop().unwrap()["detail"]["userIdentity"]["arn"].clone();
    assert_eq!(who, "arn:aws:sts::444455556666:assumed-role/sgwarden/controller-0");
}

#[tokio::test]
async fn every_region_is_a_route_of_its_own_and_none_is_refused_beforehand() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        for name in ["eu-west-1", "us-east-1", "ap-southeast-2"] {
            let ec2 = connector.connect(&Route { region: name.parse().unwrap(), ..member() }).await.unwrap();
            assert_eq!((ec2.region.as_str(), ec2.account.as_str()), (name, MEMBER), "{door:?}");
        }
        let asked: Vec<String> = sim.calls().into_iter().filter(|call| call.service == "sts").map(|call| call.region).collect();
        assert_eq!(asked, ["eu-west-1", "eu-west-1", "us-east-1", "us-east-1", "ap-southeast-2", "ap-southeast-2"], "its own STS");
    }
}

#[tokio::test]
async fn a_route_that_is_forgotten_is_found_again_from_the_start() {
    for door in DOORS {
        let sim = world();
        let connector = connector(&sim, door);
        let ec2 = connector.connect(&member()).await.unwrap();
        connector.forget(&own());
        connector.connect(&member()).await.unwrap();
        assert_eq!(sim.count("GetCallerIdentity"), 1, "{door:?}: another was forgotten");
        connector.forget(&member());
        connector.connect(&member()).await.unwrap();
        assert_eq!(sim.count("GetCallerIdentity"), 2, "{door:?}");
        assert!(ec2.read.groups(&GroupQuery::All).await.is_ok(), "{door:?}: ports given out go on");
    }
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_who_asks() {
    let sim = world();
    let connector = mounted(&sim, options());
    let route = member();
    let all = futures::future::join_all((0..20).map(|_| connector.connect(&route))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((sim.count("AssumeRole"), sim.count("GetCallerIdentity")), (1, 1));
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_an_error_of_its_account() {
    let connector = AwsConnector::new(options());
    for url in ["", "nonsense", "/", "http://", "127.0.0.1:1", "http://[::1", "http://:80", "ftp://x", "http://key:hush@x"] {
        for route in [Route { endpoint: Some(url.into()), ..own() }, Route { endpoint: Some(url.into()), ..member() }] {
            let error = refused(&connector, &route).await;
            assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Terminal, false), "{url}: {error:?}");
            assert!(error.message.contains("is not a URL such as") && !error.message.contains("hush"), "{error}");
        }
    }
    let connector = AwsConnector::new(options().endpoint("nonsense"));
    assert!(refused(&connector, &own()).await.message.contains("'nonsense' is not a URL"));
}

#[tokio::test]
async fn silence_where_a_role_is_asked_for_names_the_role() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let kept = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let limits = CallLimits { read_attempts: 1, read_attempt: Duration::from_millis(200), ..limits() };
    let connector = AwsConnector::new(options().limits(limits));
    for (url, words) in [(silent, "no answer in time"), (format!("http://{closed}"), "connection refused: nothing listens")] {
        let error = refused(&connector, &Route { endpoint: Some(url), ..member() }).await;
        let seen = (error.operation, error.class, error.outcome_unknown);
        assert_eq!(seen, ("AssumeRole", ErrorClass::Unavailable, false), "{error}");
        assert!(error.message.starts_with(&format!("role {ROLE} cannot be assumed: {words}")), "{error}");
    }
    kept.abort();
}

#[tokio::test]
async fn the_hubs_own_trouble_is_told_with_the_role() {
    let canned = Canned::new(|action, _| match action {
        "AssumeRole" => sts_error(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        _ => identity(ACCOUNT),
    });
    let error = refused(&canned.connector(options()), &member()).await;
    assert_eq!((error.operation, error.class), ("AssumeRole", ErrorClass::Credentials));
    assert_eq!(error.message, format!("role {ROLE} cannot be assumed: The security token included in the request is invalid."));
    assert_eq!(canned.count("GetCallerIdentity"), 0);
}

#[tokio::test]
async fn an_answer_to_assume_role_without_credentials_is_an_error() {
    let empty = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult/></AssumeRoleResponse>";
    let canned = Canned::new(move |_, _| (200, empty.to_owned()));
    let error = refused(&canned.connector(options()), &member()).await;
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Credentials, false), "{error:?}");
}

/// Reads until two replies have told the same.
async fn listen(ec2: &Ec2) {
    for _ in 0..2 {
        ec2.read.groups(&GroupQuery::All).await.unwrap();
    }
}

#[tokio::test]
async fn the_clock_hears_what_time_ec2_says_it_is() {
    let (sim, clock) = (world(), Clock::system());
    let connector = mounted(&sim, options().clock(clock.clone()));
    let ec2 = connector.connect(&own()).await.unwrap();
    listen(&ec2).await;
    assert_eq!(clock.skew(), None, "in step");
    for minutes in [10, -10] {
        sim.run_clock(SignedDuration::from_mins(minutes));
        listen(&ec2).await;
        let skew = clock.skew().unwrap();
        assert!((skew - SignedDuration::from_mins(minutes)).abs() < SignedDuration::from_secs(20), "{skew:?}");
        let apart = clock.now().duration_since(sim.now()).abs();
        assert!(apart < SignedDuration::from_secs(20), "EC2's time rules: {apart:?}");
    }
    sim.run_clock(SignedDuration::ZERO);
    listen(&ec2).await;
    assert_eq!(clock.skew(), None, "in step again");
    sim.run_clock(SignedDuration::from_mins(10));
    sim.inject(Fault::error("*", "UnauthorizedOperation", 403));
    for _ in 0..2 {
        ec2.write.delete_group(&"sg-00000000000000000".parse().unwrap()).await.unwrap_err();
    }
    assert!(clock.skew().is_some(), "refusals to writes tell the time as well");
}

#[tokio::test]
async fn the_time_of_what_is_not_aws_is_nobodys_business() {
    let clock = Clock::system();
    let connector = AwsConnector::new(options().clock(clock.clone()).in_process(|request| {
        let sts = String::from_utf8_lossy(request.body()).contains("GetCallerIdentity");
        let (status, body) = if sts { identity(ACCOUNT) } else { ec2_answer("DescribeSecurityGroups", "") };
        let answer = http::Response::builder().status(status).header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        answer.body(body.into()).unwrap()
    }));
    let ec2 = connector.connect(&own()).await.unwrap();
    for _ in 0..3 {
        ec2.read.groups(&GroupQuery::All).await.unwrap();
    }
    assert_eq!(clock.skew(), None);
}
