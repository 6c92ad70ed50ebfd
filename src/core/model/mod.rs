//! The vocabulary of security groups: ids, traffic, peers, rules and sets of them, each in the canonical form that EC2
//! stores and returns, so that equal things are equal values.
//!
//! Entry points: [`Atom`], the unit everything is compared by; [`RuleSet`], [`Observed`] and [`Vouched`], the three sets a
//! plan is made of; [`Space`], the addresses and ports a set of atoms lets through.
//!
//! Invariant: every value is canonical from its construction on; `Display` and `FromStr` are inverse to each other.
//! Invariant: nothing here is a wire format; Kubernetes and EC2 translate at their own edge.

mod ids;
mod observed;
mod quota;
mod rule;
mod space;
mod traffic;
mod vouched;

pub use ids::{AccountId, BadId, IdKind, PrefixListId, Region, ResourceId, RuleId, RuleName, SecurityGroupId, VpcId};
pub use observed::{
    DISASSOCIATED, GroupFacts, ListedGroup, NewGroup, Observed, PrefixListFacts, PrefixListMark, StaleRules, Tags, VpcAssociations,
    VpcFacts,
};
pub use quota::{DEFAULT_RULES_PER_GROUP, PrefixListWeights, Weight};
pub use rule::{Atom, BadAtom, BadPeer, Declared, Direction, LiveRule, NewRule, Peer, PeerKind, RuleSet, is_ec2_text};
pub use space::{AddressCount, Exposure, Space, TrafficRange};
pub use traffic::{BadTraffic, IcmpTypes, PortRange, Protocol, ProtocolNumber, Traffic};
pub use vouched::{BadLine, DescriptionHash, Vouched, VouchedRule};
