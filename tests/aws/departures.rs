//! Where moto is known not to do what EC2 does (handbook ec2.md §8, and what running it showed): the one place.
//!
//! Entry point: [`judge`]. A departure that is gone fails, and so does one that shows itself otherwise than noted: the table
//! cannot rot.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::{contract, wire};

/// A contract that moto does not keep.
struct Departure {
    contract: &'static str,
    /// What moto does instead.
    why: &'static str,
    /// A part of what the contract says when it fails.
    shows: &'static str,
}

/// moto 5.2.5.
const DEPARTURES: &[Departure] = &[];

/// Runs a contract at moto's door: it holds, or it fails in the way that the table has for it.
pub(crate) async fn judge(contract: &str, run: impl Future<Output = ()>) {
    let Some(departure) = DEPARTURES.iter().find(|departure| departure.contract == contract) else { return run.await };
    let said = match AssertUnwindSafe(run).catch_unwind().await {
        Ok(()) => panic!("moto keeps this contract now: delete its departure ({})", departure.why),
        Err(said) => said,
    };
    let said = said.downcast_ref::<String>().cloned().or_else(|| said.downcast_ref::<&str>().map(|&said| said.to_owned()));
    let said = said.unwrap_or_default();
    let (shows, why) = (departure.shows, departure.why);
    assert!(said.contains(shows), "moto departs, but not as noted ({why}): expected '{shows}', got: {said}");
}

#[test]
fn departures_are_from_contracts_that_moto_is_held_to() {
    for Departure { contract, why, shows } in DEPARTURES {
        let held = contract::AT_MOTO.contains(contract) || wire::AT_MOTO.contains(contract);
        assert!(held && !why.is_empty() && !shows.is_empty(), "{contract}");
        assert_eq!(DEPARTURES.iter().filter(|other| other.contract == *contract).count(), 1, "{contract} stands twice");
    }
}
