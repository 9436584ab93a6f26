//! Replicas, the Secret and the webhook configuration as a model, second by second: each replica
//! sees both late, each API server sees the configuration late, and whatever is served must be
//! trusted by all of them.

use super::super::super::testing::{day, pair};
use super::super::*;
use Generation::{Absent, Read};

/// How late API servers may see a change, in seconds: less than what is waited for them.
const LATE: usize = 3;

/// How late replicas may.
const REPLICA_LATE: usize = 6;

const TIMES: Times = Times {
    life: Duration::from_mins(1),
    overlap: Duration::from_secs(12),
    settle: Duration::from_secs(4),
    jitter: Duration::ZERO,
};

/// The Secret in one of its versions.
#[derive(Clone, Default)]
struct Secret {
    newest: Option<Pair>,
    previous: Option<Pair>,
}

/// All versions of both objects, and which were current in each second.
struct World {
    secrets: Vec<Secret>,
    bundles: Vec<Vec<Authority>>,
    seconds: Vec<(usize, usize)>,
}

/// What one replica has seen, as numbers of versions.
#[derive(Clone, Default)]
struct Replica {
    secret: usize,
    bundle: usize,
    /// How late it sees each of them.
    late: (usize, usize),
    since: Since,
    served: Option<Pair>,
}

impl World {
    fn new(secret: Secret, bundle: Vec<Authority>) -> Self {
        Self {
            secrets: vec![secret],
            bundles: vec![bundle],
            seconds: vec![(0, 0)],
        }
    }

    fn current(&self) -> (usize, usize) {
        (self.secrets.len() - 1, self.bundles.len() - 1)
    }

    /// The versions that were current so many seconds ago.
    fn ago(&self, seconds: usize) -> (usize, usize) {
        self.seconds[self.seconds.len().saturating_sub(1 + seconds)]
    }

    /// A replica never sees an older version than it has seen.
    fn look(&self, replica: &mut Replica) {
        let (secret, bundle) = replica.late;
        replica.secret = replica.secret.max(self.ago(secret).0);
        replica.bundle = replica.bundle.max(self.ago(bundle).1);
    }

    /// One turn of one replica, as the loop does it; false if its write lost a race.
    fn turn(&mut self, replica: &mut Replica, now: SystemTime) -> bool {
        let Secret { newest, previous } = self.secrets[replica.secret].clone();
        let told = self.bundles[replica.bundle].clone();
        let newest_now = newest.as_ref().map_or(Absent, Read);
        let previous_now = previous.as_ref().map_or(Absent, Read);
        replica
            .since
            .look(newest_now, previous_now, Some(&told), now);
        let served = replica.served.clone();
        let known = Known {
            newest: newest_now,
            previous: previous_now,
            served: served.as_ref(),
            bundle: Some(&told),
            covered_since: replica.since.covered(),
            alone_since: replica.since.alone(),
            now,
        };
        match serve(&known, &TIMES) {
            Serve::Newest => replica.served.clone_from(&newest),
            Serve::Previous => replica.served.clone_from(&previous),
            Serve::Last => {}
        }
        let served = replica.served.clone();
        let known = Known {
            served: served.as_ref(),
            ..known
        };
        let step = step(&known, &TIMES);
        if step != Step::Keep {
            return self.write_secret(replica, step, now);
        }
        let Some(wanted) = bundle(&known, &TIMES, &told) else {
            return true;
        };
        let in_time = replica.bundle == self.current().1;
        if in_time {
            self.bundles.push(wanted);
        }
        in_time
    }

    fn write_secret(&mut self, replica: &mut Replica, step: Step, now: SystemTime) -> bool {
        if replica.secret != self.current().0 {
            // What a conflict is answered by: another look.
            replica.secret = self.current().0;
            return false;
        }
        let Secret { newest, previous } = self.secrets[replica.secret].clone();
        let fresh = || Some(pair(now, TIMES.life));
        let written = match step {
            Step::Keep => unreachable!("nothing to write"),
            Step::DropPrevious => (newest, None),
            Step::Rotate => (fresh(), newest),
            Step::Replace { previous: former } => match former {
                Former::Absent => (fresh(), None),
                Former::Stored => (fresh(), previous),
                Former::Served => (fresh(), replica.served.clone()),
            },
        };
        let (newest, previous) = written;
        self.secrets.push(Secret { newest, previous });
        replica.secret = self.current().0;
        true
    }

    /// Whatever is served is valid, and trusted by every API server, however late it looks.
    fn check(&self, replica: &Replica, now: SystemTime, story: &str) {
        let Some(served) = &replica.served else {
            return;
        };
        assert_eq!(served.age(now), Age::Good, "{story}");
        for late in 0..=LATE {
            let trusted = &self.bundles[self.ago(late).1];
            assert!(
                served.chains_to(trusted, now),
                "{story}, by an API server that is {late} s late"
            );
        }
    }
}

/// What happens to the world beside what replicas do.
type Fate = fn(&mut World, &mut [Replica], u64, &mut fastrand::Rng);

/// Rotations by two replicas that race, whoever looks late.
fn race(seed: u64, fate: Fate) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(Secret::default(), Vec::new());
    let mut replicas = [Replica::default(), Replica::default()];
    let mut lost = 0;
    for second in 0..400 {
        let now = day(0) + Duration::from_secs(second);
        if second > 60 {
            fate(&mut world, &mut replicas, second, &mut random);
        }
        for replica in &mut replicas {
            // A watch that is late is so for a while.
            if random.u8(..8) == 0 {
                replica.late = (random.usize(..=REPLICA_LATE), random.usize(..=REPLICA_LATE));
            }
            world.look(replica);
            lost += u32::from(!world.turn(replica, now));
        }
        let current = world.current();
        world.seconds.push(current);
        for (number, replica) in replicas.iter().enumerate().filter(|_| second > 30) {
            let story = format!("seed {seed}, replica {number} at {second}");
            world.check(replica, now, &story);
        }
    }
    assert!(lost > 0, "seed {seed}: no race was run");
    let newest = world.secrets.last().and_then(|it| it.newest.as_ref());
    let first = world.secrets[1].newest.as_ref();
    assert!(!newest.unwrap().is(first.unwrap()), "nothing was rotated");
    let writes = world.secrets.len() + world.bundles.len();
    assert!(writes > 12 && writes < 400, "seed {seed}: {writes} writes");
    let kept = world.bundles.iter().map(Vec::len).max().unwrap_or(0);
    assert!(kept <= 3 + LINGERING, "seed {seed}: {kept} authorities");
}

#[test]
fn what_late_replicas_serve_is_trusted_by_late_api_servers_at_every_moment() {
    for seed in 0..4 {
        race(seed, |_, _, _, _| {});
    }
}

/// A replica that begins knows nothing, may serve what is about to go, and has to catch up.
#[test]
fn so_is_what_replicas_serve_that_begin_in_the_middle() {
    for seed in 0..4 {
        race(seed, |_, replicas, _, random| {
            if random.u8(..10) == 0 {
                let (which, begun) = (random.usize(..2), Replica::default());
                replicas[which] = begun;
            }
        });
    }
}

/// The Secret is deleted, or its newest certificate is cut off.
#[test]
fn so_it_is_while_somebody_deletes_and_spoils_the_secret() {
    for seed in 0..4 {
        race(seed, |world, _, second, _| {
            if second % 50 != 0 {
                return;
            }
            let mut damaged = world.secrets.last().unwrap().clone();
            damaged.newest = None;
            if second % 100 == 0 {
                damaged.previous = None;
            }
            world.secrets.push(damaged);
        });
    }
}

/// Somebody writes the Secret of long ago back, as from a backup.
#[test]
fn so_it_is_while_somebody_restores_an_old_secret() {
    for seed in 0..4 {
        race(seed, |world, _, second, random| {
            let two = |it: &&Secret| it.newest.is_some() && it.previous.is_some();
            let all: Vec<_> = world.secrets.iter().filter(two).cloned().collect();
            if second % 70 == 0 && !all.is_empty() {
                world.secrets.push(all[random.usize(..all.len())].clone());
            }
        });
    }
}

/// A renewal from start to end, in order.
#[test]
fn a_rotation_goes_secret_then_bundle_then_leaf_then_drop() {
    let start = day(0) + TIMES.life * 2 / 3 + Duration::from_secs(1);
    let old = pair(day(0), TIMES.life);
    let stored = Secret {
        newest: Some(old.clone()),
        previous: None,
    };
    let mut world = World::new(stored, old.authorities().to_vec());
    let mut replica = Replica::default();
    let mut turn = |world: &mut World, now| {
        (replica.secret, replica.bundle) = world.current();
        assert!(world.turn(&mut replica, now));
        let (secret, bundle) = world.current();
        let stored = world.secrets[secret].clone();
        let told = world.bundles[bundle].clone();
        (replica.served.clone().unwrap(), stored, told)
    };
    let (served, ..) = turn(&mut world, day(0));
    assert!(served.is(&old));
    let (served, stored, told) = turn(&mut world, start);
    let new = stored.newest.unwrap();
    assert!(served.is(&old) && !new.is(&old) && stored.previous.unwrap().is(&old));
    assert_eq!(told.len(), 1, "the bundle comes after the Secret");
    let (served, _, told) = turn(&mut world, start);
    assert!(served.is(&old) && told.len() == 2);
    let (served, ..) = turn(&mut world, start);
    assert!(served.is(&old), "not settled");
    let (served, stored, told) = turn(&mut world, start + TIMES.settle);
    assert!(served.is(&new) && stored.previous.is_some() && told.len() == 2);
    let (_, stored, told) = turn(&mut world, start + TIMES.overlap);
    assert!(
        stored.previous.is_none() && told.len() == 2,
        "it is stored no more"
    );
    let (_, _, told) = turn(&mut world, start + TIMES.overlap);
    assert_eq!(told.len(), 2, "somebody may still serve it");
    let (served, _, told) = turn(&mut world, start + TIMES.overlap * 2);
    assert!(served.is(&new));
    assert_eq!(told, new.authorities());
}
