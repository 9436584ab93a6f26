//! How many entries the lists of a pod's containers have, before any of them is kept.
//!
//! An entry takes three bytes of a body and a hundred of memory; each list within its own limit,
//! all containers' together could take what a whole replica has.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// A pod whose containers have more together is left alone.
const MAX_ENTRIES: usize = 16 * 1024;

/// `{},`: a shorter body cannot hold too many.
const LEAST_BYTES: usize = 3 * MAX_ENTRIES;

/// True if the pod in a review has more entries than are kept.
pub(crate) fn are_too_many(body: &[u8]) -> bool {
    if body.len() < LEAST_BYTES {
        return false;
    }
    // What cannot be read here cannot be read as a pod, which says so.
    let request = super::request::<Pod>(body).ok();
    let pod = request.and_then(|it| it.object);
    pod.is_some_and(|it| it.spec.count() > MAX_ENTRIES)
}

/// Counts itself with what is below it.
trait Count {
    fn count(&self) -> usize;
}

#[derive(serde::Deserialize)]
struct Pod {
    spec: Spec,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    containers: Option<Sum<Container>>,
    init_containers: Option<Sum<Container>>,
}

/// The lists that are kept of a container.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    env: Option<Sum<IgnoredAny>>,
    env_from: Option<Sum<IgnoredAny>>,
    command: Option<Sum<IgnoredAny>>,
    args: Option<Sum<IgnoredAny>>,
    ports: Option<Sum<IgnoredAny>>,
}

/// A list of which only the sum is kept.
struct Sum<T>(usize, PhantomData<T>);

impl Count for IgnoredAny {
    fn count(&self) -> usize {
        1
    }
}

impl<T> Count for Option<Sum<T>> {
    fn count(&self) -> usize {
        self.as_ref().map_or(0, |Sum(sum, _)| *sum)
    }
}

impl Count for Container {
    fn count(&self) -> usize {
        let Self {
            env,
            env_from,
            command,
            args,
            ports,
        } = self;
        env.count() + env_from.count() + command.count() + args.count() + ports.count()
    }
}

impl Count for Spec {
    fn count(&self) -> usize {
        self.containers.count() + self.init_containers.count()
    }
}

impl<'de, T: Deserialize<'de> + Count> Deserialize<'de> for Sum<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Count> Visitor<'de> for Entries<T> {
    type Value = Sum<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut sum = 0_usize;
        while let Some(entry) = access.next_element::<T>()? {
            sum += entry.count();
        }
        Ok(Sum(sum, PhantomData))
    }
}
