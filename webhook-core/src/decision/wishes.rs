//! What annotations, the custom resource and the configuration wish for a pod, field by field.

use std::collections::HashSet;

use super::attributes;
use super::level::{From, Level};
use super::warnings::Warnings;
use crate::facts::{ComponentFacts, NamespaceFacts};
use crate::names;
use crate::review::pod::Pod;
use crate::settings::{LOG_LEVELS, SAMPLERS, Settings};

/// The levels below the container's own `env`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels<'a> {
    pub(crate) pod: &'a Pod<'a>,
    pub(crate) resource: Option<&'a ComponentFacts>,
    pub(crate) namespace: &'a NamespaceFacts,
    pub(crate) settings: &'a Settings,
}

/// What is wished for the pod as a whole: of each field the closest wish that can be right.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    pub(crate) service_name: Option<From<&'a str>>,
    pub(crate) sampler: Option<From<&'a str>>,
    pub(crate) sampler_arg: Option<From<&'a str>>,
    pub(crate) propagators: Option<From<&'a str>>,
    pub(crate) log_level: Option<From<&'a str>>,
    /// False leaves `OTEL_RESOURCE_ATTRIBUTES` alone.
    pub(crate) compose: bool,
    /// Resource attributes of annotations, the pod's first.
    pub(crate) attributes: Vec<(&'a str, &'a str)>,
    pub(crate) never: HashSet<&'a str>,
    pub(crate) native_sidecars: bool,
    pub(crate) capture: Option<&'a str>,
    pub(crate) capture_content: bool,
}

impl<'a> Levels<'a> {
    pub(crate) fn wishes(self, warnings: &mut Warnings) -> Wishes<'a> {
        let settings = self.settings;
        self.warn_of_long_ones(warnings);
        let mut closest = |name, setting: Option<&'a str>, valid: fn(&str) -> bool| {
            self.closest(name, setting, valid, warnings)
        };
        let propagators = Some(settings.propagators.as_str()).filter(|it| !it.is_empty());
        let native_sidecars = closest(names::NATIVE_SIDECARS, None, is_bool);
        let capture = closest(names::CAPTURE, None, |it| {
            matches!(it, "off" | "heads" | "full")
        });
        let capture_content = closest(names::CAPTURE_CONTENT, None, is_bool);
        let attributes = closest(names::RESOURCE_ATTRIBUTES, None, are_attributes);
        let off = attributes.is_some_and(|it| it.value == "off");
        Wishes {
            service_name: closest(names::SERVICE_NAME, None, is_line),
            sampler: closest(names::SAMPLER, settings.sampler.as_deref(), is_sampler),
            sampler_arg: closest(names::SAMPLER_ARG, settings.sampler_arg.as_deref(), is_line),
            propagators: closest(names::PROPAGATORS, propagators, is_line),
            log_level: closest(
                names::LOG_LEVEL,
                settings.log_level.as_deref(),
                is_log_level,
            ),
            compose: settings.compose_resource_attributes && !off,
            attributes: self.attributes(),
            never: self.never(),
            native_sidecars: native_sidecars
                .map_or(settings.native_sidecars, |it| it.value == "true"),
            capture: capture.map(|it| it.value),
            capture_content: capture_content
                .map_or(settings.capture_content, |it| it.value == "true"),
        }
    }

    /// An annotation's values, the pod's first; without those that are too long.
    pub(crate) fn annotations(
        self,
        name: &'static str,
    ) -> impl Iterator<Item = From<&'a str>> + use<'a> {
        let at = |level| move |value: &'a str| From { value, level };
        let pod = self.pod.annotation(name).map(at(Level::PodAnnotation));
        let namespace = self.namespace.annotation(name);
        pod.into_iter()
            .chain(namespace.map(at(Level::NamespaceAnnotation)))
            .filter(|wish| names::fits(wish.value))
    }

    /// False if an annotation is too long to be read that would keep something from being injected.
    pub(crate) fn are_known(self) -> bool {
        let restricting = [
            names::CONTAINERS,
            names::EXCLUDE_CONTAINERS,
            names::NEVER_INJECT,
        ];
        restricting.into_iter().all(|name| {
            let said = [self.pod.annotation(name), self.namespace.annotation(name)];
            said.into_iter().flatten().all(names::fits)
        })
    }

    fn warn_of_long_ones(self, warnings: &mut Warnings) {
        for name in names::ANNOTATIONS.map(|it| it.name) {
            if name == names::STATUS {
                continue;
            }
            let said = [
                (Level::PodAnnotation, self.pod.annotation(name)),
                (Level::NamespaceAnnotation, self.namespace.annotation(name)),
            ];
            for (level, value) in said {
                if value.is_some_and(|value| !names::fits(value)) {
                    warnings.push(format!(
                        "{level} {name} has more than {} bytes or {} items: not used",
                        names::MAX_BYTES,
                        names::MAX_ITEMS
                    ));
                }
            }
        }
    }

    /// True or false if the pod's label or annotation says whether it is to be injected into.
    /// No outweighs yes.
    pub(crate) fn pod_says(self, warnings: &mut Warnings) -> Option<bool> {
        let said = [
            self.pod.label(names::INJECT),
            self.pod.annotation(names::INJECT),
        ];
        let mut wish = None;
        for value in said.into_iter().flatten() {
            match value {
                "disabled" | "false" | "off" | "no" => return Some(false),
                "enabled" | "true" | "on" | "yes" => wish = Some(true),
                _ => warnings.push(format!("{} is neither enabled nor disabled", names::INJECT)),
            }
        }
        wish
    }

    fn closest(
        self,
        name: &'static str,
        setting: Option<&'a str>,
        valid: fn(&str) -> bool,
        warnings: &mut Warnings,
    ) -> Option<From<&'a str>> {
        for wish in self.annotations(name) {
            if valid(wish.value) {
                return Some(wish);
            }
            warnings.push(format!("{} {name} cannot be right: not used", wish.level));
        }
        setting.map(|value| From {
            value,
            level: Level::Settings,
        })
    }

    fn attributes(self) -> Vec<(&'a str, &'a str)> {
        let said = self.annotations(names::RESOURCE_ATTRIBUTES);
        let said = said.filter_map(|wish| attributes::pairs(wish.value));
        said.flatten().collect()
    }

    fn never(self) -> HashSet<&'a str> {
        let settings = self.settings.never_inject.iter().map(String::as_str);
        let said = self.annotations(names::NEVER_INJECT);
        said.flat_map(|wish| list(wish.value))
            .chain(settings)
            .collect()
    }
}

/// Names with commas between them.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// Something that a variable can hold and a log can show.
pub(crate) fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_bool(text: &str) -> bool {
    matches!(text, "true" | "false")
}

fn is_sampler(text: &str) -> bool {
    SAMPLERS.contains(&text)
}

fn is_log_level(text: &str) -> bool {
    LOG_LEVELS.contains(&text)
}

fn are_attributes(text: &str) -> bool {
    text == "off" || attributes::pairs(text).is_some()
}
