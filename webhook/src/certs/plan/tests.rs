use super::super::testing::{day, days, pair};
use super::*;
use Generation::{Absent, Bad, Read};

const TIMES: Times = Times {
    life: Duration::from_hours(90 * 24),
    overlap: Duration::from_hours(24),
    settle: Duration::from_secs(10),
    jitter: Duration::ZERO,
};

/// A certificate's last second belongs to it, so all is a little later than one would think.
const SECOND: Duration = Duration::from_secs(1);

/// Issued on day 0, so to be renewed on day 60.
fn old() -> Pair {
    pair(day(0), TIMES.life)
}

fn known<'a>(newest: Generation<'a>, previous: Generation<'a>, now: SystemTime) -> Known<'a> {
    Known {
        newest,
        previous,
        bundle: None,
        covered_since: None,
        now,
    }
}

#[test]
fn nothing_of_use_is_replaced_at_once() {
    let (good, gone) = (old(), pair(day(0), days(5)));
    for newest in [Absent, Bad, Read(&gone)] {
        for previous in [Absent, Bad, Read(&gone)] {
            let step = step(&known(newest, previous, day(6)), &TIMES);
            assert_eq!(
                step,
                Step::Replace {
                    keep_previous: false
                }
            );
        }
        let step = step(&known(newest, Read(&good), day(6)), &TIMES);
        assert_eq!(
            step,
            Step::Replace {
                keep_previous: true
            }
        );
    }
}

#[test]
fn a_good_one_is_kept_until_two_thirds_of_its_life() {
    let old = old();
    let at = |now| step(&known(Read(&old), Absent, now), &TIMES);
    assert_eq!(at(day(0)), Step::Keep);
    assert_eq!(at(day(60) - Duration::from_secs(1)), Step::Keep);
    assert_eq!(at(day(60) + SECOND), Step::Rotate);
    assert_eq!(at(day(89)), Step::Rotate);
    let late = Times {
        jitter: days(2),
        ..TIMES
    };
    let at = |now| step(&known(Read(&old), Absent, now), &late);
    assert_eq!(at(day(61)), Step::Keep);
    assert_eq!(at(day(62) + SECOND), Step::Rotate);
}

#[test]
fn a_previous_one_goes_after_its_overlap_and_only_once_the_newest_is_trusted() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let bundle = [old.authorities(), new.authorities()].concat();
    let mut known = known(Read(&new), Read(&old), day(60) + days(3));
    assert_eq!(step(&known, &TIMES), Step::Keep, "never seen in the bundle");
    known.bundle = Some(&bundle);
    known.covered_since = Some(known.now - Duration::from_secs(9));
    assert_eq!(step(&known, &TIMES), Step::Keep, "seen too short a time");
    known.covered_since = Some(known.now - Duration::from_secs(10));
    assert_eq!(step(&known, &TIMES), Step::DropPrevious);
    known.now = day(60) + Duration::from_secs(86_399);
    known.covered_since = Some(day(60));
    assert_eq!(step(&known, &TIMES), Step::Keep, "within the overlap");
}

#[test]
fn a_previous_one_of_no_use_goes_at_once() {
    let (gone, new) = (pair(day(0), days(5)), pair(day(4), TIMES.life));
    for previous in [Bad, Read(&gone)] {
        let step = step(&known(Read(&new), previous, day(6)), &TIMES);
        assert_eq!(step, Step::DropPrevious);
    }
}

#[test]
fn one_from_the_future_is_waited_for_while_there_is_another() {
    let (old, ahead) = (old(), pair(day(9), TIMES.life));
    let both = known(Read(&ahead), Read(&old), day(6));
    assert_eq!(step(&both, &TIMES), Step::Keep);
    assert_eq!(serve(&both, &TIMES), Serve::Previous);
    // Alone it is of no use to anybody whose clock is right.
    let alone = known(Read(&ahead), Absent, day(6));
    assert_eq!(
        step(&alone, &TIMES),
        Step::Replace {
            keep_previous: false
        }
    );
    assert_eq!(serve(&alone, &TIMES), Serve::Last);
    // The replica whose clock is ahead finds the replacement good: no fight.
    let fresh = pair(day(6), TIMES.life);
    assert_eq!(
        step(&known(Read(&fresh), Absent, day(10)), &TIMES),
        Step::Keep
    );
}

#[test]
fn the_new_one_is_served_only_after_it_was_trusted_for_a_while() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let (only_old, both) = (
        old.authorities().to_vec(),
        [old.authorities(), new.authorities()].concat(),
    );
    let mut known = known(Read(&new), Read(&old), day(60));
    assert_eq!(serve(&known, &TIMES), Serve::Previous);
    known.bundle = Some(&only_old);
    assert_eq!(serve(&known, &TIMES), Serve::Previous);
    known.bundle = Some(&both);
    known.covered_since = Some(day(60));
    assert_eq!(serve(&known, &TIMES), Serve::Previous);
    known.now += TIMES.settle;
    assert_eq!(serve(&known, &TIMES), Serve::Newest);
}

#[test]
fn the_new_one_is_served_when_there_is_no_better() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let only_new = new.authorities().to_vec();
    let mut state = known(Read(&new), Read(&old), day(60));
    state.bundle = Some(&only_new);
    assert_eq!(
        serve(&state, &TIMES),
        Serve::Newest,
        "nobody trusts the old one"
    );
    assert_eq!(
        serve(&known(Read(&new), Absent, day(60)), &TIMES),
        Serve::Newest
    );
    assert_eq!(
        serve(&known(Read(&new), Bad, day(60)), &TIMES),
        Serve::Newest
    );
    assert_eq!(
        serve(&known(Read(&new), Read(&old), day(95)), &TIMES),
        Serve::Newest
    );
    assert_eq!(serve(&known(Bad, Bad, day(60)), &TIMES), Serve::Last);
    assert_eq!(
        serve(&known(Bad, Read(&old), day(60)), &TIMES),
        Serve::Previous
    );
}

#[test]
fn the_bundle_is_written_only_when_ours_is_missing_or_dead() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let (a, b) = (old.authorities(), new.authorities());
    let state = known(Read(&new), Read(&old), day(60));
    let both = [b, a].concat();
    assert_eq!(bundle(&state, &[]), Some(both.clone()));
    assert_eq!(bundle(&state, a), Some(both.clone()));
    assert_eq!(bundle(&state, &both), None);
    assert_eq!(
        bundle(&state, &[a, b].concat()),
        None,
        "the order says nothing"
    );
    // After the overlap the old one is dead.
    let state = known(Read(&new), Absent, day(62));
    assert_eq!(bundle(&state, &both), Some(b.to_vec()));
    // So is one that has expired.
    let state = known(Read(&new), Read(&old), day(95));
    assert_eq!(bundle(&state, &both), Some(b.to_vec()));
    assert_eq!(bundle(&known(Bad, Read(&old), day(60)), &[]), None);
}

#[test]
fn what_another_replica_has_staged_is_left_alone() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    // This replica has not seen the new Secret yet.
    let state = known(Read(&old), Absent, day(60));
    let both = [old.authorities(), new.authorities()].concat();
    assert_eq!(bundle(&state, &both), None);
    assert_eq!(bundle(&state, new.authorities()), Some(both));
}

#[test]
fn what_is_not_ours_is_no_reason_to_write_and_goes_with_the_next_write() {
    let old = old();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let foreign = Authority::read_all(pem.as_bytes()).unwrap();
    let state = known(Read(&old), Absent, day(1));
    assert_eq!(
        bundle(&state, &[old.authorities(), &foreign].concat()),
        None
    );
    assert_eq!(bundle(&state, &foreign), Some(old.authorities().to_vec()));
}

/// A Secret and a webhook configuration, and what replicas do to them.
struct World {
    newest: Option<Pair>,
    previous: Option<Pair>,
    version: u32,
    bundle: Vec<Authority>,
}

/// One replica's knowledge may be old; a write with an old version fails.
#[derive(Clone)]
struct Replica {
    newest: Option<Pair>,
    previous: Option<Pair>,
    version: u32,
    covered_since: Option<SystemTime>,
    served: Option<Pair>,
}

impl World {
    fn look(&self, replica: &mut Replica) {
        replica.newest.clone_from(&self.newest);
        replica.previous.clone_from(&self.previous);
        replica.version = self.version;
    }

    /// One turn of one replica, as the loop does it; false if its write lost a race.
    fn turn(&mut self, replica: &mut Replica, now: SystemTime, times: &Times) -> bool {
        let (newest, previous) = (replica.newest.clone(), replica.previous.clone());
        let covered = newest
            .as_ref()
            .is_some_and(|it| it.chains_to(&self.bundle, now));
        replica.covered_since = match replica.covered_since {
            Some(since) if covered => Some(since),
            _ => covered.then_some(now),
        };
        let known = Known {
            newest: newest.as_ref().map_or(Absent, Read),
            previous: previous.as_ref().map_or(Absent, Read),
            bundle: Some(&self.bundle),
            covered_since: replica.covered_since,
            now,
        };
        match serve(&known, times) {
            Serve::Newest => replica.served.clone_from(&newest),
            Serve::Previous => replica.served.clone_from(&previous),
            Serve::Last => {}
        }
        let step = step(&known, times);
        let bundle = bundle(&known, &self.bundle);
        if step == Step::Keep {
            self.bundle = bundle.unwrap_or_else(|| self.bundle.clone());
            return true;
        }
        if replica.version != self.version {
            return false;
        }
        match step {
            Step::Keep => {}
            Step::DropPrevious => self.previous = None,
            Step::Replace { keep_previous } => {
                self.newest = Some(pair(now, times.life));
                self.previous = self.previous.take().filter(|_| keep_previous);
            }
            Step::Rotate => self.previous = self.newest.replace(pair(now, times.life)),
        }
        self.version += 1;
        true
    }
}

/// Two replicas through several rotations, each looking at the Secret only now and then: at each
/// moment whatever a replica serves is valid and trusted, once it has ever been.
#[test]
fn two_replicas_that_race_serve_what_is_trusted_at_every_moment() {
    let times = Times {
        life: Duration::from_mins(2),
        overlap: Duration::from_secs(20),
        settle: Duration::from_secs(4),
        jitter: Duration::ZERO,
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut world = World {
        newest: None,
        previous: None,
        version: 0,
        bundle: Vec::new(),
    };
    let blank = Replica {
        newest: None,
        previous: None,
        version: 0,
        covered_since: None,
        served: None,
    };
    let mut replicas = [blank.clone(), blank];
    let (mut lost, mut rotations, mut version) = (0, 0, 0);
    for second in 0..600 {
        let now = day(0) + Duration::from_secs(second);
        for replica in &mut replicas {
            // A watch that lags by a few seconds.
            if random.u8(..3) == 0 {
                world.look(replica);
            }
            lost += u32::from(!world.turn(replica, now, &times));
        }
        for replica in &replicas {
            let Some(served) = replica.served.as_ref().filter(|_| second > 30) else {
                continue;
            };
            assert_eq!(served.age(now), Age::Good, "at {second}");
            assert!(served.chains_to(&world.bundle, now), "at {second}");
        }
        rotations += u32::from(world.version != version);
        version = world.version;
    }
    assert!(lost > 0, "no race was run");
    assert!(rotations > 10, "{rotations} writes");
}

/// A renewal from start to end, in order.
#[test]
fn a_rotation_goes_secret_then_bundle_then_leaf_then_drop() {
    let (times, start) = (TIMES, day(60) + SECOND);
    let old = old();
    let mut world = World {
        newest: Some(old.clone()),
        previous: None,
        version: 0,
        bundle: old.authorities().to_vec(),
    };
    let mut replica = Replica {
        newest: None,
        previous: None,
        version: 0,
        covered_since: None,
        served: None,
    };
    let mut turn = |world: &mut World, now| {
        world.look(&mut replica);
        assert!(world.turn(&mut replica, now, &times));
        replica.served.clone().unwrap()
    };
    assert!(turn(&mut world, day(1)).is(&old));
    assert!(turn(&mut world, start).is(&old));
    let new = world.newest.clone().unwrap();
    assert!(!new.is(&old) && world.previous.as_ref().unwrap().is(&old));
    assert_eq!(world.bundle.len(), 1, "the bundle comes after the Secret");
    assert!(turn(&mut world, start).is(&old));
    assert_eq!(world.bundle.len(), 2);
    assert!(turn(&mut world, start).is(&old), "not settled");
    let now = start + times.settle;
    assert!(turn(&mut world, now).is(&new));
    assert_eq!(world.bundle.len(), 2, "the overlap");
    let now = start + times.overlap;
    assert!(turn(&mut world, now).is(&new));
    assert!(world.previous.is_none());
    assert!(turn(&mut world, now).is(&new));
    assert_eq!(world.bundle, new.authorities());
}
