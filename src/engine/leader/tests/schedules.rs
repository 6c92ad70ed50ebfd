//! Random schedules: replicas come, go, are stopped, sleep and lose the network, calls are slow, lost and garbled. Whatever
//! happens, nobody writes while another may.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::world::{Pace, World, Written};
use super::{Apiserver, Line, Replica, Trip, secs, until};
use crate::ports::clock::Timings;

/// How long the troubles last.
const TROUBLES: u64 = 240;
/// What a call may take from its permit on, after which others may write (DESIGN §4.5: one attempt of 8 s, and 1 s).
const CALL: Duration = secs(9);
/// Longer than any schedule.
const FOR_EVER: Duration = secs(86_400);

/// What happens to one replica.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Stopped for so many seconds, as by `SIGSTOP`.
    Stopped(u64),
    /// The machine sleeps for so many seconds.
    Asleep(u64),
    /// No way to the apiserver for so many seconds.
    CutOff(u64),
    /// Killed; another comes in its place.
    Killed,
    /// Shut down; another comes in its place before or after.
    Replaced {
        /// Whether the new one comes first, as in a rolling update.
        first: bool,
    },
    /// Its calls to the apiserver are as bad as this for some time.
    Network(u8),
    /// Somebody labels the Lease.
    Label,
}

#[derive(Clone, Debug)]
struct Schedule {
    seed: u64,
    /// Whether there is a wait after a takeover. It must hold without: the wait is there for calls that take longer than they
    /// may, and for what no clock counts.
    waits: bool,
    replicas: usize,
    /// When, which replica, and what.
    troubles: Vec<(u64, usize, Trouble)>,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        3 => (1_u64..60).prop_map(Trouble::Stopped),
        2 => (1_u64..60).prop_map(Trouble::Asleep),
        2 => (1_u64..60).prop_map(Trouble::CutOff),
        1 => Just(Trouble::Killed),
        2 => any::<bool>().prop_map(|first| Trouble::Replaced { first }),
        3 => (0_u8..=3).prop_map(Trouble::Network),
        1 => Just(Trouble::Label),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let when = (0..TROUBLES * 1000, any::<usize>(), trouble());
    let troubles = prop::collection::vec(when, 0..12);
    (any::<u64>(), any::<bool>(), 2_usize..=3, troubles).prop_map(|(seed, waits, replicas, mut troubles)| {
        troubles.sort_by_key(|(at, ..)| *at);
        Schedule { seed, waits, replicas, troubles }
    })
}

/// Splitmix64: chance that is the same in every run of a case.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.next() % below)
    }

    fn trip(&mut self, badness: u8) -> Trip {
        let slow = [50, 500, 4_000, 15_000][usize::from(badness.min(3))];
        let trip = Trip::slow(self.millis(slow), self.millis(slow));
        match self.next() % 10 {
            0 if badness > 0 => Trip::LOST,
            1 if badness > 0 => Trip { back: None, ..trip },
            2 if badness > 0 => Trip { garbled: true, ..trip },
            _ => trip,
        }
    }

    fn pace(&mut self) -> Pace {
        let answering = if self.next().is_multiple_of(8) { self.millis(7_900) } else { self.millis(400) };
        Pace { preparing: self.millis(50), sending: self.millis(50), answering }
    }
}

/// When which process did not run: from, until, who.
type Stops = Vec<(Instant, Instant, String)>;

struct Stage {
    apiserver: Apiserver,
    world: World,
    chance: Chance,
    count: usize,
    stops: Stops,
    timings: Timings,
}

impl Stage {
    fn replica(&mut self) -> Replica {
        self.count += 1;
        let line = Line::to(&self.apiserver);
        line.next((0..20).map(|_| self.chance.trip(1)));
        Replica::timed(&format!("r{}", self.count), line, &self.world, self.timings.clone())
    }

    /// Lets one trouble happen. What lasts ends by itself.
    fn happen(&mut self, replicas: &mut [Replica], which: usize, trouble: Trouble) {
        let index = which % replicas.len();
        let replica = &mut replicas[index];
        let now = Instant::now();
        match trouble {
            Trouble::Stopped(seconds) | Trouble::Asleep(seconds) => {
                let asleep = matches!(trouble, Trouble::Asleep(_));
                if replica.switch.is_stopped() {
                    return;
                }
                replica.switch.stop();
                self.stops.push((now, now + secs(seconds), replica.name.clone()));
                let (switch, fence) = (replica.switch.clone(), replica.fence.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(secs(seconds)).await;
                    if asleep {
                        fence.steady().slept_for(secs(seconds));
                    }
                    switch.go_on();
                });
            }
            Trouble::CutOff(seconds) => {
                replica.line.cut(true);
                let line = replica.line.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(secs(seconds)).await;
                    line.cut(false);
                });
            }
            Trouble::Killed => {
                let dead = std::mem::replace(replica, self.replica());
                dead.task.abort();
                // Its work is a task of its own: it must not go on either. Nobody wakes it again.
                dead.switch.stop();
                self.stops.push((now, now + FOR_EVER, dead.name));
            }
            Trouble::Replaced { first } => {
                if first {
                    let new = self.replica();
                    let old = std::mem::replace(replica, new);
                    old.stop.cancel();
                } else {
                    replica.stop.cancel();
                    *replica = self.replica();
                }
            }
            Trouble::Network(badness) => {
                let trips = (0..30).map(|_| self.chance.trip(badness)).collect::<Vec<_>>();
                *replica.line.trips.lock().unwrap() = trips.into();
            }
            Trouble::Label => {
                let value = self.chance.next().to_string();
                self.apiserver.edit(|lease| lease.meta.labels = Some([("touched".to_owned(), value)].into()));
            }
        }
    }
}

/// Runs a schedule and gives every call and every stop.
async fn play(schedule: Schedule) -> (Vec<Written>, Stops) {
    let mut chance = Chance(schedule.seed);
    let mut paces = Chance(chance.next());
    let world = World::paced(move || paces.pace());
    let mut timings = Timings::default();
    if !schedule.waits {
        timings.takeover_wait = Duration::ZERO;
    }
    let start = Instant::now();
    let mut stage = Stage { apiserver: Apiserver::default(), world, chance, count: 0, stops: Vec::new(), timings };
    let mut replicas: Vec<Replica> = (0..schedule.replicas).map(|_| stage.replica()).collect();
    for (at, which, trouble) in schedule.troubles {
        tokio::time::sleep_until(start + Duration::from_millis(at)).await;
        stage.happen(&mut replicas, which, trouble);
    }
    // Then peace. What lasts longest is a stop of a minute; after that somebody has to lead, and only one.
    tokio::time::sleep(secs(60)).await;
    for replica in &replicas {
        replica.line.trips.lock().unwrap().clear();
    }
    until(|| replicas.iter().any(Replica::writes)).await;
    tokio::time::sleep(secs(40)).await;
    let leaders: Vec<&str> = replicas.iter().filter(|replica| replica.writes()).map(|replica| replica.name.as_str()).collect();
    assert_eq!(leaders.len(), 1, "{leaders:?}");
    for replica in &replicas {
        let (begun, ended) = (replica.begun.load(Ordering::Relaxed), replica.ended.load(Ordering::Relaxed));
        assert_eq!(begun - ended, u32::from(replica.writes()), "{}", replica.name);
    }
    (stage.world.calls(), stage.stops)
}

/// Whether a process was stopped between the permit of a call and its arrival: what it sent then was past its fence.
fn was_stopped(call: &Written, stops: &Stops) -> bool {
    let until = call.got.unwrap_or(call.begun + FOR_EVER);
    stops.iter().any(|(from, to, name)| *name == call.by && call.begun <= *to && *from <= until)
}

/// Nobody's call arrives while a call of another may be under way: from its permit until it has ended, or could not have any
/// effect any more.
fn judge(calls: &[Written], stops: &Stops) -> Result<(), TestCaseError> {
    let mut late = BTreeMap::<(String, Instant), usize>::new();
    for (call, got) in calls.iter().filter_map(|call| Some((call, call.got?))) {
        let clash = calls.iter().find(|other| {
            let until = other.ended.unwrap_or(other.begun + FOR_EVER).min(other.begun + CALL);
            other.by != call.by && other.begun <= got && got <= until
        });
        let Some(other) = clash else { continue };
        if was_stopped(call, stops) {
            // The one call that may: one a stop.
            let stop = stops.iter().filter(|(from, _, name)| *name == call.by && *from >= call.begun).map(|(from, ..)| *from).min();
            *late.entry((call.by.clone(), stop.unwrap_or(call.begun))).or_default() += 1;
        } else {
            prop_assert!(was_stopped(other, stops), "{call:?} arrives while {other:?} may be under way");
        }
    }
    prop_assert!(late.values().all(|count| *count <= 1), "{late:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_replicas_write_at_a_time_and_in_the_end_one_does(schedule in schedule()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (calls, stops) = runtime.block_on(play(schedule));
        prop_assert!(calls.len() > 10);
        judge(&calls, &stops)?;
    }
}

#[test]
fn the_judge_sees_two_writers() {
    let now = Instant::now();
    let call = |by: &str, begun: u64, got: u64, ended: u64| Written {
        by: by.to_owned(),
        begun: now + secs(begun),
        got: Some(now + secs(got)),
        ended: Some(now + secs(ended)),
    };
    let stop = |name: &str, from: u64, to: u64| (now + secs(from), now + secs(to), name.to_owned());
    let one = call("one", 10, 11, 15);
    assert!(judge(&[one.clone(), call("two", 16, 17, 18)], &Vec::new()).is_ok());
    assert!(judge(&[one.clone(), call("two", 12, 13, 18)], &Vec::new()).is_err());
    assert!(judge(&[one.clone(), call("two", 5, 6, 18)], &Vec::new()).is_err(), "9 s of it are another's time too");
    let late = [one.clone(), call("two", 2, 13, 13)];
    assert!(judge(&late, &vec![stop("two", 2, 12)]).is_ok(), "past its fence when it was stopped");
    assert!(judge(&[one.clone(), late[1].clone(), call("two", 2, 14, 14)], &vec![stop("two", 2, 12)]).is_err(), "but only one");
    assert!(judge(&[one, call("two", 13, 13, 13)], &vec![stop("two", 2, 12)]).is_err(), "its permit came after");
}
