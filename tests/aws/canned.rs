//! Against answers written down here: what no healthy EC2 says, and how often and how a thing is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use sgwarden::adapters::aws::{AwsConnector, CallLimits};
use sgwarden::core::model::{Direction, NewRule, SecurityGroupId, Tags};
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, ErrorClass, GroupQuery, NewGroup, PrefixListQuery, VpcQuery};

use crate::support::{ACCOUNT, Answer, Canned, account, ec2_answer, ec2_error, identity, limits, options, own, region, sts_error};

fn group() -> SecurityGroupId {
    "sg-0a1b2c3d4e5f67890".parse().unwrap()
}

fn rule() -> NewRule {
    NewRule { atom: "ingress tcp 443 from 0.0.0.0/0".parse().unwrap(), description: Some("Allow inbound HTTPS traffic".into()) }
}

/// An EC2 that gives every call the same answer.
fn always(answer: Answer) -> Canned {
    Canned::new(move |action, _| if action == "GetCallerIdentity" { identity(ACCOUNT) } else { answer.clone() })
}

async fn read(ec2: &Ec2) -> CloudError {
    ec2.read.groups(&GroupQuery::All).await.unwrap_err()
}

async fn write(ec2: &Ec2) -> CloudError {
    ec2.write.authorize(&group(), Direction::Ingress, &[rule()]).await.unwrap_err()
}

#[tokio::test]
async fn the_account_is_asked_once() {
    let canned = always(ec2_answer("DescribeSecurityGroups", ""));
    let connector = canned.connector(options().expect_account(Some(account())));
    let first = connector.connect(&own()).await.unwrap();
    connector.connect(&own()).await.unwrap();
    assert_eq!((first.account.as_str(), canned.count("GetCallerIdentity")), (ACCOUNT, 1));
}

#[tokio::test]
async fn credentials_of_another_account_are_refused_in_words() {
    let canned = always(ec2_answer("DescribeSecurityGroups", ""));
    let connector = canned.connector(options().expect_account(Some("444455556666".parse().unwrap())));
    let error = connector.connect(&own()).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Credentials);
    assert_eq!(
        error.message,
        "the credentials are of account 111122223333, but --account-id says 444455556666; nothing is touched"
    );
}

#[tokio::test]
async fn refused_credentials_recover_by_themselves() {
    let canned = Canned::new(|_, before| match before {
        0 => sts_error(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        _ => identity(ACCOUNT),
    });
    let connector = canned.connector(options());
    let error = connector.connect(&own()).await.err().unwrap();
    assert_eq!(
        (error.class, error.code.as_deref(), error.outcome_unknown),
        (ErrorClass::Credentials, Some("InvalidClientTokenId"), false)
    );
    assert!(connector.connect(&own()).await.is_ok());
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_are_not() {
    for (answer, class, unknown) in [
        (ec2_error(500, "InternalError", "An internal error has occurred"), ErrorClass::Unavailable, true),
        (ec2_error(503, "Unavailable", "The service is unavailable."), ErrorClass::Unavailable, true),
        (ec2_error(503, "RequestLimitExceeded", "Request limit exceeded."), ErrorClass::Throttled, false),
    ] {
        let canned = always(answer);
        let ec2 = canned.ports().await.unwrap();
        let (read, write) = (read(&ec2).await, write(&ec2).await);
        assert_eq!((read.class, read.outcome_unknown), (class, false));
        assert_eq!((write.class, write.outcome_unknown, write.request_id.as_deref()), (class, unknown, Some("req-1")));
        assert_eq!((canned.count("DescribeSecurityGroups"), canned.count("AuthorizeSecurityGroupIngress")), (3, 1));
    }
}

#[tokio::test]
async fn refusals_have_their_class_code_and_words() {
    for (status, code, class) in [
        (403, "UnauthorizedOperation", ErrorClass::Permission),
        (401, "AuthFailure", ErrorClass::Credentials),
        (400, "InvalidPermission.Duplicate", ErrorClass::Stale),
        (400, "InvalidGroup.NotFound", ErrorClass::Stale),
        (400, "RulesPerSecurityGroupLimitExceeded", ErrorClass::Quota),
        (400, "DependencyViolation", ErrorClass::InUse),
        (400, "InvalidParameterValue", ErrorClass::Terminal),
    ] {
        let ec2 = always(ec2_error(status, code, "Because.")).ports().await.unwrap();
        let error = write(&ec2).await;
        assert_eq!((error.class, error.outcome_unknown), (class, false), "{code}");
        assert!(error.is(code));
        assert_eq!(error.to_string(), "AuthorizeSecurityGroupIngress: Because.");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_aws_s_says_nothing_about_a_write() {
    let proxy = always((502, "<html>Bad gateway</html>".into())).ports().await.unwrap();
    let error = write(&proxy).await;
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, true));
    assert_eq!(error.message, "the endpoint answers HTTP 502 in a form that is not AWS's");

    let garbled = always((200, "no XML".into())).ports().await.unwrap();
    let error = write(&garbled).await;
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, true), "{error}");
    assert_eq!(read(&garbled).await.class, ErrorClass::Unavailable);
}

#[tokio::test]
async fn false_in_place_of_true_asks_for_a_look() {
    let ec2 = always(ec2_answer("AuthorizeSecurityGroupIngress", "<return>false</return>")).ports().await.unwrap();
    let error = write(&ec2).await;
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Stale, true));
}

#[tokio::test]
async fn a_rule_of_a_new_kind_blocks() {
    let row = "<item><securityGroupRuleId>sgr-0a1b2c3d4e5f67890</securityGroupRuleId><groupId>sg-0a1b2c3d4e5f67890</groupId>\
               <groupOwnerId>111122223333</groupOwnerId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol>\
               <fromPort>1</fromPort><toPort>1</toPort><cidrIpv8>::::/0</cidrIpv8></item>";
    let rows = format!("<securityGroupRuleSet>{row}</securityGroupRuleSet>");
    let ec2 = always(ec2_answer("DescribeSecurityGroupRules", &rows)).ports().await.unwrap();
    let error = ec2.read.rules(&group()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Terminal);
    assert_eq!(error.message, "EC2's answer cannot be read: rule sgr-0a1b2c3d4e5f67890 has no peer of a kind this version knows");
}

#[tokio::test]
async fn a_permission_of_a_new_kind_blocks_the_listing() {
    let permission = "<ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>1</fromPort><toPort>1</toPort><groups/>\
                      <ipRanges/><ipv8Ranges><item><cidrIpv8>::::/0</cidrIpv8></item></ipv8Ranges></item></ipPermissions>";
    let ec2 = always(ec2_answer("DescribeSecurityGroups", &group_row("sg-0a1b2c3d", "web", permission))).ports().await.unwrap();
    let error = read(&ec2).await;
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Terminal, false));
    assert_eq!(
        error.message,
        "EC2's answer cannot be read: a permission of group sg-0a1b2c3d for ingress of protocol tcp has no peer of a kind this \
         version knows"
    );
}

/// An endpoint that looks at no filter.
#[tokio::test]
async fn what_was_not_asked_for_is_left_out() {
    let tag = "<tagSet><item><key>Name</key><value>mxin</value></item></tagSet>";
    let vpc = format!("<vpcSet><item><vpcId>vpc-0a1b2c3d</vpcId><ownerId>{ACCOUNT}</ownerId>{tag}</item></vpcSet>");
    let list = format!(
        "<prefixListSet><item><prefixListId>pl-0a1b2c3d</prefixListId><prefixListName>offxces</prefixListName>\
         <addressFamily>IPv4</addressFamily><maxEntries>5</maxEntries><ownerId>{ACCOUNT}</ownerId></item></prefixListSet>"
    );
    let rule = format!(
        "<securityGroupRuleSet><item><securityGroupRuleId>sgr-0a1b2c3d4e5f67890</securityGroupRuleId>\
         <groupId>sg-0b1b2c3d</groupId><groupOwnerId>{ACCOUNT}</groupOwnerId><isEgress>false</isEgress>\
         <ipProtocol>-1</ipProtocol><cidrIpv4>10.0.0.0/8</cidrIpv4></item></securityGroupRuleSet>"
    );
    let canned = Canned::new(move |action, _| match action {
        "GetCallerIdentity" => identity(ACCOUNT),
        "DescribeVpcs" => ec2_answer(action, &vpc),
        "DescribeManagedPrefixLists" => ec2_answer(action, &list),
        "DescribeSecurityGroupRules" => ec2_answer(action, &rule),
        _ => ec2_answer(action, &group_row("sg-0b1b2c3d", "wxb", "")),
    });
    let read = canned.ports().await.unwrap().read;
    let vpc = "vpc-0a1b2c3d".parse().unwrap();
    assert!(read.groups(&GroupQuery::Name { vpc, name: "w*b".into() }).await.unwrap().is_empty());
    assert!(read.groups(&GroupQuery::Ids(vec![group()])).await.unwrap().is_empty());
    assert_eq!(read.groups(&GroupQuery::All).await.unwrap().len(), 1);
    assert!(read.vpcs(&VpcQuery::Tagged(Tags::from([("Name".into(), "m*in".into())]))).await.unwrap().is_empty());
    assert!(read.vpcs(&VpcQuery::Id("vpc-0b1b2c3d".parse().unwrap())).await.unwrap().is_empty());
    assert!(read.prefix_lists(&PrefixListQuery::Name("off*ces".into())).await.unwrap().is_empty());
    assert!(read.prefix_lists(&PrefixListQuery::Ids(vec!["pl-0b1b2c3d".parse().unwrap()])).await.unwrap().is_empty());
    assert_eq!(read.rules_of(&[group()]).await.unwrap(), BTreeMap::from([(group(), vec![])]), "but it has its entry");
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_in_which_policy() {
    let denied = "You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/sgwarden/pod is \
                  not authorized to perform: ec2:AuthorizeSecurityGroupIngress on resource: \
                  arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f67890 because no identity-based policy allows \
                  the ec2:AuthorizeSecurityGroupIngress action. Encoded authorization failure message: aBcD-123";
    let ec2 = always(ec2_error(403, "UnauthorizedOperation", denied)).ports().await.unwrap();
    assert_eq!(
        write(&ec2).await.explain(&region()),
        "arn:aws:sts::111122223333:assumed-role/sgwarden/pod may not ec2:AuthorizeSecurityGroupIngress on \
         arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f67890: no identity-based policy allows the \
         ec2:AuthorizeSecurityGroupIngress action (UnauthorizedOperation); statement WriteOwned of deploy/iam/enforce.json allows \
         it for groups that carry this cluster's tag sgwarden.dev/cluster"
    );
}

/// A group's row in an answer, with what more there is to it.
fn group_row(id: &str, name: &str, more: &str) -> String {
    format!(
        "<securityGroupInfo><item><ownerId>{ACCOUNT}</ownerId><groupId>{id}</groupId><groupName>{name}</groupName>\
         <groupDescription>d</groupDescription><vpcId>vpc-0a1b2c3d</vpcId>{more}</item></securityGroupInfo>"
    )
}

#[tokio::test]
async fn groups_are_read_to_the_last_page() {
    let item = |id: &str| group_row(id, "web", "");
    let canned = Canned::new(move |action, before| match (action, before) {
        ("GetCallerIdentity", _) => identity(ACCOUNT),
        (action, 0) => ec2_answer(action, &format!("{}<nextToken>two</nextToken>", item("sg-0a1b2c3d"))),
        (action, 1) => ec2_answer(action, "<securityGroupInfo/><nextToken>three</nextToken>"),
        (action, _) => ec2_answer(action, &item("sg-0b1b2c3d")),
    });
    let groups = canned.ports().await.unwrap().read.groups(&GroupQuery::All).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["sg-0a1b2c3d", "sg-0b1b2c3d"]);
    assert!(canned.last().contains("NextToken=three") && canned.last().contains("MaxResults=1000"), "{}", canned.last());
}

#[tokio::test]
async fn a_listing_that_comes_back_to_the_same_page_is_an_error() {
    let ec2 = always(ec2_answer("DescribeSecurityGroups", "<nextToken>again</nextToken>")).ports().await.unwrap();
    assert_eq!(read(&ec2).await.message, "EC2's answer cannot be read: the page after this one is this one");
}

#[tokio::test]
async fn requests_say_who_asks_for_what() {
    let canned = Canned::new(|action, _| match action {
        "GetCallerIdentity" => identity(ACCOUNT),
        action => ec2_answer(action, "<return>true</return><groupId>sg-0a1b2c3d4e5f67890</groupId>"),
    });
    let ec2 = canned.ports().await.unwrap();
    ec2.read.groups(&GroupQuery::Name { vpc: "vpc-0a1b2c3d".parse().unwrap(), name: "a*b".into() }).await.unwrap();
    let form = canned.last();
    for part in ["Filter.1.Name=vpc-id", "Filter.2.Name=group-name", "Filter.2.Value.1=a%5C%2Ab", "MaxResults=1000"] {
        assert!(form.contains(part), "{part} in {form}");
    }

    let list = "pl-0a1b2c3d".parse().unwrap();
    for (query, parts) in [
        (PrefixListQuery::Name("a*b".into()), ["Filter.1.Name=prefix-list-name", "Filter.1.Value.1=a%5C%2Ab"]),
        (PrefixListQuery::Ids(vec![list]), ["Filter.1.Name=prefix-list-id", "Filter.1.Value.1=pl-0a1b2c3d"]),
    ] {
        ec2.read.prefix_lists(&query).await.unwrap();
        assert!(parts.iter().all(|part| canned.last().contains(part)), "{}", canned.last());
        assert!(canned.last().contains("MaxResults=100&") || canned.last().ends_with("MaxResults=100"), "{}", canned.last());
    }
    ec2.read.vpcs(&VpcQuery::Tagged(Tags::from([("Name".into(), "a?".into()), ("env".into(), String::new())]))).await.unwrap();
    let form = canned.last();
    for part in ["Filter.1.Name=tag%3AName", "Filter.1.Value.1=a%5C%3F", "Filter.2.Name=tag%3Aenv", "Filter.2.Value.1=&"] {
        assert!(form.contains(part), "{part} in {form}");
    }
    ec2.read.rules_of(&[group(), "sg-0b1b2c3d".parse().unwrap(), group()]).await.unwrap();
    let form = canned.last();
    for part in ["Filter.1.Name=group-id", "Filter.1.Value.2=sg-0b1b2c3d", "MaxResults=1000"] {
        assert!(form.contains(part) && !form.contains("Value.3"), "{part} in {form}");
    }

    let tags = Tags::from([("sgwarden.dev/owner".into(), "shop/web".into()), ("empty".into(), String::new())]);
    let new = NewGroup { name: "web".into(), description: "d".into(), vpc: "vpc-0a1b2c3d".parse().unwrap(), tags: tags.clone() };
    let receipt = ec2.write.create_group(&new).await.unwrap();
    assert_eq!((receipt.created, receipt.request_id.as_deref()), (Some(group()), Some("req-1")));
    assert!(canned.last().contains("TagSpecification.1.ResourceType=security-group"), "{}", canned.last());

    ec2.write.remove_tags(&group(), &tags).await.unwrap();
    assert!(canned.last().contains("Tag.1.Key=empty&Tag.1.Value=&"), "an empty value is a value: {}", canned.last());

    let id = "sgr-0a1b2c3d4e5f67890".parse().unwrap();
    ec2.write.modify(&group(), &[(id, rule())]).await.unwrap();
    let form = canned.last();
    for part in ["IpProtocol=tcp", "FromPort=443", "ToPort=443", "CidrIpv4=0.0.0.0%2F0", "Description=Allow"] {
        assert!(form.contains(&format!("SecurityGroupRule.1.SecurityGroupRule.{part}")), "{part} in {form}");
    }
}

#[tokio::test]
async fn nothing_to_write_is_not_sent() {
    let canned = always(ec2_error(400, "MissingParameter", "empty"));
    let ec2 = canned.ports().await.unwrap();
    let before = canned.last();
    ec2.write.authorize(&group(), Direction::Egress, &[]).await.unwrap();
    ec2.write.revoke(&group(), Direction::Egress, &[]).await.unwrap();
    ec2.write.modify(&group(), &[]).await.unwrap();
    ec2.write.describe(&group(), Direction::Egress, &[]).await.unwrap();
    ec2.write.set_tags(&group(), &Tags::new()).await.unwrap();
    ec2.write.remove_tags(&group(), &Tags::new()).await.unwrap();
    assert!(ec2.read.groups(&GroupQuery::Ids(Vec::new())).await.unwrap().is_empty());
    assert!(ec2.read.rules_of(&[]).await.unwrap().is_empty());
    assert!(ec2.read.prefix_lists(&PrefixListQuery::Ids(Vec::new())).await.unwrap().is_empty());
    assert_eq!(canned.last(), before);
}

#[tokio::test]
async fn a_rule_of_the_other_direction_is_never_sent() {
    let canned = always(ec2_answer("X", "<return>true</return>"));
    let ec2 = canned.ports().await.unwrap();
    let error = ec2.write.authorize(&group(), Direction::Egress, &[rule()]).await.unwrap_err();
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Terminal, false));
    assert_eq!(canned.count("AuthorizeSecurityGroupEgress"), 0);
}

#[tokio::test]
async fn nothing_listening_is_said_in_words() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let connector = AwsConnector::new(options().endpoint(format!("http://{free}")));
    let error = connector.connect(&own()).await.err().unwrap();
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, false));
    assert_eq!(error.message, "connection refused: nothing listens at the endpoint");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_said_in_words() {
    let connector = AwsConnector::new(options().endpoint("http://ec2.invalid"));
    let error = connector.connect(&own()).await.err().unwrap();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Unavailable, "the endpoint's name cannot be resolved (DNS)"));
}

/// A server that takes connections and never answers.
#[tokio::test]
async fn silence_ends_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let short = CallLimits { read_attempts: 1, read_attempt: Duration::from_millis(200), ..limits() };
    let connector = AwsConnector::new(options().endpoint(url).limits(short));
    let error = connector.connect(&own()).await.err().unwrap();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Unavailable, "no answer in time"));
    silent.abort();
}

/// A server that answers STS's request and closes the connection in place of any other answer.
#[tokio::test]
async fn a_connection_that_breaks_leaves_a_write_unknown() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65_536];
            let mut size = stream.read(&mut request).await.unwrap();
            while !String::from_utf8_lossy(&request[..size]).contains("Action=") {
                size += stream.read(&mut request[size..]).await.unwrap();
            }
            if String::from_utf8_lossy(&request[..size]).contains("GetCallerIdentity") {
                let body = identity(ACCOUNT).1;
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let connector = AwsConnector::new(options().endpoint(url));
    let ec2 = connector.connect(&own()).await.unwrap();
    let error = write(&ec2).await;
    assert_eq!((error.class, error.outcome_unknown, error.code), (ErrorClass::Unavailable, true, None));
    assert_readable(&error.message);
    server.abort();
}

/// A message for people has no type names and no braces in it.
fn assert_readable(message: &str) {
    assert!(!message.contains(['{', '}']) && !message.contains("::"), "{message}");
}

#[tokio::test]
async fn the_secret_is_nowhere() {
    let canned = always(ec2_error(403, "UnauthorizedOperation", "no"));
    let connector = canned.connector(options());
    let ec2 = connector.connect(&own()).await.unwrap();
    let error = write(&ec2).await;
    for text in [format!("{connector:?}"), format!("{:?}", options()), format!("{error:?}")] {
        assert!(!text.contains("secret-of-the-test"), "{text}");
    }
}
