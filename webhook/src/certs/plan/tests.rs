mod model;

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
        served: None,
        bundle: None,
        covered_since: None,
        alone_since: None,
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
                    previous: Former::Absent
                }
            );
        }
        let step = step(&known(newest, Read(&good), day(6)), &TIMES);
        assert_eq!(
            step,
            Step::Replace {
                previous: Former::Stored
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
    known.covered_since = Some(known.now - TIMES.overlap + SECOND);
    assert_eq!(step(&known, &TIMES), Step::Keep, "seen too short a time");
    known.covered_since = Some(known.now - TIMES.overlap);
    assert_eq!(step(&known, &TIMES), Step::DropPrevious);
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
            previous: Former::Absent
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
    assert_eq!(bundle(&state, &TIMES, &[]), Some(both.clone()));
    assert_eq!(bundle(&state, &TIMES, a), Some(both.clone()));
    assert_eq!(bundle(&state, &TIMES, &both), None);
    assert_eq!(
        bundle(&state, &TIMES, &[a, b].concat()),
        None,
        "the order says nothing"
    );
    // Another replica may still serve what is stored no more.
    let mut state = known(Read(&new), Absent, day(62));
    assert_eq!(bundle(&state, &TIMES, &both), None);
    state.alone_since = Some(day(61) + SECOND);
    assert_eq!(bundle(&state, &TIMES, &both), None);
    state.alone_since = Some(day(61));
    assert_eq!(bundle(&state, &TIMES, &both), Some(b.to_vec()));
    assert_eq!(bundle(&known(Bad, Read(&old), day(60)), &TIMES, &[]), None);
}

#[test]
fn what_another_replica_has_staged_is_left_alone() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    // This replica has not seen the new Secret yet.
    let state = known(Read(&old), Absent, day(60));
    let both = [old.authorities(), new.authorities()].concat();
    assert_eq!(bundle(&state, &TIMES, &both), None);
    assert_eq!(bundle(&state, &TIMES, new.authorities()), Some(both));
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
        bundle(&state, &TIMES, &[old.authorities(), &foreign].concat()),
        None
    );
    assert_eq!(
        bundle(&state, &TIMES, &foreign),
        Some(old.authorities().to_vec())
    );
}

#[test]
fn what_is_served_outlives_a_secret_that_is_gone_or_spoilt() {
    let (old, new) = (old(), pair(day(6), TIMES.life));
    let only_old = old.authorities().to_vec();
    for newest in [Absent, Bad] {
        let mut state = known(newest, Absent, day(6));
        state.served = Some(&old);
        state.bundle = Some(&only_old);
        assert_eq!(serve(&state, &TIMES), Serve::Last);
        let previous = Former::Served;
        assert_eq!(step(&state, &TIMES), Step::Replace { previous });
        // Nobody trusts it: it is of no use.
        state.bundle = Some(new.authorities());
        let previous = Former::Absent;
        assert_eq!(step(&state, &TIMES), Step::Replace { previous });
    }
}

#[test]
fn a_new_one_that_came_alone_is_not_served_before_it_is_trusted() {
    let (old, new) = (old(), pair(day(6), TIMES.life));
    let only_old = old.authorities().to_vec();
    // Another replica, which served nothing yet, wrote it.
    let mut state = known(Read(&new), Absent, day(6));
    state.served = Some(&old);
    state.bundle = Some(&only_old);
    assert_eq!(serve(&state, &TIMES), Serve::Last, "nobody trusts it yet");
    let both = [new.authorities(), old.authorities()].concat();
    assert_eq!(bundle(&state, &TIMES, &only_old), Some(both.clone()));
    // That other replica leaves the old authority alone: somebody may serve by it.
    let other = known(Read(&new), Absent, day(6));
    assert_eq!(bundle(&other, &TIMES, &both), None);
    assert_eq!(bundle(&other, &TIMES, &only_old), Some(both.clone()));
    state.bundle = Some(&both);
    state.covered_since = Some(day(6));
    assert_eq!(serve(&state, &TIMES), Serve::Last, "not settled");
    state.now += TIMES.settle;
    assert_eq!(serve(&state, &TIMES), Serve::Newest);
}

#[test]
fn what_is_served_is_kept_while_nobody_is_told_to_trust_anything() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let mut state = known(Read(&new), Absent, day(60));
    state.served = Some(&old);
    state.bundle = Some(&[]);
    assert_eq!(serve(&state, &TIMES), Serve::Last);
    let both = [new.authorities(), old.authorities()].concat();
    assert_eq!(bundle(&state, &TIMES, &[]), Some(both));
    // Of two that nobody trusts the one that is valid.
    state.now = day(95);
    assert_eq!(serve(&state, &TIMES), Serve::Newest);
}

/// cert-manager writes the Secret first, and its injector the bundle a while later.
#[test]
fn one_of_somebody_elses_is_served_once_it_is_trusted() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let (only_old, both) = (
        old.authorities().to_vec(),
        [old.authorities(), new.authorities()].concat(),
    );
    let mut state = known(Read(&new), Absent, day(60));
    assert_eq!(serve_only(&state), Serve::Newest, "there is no other");
    state.served = Some(&old);
    assert_eq!(serve_only(&state), Serve::Newest, "nobody knows the bundle");
    state.bundle = Some(&only_old);
    assert_eq!(serve_only(&state), Serve::Last);
    state.bundle = Some(&both);
    state.covered_since = Some(day(60));
    assert_eq!(serve_only(&state), Serve::Last, "not settled");
    state.now += SETTLE;
    assert_eq!(serve_only(&state), Serve::Newest);
    // An injector that knows one authority only: at once, for nobody is told to trust the old.
    state.bundle = Some(new.authorities());
    state.covered_since = Some(state.now);
    assert_eq!(serve_only(&state), Serve::Newest);
    // Whoever trusts it by other means than the bundle.
    state.bundle = Some(&[]);
    state.covered_since = None;
    assert_eq!(serve_only(&state), Serve::Newest);
    // What is served ends.
    state.bundle = Some(&only_old);
    state.now = day(95);
    assert_eq!(serve_only(&state), Serve::Newest);
    assert_eq!(serve_only(&known(Bad, Absent, day(60))), Serve::Last);
}

#[test]
fn another_generation_begins_from_nothing() {
    let (old, new) = (old(), pair(day(60), TIMES.life));
    let both = [old.authorities(), new.authorities()].concat();
    let mut since = Since::default();
    since.look(Read(&old), Absent, Some(&both), day(1));
    since.look(Read(&old), Absent, Some(&both), day(60));
    assert_eq!(
        (since.covered(), since.alone()),
        (Some(day(1)), Some(day(1)))
    );
    // Another replica wrote it, and told API servers before this one saw it.
    since.look(Read(&new), Read(&old), Some(&both), day(60));
    assert_eq!((since.covered(), since.alone()), (Some(day(60)), None));
    since.look(Read(&new), Absent, Some(&both), day(61));
    assert_eq!(
        (since.covered(), since.alone()),
        (Some(day(60)), Some(day(61)))
    );
    since.look(Read(&new), Absent, Some(&[]), day(62));
    assert_eq!((since.covered(), since.alone()), (None, None));
    // A clock that was set back begins again.
    since.look(Read(&new), Absent, Some(&both), day(64));
    since.look(Read(&new), Absent, Some(&both), day(63));
    assert_eq!(since.covered(), Some(day(63)));
    since.look(Bad, Absent, Some(&both), day(64));
    assert_eq!(since.covered(), None);
}
