//! What is captured of a container, and why.

use webhook_core::NamespaceFacts;

use super::pods::Pod;

/// How much is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Not a byte.
    Off,
    /// Heads, and bodies of what looks like a call.
    Heads,
    /// Bodies of all exchanges.
    Full,
}

impl Capture {
    /// The value of the annotation that is spelled so.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "heads" => Some(Self::Heads),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The namespace is not known, or lacks the label.
    NamespaceNotOptedIn,
    /// The container is a sidecar, or another than those that are meant.
    Container,
    /// Which container it is, is not known yet, and not all of the pod's are meant.
    ContainerUnknown,
    /// The pod's annotation: the user's, or the webhook's.
    PodAnnotation,
    /// The namespace's annotation.
    NamespaceAnnotation,
    /// The pod opts out.
    OptedOut,
    /// Its labels say that it is a component.
    Component,
    /// No label says so.
    NotAComponent,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) capture: Capture,
    pub(super) why: Why,
}

/// Decides about a container of a pod; `None` is one whose name is not known yet.
///
/// Nothing opts in a pod whose namespace does not.
pub(super) fn decide(
    namespace: Option<&NamespaceFacts>,
    pod: &Pod,
    container: Option<&str>,
) -> Verdict {
    let (capture, why) = of_pod(namespace, pod);
    let meant = match container {
        Some(name) => pod.means(name),
        None => pod.containers.iter().all(|name| pod.means(name)),
    };
    if capture == Capture::Off || meant {
        return Verdict { capture, why };
    }
    let why = match container {
        Some(_) => Why::Container,
        None => Why::ContainerUnknown,
    };
    Verdict {
        capture: Capture::Off,
        why,
    }
}

fn of_pod(namespace: Option<&NamespaceFacts>, pod: &Pod) -> (Capture, Why) {
    let Some(namespace) = namespace.filter(|it| it.opted_in()) else {
        return (Capture::Off, Why::NamespaceNotOptedIn);
    };
    if let Some(capture) = pod.capture {
        return (capture, Why::PodAnnotation);
    }
    let wish = namespace.annotation(webhook_core::names::CAPTURE);
    if let Some(capture) = wish.and_then(Capture::parse) {
        return (capture, Why::NamespaceAnnotation);
    }
    if pod.opted_out {
        return (Capture::Off, Why::OptedOut);
    }
    // Before the webhook was there, or past it.
    if pod.component.is_some() {
        (Capture::Full, Why::Component)
    } else {
        (Capture::Off, Why::NotAComponent)
    }
}

#[cfg(test)]
mod tests {
    use webhook_core::names::{CAPTURE, CONTAINERS, EXCLUDE_CONTAINERS, INJECT};

    use super::super::pods::testing::{agent, pod};
    use super::*;

    fn namespace(annotations: &[(&str, &str)]) -> NamespaceFacts {
        NamespaceFacts::new([(INJECT, "enabled")], annotations.iter().copied())
    }

    fn verdict(pod: &Pod, container: Option<&str>) -> (Capture, Why) {
        let Verdict { capture, why } = decide(Some(&namespace(&[])), pod, container);
        (capture, why)
    }

    #[test]
    fn nothing_opts_in_what_the_namespace_does_not() {
        let pod = agent(&[(CAPTURE, "full")], &["agent"]);
        let other = NamespaceFacts::new([(INJECT, "disabled")], [(CAPTURE, "full")]);
        for namespace in [None, Some(&other)] {
            let Verdict { capture, why } = decide(namespace, &pod, Some("agent"));
            assert_eq!((capture, why), (Capture::Off, Why::NamespaceNotOptedIn));
        }
    }

    #[test]
    fn components_are_full_and_all_else_is_off() {
        let labels: [&[(&str, &str)]; 4] = [
            &[("app", "agent"), ("agent", "a")],
            &[("app", "modelapi"), ("modelapi", "m")],
            &[("telemetry.kaos.tools/component", "llm-server")],
            &[("telemetry.kaos.tools/component", "mcpserver")],
        ];
        for labels in labels {
            let pod = pod(labels, &[], &[]);
            assert_eq!(verdict(&pod, None), (Capture::Full, Why::Component));
        }
        for labels in [
            &[][..],
            &[("app", "agent")],
            &[("app", "web"), ("web", "w")],
        ] {
            let pod = pod(labels, &[], &["main"]);
            assert_eq!(
                verdict(&pod, Some("main")),
                (Capture::Off, Why::NotAComponent)
            );
        }
    }

    #[test]
    fn the_closest_annotation_wins() {
        let heads = agent(&[(CAPTURE, "heads")], &["agent"]);
        assert_eq!(verdict(&heads, None), (Capture::Heads, Why::PodAnnotation));
        let nonsense = agent(&[(CAPTURE, "all")], &["agent"]);
        assert_eq!(verdict(&nonsense, None), (Capture::Full, Why::Component));
        let plain = pod(&[], &[], &["main"]);
        let Verdict { capture, why } =
            decide(Some(&namespace(&[(CAPTURE, "heads")])), &plain, None);
        assert_eq!((capture, why), (Capture::Heads, Why::NamespaceAnnotation));
    }

    #[test]
    fn a_pod_that_opts_out_is_off_unless_it_asks_for_capture() {
        let out = agent(&[(INJECT, "disabled")], &["agent"]);
        assert_eq!(verdict(&out, None), (Capture::Off, Why::OptedOut));
        let both = agent(&[(INJECT, "disabled"), (CAPTURE, "full")], &["agent"]);
        assert_eq!(verdict(&both, None), (Capture::Full, Why::PodAnnotation));
    }

    #[test]
    fn only_the_containers_that_are_meant_are_captured() {
        let kaos = agent(&[], &["istio-proxy", "mine", "agent"]);
        assert_eq!(verdict(&kaos, Some("agent")).0, Capture::Full);
        for other in ["istio-proxy", "mine"] {
            assert_eq!(verdict(&kaos, Some(other)), (Capture::Off, Why::Container));
        }
        assert_eq!(verdict(&kaos, None), (Capture::Off, Why::ContainerUnknown));
        let named = agent(&[(CONTAINERS, "mine, agent")], &["mine", "agent"]);
        assert_eq!(verdict(&named, None).0, Capture::Full);
        let foreign = &[("telemetry.kaos.tools/component", "agent")];
        let excluded = pod(
            foreign,
            &[(EXCLUDE_CONTAINERS, "helper")],
            &["main", "helper"],
        );
        assert_eq!(verdict(&excluded, Some("main")).0, Capture::Full);
        assert_eq!(verdict(&excluded, Some("helper")).0, Capture::Off);
    }
}
