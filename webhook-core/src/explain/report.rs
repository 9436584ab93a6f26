//! A plan in words.

use std::fmt::Write as _;

use crate::decision::Reason;
use crate::decision::component::Component;
use crate::decision::container::{Action, Planned};
use crate::decision::level::Level;
use crate::decision::plan::{ContainerPlan, Plan, WhyNot};
use crate::decision::status::Recorded;
use crate::names;
use crate::review::pod::Pod;

/// What nobody said, and so was taken for granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumed {
    pub(super) settings: bool,
    pub(super) namespace: bool,
}

/// Which pod it is, in a line.
pub(super) fn head(plan: &Plan<'_>, pod: &Pod<'_>, namespace: &str) -> String {
    let mut out = format!("Pod {}/{}", printable(namespace), name(pod));
    if let Some(component) = &plan.component {
        let _ = write!(out, ": {}", what(component));
    }
    out.push('\n');
    out
}

/// What was recorded when the pod was created. What follows is by the configuration of this hash.
pub(super) fn write_created(out: &mut String, pod: &Pod<'_>, hash: &str) {
    let said = match pod.annotation(names::STATUS).map(Recorded::read) {
        None => "nothing is recorded: it was left alone, or the webhook was not asked".to_owned(),
        Some(None) => format!("{} cannot be read", names::STATUS),
        Some(Some(it)) => recorded(&it, hash),
    };
    let _ = writeln!(out, "  When it was created: {said}.");
    out.push_str("  If it were created now:\n");
}

fn recorded(it: &Recorded, hash: &str) -> String {
    let reason = it.reason.as_deref().map(|label| {
        let mut known = Reason::ALL.into_iter();
        let known = known.find(|reason| reason.label() == label);
        known.map_or_else(|| printable(label), |reason| reason.to_string())
    });
    let what = reason.map_or_else(
        || "injected".to_owned(),
        |reason| format!("nothing injected: {reason}"),
    );
    let other = if it.config == hash {
        "the same as here"
    } else {
        "another than here"
    };
    format!(
        "{what} (configuration {}, {other}; version {})",
        printable(&it.config),
        printable(&it.version)
    )
}

/// What the rest stands on, where it was not given.
pub(super) fn write_assumed(out: &mut String, assumed: Assumed) {
    if assumed.settings {
        out.push_str(
            "  The configuration was not given: these are the built-in defaults, without an endpoint.\n",
        );
    }
    if assumed.namespace {
        let _ = writeln!(
            out,
            "  The namespace was not given: taken as labelled {}=enabled, without annotations.",
            names::INJECT
        );
    }
}

/// What would be done with it; ends with a line break.
pub(super) fn write_plan(out: &mut String, plan: &Plan<'_>) {
    if let Some(why_not) = plan.why_not {
        let why_not: &dyn std::fmt::Display = match &why_not {
            WhyNot::Reason(reason) => reason,
            WhyNot::Doubt(doubt) => doubt,
        };
        let _ = writeln!(out, "  Nothing injected: {why_not}.");
    }
    for container in &plan.containers {
        write_container(out, container);
    }
    if !plan.marks.is_empty() {
        out.push_str("  Annotations\n");
        for (name, value) in &plan.marks {
            let _ = writeln!(out, "    {name}: {}", printable(value));
        }
    }
    for warning in plan.warnings.lines() {
        let _ = writeln!(out, "  Warning: {}", printable(warning));
    }
}

fn write_container(out: &mut String, plan: &ContainerPlan<'_>) {
    let name = printable(&plan.place.container.name);
    match &plan.variables {
        Err(reason) => {
            let _ = writeln!(out, "  Container {name}: nothing injected: {reason}.");
        }
        Ok(variables) => {
            let _ = writeln!(out, "  Container {name}");
            for variable in variables {
                write_variable(out, variable);
            }
        }
    }
}

fn write_variable(out: &mut String, planned: &Planned) {
    let Planned {
        name,
        action,
        level,
    } = planned;
    let (sign, value, why) = match action {
        Action::First(field) => ('+', format!("(field {field})"), level.to_string()),
        Action::Last(value) => ('+', printable(value), level.to_string()),
        Action::Merge(_, value) => (
            '~',
            printable(value),
            "merged with what is there".to_owned(),
        ),
        Action::Keep(value) => {
            let value = value.as_deref().map(printable);
            let value = value.unwrap_or_else(|| "(by reference)".to_owned());
            (' ', value, kept(*level))
        }
        Action::Skip(why) => ('-', String::new(), format!("not injected: {why}")),
    };
    let _ = writeln!(out, "    {sign} {name} = {value}  [{why}]");
}

fn kept(level: Level) -> String {
    match level {
        Level::Operator | Level::Earlier => level.to_string(),
        _ => format!("kept: {level}"),
    }
}

fn what(component: &Component<'_>) -> String {
    let mut out = component.kind.to_string();
    if let Some(name) = component.resource {
        let _ = write!(out, " {name}");
    }
    if component.by_operator {
        out.push_str(", made by the KAOS operator");
    }
    out
}

fn name(pod: &Pod<'_>) -> String {
    let metadata = pod.metadata.as_ref();
    let named = metadata.and_then(|it| it.name.as_deref());
    let generated = metadata.and_then(|it| it.generate_name.as_deref());
    match (named, generated) {
        (Some(name), _) if !name.is_empty() => printable(name),
        (_, Some(start)) => format!("{}*", printable(start)),
        _ => "(no name)".to_owned(),
    }
}

/// Without what could command a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { '\u{fffd}' } else { it })
        .collect()
}
