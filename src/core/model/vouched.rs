//! The set we vouch for: every atom we put into a group or saw there while it was declared. It is kept in the object's
//! status, and it alone tells drift from change.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::ids::{RuleId, RuleName};
use super::rule::Atom;

/// Version of the line format. A reader that does not know a line's version has no baseline: it invents no drift.
const FORMAT: &str = "1";

/// Digest of a rule's description: enough to tell that it changed, and short (status must hold 4,000 lines).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DescriptionHash(Option<u64>);

impl DescriptionHash {
    /// The digest of a description; no description has its own.
    pub fn of(description: Option<&str>) -> Self {
        Self(description.map(|text| {
            let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            digest.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head))
        }))
    }
}

impl DescriptionHash {
    /// The same in as few characters as go.
    fn short(self) -> String {
        self.0.map_or_else(|| "-".to_owned(), |digest| URL_SAFE_NO_PAD.encode(digest.to_be_bytes()))
    }
}

impl fmt::Display for DescriptionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(digest) => write!(f, "{digest:016x}"),
        }
    }
}

/// One atom we vouch for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VouchedRule {
    /// EC2's id of it; `None` is an intent: written before the call that authorizes it.
    pub id: Option<RuleId>,
    /// The rule that declared it.
    pub rule: RuleName,
    /// Digest of the description we gave it or saw.
    pub description: DescriptionHash,
    /// Digest of the description that a pass is about to give it: written before the call, as an intent is. After a crash
    /// either text is ours and nobody's edit.
    pub describing: Option<DescriptionHash>,
}

impl VouchedRule {
    /// Whether a description is one we gave the rule, or were giving it.
    pub fn knows(&self, description: Option<&str>) -> bool {
        let text = DescriptionHash::of(description);
        self.description == text || self.describing == Some(text)
    }
}

/// The set we vouch for, by atom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched(BTreeMap<Atom, VouchedRule>);

impl Vouched {
    /// Puts an atom in, in place of what was known of it.
    pub fn insert(&mut self, atom: Atom, rule: VouchedRule) {
        self.0.insert(atom, rule);
    }

    /// What is known of an atom.
    pub fn get(&self, atom: &Atom) -> Option<&VouchedRule> {
        self.0.get(atom)
    }

    /// The same with the atom as it stands in the set, which lives as long.
    pub fn get_line(&self, atom: &Atom) -> Option<(&Atom, &VouchedRule)> {
        self.0.get_key_value(atom)
    }

    /// The atom recorded under a rule id.
    pub fn by_id(&self) -> BTreeMap<&RuleId, (&Atom, &VouchedRule)> {
        self.0.iter().filter_map(|(atom, rule)| rule.id.as_ref().map(|id| (id, (atom, rule)))).collect()
    }

    /// Every atom in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Atom, &VouchedRule)> {
        self.0.iter()
    }

    /// How many atoms there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines that go into status:
    /// `<format version> <sgr-id or -> <rule name> <canonical atom> <digest of the description or ->`. While another description
    /// is being written, the last word is `<digest>~<digest>`, the known one and the one to come; in base64, as there is no room
    /// for twice as many digits.
    pub fn to_lines(&self) -> Vec<String> {
        let line = |(atom, rule): (&Atom, &VouchedRule)| {
            let id = rule.id.as_ref().map_or("-", RuleId::as_str);
            let digest = match rule.describing {
                Some(next) => format!("{}~{}", rule.description.short(), next.short()),
                None => rule.description.to_string(),
            };
            format!("{FORMAT} {id} {} {atom} {digest}", rule.rule)
        };
        self.0.iter().map(line).collect()
    }

    /// Reads the lines of a status. One line that cannot be read makes the whole set unusable: a part of it would turn
    /// our own rules into drift.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, BadLine> {
        let mut set = Self::default();
        for line in lines {
            let (atom, rule) = parse_line(line).ok_or_else(|| BadLine(line.to_owned()))?;
            set.insert(atom, rule);
        }
        Ok(set)
    }
}

/// A line of `status.rules` that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the line '{0}' of status.rules")]
pub struct BadLine(String);

fn parse_line(line: &str) -> Option<(Atom, VouchedRule)> {
    let mut head = line.splitn(4, ' ');
    let (version, id, rule, rest) = (head.next()?, head.next()?, head.next()?, head.next()?);
    let (atom, digest) = rest.rsplit_once(' ')?;
    if version != FORMAT {
        return None;
    }
    let id = if id == "-" { None } else { Some(RuleId::from_str(id).ok()?) };
    let (description, describing) = match digest.split_once('~') {
        Some((known, next)) => (parse_short(known)?, Some(parse_short(next)?)),
        None => (parse_digest(digest)?, None),
    };
    Some((atom.parse().ok()?, VouchedRule { id, rule: rule.parse().ok()?, description, describing }))
}

fn parse_short(digest: &str) -> Option<DescriptionHash> {
    if digest == "-" {
        return Some(DescriptionHash(None));
    }
    let bytes = URL_SAFE_NO_PAD.decode(digest).ok()?;
    Some(DescriptionHash(Some(u64::from_be_bytes(bytes.try_into().ok()?))))
}

fn parse_digest(digest: &str) -> Option<DescriptionHash> {
    match digest {
        "-" => Some(DescriptionHash(None)),
        hex if hex.len() == 16 => Some(DescriptionHash(Some(u64::from_str_radix(hex, 16).ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vouched {
        let mut set = Vouched::default();
        for (atom, id, text) in [
            ("ingress tcp 443 from 0.0.0.0/0", Some("sgr-0a1b2c3d4e5f67890"), Some("Allow inbound HTTPS traffic")),
            ("egress all to ::/0", None, None),
        ] {
            let rule = VouchedRule {
                id: id.map(|id| id.parse().unwrap()),
                rule: "a-rule".parse().unwrap(),
                description: DescriptionHash::of(text),
                describing: None,
            };
            set.insert(atom.parse().unwrap(), rule);
        }
        set
    }

    #[test]
    fn lines_read_back() {
        let lines = sample().to_lines();
        assert_eq!(
            lines,
            ["1 sgr-0a1b2c3d4e5f67890 a-rule ingress tcp 443 from 0.0.0.0/0 f07f7bf402f085e7", "1 - a-rule egress all to ::/0 -",]
        );
        assert_eq!(Vouched::from_lines(lines.iter().map(String::as_str)).unwrap(), sample());
        let describing = "1 sgr-0a1b2c3d4e5f67890 a-rule ingress tcp 443 from 0.0.0.0/0 -~8H979ALwhec";
        assert_eq!(Vouched::from_lines([describing]).unwrap().to_lines(), [describing]);
    }

    #[test]
    fn the_longest_line_fits_its_bound_in_status() {
        let mut set = Vouched::default();
        let atom: Atom = "egress icmpv6 type 255 code 255 to ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().unwrap();
        set.insert(
            atom,
            VouchedRule {
                id: Some("sgr-0a1b2c3d4e5f67890".parse().unwrap()),
                rule: "x".repeat(63).parse().unwrap(),
                description: DescriptionHash::of(Some("x")),
                describing: Some(DescriptionHash::of(Some("y"))),
            },
        );
        assert!(set.to_lines().iter().all(|line| line.len() <= 192));
    }

    #[test]
    fn one_unreadable_line_spoils_the_set() {
        for bad in [
            "",
            "2 - a egress all to ::/0 -",
            "1 sgr-x a egress all to ::/0 -",
            "1 - a egress all to ::/0",
            "1 - a egress all to ::/0 zz",
            "1 - a egress all to ::/0 -~",
            "1 - a egress all to ::/0 -~-~-",
        ] {
            let mut lines = sample().to_lines();
            lines.push(bad.to_owned());
            assert!(Vouched::from_lines(lines.iter().map(String::as_str)).is_err(), "{bad}");
        }
    }
}
