//! The webhook against a real API server: `cargo xtask cluster run -- e2e webhook`.

pub mod blackhole;
pub mod bundle;
pub mod canary;
pub mod certificates;
pub mod cluster;
pub mod damage;
pub mod environment;
pub mod late;
pub mod load;
pub mod outages;
pub mod replica;
pub mod report;
pub mod resources;
pub mod rollout;
pub mod rotation;
pub mod setup;
pub mod shapes;
pub mod sink;
pub mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::built;
use cluster::{Cluster, until};
use outages::Outage;
use replica::Program;
use report::Report;
use rotation::Company;
use setup::{HOME, Route};
use shapes::{Shape, env};

/// Options of `e2e webhook`.
#[derive(Clone, Debug, Args)]
pub struct WebhookArgs {
    /// Only scenarios whose name contains this; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// How often certificates change under load, each after 20 seconds.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    rotations: u32,
    /// Certificates change with nobody else beside, and 200 pods a second must be created.
    #[arg(long)]
    full_pace: bool,
    /// The webhook. The default is `kaos-webhook` beside this program.
    #[arg(long, env = "KAOS_WEBHOOK")]
    webhook: Option<PathBuf>,
    /// Where logs are kept. The default is a new folder for temporary files.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// How long the API server may take for a new or deleted registration.
const TAKEN_UP: Duration = Duration::from_secs(30);

/// What all scenarios share.
pub struct World {
    cluster: Cluster,
    binary: PathBuf,
    folder: PathBuf,
    /// Of the webhook's own service account.
    kubeconfig: PathBuf,
}

impl WebhookArgs {
    /// Runs the scenarios, prints the table, and fails unless all hold.
    pub fn run(self) -> Result<()> {
        report::conclude(self.scenarios())
    }

    async fn scenarios(&self) -> Result<Report> {
        let world = World::prepare(self).await?;
        let mut report = Report::default();
        macro_rules! scenario {
            ($name:expr, $future:expr) => {
                if self.wants($name) {
                    let before = report.failed();
                    report.run($name, $future).await;
                    if report.failed() > before {
                        world.clear().await?;
                    }
                }
            };
        }
        let company = if self.full_pace {
            Company::None
        } else {
            Company::Late
        };
        // First, for it brings the CRDs: they are to come when the webhook runs.
        scenario!("resources decide", resources::decide(&world));
        scenario!("environment, by URL", environment::by_url(&world));
        scenario!("environment, by Service", environment::by_service(&world));
        scenario!("size and start", start::start(&world));
        for (name, outage) in [
            ("outage: killed", Outage::Killed),
            ("outage: certificate expired", Outage::Expired),
            ("outage: port blackholed", Outage::Blackholed),
            ("outage: answer delayed", Outage::Silent),
        ] {
            scenario!(name, outages::run(&world, outage));
        }
        scenario!("rollout restarted", rollout::restarted(&world));
        scenario!("caBundle wiped", bundle::rewritten(&world));
        scenario!("prompts stay home", canary::stays_home(&world));
        scenario!("load without webhook", rotation::baseline(&world));
        scenario!(
            "rotation under load",
            rotation::rotation(&world, self.rotations, company)
        );
        scenario!("departure under load", rotation::departure(&world));
        scenario!("Secret spoilt under load", damage::survived(&world));
        Ok(report)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only))
    }
}

impl World {
    async fn prepare(args: &WebhookArgs) -> Result<Self> {
        let binary = match &args.webhook {
            Some(path) => path.clone(),
            None => built::program("kaos-webhook")?,
        };
        if !binary.exists() {
            bail!(
                "{} is missing: run `cargo build -p kaos-webhook`",
                binary.display()
            );
        }
        let folder = args.keep.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("kaos-webhook-e2e-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).context("make the folder for logs")?;
        eprintln!("logs are in {}", folder.display());
        let settings = setup::settings().to_string();
        std::fs::write(folder.join("settings.yaml"), settings).context("write the settings")?;
        let cluster = Cluster::connect().await?;
        cluster.namespace(HOME, &json!({})).await?;
        let mut world = Self {
            cluster,
            binary,
            folder,
            kubeconfig: PathBuf::new(),
        };
        setup::register(&world, Route::Service, None).await?;
        setup::unregister(&world).await?;
        world.kubeconfig = setup::kubeconfig(&world.cluster, &world.folder).await?;
        Ok(world)
    }

    /// A namespace whose pods are to be injected into.
    async fn opted_in(&self, name: &str) -> Result<()> {
        let labels = json!({"telemetry.kaos.tools/inject": "enabled"});
        self.cluster.namespace(name, &labels).await
    }

    /// Creates a pod that must be accepted.
    async fn create(&self, namespace: &str, pod: &Value) -> Result<Value> {
        let answer = self.cluster.create_pod(namespace, pod).await?;
        answer.object("create a pod")
    }

    /// Deletes all pods of a namespace, and the namespace.
    async fn remove(&self, namespace: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}");
        self.cluster
            .delete(&format!("{path}/pods?gracePeriodSeconds=0"))
            .await?;
        self.cluster.delete(&path).await
    }

    /// How often the API server went on without the webhook.
    async fn fail_open(&self) -> Result<f64> {
        self.cluster
            .metric("apiserver_admission_webhook_fail_open_count")
            .await
    }

    /// Waits until the API server has taken up a new registration: a dry run is injected into.
    async fn settle(&self) -> Result<()> {
        let injects = async || self.injects().await;
        until(TAKEN_UP, "the API server calls the webhook", injects).await
    }

    /// Waits until the API server calls no webhook that answers.
    async fn forgets(&self) -> Result<()> {
        let forgotten = async || Ok(!self.injects().await?);
        until(TAKEN_UP, "the API server forgets the webhook", forgotten).await
    }

    /// Waits until the API server has taken up a registration under which nobody answers.
    async fn fails_open(&self) -> Result<()> {
        let before = self.fail_open().await?;
        let opened = async || Ok(!self.injects().await? && self.fail_open().await? > before);
        until(TAKEN_UP, "the API server calls nobody", opened).await
    }

    /// Whether a dry run is injected into.
    async fn injects(&self) -> Result<bool> {
        const PROBE: &str = "settle";
        self.opted_in(PROBE).await?;
        let path = format!("/api/v1/namespaces/{PROBE}/pods?dryRun=All");
        let pod = Shape::Agent.pod("settle", "settle");
        let answer = self.cluster.send("POST", &path, &pod).await?;
        let created = answer.object("a dry run")?;
        Ok(env(&created, "agent").len() > env(&pod, "agent").len())
    }

    /// Takes away what a failed scenario has left: its pods would be counted in the next.
    async fn clear(&self) -> Result<()> {
        let opted_in = "/api/v1/namespaces?labelSelector=telemetry.kaos.tools/inject%3Denabled";
        let list = self.cluster.get(opted_in).await?;
        for namespace in list["items"].as_array().context("a list")? {
            if let Some(name) = namespace["metadata"]["name"].as_str() {
                self.remove(name).await?;
            }
        }
        Ok(())
    }

    /// The webhook with the tests' settings, as its own service account.
    fn program(&self) -> Program {
        Program {
            binary: self.binary.clone(),
            folder: self.folder.clone(),
            kubeconfig: self.kubeconfig.clone(),
            arguments: vec![
                format!("--namespace={HOME}"),
                format!("--config={}", self.folder.join("settings.yaml").display()),
            ],
        }
    }

    /// The same with certificates from files.
    fn with_files(&self, certificates: &Path) -> Program {
        let mut program = self.program();
        let folder = format!("--cert-dir={}", certificates.display());
        program
            .arguments
            .extend(["--certs=files".to_owned(), folder]);
        program
    }
}
