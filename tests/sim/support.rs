//! One door for all tests: calls by Query parameters, replies as a small tree.

use bytes::Bytes;
use http::Response;
use sgwarden::adapters::sim::{Config, Sim, VpcSeed};
use std::fmt::Write as _;

pub(crate) const KEY: &str = "AKIA111122223333ALICE";
pub(crate) const OTHER_KEY: &str = "AKIA444455556666BOB";
pub(crate) const REGION: &str = "eu-west-1";
/// A VPC without IPv6.
pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
/// A VPC with IPv6.
pub(crate) const VPC6: &str = "vpc-0a1b2c3d4e5f60719";

/// An element of a reply.
#[derive(Debug, Default, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Node>,
}

impl Node {
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        path.split('/').try_fold(self, |node, name| node.children.iter().find(|child| child.name == name))
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        self.get(path).map_or("", |node| node.text.as_str())
    }

    pub(crate) fn items(&self, path: &str) -> &[Node] {
        self.get(path).map_or(&[], |node| node.children.as_slice())
    }

    pub(crate) fn texts(&self, list: &str, member: &str) -> Vec<String> {
        self.items(list).iter().map(|item| item.text(member).to_owned()).collect()
    }
}

fn parse(body: &[u8]) -> Node {
    use quick_xml::events::Event;
    let text = std::str::from_utf8(body).unwrap();
    let mut reader = quick_xml::Reader::from_str(text);
    let mut stack = vec![Node::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                stack.push(Node { name: start.name().as_ref().to_owned(), ..Node::default() });
            }
            Event::End(_) => {
                let done = stack.pop().unwrap();
                stack.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => stack.last_mut().unwrap().text.push_str(&text),
            Event::GeneralRef(entity) => {
                let decoded = match (entity.resolve_char_ref().unwrap(), &*entity) {
                    (Some(c), _) => c,
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "amp") => '&',
                    (None, "quot") => '"',
                    (None, "apos") => '\'',
                    (None, other) => panic!("entity {other}"),
                };
                stack.last_mut().unwrap().text.push(decoded);
            }
            Event::Eof => return stack.pop().unwrap().children.pop().unwrap(),
            Event::Empty(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// An answer: status and tree.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) body: Node,
}

pub(crate) fn answer(response: &Response<Bytes>) -> Answer {
    let request_id = response.headers().get("x-amzn-requestid").unwrap().to_str().unwrap().to_owned();
    Answer { status: response.status().as_u16(), request_id, body: parse(response.body()) }
}

impl Answer {
    /// The error code; empty if the call succeeded.
    pub(crate) fn code(&self) -> &str {
        self.body.text("Errors/Error/Code")
    }

    pub(crate) fn message(&self) -> &str {
        self.body.text("Errors/Error/Message")
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Node {
        assert_eq!(self.status, 200, "{}: {}", self.code(), self.message());
        self.body
    }

    #[track_caller]
    pub(crate) fn fails(&self, code: &str) {
        assert_eq!(self.code(), code, "{:?}", self.body);
        assert_eq!(self.status, 400, "{code}");
    }

    #[track_caller]
    pub(crate) fn says(&self, code: &str, message: &str) {
        self.fails(code);
        assert!(self.message().contains(message), "{}", self.message());
    }
}

/// A stand-in and a caller.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) key: &'static str,
    pub(crate) region: &'static str,
}

pub(crate) fn config() -> Config {
    Config { vpcs: vec![VpcSeed::new(VPC), VpcSeed::new(VPC6).with_ipv6("2001:db8:1234::/56")], ..Config::default() }
}

impl World {
    pub(crate) fn new() -> Self {
        Self { sim: Sim::try_new(config()).unwrap(), key: KEY, region: REGION }
    }

    pub(crate) fn with(config: Config) -> Self {
        Self { sim: Sim::try_new(config).unwrap(), key: KEY, region: REGION }
    }

    /// Another account on the same stand-in.
    pub(crate) fn other(&self) -> Self {
        Self { sim: self.sim.clone(), key: OTHER_KEY, region: self.region }
    }

    pub(crate) fn call(&self, action: &str, params: &[(&str, &str)]) -> Answer {
        let mut all = vec![("Action", action)];
        all.extend_from_slice(params);
        answer(&self.sim.query(self.key, self.region, &all))
    }

    #[track_caller]
    pub(crate) fn group(&self, vpc: &str, name: &str) -> String {
        let made = self.call("CreateSecurityGroup", &[("GroupName", name), ("GroupDescription", "d"), ("VpcId", vpc)]).ok();
        made.text("groupId").to_owned()
    }

    /// Authorizes inbound permissions written as `protocol/from-to peer` (ports absent: none sent), and more parameters.
    pub(crate) fn allow(&self, group: &str, rules: &[&str]) -> Answer {
        self.rules("AuthorizeSecurityGroupIngress", group, rules)
    }

    pub(crate) fn revoke(&self, group: &str, rules: &[&str]) -> Answer {
        self.rules("RevokeSecurityGroupIngress", group, rules)
    }

    pub(crate) fn rules(&self, action: &str, group: &str, rules: &[&str]) -> Answer {
        let mut params = vec![("GroupId".to_owned(), group.to_owned())];
        for (n, rule) in rules.iter().enumerate() {
            permission(&mut params, n + 1, rule);
        }
        let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.call(action, &params)
    }

    /// The rules of a group, as `in|out protocol/from-to peer "description"`, in the order of their ids' making.
    pub(crate) fn live(&self, group: &str) -> Vec<String> {
        let rows = self.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)]).ok();
        let mut shown: Vec<String> = rows.items("securityGroupRuleSet").iter().map(show).collect();
        shown.sort();
        shown
    }

    pub(crate) fn ingress(&self, group: &str) -> Vec<String> {
        self.live(group).into_iter().filter_map(|rule| rule.strip_prefix("in ").map(str::to_owned)).collect()
    }

    pub(crate) fn egress(&self, group: &str) -> Vec<String> {
        self.live(group).into_iter().filter_map(|rule| rule.strip_prefix("out ").map(str::to_owned)).collect()
    }

    /// The group as `DescribeSecurityGroups` shows it.
    pub(crate) fn described(&self, group: &str) -> Node {
        let body = self.call("DescribeSecurityGroups", &[("GroupId.1", group)]).ok();
        body.items("securityGroupInfo").first().cloned().unwrap()
    }

    /// The id of the one rule of this peer.
    pub(crate) fn rule_id(&self, group: &str, peer: &str) -> String {
        let rows = self.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)]).ok();
        let found = rows.items("securityGroupRuleSet").iter().find(|row| peer_of(row) == peer);
        found.unwrap_or_else(|| panic!("no rule of {peer}")).text("securityGroupRuleId").to_owned()
    }
}

pub(crate) fn peer_of(row: &Node) -> String {
    ["cidrIpv4", "cidrIpv6", "prefixListId", "referencedGroupInfo/groupId", "referencedGroupId"]
        .into_iter()
        .map(|member| row.text(member))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn show(row: &Node) -> String {
    let direction = if row.text("isEgress") == "true" { "out" } else { "in" };
    let mut shown =
        format!("{direction} {}/{}-{} {}", row.text("ipProtocol"), row.text("fromPort"), row.text("toPort"), peer_of(row));
    if let Some(description) = row.get("description") {
        write!(shown, " \"{}\"", description.text).unwrap();
    }
    shown
}

/// `protocol[/from[-to]] peer [description]`
pub(crate) fn permission(params: &mut Vec<(String, String)>, n: usize, rule: &str) {
    let mut parts = rule.splitn(3, ' ');
    let (what, peer, description) = (parts.next().unwrap(), parts.next().unwrap(), parts.next());
    let (protocol, range) = what.split_once('/').map_or((what, None), |(protocol, range)| (protocol, Some(range)));
    let name = |member: &str| format!("IpPermissions.{n}.{member}");
    params.push((name("IpProtocol"), protocol.to_owned()));
    if let Some(range) = range {
        let (from, to) = range.split_once("..").unwrap_or((range, range));
        params.push((name("FromPort"), from.to_owned()));
        params.push((name("ToPort"), to.to_owned()));
    }
    let (list, member) = match peer {
        _ if peer.starts_with("sg-") => ("Groups", "GroupId"),
        _ if peer.starts_with("pl-") => ("PrefixListIds", "PrefixListId"),
        _ if peer.contains(':') => ("Ipv6Ranges", "CidrIpv6"),
        _ => ("IpRanges", "CidrIp"),
    };
    params.push((name(&format!("{list}.1.{member}")), peer.to_owned()));
    if let Some(description) = description {
        params.push((name(&format!("{list}.1.Description")), description.to_owned()));
    }
}
