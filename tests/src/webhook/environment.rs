//! A pod of each kind comes back with exactly the environment of docs/environment.md.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::World;
use super::certificates::{Authority, Validity};
use super::replica::Replica;
use super::setup::{Route, SAMPLER, SAMPLER_ARG, STRIPPED, endpoints, register};
use super::shapes::{Shape, env};

const PAGE: &str = include_str!("../../../docs/environment.md");
const STATUS: &str = "telemetry.kaos.tools/status";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// What a user writes, in every variable of the table.
const OWN: &str = "users.own=yes";
const COMPONENT: &str = "echo";

/// All of the table, called by URL.
pub async fn by_url(world: &World) -> Result<String> {
    let authority = Authority::new("environment")?;
    let replica = replica(world, &authority).await?;
    let url = format!("https://{}:{}", world.cluster.address(), replica.port());
    register(world, Route::Url(&url), Some(authority.pem())).await?;
    world.settle().await?;
    let exact = exact(world, "exact-by-url").await?;
    let own = own_entries_win(world).await?;
    let untouched = untouched(world).await?;
    Ok(format!(
        "{exact}; own entries win in {own}; without the label {untouched}"
    ))
}

/// Every kind, called by Service.
pub async fn by_service(world: &World) -> Result<String> {
    let authority = Authority::new("environment")?;
    let replica = replica(world, &authority).await?;
    endpoints(&world.cluster, &[replica.port()]).await?;
    register(world, Route::Service, Some(authority.pem())).await?;
    world.settle().await?;
    exact(world, "exact-by-service").await
}

async fn replica(world: &World, authority: &Authority) -> Result<Replica> {
    let folder = world.folder.join("environment");
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    let mut replica = world.with_files(&folder).start("environment")?;
    // Ready only when the registration trusts it, so it is registered by whoever asks for it.
    register(world, Route::Service, Some(authority.pem())).await?;
    replica.ready().await?;
    Ok(replica)
}

/// Every kind in an opted-in namespace, with nothing of the user's own.
async fn exact(world: &World, namespace: &str) -> Result<String> {
    world.opted_in(namespace).await?;
    let mut variables = 0;
    for shape in Shape::ALL {
        let name = format!("{}-exact", shape.name());
        let pod = shape.pod(&name, COMPONENT);
        let own = env(&pod, shape.container()).to_vec();
        let created = world.create(namespace, &pod).await?;
        let found = env(&created, shape.container());
        let wanted = expected(shape, namespace, &name, &own)?;
        if found != wanted {
            bail!("{}: {}", shape.name(), difference(found, &wanted));
        }
        let status = &created["metadata"]["annotations"][STATUS];
        ensure!(
            status.is_string(),
            "{}: no annotation {STATUS}",
            shape.name()
        );
        variables += found.len() - own.len();
    }
    world.remove(namespace).await?;
    Ok(format!("{} kinds, {variables} variables", Shape::ALL.len()))
}

/// Every kind in a namespace without the label: not a byte of the spec or metadata is changed.
async fn untouched(world: &World) -> Result<String> {
    let namespace = "unlabelled";
    world.cluster.namespace(namespace, &json!({})).await?;
    for shape in Shape::ALL {
        let pod = shape.pod(shape.name(), COMPONENT);
        let created = world.create(namespace, &pod).await?;
        let name = shape.container();
        ensure!(
            env(&created, name) == env(&pod, name),
            "{}: env changed",
            shape.name()
        );
        let annotations = &created["metadata"]["annotations"];
        ensure!(
            *annotations == pod["metadata"]["annotations"],
            "{}: annotations changed: {annotations}",
            shape.name()
        );
    }
    world.remove(namespace).await?;
    Ok(format!("{} kinds untouched", Shape::ALL.len()))
}

/// In every row of the table, the user's own entry stays: once, as it is, in its place.
async fn own_entries_win(world: &World) -> Result<String> {
    let namespace = "own-entries";
    world.opted_in(namespace).await?;
    let mut cases = 0;
    for shape in Shape::ALL {
        let Some(kind) = shape.documented() else {
            continue;
        };
        for (number, variable) in rows(kind)?.into_iter().enumerate() {
            let mut pod = shape.pod(&format!("{}-{number}", shape.name()), COMPONENT);
            let list = pod["spec"]["containers"][0]["env"].as_array_mut();
            let list = list.context("a shape with variables")?;
            list.insert(0, json!({"name": variable, "value": OWN}));
            let created = world.create(namespace, &pod).await?;
            own_stays(&pod, &created, shape, variable)
                .with_context(|| format!("{}: {variable}", shape.name()))?;
            cases += 1;
        }
    }
    world.remove(namespace).await?;
    Ok(format!("{cases} cases"))
}

fn own_stays(pod: &Value, created: &Value, shape: Shape, variable: &str) -> Result<()> {
    let found = env(created, shape.container());
    let named: Vec<&Value> = found.iter().filter(|it| it["name"] == variable).collect();
    let [entry] = named.as_slice() else {
        bail!("it is there {} times", named.len());
    };
    let value = entry["value"].as_str().context("a literal")?;
    if variable == ATTRIBUTES {
        // Merged: what the user lacks stands before, what is the user's is whole.
        ensure!(value.ends_with(OWN), "the user's attributes are {value}");
    } else {
        ensure!(value == OWN, "it became {value}");
    }
    // What the user wrote stands in its order, whatever stands around it.
    let own: Vec<&Value> = env(pod, shape.container())
        .iter()
        .map(|it| &it["name"])
        .collect();
    let kept: Vec<&Value> = found
        .iter()
        .map(|it| &it["name"])
        .filter(|it| own.contains(it))
        .collect();
    ensure!(kept == own, "the order became {kept:?}");
    Ok(())
}

/// The variables of a kind, in the page's order.
fn rows(kind: &str) -> Result<Vec<&'static str>> {
    let cells = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (of, variable) = (cells.next()?, cells.next()?);
        (of == kind).then(|| variable.trim_matches('`'))
    };
    let rows: Vec<&str> = PAGE.lines().filter_map(cells).collect();
    ensure!(!rows.is_empty(), "the page knows no {kind}");
    Ok(rows)
}

/// The whole list of a container: references first, the user's own, then the rest.
fn expected(shape: Shape, namespace: &str, pod: &str, own: &[Value]) -> Result<Vec<Value>> {
    let Some(kind) = shape.documented() else {
        return Ok(own.to_vec());
    };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for variable in rows(kind)? {
        let others: &[_] = match shape {
            Shape::ForeignAgent => &["LOG_LEVEL", "OTEL_SDK_DISABLED"],
            _ => &["OTEL_TRACES_EXPORTER"],
        };
        if others.contains(&variable) {
            continue;
        }
        match field(variable) {
            Some(path) => first.push(json!({
                "name": variable,
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}},
            })),
            None => last.push(json!({
                "name": variable,
                "value": value(shape, variable, namespace, pod)?,
            })),
        }
    }
    first.extend_from_slice(own);
    first.append(&mut last);
    Ok(first)
}

fn field(variable: &str) -> Option<&'static str> {
    match variable {
        "KAOS_TELEMETRY_NODE_IP" => Some("status.hostIP"),
        "KAOS_TELEMETRY_POD_NAME" => Some("metadata.name"),
        "KAOS_TELEMETRY_POD_UID" => Some("metadata.uid"),
        "KAOS_TELEMETRY_NODE_NAME" => Some("spec.nodeName"),
        _ => None,
    }
}

fn value(shape: Shape, variable: &str, namespace: &str, pod: &str) -> Result<String> {
    let value = match variable {
        "OTEL_SDK_DISABLED" => "false".to_owned(),
        "OTEL_SERVICE_NAME" => service(shape, pod),
        "OTEL_EXPORTER" => "otlp_grpc".to_owned(),
        "OTEL_EXPORTER_OTLP_ENDPOINT"
        | "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        | "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
        | "OTEL_ENDPOINT" => STRIPPED.to_owned(),
        "OTEL_EXPORTER_OTLP_PROTOCOL" => "grpc".to_owned(),
        ATTRIBUTES => attributes(shape, namespace, pod),
        "OTEL_PROPAGATORS" => "tracecontext,baggage".to_owned(),
        "OTEL_TRACES_SAMPLER" => SAMPLER.to_owned(),
        "OTEL_TRACES_SAMPLER_ARG" => SAMPLER_ARG.to_owned(),
        "OTEL_TRACES_EXPORTER" | "OTEL_METRICS_EXPORTER" | "OTEL_LOGS_EXPORTER" => {
            "otlp".to_owned()
        }
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS" => "/health,/ready".to_owned(),
        "OTEL_PYTHON_EXCLUDED_URLS" => "/health".to_owned(),
        "LOG_LEVEL" => "INFO".to_owned(),
        other => bail!("the page has a variable that this test does not know: {other}"),
    };
    Ok(value)
}

fn service(shape: Shape, pod: &str) -> String {
    match shape {
        Shape::MemoryStore => format!("memorystore-{COMPONENT}"),
        Shape::ForeignAgent => pod.to_owned(),
        _ => COMPONENT.to_owned(),
    }
}

/// The pods are nobody's, so no workload is named.
fn attributes(shape: Shape, namespace: &str, pod: &str) -> String {
    let component = match shape {
        Shape::ForeignAgent => String::new(),
        _ => format!("kaos.resource.name={},", service(shape, pod)),
    };
    format!(
        "service.namespace={namespace},{component}k8s.namespace.name={namespace},\
         k8s.pod.name=$(KAOS_TELEMETRY_POD_NAME),k8s.pod.uid=$(KAOS_TELEMETRY_POD_UID),\
         k8s.node.name=$(KAOS_TELEMETRY_NODE_NAME),k8s.container.name={}",
        shape.container()
    )
}

/// The first place where two lists differ.
fn difference(found: &[Value], wanted: &[Value]) -> String {
    let longest = found.len().max(wanted.len());
    let at = (0..longest)
        .find(|&at| found.get(at) != wanted.get(at))
        .unwrap_or(longest);
    let show = |list: &[Value]| list.get(at).map_or("nothing".to_owned(), Value::to_string);
    format!("entry {at} is {}, not {}", show(found), show(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_kind_that_gets_variables() {
        for shape in Shape::ALL {
            let own = [json!({"name": "OWN", "value": "x"})];
            let wanted = expected(shape, "ns", "pod", &own).expect("known variables");
            assert_eq!(wanted.len() > 1, shape.documented().is_some(), "{shape:?}");
        }
    }

    #[test]
    fn a_difference_is_told_by_its_place() {
        let list = [json!(1), json!(2)];
        assert!(difference(&list, &[json!(1)]).contains("entry 1 is 2, not nothing"));
    }
}
