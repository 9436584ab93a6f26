//! The control plane's processes: etcd, API server, controller-manager.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::network::ADDRESS;
use super::node;
use super::pki::Pki;
use crate::peers::{Cache, Kubernetes, Peer as _, Ready, Running, http};
use crate::{cmd, interrupt};

/// How long the controller-manager may take for the first service account: seconds are usual.
const ACCOUNT_WITHIN: Duration = Duration::from_mins(2);

/// Which cluster is wanted.
pub(super) struct Plan {
    pub(super) kubernetes: Kubernetes,
    /// Whether it stays when we end.
    pub(super) lasting: bool,
    /// Without controller-manager: no Deployment becomes pods, pods need no service account.
    pub(super) bare: bool,
    /// With a node, where pods run.
    pub(super) node: bool,
}

impl Plan {
    /// Installs all that will be started.
    pub(super) fn install(&self, cache: &Cache) -> Result<()> {
        self.kubernetes.install(cache)?;
        if self.node {
            node::install(cache)?;
        }
        Ok(())
    }
}

/// A control plane that answers; dropping it stops it.
pub(super) struct Plane {
    /// In the order in which they are to be stopped.
    pub(super) parts: Vec<(&'static str, Running)>,
    /// For an administrator.
    pub(super) kubeconfig: PathBuf,
    /// Where `kubectl` and the others are.
    pub(super) programs: PathBuf,
    lasting: bool,
}

impl Plane {
    /// Starts all on free ports of loopback, with state, keys and logs in `folder`.
    pub(super) fn start(plan: &Plan, cache: &Cache, folder: &Path) -> Result<Self> {
        let programs = plan.kubernetes.install(cache)?;
        interrupt::check()?;
        let pki = Pki::make(&folder.join("pki"))?;
        let ports = Ports::find()?;
        let kubeconfig = pki.kubeconfig("admin", "admin", Some("system:masters"), ports.api)?;
        let mut plane = Self {
            parts: Vec::new(),
            kubeconfig,
            programs,
            lasting: plan.lasting,
        };
        plane.part("etcd", etcd(folder, &ports), &ports.etcd_ready(), folder)?;
        let api = api_server(&pki, &ports, plan);
        plane.part("kube-apiserver", api, &ports.api_ready(&pki), folder)?;
        if !plan.bare {
            let controllers = controllers(&pki, &ports)?;
            let ready = ports.controllers_ready(&pki);
            plane.part("kube-controller-manager", controllers, &ready, folder)?;
            plane.await_account()?;
        }
        if plan.node {
            node::start(&mut plane, &pki, ports.api, cache, folder)?;
        }
        Ok(plane)
    }

    /// Makes objects be there.
    pub(super) fn apply(&self, objects: &Value) -> Result<()> {
        let mut apply = self.kubectl();
        apply.args(["apply", "--filename=-"]);
        let mut child = apply.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(objects.to_string().as_bytes())?;
        drop(stdin);
        let status = child.wait()?;
        ensure!(status.success(), "kubectl apply failed: {status}");
        Ok(())
    }

    /// A part's command; unless the cluster lasts, the part ends with us.
    pub(super) fn command(&self, program: &Path) -> Command {
        if self.lasting {
            Command::new(program)
        } else {
            bound_to_us(program)
        }
    }

    /// `kubectl` for the administrator.
    pub(super) fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.programs.join("kubectl"));
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        // Not in the user's home: what it keeps there of a cluster outlives it.
        kubectl.env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl"));
        kubectl
    }

    fn part(
        &mut self,
        part: &'static str,
        arguments: Vec<String>,
        ready: &Ready,
        folder: &Path,
    ) -> Result<()> {
        let mut command = self.command(&self.programs.join(part));
        command.args(arguments);
        self.add(part, command, ready, folder)
    }

    /// Starts a part, whose log is `PART.log` in the folder.
    pub(super) fn add(
        &mut self,
        part: &'static str,
        mut command: Command,
        ready: &Ready,
        folder: &Path,
    ) -> Result<()> {
        command.current_dir(folder);
        let log = folder.join(format!("{part}.log"));
        let running = Running::start(part, command, ready, &log)?;
        // The newest first: nothing shall miss what it stands on while it stops.
        self.parts.insert(0, (part, running));
        Ok(())
    }

    /// Pods are refused in a namespace until its default service account is there.
    fn await_account(&self) -> Result<()> {
        let deadline = Instant::now() + ACCOUNT_WITHIN;
        let mut get = self.kubectl();
        get.args(["--namespace", "default", "get", "serviceaccount", "default"]);
        while !cmd::succeeds(&mut get) {
            interrupt::check()?;
            if Instant::now() > deadline {
                bail!("the controller-manager made no service account");
            }
        }
        Ok(())
    }
}

struct Ports {
    etcd: u16,
    etcd_peers: u16,
    api: u16,
    controllers: u16,
}

impl Ports {
    fn find() -> Result<Self> {
        Ok(Self {
            etcd: http::free_port()?,
            etcd_peers: http::free_port()?,
            api: http::free_port()?,
            controllers: http::free_port()?,
        })
    }

    fn etcd_ready(&self) -> Ready {
        Ready::Http {
            port: self.etcd,
            path: "/readyz",
        }
    }

    fn api_ready(&self, pki: &Pki) -> Ready {
        Ready::Https {
            port: self.api,
            path: "/readyz",
            ca: pki.file("ca.crt"),
        }
    }

    fn controllers_ready(&self, pki: &Pki) -> Ready {
        Ready::Https {
            port: self.controllers,
            path: "/healthz",
            ca: pki.file("ca.crt"),
        }
    }
}

/// Without fsync: nothing here is to outlive a power cut.
fn etcd(folder: &Path, ports: &Ports) -> Vec<String> {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peers);
    vec![
        "--name=kaos".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=kaos={peers}"),
    ]
}

/// `--enable-aggregator-routing` makes the server look up the endpoints of a webhook's Service
/// itself: without a node there is no kube-proxy that would make its cluster IP lead anywhere.
fn api_server(pki: &Pki, ports: &Ports, plan: &Plan) -> Vec<String> {
    let file = |name| pki.file(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.api),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--enable-aggregator-routing=true".to_owned(),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!(
            "--service-account-signing-key-file={}",
            file("accounts.key")
        ),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
    ];
    let (bind, advertise) = if plan.node {
        ("0.0.0.0", ADDRESS)
    } else {
        ("127.0.0.1", "10.255.255.1")
    };
    arguments.push(format!("--bind-address={bind}"));
    arguments.push(format!("--advertise-address={advertise}"));
    if plan.node {
        arguments.extend([
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            // By its name no kubelet is found.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-certificate-authority={}", file("ca.crt")),
            format!("--kubelet-client-certificate={}", file("admin.crt")),
            format!("--kubelet-client-key={}", file("admin.key")),
        ]);
    }
    if plan.bare {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    arguments
}

/// With its default of 20 requests a second the first service account comes seconds late.
fn controllers(pki: &Pki, ports: &Ports) -> Result<Vec<String>> {
    let user = "system:kube-controller-manager";
    let kubeconfig = pki.kubeconfig("controllers", user, None, ports.api)?;
    let kubeconfig = kubeconfig.to_str().context("the path is UTF-8")?;
    let file = |name| pki.file(name).display().to_string();
    Ok(vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--authorization-always-allow-paths=/healthz".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.controllers),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!(
            "--service-account-private-key-file={}",
            file("accounts.key")
        ),
        format!("--root-ca-file={}", file("ca.crt")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--kube-api-qps=300".to_owned(),
        "--kube-api-burst=600".to_owned(),
    ])
}

/// A command whose process ends with us, even if we are killed: `timeout` sends its signal twice,
/// and the second one ends a chore at once.
pub(super) fn bound_to_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Makes a new folder for a cluster's state.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
