//! Which containers of a pod are the component's own.

use super::container::Subject;
use super::warnings::Warnings;
use super::wishes::list;
use crate::names;
use crate::review::pod::Container;

/// A container and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `containers` or `initContainers`.
    pub(crate) list: &'static str,
    pub(crate) index: usize,
    pub(crate) container: &'a Container<'a>,
}

/// The containers to inject into, in their order. Init containers that end are none.
pub(crate) fn places<'a>(subject: Subject<'_, 'a>, warnings: &mut Warnings) -> Vec<Place<'a>> {
    let pod = subject.levels.pod;
    let spec = &pod.spec;
    let at = |list| {
        move |(index, container): (usize, &'a Container<'a>)| Place {
            list,
            index,
            container,
        }
    };
    let init = spec.init_containers.iter().flatten().enumerate();
    let native = init
        .filter(|(_, it)| it.restart_policy.as_deref() == Some("Always"))
        .map(at("initContainers"));
    let own = spec.containers.iter().flatten().enumerate();
    let mut all: Vec<_> = own.map(at("containers")).chain(native).collect();
    if let Some(wanted) = pod.annotation(names::CONTAINERS) {
        unknown(wanted, names::CONTAINERS, &all, warnings);
        all.retain(|place| list(wanted).any(|name| name == &*place.container.name));
        return all;
    }
    let kaos = subject.component.container();
    let kaos = kaos.filter(|name| all.iter().any(|it| &*it.container.name == *name));
    all.retain(|place| {
        let name = &*place.container.name;
        match place.list {
            "initContainers" => subject.wishes.native_sidecars,
            // What stands beside KAOS's own container is a sidecar.
            _ => kaos.is_none_or(|kaos| kaos == name),
        }
    });
    let settings = subject.levels.settings;
    all.retain(|it| {
        !settings
            .sidecars
            .iter()
            .any(|name| **name == *it.container.name)
    });
    for wish in subject.levels.annotations(names::EXCLUDE_CONTAINERS) {
        all.retain(|it| !list(wish.value).any(|name| name == &*it.container.name));
    }
    all
}

fn unknown(wanted: &str, annotation: &str, all: &[Place<'_>], warnings: &mut Warnings) {
    let known = |name| all.iter().any(|place| &*place.container.name == name);
    if list(wanted).any(|name| !known(name)) {
        warnings.push(format!(
            "pod annotation {annotation} names a container that is not there or that ends"
        ));
    }
}
