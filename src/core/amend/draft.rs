//! A spec being amended: one rule of EC2 let in or taken out at a time.

use jiff::Timestamp;

use crate::api::{EgressPolicy, SecurityGroup};
use crate::core::desired::{DeclaredPeer, DeclaredRule, Referent, ReferentKind, Who, egress_policy_rule, parse};
use crate::core::model::{Atom, Direction, Peer, RuleName, SecurityGroupId, Vouched, is_ec2_text};

use super::rule::{Rule, rules, set_rules};
use super::{Advice, Amendment, Refusal, sentences};

/// The longest name of a rule.
const MAX_NAME: usize = 63;

/// What could not simply be done.
pub(super) enum Hitch {
    /// There is nothing to do.
    Needless(String),
    /// A person has to do it.
    ByHand(String),
    /// No manifest can say it.
    Refused(String),
}

/// What a new rule says beside what it allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Wording {
    /// What it is called, if that is free.
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) justification: Option<String>,
    pub(super) expires_at: Option<Timestamp>,
    /// Where it stands in its list; by default at the end.
    pub(super) index: Option<usize>,
}

/// A rule that was taken out whole.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    /// What it was called.
    pub(super) name: String,
    /// Where it stood.
    pub(super) index: usize,
}

/// A spec being amended.
pub(super) struct Draft<'a> {
    original: &'a SecurityGroup,
    object: SecurityGroup,
    now: Timestamp,
    own: Option<SecurityGroupId>,
    /// The rules that were not there before.
    fresh: Vec<(Direction, String)>,
    advice: Advice,
}

/// A rule that declares a rule of EC2 in so many words.
struct Place {
    /// Which of the rules of its direction.
    index: usize,
    /// Which of its ports.
    port: usize,
    /// Which of its peers.
    peer: usize,
    /// Whether it declares nothing else.
    alone: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn of(original: &'a SecurityGroup, now: Timestamp) -> Result<Self, Refusal> {
        parse(original).map_err(Refusal::Unusable)?;
        let id = original.status.as_ref().and_then(|status| status.group_id.as_ref());
        let own = id.and_then(|id| id.parse().ok());
        Ok(Self { original, object: original.clone(), now, own, fresh: Vec::new(), advice: Advice::default() })
    }

    /// The amendment that has come of it; none where there is nothing but refusals.
    pub(super) fn finish(self) -> Result<Amendment, Refusal> {
        let Self { original, object, now: _, own: _, fresh: _, advice } = self;
        let amendment = Amendment { before: original.spec.clone(), after: object.spec, advice };
        let silent = amendment.is_empty() && amendment.advice.notes.is_empty() && amendment.advice.by_hand.is_empty();
        if silent { Err(Refusal::Impossible(amendment.advice.refused)) } else { Ok(amendment) }
    }

    /// Whether the spec is another by now.
    pub(super) fn is_changed(&self) -> bool {
        self.object.spec != self.original.spec
    }

    pub(super) fn note(&mut self, note: String) {
        if !self.advice.notes.contains(&note) {
            self.advice.notes.push(note);
        }
    }

    /// Keeps what came of a step.
    pub(super) fn settle(&mut self, result: Result<(), Hitch>) {
        match result {
            Ok(()) => {}
            Err(Hitch::Needless(why)) => self.note(why),
            Err(Hitch::ByHand(what)) => self.advice.by_hand.push(what),
            Err(Hitch::Refused(why)) => self.advice.refused.push(why),
        }
    }

    /// Lets a rule of EC2 in. Rules that differ in nothing but their peer become one.
    pub(super) fn allow(&mut self, atom: &Atom, wording: &Wording) -> Result<(), Hitch> {
        if let Some(rule) = self.lasting(atom, wording.expires_at) {
            return Err(Hitch::Needless(format!("{atom} is declared already, by rule {rule} of spec.{}", atom.direction)));
        }
        if atom.direction == Direction::Egress {
            if self.policy_atoms().contains(atom) {
                return Err(Hitch::Needless(format!("{atom} is declared already, by egressPolicy: AllowAll")));
            }
            self.write_out_policy()?;
        }
        let saved = (self.object.clone(), self.fresh.clone());
        let mut new = Rule::of(atom, &self.free_name(atom.direction, &wording.name), self.own.as_ref());
        new.description = wording.description.clone().filter(|text| !text.is_empty() && is_ec2_text(text));
        new.justification.clone_from(&wording.justification);
        new.expires_at = wording.expires_at.map(|at| at.to_string());
        self.add(atom.direction, new, wording.index);
        if let Err(problems) = parse(&self.object) {
            (self.object, self.fresh) = saved;
            return Err(Hitch::Refused(format!("{atom} cannot be declared: {}", sentences(&problems))));
        }
        Ok(())
    }

    /// Takes a rule of EC2 out. `owner` is the rule that is told to declare it.
    ///
    /// The rule that went with it, if one did.
    pub(super) fn disallow(&mut self, atom: &Atom, owner: Option<&str>) -> Result<Option<Gone>, Hitch> {
        if owner == Some(egress_policy_rule().as_str()) {
            self.write_out_policy()?;
        }
        let mut gone = None;
        // Another rule may declare the same: each round takes it out of one.
        while let Some(place) = self.places(atom).into_iter().next() {
            let mut list = rules(&self.object.spec, atom.direction);
            let Some(rule) = list.get_mut(place.index) else { break };
            let name = rule.name.to_string();
            if place.alone {
                list.remove(place.index);
                gone = gone.or(Some(Gone { name, index: place.index }));
            } else if rule.ports.len() <= 1 {
                rule.peers.remove(place.peer);
            } else if rule.peers.len() == 1 {
                rule.ports.remove(place.port);
            } else {
                return Err(Hitch::ByHand(format!(
                    "rule {name} of spec.{} declares {atom} together with its other ports and peers: split it, and leave that out",
                    atom.direction
                )));
            }
            set_rules(&mut self.object.spec, atom.direction, list);
            self.say_policy();
            if gone.is_none() && self.places(atom).is_empty() {
                return Ok(None);
            }
        }
        if gone.is_some() {
            return Ok(gone);
        }
        self.disallow_reference(atom, owner).map(Some)
    }

    /// Takes out a rule of EC2 that its owner declares by a name: of an object, or of a prefix list.
    fn disallow_reference(&mut self, atom: &Atom, owner: Option<&str>) -> Result<Gone, Hitch> {
        let needless = || Hitch::Needless(format!("{atom} is not declared: there is nothing to take out"));
        let owner = owner.ok_or_else(needless)?;
        let declared = self.declared(atom.direction);
        let found = declared.iter().enumerate().find(|(_, rule)| rule.name.as_str() == owner);
        let (index, rule) = found.ok_or_else(needless)?;
        let by_name = rule.peers.iter().filter(|peer| self.peer(peer).is_none()).collect::<Vec<_>>();
        if by_name.is_empty() || !rule.traffic.contains(&atom.traffic) {
            return Err(needless());
        }
        let one_group = |peer: &DeclaredPeer| match &peer.who {
            Who::Object(Referent { kind: ReferentKind::SecurityGroup, namespace: _, name: _ }) | Who::PrefixListName(_) => true,
            Who::Object(Referent { kind: ReferentKind::CidrSet, namespace: _, name: _ })
            | Who::Range(_)
            | Who::This
            | Who::Group { id: _, account: _ }
            | Who::PrefixList(_) => false,
        };
        match (rule.peers.as_slice(), rule.traffic.as_slice()) {
            ([peer], [_]) if one_group(peer) => {
                let mut list = rules(&self.object.spec, atom.direction);
                list.remove(index);
                set_rules(&mut self.object.spec, atom.direction, list);
                self.say_policy();
                Ok(Gone { name: owner.to_owned(), index })
            }
            (_, _) => Err(Hitch::ByHand(format!(
                "rule {owner} of spec.{} declares {atom} by a reference, together with others: take the peer out of the rule, or the \
                 range out of its CidrSet",
                atom.direction
            ))),
        }
    }

    /// Gives a rule of EC2 another description; none is the empty one.
    pub(super) fn describe(&mut self, atom: &Atom, text: &str, owner: Option<&str>) -> Result<(), Hitch> {
        if owner == Some(egress_policy_rule().as_str()) {
            self.write_out_policy()?;
        }
        let field = format!("spec.{}", atom.direction);
        let named = |rule: &Rule| Some(rule.name.as_str()) == owner;
        let mut list = rules(&self.object.spec, atom.direction);
        let places = self.places(atom);
        // The first rule that declares it owns its description.
        let Some(place) = places.first() else {
            let what = match list.iter().find(|rule| named(rule)) {
                Some(rule) => {
                    format!("set the description of {atom} to \"{text}\": rule {} of {field} declares it by a reference", rule.name)
                }
                None => return Err(Hitch::Needless(format!("{atom} is not declared: its description is not kept"))),
            };
            return Err(Hitch::ByHand(what));
        };
        let Some(rule) = list.get_mut(place.index) else { return Ok(()) };
        let new = Some(text.to_owned()).filter(|text| !text.is_empty());
        let (ports, name) = (rule.ports.len(), rule.name.to_string());
        let Some(peer) = rule.peers.get_mut(place.peer) else { return Ok(()) };
        if place.alone {
            peer.description = None;
            rule.description = new;
        } else if ports <= 1 && (new.is_some() || rule.description.is_none()) {
            peer.description = new;
        } else {
            let wanted =
                if text.is_empty() { "without a description".to_owned() } else { format!("with the description \"{text}\"") };
            return Err(Hitch::ByHand(format!(
                "rule {name} of {field} declares {atom} together with others: give it a rule of its own {wanted}"
            )));
        }
        set_rules(&mut self.object.spec, atom.direction, list);
        Ok(())
    }

    /// Declares a tag, or takes it out of the declared ones.
    pub(super) fn tag(&mut self, key: &str, value: Option<&str>) -> Result<(), Hitch> {
        if key.starts_with(crate::api::TAG_PREFIX) {
            return Err(Hitch::Refused(format!("tag {key} is sgwarden's own: without it the group would be nobody's")));
        }
        let saved = self.object.clone();
        match value {
            Some(value) => drop(self.object.spec.tags.insert(key.to_owned(), value.to_owned())),
            None => {
                if self.object.spec.tags.remove(key).is_none() {
                    return Err(Hitch::ByHand(format!(
                        "tag {key} is not in spec.tags: where the AwsAccount gives it to every group (spec.defaults.tags), take it out there"
                    )));
                }
            }
        }
        if let Err(problems) = parse(&self.object) {
            self.object = saved;
            return Err(Hitch::Refused(format!("tag {key} cannot be declared: {}", sentences(&problems))));
        }
        Ok(())
    }

    /// Key and value of `team=shop`. A key may hold an equals sign itself: the declared keys tell where it ends.
    pub(super) fn pair(&self, text: &str) -> Option<(String, String)> {
        let value = |key: &str| text.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        let keys = self.object.spec.tags.keys();
        let declared = keys.filter_map(|key| Some((key.clone(), value(key)?))).max_by_key(|(key, _)| key.len());
        declared.or_else(|| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
    }

    fn declared(&self, direction: Direction) -> Vec<DeclaredRule> {
        // Every step leaves an object that can be parsed.
        let rules = parse(&self.object).map(|declaration| declaration.rules).unwrap_or_default();
        rules.into_iter().filter(|rule| rule.direction == direction).collect()
    }

    /// Where an atom is declared in so many words.
    fn places(&self, atom: &Atom) -> Vec<Place> {
        let place = |(index, rule): (usize, &DeclaredRule)| {
            let port = rule.traffic.iter().position(|traffic| *traffic == atom.traffic)?;
            let peer = rule.peers.iter().position(|peer| self.peer(peer).as_ref() == Some(&atom.peer))?;
            Some(Place { index, port, peer, alone: rule.traffic.len() == 1 && rule.peers.len() == 1 })
        };
        self.declared(atom.direction).iter().enumerate().filter_map(place).collect()
    }

    /// The rule that declares an atom at least as long as is asked for.
    fn lasting(&self, atom: &Atom, until: Option<Timestamp>) -> Option<RuleName> {
        let declared = self.declared(atom.direction);
        let lasts = |rule: &&DeclaredRule| match (rule.expires_at, until) {
            (None, _) => true,
            (Some(end), Some(until)) => end >= until && end > self.now,
            (Some(_), None) => false,
        };
        let places = self.places(atom);
        places.iter().filter_map(|place| declared.get(place.index)).find(lasts).map(|rule| rule.name.clone())
    }

    /// A peer as EC2 has it, where the manifest alone tells.
    fn peer(&self, peer: &DeclaredPeer) -> Option<Peer> {
        let meta = &self.object.metadata;
        match &peer.who {
            Who::Range(ipnet::IpNet::V4(net)) => Some(Peer::ipv4(*net)),
            Who::Range(ipnet::IpNet::V6(net)) => Some(Peer::ipv6(*net)),
            Who::This => self.own.clone().map(Peer::group),
            Who::Group { id, account } => {
                let owner = self.object.status.as_ref().and_then(|status| status.owner_id.as_deref());
                let account = account.as_ref().filter(|account| Some(account.as_str()) != owner).cloned();
                Some(Peer::Group { id: id.clone(), account })
            }
            Who::PrefixList(id) => Some(Peer::PrefixList(id.clone())),
            Who::Object(Referent { kind: ReferentKind::SecurityGroup, namespace, name })
                if Some(namespace) == meta.namespace.as_ref() && Some(name) == meta.name.as_ref() =>
            {
                self.own.clone().map(Peer::group)
            }
            Who::Object(_) | Who::PrefixListName(_) => None,
        }
    }

    /// Adds a rule, or its peer to one that was added before and says the same.
    fn add(&mut self, direction: Direction, new: Rule, index: Option<usize>) {
        let mut list = rules(&self.object.spec, direction);
        let same = |rule: &&mut Rule| {
            let fresh = self.fresh.contains(&(direction, rule.name.to_string()));
            fresh && Rule { name: new.name.clone(), peers: new.peers.clone(), ..(**rule).clone() } == new
        };
        if let Some(rule) = list.iter_mut().find(same) {
            rule.peers.extend(new.peers);
        } else {
            self.fresh.push((direction, new.name.to_string()));
            list.insert(index.unwrap_or(list.len()).min(list.len()), new);
        }
        set_rules(&mut self.object.spec, direction, list);
        self.say_policy();
    }

    /// `egressPolicy: AllowAll` as a rule, for it does not go together with rules. Nothing else of it changes.
    fn write_out_policy(&mut self) -> Result<(), Hitch> {
        if !self.allows_all() {
            return Ok(());
        }
        let atoms = self.policy_atoms();
        let (Some(first), rest) = (atoms.first(), atoms.iter().skip(1)) else {
            return Err(Hitch::ByHand(
                "write egressPolicy: AllowAll out as a rule first (protocol all, to 0.0.0.0/0, and to ::/0 in a VPC with IPv6): it does \
                 not go together with egress rules, and the status does not tell what it came to"
                    .to_owned(),
            ));
        };
        let own = self.own.clone();
        let mut rule = Rule::of(first, "allow-all", own.as_ref());
        for atom in rest {
            rule.peers.extend(Rule::of(atom, "allow-all", own.as_ref()).peers);
        }
        set_rules(&mut self.object.spec, Direction::Egress, vec![rule]);
        self.object.spec.egress_policy = None;
        self.note("egressPolicy: AllowAll is written out as rule allow-all: it does not go together with egress rules".to_owned());
        Ok(())
    }

    fn allows_all(&self) -> bool {
        let spec = &self.object.spec;
        spec.egress.is_empty() && spec.egress_policy() == Ok(Some(EgressPolicy::AllowAll))
    }

    /// What `egressPolicy: AllowAll` came to, if it is written: whether that is IPv6 too depends on the VPC, and what is vouched for
    /// tells.
    fn policy_atoms(&self) -> Vec<Atom> {
        let lines = self.object.status.as_ref().and_then(|status| status.rules.as_ref()).filter(|_| self.allows_all());
        let vouched = lines.and_then(|lines| Vouched::from_lines(lines.iter().map(String::as_str)).ok());
        let policy = egress_policy_rule();
        vouched.iter().flat_map(Vouched::iter).filter(|(_, rule)| rule.rule == policy).map(|(atom, _)| atom.clone()).collect()
    }

    /// Keeps `egressPolicy` in step with whether there are egress rules.
    fn say_policy(&mut self) {
        let spec = &mut self.object.spec;
        if !spec.egress.is_empty() {
            spec.egress_policy = None;
        } else if spec.egress_policy.is_none() {
            spec.egress_policy = Some(EgressPolicy::DenyAll.into());
        }
    }

    /// A name that no rule of the direction has.
    fn free_name(&self, direction: Direction, wanted: &str) -> String {
        let wanted = if wanted.parse::<RuleName>().is_ok() { wanted } else { "accepted" };
        let taken: Vec<String> = rules(&self.object.spec, direction).iter().map(|rule| rule.name.to_string()).collect();
        let numbered = |n: usize| {
            let end = format!("-{n}");
            let head: String = wanted.chars().take(MAX_NAME.saturating_sub(end.len())).collect();
            format!("{}{end}", head.trim_end_matches('-'))
        };
        let mut name = wanted.to_owned();
        let mut n = 2;
        while taken.contains(&name) {
            name = numbered(n);
            n += 1;
        }
        name
    }
}
