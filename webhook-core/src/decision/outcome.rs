//! What came of a review, with words that never change.

use std::fmt;

/// What came of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Variables are injected.
    Patched,
    /// No variable is injected, for this reason; annotations leave the pod to the probe.
    Marked(Reason),
    /// The pod stays as it is, as it should.
    Unchanged(Reason),
    /// The pod stays as it is because something was in doubt.
    FailOpen(Doubt),
}

/// Why nothing is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not the creation of a pod.
    NotAPodsCreation,
    /// The kubelet runs it from a file, whatever we say.
    MirrorPod,
    /// The namespace is one of those to leave alone.
    ExcludedNamespace,
    /// The namespace lacks the label.
    NamespaceNotOptedIn,
    /// No label says that it is a component.
    NotAComponent,
    /// The configuration has `enabled: false`.
    DisabledBySettings,
    /// The pod's own label or annotation says so.
    OptedOut,
    /// The component's custom resource has a `telemetry` block that is not enabled.
    DisabledByResource,
    /// No SDK exists for what runs there.
    NoSdk,
    /// Neither a proxy nor Ollama, by its looks.
    UnknownModelApi,
    /// `OTEL_SDK_DISABLED` of its own is true.
    SdkDisabled,
    /// It exports prompts, and its endpoint is not known to drop them.
    ContentNotStripped,
    /// No level gives an endpoint that can be right.
    NoEndpoint,
    /// No container is the component's own.
    NoContainer,
    /// Everything is there already.
    Complete,
}

/// Why the pod stays as it is though it might have deserved a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The object is not of a pod's shape, or a list or a name in it is too long.
    UnreadablePod,
    /// The namespace was never seen: its wishes are not known.
    UnknownNamespace,
    /// No settings were read yet (said by the rim).
    NoSettings,
    /// The pod is so big that a little more might be too much for etcd.
    PodTooLarge,
    /// An annotation that keeps something from being injected is too long to be read.
    LongAnnotation,
    /// The annotations are so big that one more might be refused.
    AnnotationsTooLarge,
    /// The patch did not apply to the object as received.
    PatchDoesNotApply,
    /// More reviews than can be served (said by the rim).
    Overload,
    /// The API server's time was over (said by the rim).
    Deadline,
    /// The decision panicked (said by the rim).
    Panic,
}

impl Outcome {
    /// For metrics: `patched`, `marked`, `unchanged` or `fail_open`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::Marked(_) => "marked",
            Self::Unchanged(_) => "unchanged",
            Self::FailOpen(_) => "fail_open",
        }
    }

    /// For metrics: the reason's or doubt's label; `none` for [`Outcome::Patched`].
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Patched => "none",
            Self::Marked(reason) | Self::Unchanged(reason) => reason.label(),
            Self::FailOpen(doubt) => doubt.label(),
        }
    }
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::NotAPodsCreation,
        Self::MirrorPod,
        Self::ExcludedNamespace,
        Self::NamespaceNotOptedIn,
        Self::NotAComponent,
        Self::DisabledBySettings,
        Self::OptedOut,
        Self::DisabledByResource,
        Self::NoSdk,
        Self::UnknownModelApi,
        Self::SdkDisabled,
        Self::ContentNotStripped,
        Self::NoEndpoint,
        Self::NoContainer,
        Self::Complete,
    ];

    /// In `snake_case`, for metrics and audit annotations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAPodsCreation => "not_a_pods_creation",
            Self::MirrorPod => "mirror_pod",
            Self::ExcludedNamespace => "excluded_namespace",
            Self::NamespaceNotOptedIn => "namespace_not_opted_in",
            Self::NotAComponent => "not_a_component",
            Self::DisabledBySettings => "disabled_by_settings",
            Self::OptedOut => "opted_out",
            Self::DisabledByResource => "disabled_by_resource",
            Self::NoSdk => "no_sdk",
            Self::UnknownModelApi => "unknown_model_api",
            Self::SdkDisabled => "sdk_disabled",
            Self::ContentNotStripped => "content_not_stripped",
            Self::NoEndpoint => "no_endpoint",
            Self::NoContainer => "no_container",
            Self::Complete => "complete",
        }
    }

    /// True if the user may wonder: not where nothing was asked for, or all is as wished. API
    /// servers ask for opted-in namespaces only, so one that is not is one whose label is news.
    pub(crate) const fn is_worth_a_warning(self) -> bool {
        !matches!(
            self,
            Self::NotAPodsCreation
                | Self::MirrorPod
                | Self::ExcludedNamespace
                | Self::NotAComponent
                | Self::OptedOut
                | Self::Complete
        )
    }

    /// In a sentence, for warnings and `explain`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotAPodsCreation => "this is not the creation of a pod",
            Self::MirrorPod => "a kubelet runs this pod from a file: changes would not reach it",
            Self::ExcludedNamespace => "the configuration excludes this namespace",
            Self::NamespaceNotOptedIn => {
                "the namespace lacks the label telemetry.kaos.tools/inject=enabled"
            }
            Self::NotAComponent => {
                "no label says that this is a component (app and its name, or telemetry.kaos.tools/component)"
            }
            Self::DisabledBySettings => "the configuration has enabled: false",
            Self::OptedOut => "the pod opts out by telemetry.kaos.tools/inject",
            Self::DisabledByResource => {
                "the component's resource has a telemetry block without enabled: true"
            }
            Self::NoSdk => "no SDK exists for this model server: the probe covers it",
            Self::UnknownModelApi => {
                "this ModelAPI looks neither like a proxy nor like Ollama: the probe covers it"
            }
            Self::SdkDisabled => "its own OTEL_SDK_DISABLED is true",
            Self::ContentNotStripped => {
                "it exports prompts, and its endpoint is not known to drop them (agentContent: strip): the probe covers it"
            }
            Self::NoEndpoint => "no level gives an endpoint that can be right",
            Self::NoContainer => "no container is the component's own",
            Self::Complete => "everything is there already",
        }
    }
}

impl Doubt {
    /// All doubts.
    pub const ALL: [Self; 10] = [
        Self::UnreadablePod,
        Self::UnknownNamespace,
        Self::NoSettings,
        Self::PodTooLarge,
        Self::LongAnnotation,
        Self::AnnotationsTooLarge,
        Self::PatchDoesNotApply,
        Self::Overload,
        Self::Deadline,
        Self::Panic,
    ];

    /// In `snake_case`, for metrics and audit annotations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnreadablePod => "unreadable_pod",
            Self::UnknownNamespace => "unknown_namespace",
            Self::NoSettings => "no_settings",
            Self::PodTooLarge => "pod_too_large",
            Self::LongAnnotation => "long_annotation",
            Self::AnnotationsTooLarge => "annotations_too_large",
            Self::PatchDoesNotApply => "patch_does_not_apply",
            Self::Overload => "overload",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
        }
    }

    /// In a sentence, for warnings and `explain`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnreadablePod => {
                "the object could not be read as a pod, or one of its lists or names is too long"
            }
            Self::UnknownNamespace => "this namespace is not known yet",
            Self::NoSettings => "the settings are not known yet",
            Self::PodTooLarge => "the pod is so big that a little more might be refused",
            Self::LongAnnotation => {
                "an annotation that keeps containers or variables out is too long to be read"
            }
            Self::AnnotationsTooLarge => "its annotations are so big that more might be refused",
            Self::PatchDoesNotApply => "the patch did not apply (please report this)",
            Self::Overload => "too many pods were created at once",
            Self::Deadline => "the time to answer was over",
            Self::Panic => "the decision failed (please report this)",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
