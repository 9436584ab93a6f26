//! Where a value comes from, closest first.

use std::fmt;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The container's own `env`.
    PodEnv,
    /// The container's own `env`, as the KAOS operator wrote it.
    Operator,
    /// The container's own `env`, as an earlier call of this webhook wrote it.
    Earlier,
    /// An annotation of the pod.
    PodAnnotation,
    /// The component's custom resource.
    Resource,
    /// An annotation of the namespace.
    NamespaceAnnotation,
    /// The configuration.
    Settings,
    /// What the pod is: its kind, its name, its place.
    Identity,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PodEnv => "the container's own env",
            Self::Operator => "set by the KAOS operator",
            Self::Earlier => "injected before",
            Self::PodAnnotation => "pod annotation",
            Self::Resource => "component's resource",
            Self::NamespaceAnnotation => "namespace annotation",
            Self::Settings => "configuration",
            Self::Identity => "pod's identity",
        })
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct From<T> {
    pub(crate) value: T,
    pub(crate) level: Level,
}
