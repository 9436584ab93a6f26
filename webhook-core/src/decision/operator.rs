//! Which entries of a container the KAOS operator wrote, by their values.

use super::component::Component;
use super::env::Env;
use super::variables;
use crate::facts::ComponentFacts;

/// True if the entry has the value that the operator writes. Only asked of the operator's pods.
pub(crate) fn wrote(
    component: &Component<'_>,
    resource: Option<&ComponentFacts>,
    env: Env<'_>,
    name: &str,
) -> bool {
    let Some(value) = env.literal(name) else {
        return false;
    };
    let service = component.kaos_name();
    let service = service.as_deref();
    match name {
        variables::SDK_DISABLED => value == "false",
        variables::SERVICE_NAME => Some(value) == service,
        variables::EXPORTER => value == "otlp_grpc",
        variables::ENDPOINT => {
            let block = resource.and_then(|it| it.telemetry.as_ref());
            match block.and_then(|it| it.endpoint.as_deref()) {
                Some(endpoint) => endpoint == value,
                // Its own default, which no pod tells: the operator writes it under its name.
                None => env.literal(variables::SERVICE_NAME) == service,
            }
        }
        variables::RESOURCE_ATTRIBUTES => {
            let ours = value.strip_prefix("service.namespace=");
            let name = ours.and_then(|it| it.split_once(",kaos.resource.name="));
            name.is_some_and(|(_, name)| Some(name) == service)
        }
        variables::FASTAPI_EXCLUDED_URLS => {
            matches!(value, "/health,/ready" | "^/health$,^/ready$")
        }
        variables::EXCLUDED_URLS => value == "/health",
        variables::LOG_LEVEL => true,
        _ => false,
    }
}
