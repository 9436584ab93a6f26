//! Where the certificate comes from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kaos_webhook::certs::bundle::{self, Writer};
use kaos_webhook::certs::files;
use kaos_webhook::certs::keeper::Keeper;
use kaos_webhook::certs::plan::Times;
use kaos_webhook::certs::secret::{Renewal, Store};
use kaos_webhook::manifest;
use kube::Client;
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use super::Parts;
use crate::cli::duration;

/// Who issues, and where it is kept.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// We issue, keep it in a Secret, renew it and tell API servers to trust it
    SelfManaged,
    /// cert-manager issues into a Secret, and its CA injector tells API servers
    CertManager,
    /// Somebody puts tls.crt, tls.key and, if they like, ca.crt into a folder
    Files,
}

/// Options of certificates.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Where the certificate comes from
    #[arg(long = "certs", value_enum, default_value = "self-managed")]
    mode: Mode,
    /// The folder of --certs files
    #[arg(long, value_name = "FOLDER", default_value = "/etc/kaos-webhook/tls")]
    cert_dir: PathBuf,
    /// The Secret of the other modes
    #[arg(long, value_name = "NAME", default_value = "kaos-webhook-tls")]
    secret: String,
    /// The Service by which API servers call
    #[arg(long, value_name = "NAME", default_value = manifest::NAME)]
    service: String,
    /// Another name or address by which API servers call; may be given again
    #[arg(long = "dns-name", value_name = "NAME")]
    dns_names: Vec<String>,
    /// The mutating webhook configuration whose caBundle must cover the certificate
    #[arg(long, value_name = "NAME", default_value = manifest::NAME)]
    webhook_configuration: String,
    /// How long a certificate that we issue is valid; it is renewed after two thirds
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration)]
    cert_life: Duration,
    /// How long the old certificate is kept beside a new one that is trusted, and then how long
    /// its authority stays trusted
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    cert_overlap: Duration,
    /// How long a new authority must be trusted before a certificate of it is served
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    cert_settle: Duration,
}

impl Args {
    /// The names to issue for, and those of them that must be there.
    fn names(&self, namespace: &str) -> (Vec<String>, Vec<String>) {
        let Self {
            service,
            dns_names,
            mode,
            ..
        } = self;
        let official = format!("{service}.{namespace}.svc");
        let mut all = vec![
            service.clone(),
            format!("{service}.{namespace}"),
            official.clone(),
            format!("{official}.cluster.local"),
        ];
        all.extend_from_slice(dns_names);
        let mut needed = dns_names.clone();
        // Whoever brings a certificate and names names may not use the Service at all.
        if *mode == Mode::SelfManaged || dns_names.is_empty() {
            needed.push(official);
        }
        (all, needed)
    }

    fn times(&self) -> anyhow::Result<Times> {
        let Self {
            cert_life,
            cert_overlap,
            cert_settle,
            ..
        } = *self;
        if cert_settle > cert_overlap {
            bail!(
                "--cert-settle is longer than --cert-overlap: the old would go before the new is served"
            );
        }
        if cert_overlap > cert_life / 4 {
            bail!(
                "--cert-overlap is more than a quarter of --cert-life: renewals would overtake each other"
            );
        }
        Ok(Times {
            life: cert_life,
            overlap: cert_overlap,
            settle: cert_settle,
            jitter: cert_life.mul_f64(fastrand::f64() / 20.0),
        })
    }
}

fn keeper(needed: &[String], parts: &Parts) -> anyhow::Result<Keeper> {
    let name = |name: &String| {
        ServerName::try_from(name.clone()).with_context(|| format!("{name:?} is no DNS name"))
    };
    Ok(Keeper {
        served: Arc::clone(&parts.served),
        metrics: Arc::clone(&parts.metrics),
        readiness: parts.readiness.clone(),
        provider: Arc::clone(&parts.provider),
        names: needed.iter().map(name).collect::<anyhow::Result<_>>()?,
    })
}

/// From files, whoever is told to trust them.
pub(super) fn without_cluster(args: &Args, parts: &Parts) -> anyhow::Result<()> {
    if args.mode != Mode::Files {
        bail!("--no-kube wants --certs files: the other modes keep certificates in a Secret");
    }
    // The namespace is not known, so only names that are given can be checked.
    let keeper = keeper(&args.dns_names, parts)?;
    let (_nobody_watches, bundle) = watch::channel(None);
    let reading = files::run(args.cert_dir.clone(), keeper, bundle);
    parts.running.start("certificates", reading);
    Ok(())
}

/// From wherever, with an eye on whom API servers are told to trust.
pub(super) fn with_cluster(
    args: &Args,
    parts: &Parts,
    client: &Client,
    namespace: &str,
) -> anyhow::Result<()> {
    let (names, needed) = args.names(namespace);
    let keeper = keeper(&needed, parts)?;
    let (seen, bundle) = watch::channel(None);
    let metrics = || Arc::clone(&parts.metrics);
    let configuration = args.webhook_configuration.clone();
    let watch = bundle::observe(client.clone(), configuration, metrics(), seen);
    parts.running.start("webhook configuration", watch);
    let renewal = match args.mode {
        Mode::Files => {
            let reading = files::run(args.cert_dir.clone(), keeper, bundle);
            parts.running.start("certificates", reading);
            return Ok(());
        }
        Mode::CertManager => None,
        Mode::SelfManaged => Some(Renewal {
            bundle: Writer::new(client.clone(), &args.webhook_configuration, metrics()),
            names,
            times: args.times()?,
        }),
    };
    let store = Store::new(client.clone(), namespace, &args.secret, keeper, renewal);
    parts.running.start("certificates", store.run(bundle));
    Ok(())
}
