//! A node beside the control plane: containerd, kubelet, scheduler, kube-proxy and a name server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::network::ADDRESS;
use super::pki::Pki;
use super::plane::Plane;
use super::{host, images};
use crate::cmd::{read, succeeds};
use crate::interrupt;
use crate::peers::{Cache, CoreDns, Node, Peer as _, Ready};

const NAME: &str = "kaos-node";
const PODS: &str = "10.244.0.0/24";
const DNS: &str = "10.96.0.10";
const SOCKET: &str = "/run/containerd/containerd.sock";
const READY_WITHIN: Duration = Duration::from_mins(2);

/// Installs what a node needs, while there is a way to a registry.
pub(super) fn install(cache: &Cache) -> Result<()> {
    Node.install(cache)?;
    CoreDns.install(cache)?;
    crate::peers::Collector.install(cache)?;
    crate::image::base::Base::fetch(cache).map(drop)
}

/// Starts it in the network and the mounts of its own that we are in, with our images.
pub(super) fn start(
    plane: &mut Plane,
    pki: &Pki,
    api: u16,
    cache: &Cache,
    folder: &Path,
) -> Result<()> {
    host::take(folder)?;
    let programs = Node.install(cache)?;
    let start = Start {
        programs: &programs,
        pki,
        api,
        folder,
    };
    let search = start.search_path(&plane.programs)?;
    let run = |program: PathBuf, arguments: Vec<String>| {
        let mut command = plane.command(&program);
        command.env("PATH", &search).args(arguments);
        command
    };
    let containerd = run(programs.join("usr/bin/containerd"), start.containerd()?);
    let kubelet = run(plane.programs.join("kubelet"), start.kubelet()?);
    let scheduler = run(plane.programs.join("kube-scheduler"), start.scheduler()?);
    let proxy = run(plane.programs.join("kube-proxy"), start.proxy()?);
    let dns = run(CoreDns.install(cache)?.join("coredns"), start.dns()?);
    plane.add(
        "containerd",
        containerd,
        &Ready::Socket(SOCKET.into()),
        folder,
    )?;
    start.import(cache)?;
    plane.apply(&system())?;
    plane.add("kubelet", kubelet, &http(10248), folder)?;
    plane.add("kube-scheduler", scheduler, &start.https(10259), folder)?;
    plane.add("kube-proxy", proxy, &http(10256), folder)?;
    let names: SocketAddr = format!("{ADDRESS}:10053").parse()?;
    plane.add("coredns", dns, &Ready::Listens(names), folder)?;
    await_node(plane)
}

/// What the parts' arguments are made of.
struct Start<'a> {
    programs: &'a Path,
    pki: &'a Pki,
    api: u16,
    folder: &'a Path,
}

impl Start<'_> {
    /// With runc, the shim and nft in front.
    fn search_path(&self, kubernetes: &Path) -> Result<std::ffi::OsString> {
        let own = ["bin", "usr/bin", "usr/sbin"].map(|it| self.programs.join(it));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = own.into_iter().chain([kubernetes.to_owned()]);
        Ok(std::env::join_paths(
            all.chain(std::env::split_paths(&path)),
        )?)
    }

    /// Without `CAP_SYS_RESOURCE`, which a machine of tests may lack, no process may become less
    /// likely to be killed than its parent is.
    fn containerd(&self) -> Result<Vec<String>> {
        let networks = json!({"cniVersion": "1.0.0", "name": "kaos", "plugins": [
            {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": false,
             "hairpinMode": true, "ipam": {
                "type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
            }},
            {"type": "loopback"},
        ]});
        fs::write("/etc/cni/net.d/10-kaos.conflist", networks.to_string())?;
        let text = format!(
            r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
"#,
            root = self.folder.join("containerd").display(),
            pause = images::PAUSE,
            runc = self.programs.join("usr/sbin/runc").display(),
            plugins = Node::plugins(self.programs).display(),
        );
        let file = self.folder.join("containerd.toml");
        fs::write(&file, text)?;
        Ok(vec![format!("--config={}", file.display())])
    }

    /// Version 1 of control groups will do, and a machine of tests may be nearly full.
    fn kubelet(&self) -> Result<Vec<String>> {
        let file = |name| self.pki.file(name).display().to_string();
        let resolver = self.folder.join("resolv.conf");
        fs::write(&resolver, "")?;
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": file("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": file("server.crt"),
            "tlsPrivateKeyFile": file("server.key"),
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": false,
            "failSwapOn": false,
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": resolver,
            "evictionHard": {
                "memory.available": "50Mi", "nodefs.available": "1%",
                "nodefs.inodesFree": "1%", "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "5s",
        });
        let user = format!("system:node:{NAME}");
        let group = Some("system:nodes");
        let kubeconfig = self.pki.kubeconfig("kubelet", &user, group, self.api)?;
        Ok(vec![
            format!("--config={}", self.write("kubelet.json", &config)?),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={ADDRESS}"),
        ])
    }

    fn scheduler(&self) -> Result<Vec<String>> {
        let user = "system:kube-scheduler";
        let kubeconfig = self.pki.kubeconfig("scheduler", user, None, self.api)?;
        let kubeconfig = kubeconfig.display();
        Ok(vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", self.pki.file("server.crt").display()),
            format!(
                "--tls-private-key-file={}",
                self.pki.file("server.key").display()
            ),
            "--leader-elect=false".to_owned(),
        ])
    }

    fn proxy(&self) -> Result<Vec<String>> {
        let user = "system:kube-proxy";
        let kubeconfig = self.pki.kubeconfig("proxy", user, None, self.api)?;
        let config = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": kubeconfig},
            "mode": "nftables",
            "clusterCIDR": PODS,
            "hostnameOverride": NAME,
            "healthzBindAddress": "127.0.0.1:10256",
            // These are the machine's, not the network's.
            "conntrack": {"maxPerCore": 0, "min": 0},
        });
        Ok(vec![format!(
            "--config={}",
            self.write("proxy.json", &config)?
        )])
    }

    fn dns(&self) -> Result<Vec<String>> {
        let admin = self.pki.file("admin.kubeconfig");
        let text = format!(
            ".:10053 {{\n  bind {ADDRESS}\n  errors\n  cache 5\n  \
             kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n  }}\n}}\n",
            admin.display()
        );
        let file = self.folder.join("Corefile");
        fs::write(&file, text)?;
        Ok(vec![format!("-conf={}", file.display())])
    }

    fn write(&self, name: &str, config: &Value) -> Result<String> {
        let file = self.folder.join(name);
        // JSON is YAML.
        fs::write(&file, config.to_string())?;
        Ok(file.display().to_string())
    }

    fn import(&self, cache: &Cache) -> Result<()> {
        let archives = self.folder.join("images");
        for archive in images::write(cache, &archives)? {
            let mut ctr = Command::new(self.programs.join("usr/bin/ctr"));
            ctr.args(["--address", SOCKET, "--namespace", "k8s.io"]);
            ctr.args(["images", "import", "--digests=false"])
                .arg(&archive);
            ctr.stdin(Stdio::null());
            read(&mut ctr).with_context(|| format!("import {}", archive.display()))?;
        }
        Ok(fs::remove_dir_all(archives)?)
    }

    fn https(&self, port: u16) -> Ready {
        let ca = self.pki.file("ca.crt");
        Ready::Https {
            port,
            path: "/healthz",
            ca,
        }
    }
}

fn http(port: u16) -> Ready {
    Ready::Http {
        port,
        path: "/healthz",
    }
}

/// The rights of kube-proxy, and the name server as pods find it.
fn system() -> Value {
    let ports = json!([
        {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 10053},
        {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 10053},
    ]);
    let slice = json!([
        {"name": "dns", "protocol": "UDP", "port": 10053},
        {"name": "dns-tcp", "protocol": "TCP", "port": 10053},
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kaos-node-proxier"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "system:node-proxier",
            },
            "subjects": [{
                "apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                "name": "system:kube-proxy",
            }],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": DNS, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node", "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "ports": slice,
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true}}],
        },
    ]})
}

fn await_node(plane: &Plane) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut wait = plane.kubectl();
    wait.args([
        "wait",
        "--for=condition=Ready",
        "--timeout=1s",
        "node",
        NAME,
    ]);
    while !succeeds(&mut wait) {
        interrupt::check()?;
        if Instant::now() > deadline {
            bail!("the node is not ready after {} s", READY_WITHIN.as_secs());
        }
    }
    Ok(())
}
