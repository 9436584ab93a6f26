//! `kaos-webhook manifest`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use kaos_webhook::manifest::{HOME, Options, Target, all};

/// Options of `manifest`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the webhook runs
    #[arg(long, value_name = "NAME", default_value = HOME)]
    namespace: String,
    /// Call this URL instead of a Service: for a webhook that runs outside of the cluster
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The port of the Service, and of the pods behind it
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    port: u16,
    /// Whom to trust, in PEM; without it the webhook writes that itself
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Where API servers call from; prints a `NetworkPolicy` that lets in nobody else. May be
    /// given again
    #[arg(long = "api-server", value_name = "CIDR", value_parser = cidr, conflicts_with = "url")]
    api_servers: Vec<String>,
    /// Let the webhook restart rollouts (more rights)
    #[arg(long)]
    restart: bool,
}

fn cidr(text: &str) -> Result<String, &'static str> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (length <= bits).then(|| text.to_owned())
    });
    parsed.ok_or("neither like 10.0.0.0/28 nor like fd00::/64")
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let ca = args.ca_file.map(|path| {
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    });
    let options = Options {
        namespace: args.namespace,
        target: args
            .url
            .map_or(Target::Service { port: args.port }, Target::Url),
        ca: ca.transpose()?,
        restart: args.restart,
        sources: args.api_servers,
    };
    let mut text = String::new();
    for object in all(&options) {
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&object)?);
    }
    super::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_and_a_length() {
        for good in ["10.0.0.0/28", "fd00::/64", "0.0.0.0/0"] {
            assert_eq!(cidr(good).as_deref(), Ok(good));
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "host/8", "fd00::/129", ""] {
            assert!(cidr(bad).is_err(), "{bad}");
        }
    }
}
