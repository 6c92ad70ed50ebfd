//! What the EC2 stand-in costs: 2,000 groups of 20 rules, created through the wire, described page by page, and kept.
//!
//! Prints one JSON object a figure, with its goal and whether it is met; no figure makes it fail. `make bench` runs it as a
//! release build without the AWS SDK, which it does not use: it speaks HTTP to the stand-in by itself, so that what is measured
//! is the stand-in and not a client.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it cannot go on, and prints what it found")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::json;
use sgwarden::adapters::sim::{Config, Sim, VpcSeed, serve};

mod support;

use support::{now, resident};

const GROUPS: u32 = 2_000;
const RULES: u32 = 20;
const KEY: &str = "AKIA111122223333BENCH";
const REGION: &str = "eu-west-1";
const VPC: &str = "vpc-0a1b2c3d4e5f60001";

fn main() {
    memory();
    wire();
}

/// What a rule costs while it is kept. Without the records of calls and events, which have a budget of their own, and without
/// a server, whose threads would blur the figure.
fn memory() {
    let sim = Sim::new(Config { record_bytes: 0, ..config() });
    let call = |parameters: &Parameters| {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = sim.query(KEY, REGION, &parameters);
        assert!(answer.status().is_success(), "{}", String::from_utf8_lossy(answer.body()));
        String::from_utf8_lossy(answer.body()).into_owned()
    };
    let ids: Vec<String> = (0..GROUPS).map(|number| between(&call(&group(number)), "groupId").to_owned()).collect();
    let Some(before) = resident() else {
        figure("rule_bytes", &json!(null), "bytes", 200.0, None);
        return;
    };
    for (number, id) in (0..).zip(&ids) {
        call(&rules(number, id, false));
    }
    let bytes = (resident().unwrap() - before) / f64::from(GROUPS * RULES);
    figure("rule_bytes", &json!(bytes.round()), "bytes", 200.0, Some(bytes <= 200.0));
}

/// Creating and describing over a socket, one call after the other on one connection.
fn wire() {
    let sim = Sim::new(config());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let mut client = Client::open(listener.local_addr().unwrap());
    runtime.spawn(serve(sim, listener, std::future::pending()));

    let begun = now();
    for number in 0..GROUPS {
        let id = between(&client.call(&group(number)), "groupId").to_owned();
        client.call(&rules(number, &id, true));
    }
    seconds("create", begun, 60.0);
    let begun = now();
    // Besides ours: the default groups of the two VPCs.
    assert_eq!(client.pages("DescribeSecurityGroups", "<groupName>"), (3, GROUPS + 2));
    seconds("describe_groups", begun, 1.0);
    let begun = now();
    let (pages, rows) = client.pages("DescribeSecurityGroupRules", "<securityGroupRuleId>");
    assert!(pages > 40 && rows >= GROUPS * (RULES + 1), "{pages} pages, {rows} rules");
    seconds("describe_rules", begun, 1.0);
}

fn config() -> Config {
    Config { vpcs: vec![VpcSeed::new(VPC)], ..Config::default() }
}

/// Names and values of an EC2 Query call.
type Parameters = Vec<(String, String)>;

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn group(number: u32) -> Parameters {
    let name = format!("bench-{number}");
    parameters(&[("Action", "CreateSecurityGroup"), ("GroupName", &name), ("GroupDescription", "bench"), ("VpcId", VPC)])
}

/// The rules of a group: no two groups' are the same, so that nothing is shared by chance.
fn rules(number: u32, group: &str, described: bool) -> Parameters {
    let mut call = parameters(&[("Action", "AuthorizeSecurityGroupIngress"), ("GroupId", group)]);
    for rule in 1..=RULES {
        let mut add = |name: &str, value: String| call.push((format!("IpPermissions.{rule}.{name}"), value));
        let port = 1000 + rule;
        add("IpProtocol", "tcp".into());
        add("FromPort", port.to_string());
        add("ToPort", port.to_string());
        let peers = match rule % 10 {
            0 => {
                add("Groups.1.GroupId", group.to_owned());
                "Groups"
            }
            1 => {
                add("Ipv6Ranges.1.CidrIpv6", format!("2001:db8:{number:x}:{rule:x}::/64"));
                "Ipv6Ranges"
            }
            _ => {
                add("IpRanges.1.CidrIp", format!("10.{}.{}.{rule}/32", number / 256, number % 256));
                "IpRanges"
            }
        };
        if described {
            add(&format!("{peers}.1.Description"), format!("Rule {rule} of group {number}"));
        }
    }
    call
}

/// HTTP/1.1 on one connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn call(&mut self, parameters: &Parameters) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let form = form.extend_pairs(parameters).append_pair("Version", "2016-11-15").finish();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: ec2\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/ec2/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{form}",
            form.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.clone();
        let mut length = 0;
        while !line.trim().is_empty() {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(status.contains(" 200 "), "{status}{body}");
        body
    }

    /// Asks for pages of 1000 to the last: how many there were, and how often `mark` stood in them.
    fn pages(&mut self, action: &str, mark: &str) -> (u32, u32) {
        let (mut pages, mut marks) = (0, 0);
        let mut call = parameters(&[("Action", action), ("MaxResults", "1000")]);
        loop {
            let body = self.call(&call);
            (pages, marks) = (pages + 1, marks + u32::try_from(body.matches(mark).count()).unwrap());
            match between(&body, "nextToken") {
                "" => return (pages, marks),
                token => {
                    call.truncate(2);
                    call.push(("NextToken".into(), token.to_owned()));
                }
            }
        }
    }
}

/// The text of the first element of this name; empty if there is none.
fn between<'a>(body: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = body.split_once(&open).map_or("", |(_, rest)| rest);
    from.split_once(&close).map_or("", |(text, _)| text)
}

fn seconds(name: &str, begun: Instant, goal: f64) {
    let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    figure(name, &json!(seconds), "seconds", goal, Some(seconds <= goal));
}

fn figure(name: &str, value: &serde_json::Value, unit: &str, goal: f64, met: Option<bool>) {
    support::figure("sim", &format!("{GROUPS} groups of {RULES} rules"), name, (value.clone(), unit), goal, met);
}
