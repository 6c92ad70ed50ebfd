//! Canonical forms: what is printed is read back, what EC2 is sent comes back the same, other spellings become one.

use proptest::prelude::*;

use sgwarden::api::SecurityGroup;
use sgwarden::core::desired::parse;
use sgwarden::core::model::{
    AccountId, Atom, DescriptionHash, Direction, IcmpTypes, Peer, PortRange, Protocol, SecurityGroupId, Traffic, Vouched,
    VouchedRule,
};

use crate::cloud::rule_id;
use crate::worlds::{self, ALL, cases, lookups};

fn traffic() -> impl Strategy<Value = Traffic> {
    let ports = || (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
    let icmp = || {
        prop_oneof![
            Just(IcmpTypes::All),
            any::<u8>().prop_map(IcmpTypes::Type),
            any::<(u8, u8)>().prop_map(|(kind, code)| IcmpTypes::TypeCode(kind, code)),
        ]
    };
    prop_oneof![
        Just(Traffic::All),
        ports().prop_map(Traffic::Tcp),
        ports().prop_map(Traffic::Udp),
        icmp().prop_map(Traffic::Icmp),
        icmp().prop_map(Traffic::Icmpv6),
        any::<u8>().prop_filter_map("a protocol without a name", |number| match Protocol::from_number(number) {
            Protocol::Other(number) => Some(Traffic::Other(number)),
            Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Icmp | Protocol::Icmpv6 => None,
        }),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    let group = || "sg-([0-9a-f]{8}|[0-9a-f]{17})".prop_map(|text| text.parse::<SecurityGroupId>().unwrap());
    let account = || "[0-9]{12}".prop_map(|text| text.parse::<AccountId>().unwrap());
    prop_oneof![
        (any::<u32>(), 0_u8..=32).prop_map(|(bits, len)| Peer::ipv4(ipnet::Ipv4Net::new(bits.into(), len).unwrap())),
        (any::<u128>(), 0_u8..=128).prop_map(|(bits, len)| Peer::ipv6(ipnet::Ipv6Net::new(bits.into(), len).unwrap())),
        // Runs of zeros, which the short form of IPv6 folds, and addresses that hold IPv4.
        (any::<u8>(), any::<u32>(), 0_u8..=128).prop_map(|(mask, low, len)| {
            let words = (0..8).map(|word| if mask >> word & 1 == 1 { 0xFFFF } else { 0 });
            let bits = words.fold(0_u128, |bits, word| bits << 16 | word) & !0xFFFF_FFFF | u128::from(low);
            Peer::ipv6(ipnet::Ipv6Net::new(bits.into(), len).unwrap())
        }),
        "pl-([0-9a-f]{8}|[0-9a-f]{17})".prop_map(|text| Peer::PrefixList(text.parse().unwrap())),
        (group(), prop::option::of(account())).prop_map(|(id, account)| Peer::Group { id, account }),
    ]
}

pub(crate) fn atom() -> impl Strategy<Value = Atom> {
    let direction = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
    (direction, traffic(), peer()).prop_map(|(direction, traffic, peer)| Atom { direction, traffic, peer })
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-zA-Z ]{0,9}")
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn atoms_are_read_back_as_they_are_printed(atom in atom()) {
        let text = atom.to_string();
        prop_assert_eq!(text.parse::<Atom>().unwrap(), atom);
        prop_assert_eq!(text.parse::<Atom>().unwrap().to_string(), text);
    }

    #[test]
    fn traffic_comes_back_from_ec2_as_it_was_sent(traffic in traffic()) {
        let (protocol, from, to) = traffic.to_ec2();
        let back = Traffic::from_ec2(&protocol, from, to).unwrap();
        prop_assert_eq!(back, traffic);
        prop_assert_eq!(back.to_ec2(), (protocol, from, to));
    }

    #[test]
    fn whatever_ec2_holds_becomes_one_form_and_stays_it(protocol in "-1|tcp|UDP|icmp|icmpv6|[0-9]{1,3}", from in -2..70_000, to in -2..70_000) {
        if let Ok(traffic) = Traffic::from_ec2(&protocol, Some(from), Some(to)) {
            let (protocol, from, to) = traffic.to_ec2();
            prop_assert_eq!(Traffic::from_ec2(&protocol, from, to).unwrap(), traffic);
        }
    }

    #[test]
    fn the_vouched_set_is_read_back_from_the_lines_of_a_status(
        entries in prop::collection::vec(
            (atom(), any::<Option<u32>>(), "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text(), prop::option::of(text())),
            0..8,
        ),
    ) {
        let mut set = Vouched::default();
        for (atom, id, rule, text, next) in entries {
            let description = DescriptionHash::of(text.as_deref());
            let describing = next.map(|next| DescriptionHash::of(next.as_deref()));
            set.insert(atom, VouchedRule { id: id.map(rule_id), rule: rule.parse().unwrap(), description, describing });
        }
        let lines = set.to_lines();
        prop_assert!(lines.iter().all(|line| line.len() <= sgwarden::api::MAX_VOUCHED_LINE && line.is_ascii()));
        prop_assert_eq!(Vouched::from_lines(lines.iter().map(String::as_str)).unwrap(), set);
    }

    #[test]
    fn a_range_is_the_same_however_it_is_spelled(range in worlds::range(), upper in any::<bool>(), long in any::<bool>()) {
        let spelled = match range {
            ipnet::IpNet::V6(net) if long => {
                let words: Vec<String> = net.addr().segments().iter().map(|word| format!("{word:04x}")).collect();
                format!("{}/{}", words.join(":"), net.prefix_len())
            }
            ipnet::IpNet::V4(_) | ipnet::IpNet::V6(_) => range.to_string(),
        };
        let spelled = if upper { spelled.to_uppercase() } else { spelled };
        prop_assert_eq!(atoms_of(&spelled), atoms_of(&range.to_string()));
    }
}

/// The atoms of a manifest with one range.
fn atoms_of(range: &str) -> Vec<String> {
    let manifest = format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n  vpc: {{id: vpc-0a1b2c3d}}\n  \
         egressPolicy: DenyAll\n  ingress:\n    - {{name: a, protocol: tcp, ports: [443], from: [{{cidr: \"{range}\"}}]}}"
    );
    let object: SecurityGroup = serde_yaml::from_str(&manifest).unwrap();
    let desired = parse(&object).unwrap().resolve(&lookups(ALL));
    desired.rules.iter().map(|(atom, _)| atom.to_string()).collect()
}
