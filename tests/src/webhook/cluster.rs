//! The API server as the scenarios see it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long controllers may take for what they make.
const SOON: Duration = Duration::from_secs(30);
/// How long the API server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// A running API server; cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    address: String,
}

/// What the API server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The object, or the `Status` that says what is wrong.
    pub object: Value,
    /// The texts of its `Warning` headers.
    pub warnings: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Cluster {
    /// The cluster of `KUBECONFIG`, as `cargo xtask cluster run` starts it.
    pub async fn connect() -> Result<Self> {
        let address = std::env::var("KAOS_CLUSTER_ADDRESS")
            .context("run this by `cargo xtask cluster run -- e2e webhook`")?;
        let mut config = kube::Config::infer().await.context("read KUBECONFIG")?;
        // It would run while a connection is idle, and end one that has just been taken up again;
        // requests have a limit of their own.
        config.read_timeout = None;
        Ok(Self {
            client: Client::try_from(config)?,
            address,
        })
    }

    /// An address of ours that endpoints of Services may have.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// One request; an HTTP status is no error.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let content = match method {
            "PATCH" if path.contains("fieldManager=") => "application/apply-patch+yaml",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body)?
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .body(Body::from(bytes))?;
        let start = Instant::now();
        let talk = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            anyhow::Ok((head, body.collect().await?.to_bytes()))
        };
        let (head, bytes) = timeout(ANSWER_WITHIN, talk)
            .await
            .context("the API server does not answer")??;
        let warnings = head.headers.get_all(http::header::WARNING).iter();
        Ok(Answer {
            status: head.status,
            object: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            warnings: warnings
                .filter_map(|value| value.to_str().ok().map(str::to_owned))
                .collect(),
            took: start.elapsed(),
        })
    }

    /// The object at a path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, &Value::Null).await?.object(path)
    }

    /// Makes an object be as given, by server-side apply. `path` is that of the object itself.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let at = format!("{path}?fieldManager=e2e&force=true");
        self.send("PATCH", &at, object).await?.object(path)
    }

    /// Deletes what is at a path, if there is something.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.send("DELETE", path, &Value::Null).await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.object(path)?;
        }
        Ok(())
    }

    /// Creates a pod and gives the answer, be it what it may.
    pub async fn create_pod(&self, namespace: &str, pod: &Value) -> Result<Answer> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.send("POST", &path, pod).await
    }

    /// A namespace with labels, ready for pods.
    pub async fn namespace(&self, name: &str, labels: &Value) -> Result<()> {
        let path = format!("/api/v1/namespaces/{name}");
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        });
        self.apply(&path, &namespace).await?;
        let account = format!("{path}/serviceaccounts/default");
        until(SOON, "the default service account", async || {
            Ok(self.send("GET", &account, &Value::Null).await?.status == StatusCode::OK)
        })
        .await
    }

    /// Applies each document of a YAML text to the plural of its kind, cluster-wide.
    pub async fn apply_yaml(&self, collection: &str, text: &str) -> Result<()> {
        use serde::Deserialize as _;
        for document in serde_norway::Deserializer::from_str(text) {
            let object = Value::deserialize(document)?;
            let name = object["metadata"]["name"].as_str().context("a name")?;
            self.apply(&format!("{collection}/{name}"), &object).await?;
        }
        Ok(())
    }

    /// What is at a path, as text.
    pub async fn text(&self, path: &str) -> Result<String> {
        let request = Request::get(path).body(Vec::new())?;
        Ok(self.client.request_text(request).await?)
    }

    /// The sum of a metric of the API server's over its labels; 0 if it was never counted.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        Ok(sum(&self.text("/metrics").await?, name))
    }
}

impl Answer {
    /// The object; a status that is no success is an error.
    pub fn object(self, what: &str) -> Result<Value> {
        if !self.status.is_success() {
            bail!("{what}: {}: {}", self.status, self.object["message"]);
        }
        Ok(self.object)
    }
}

/// Polls until a condition holds.
pub async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        if holds().await? {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The sum of a metric over all label sets, in the text that Prometheus reads.
#[must_use]
pub fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit_once(' ')?.1.parse::<f64>().ok()
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let text = "# HELP a A.\na{x=\"1 2\"} 3\na{x=\"2\"} 4\na_total 9\nb 2\n";
        assert!((sum(text, "a") - 7.0).abs() < 1e-9);
        assert!((sum(text, "b") - 2.0).abs() < 1e-9);
        assert!(sum(text, "c").abs() < 1e-9);
    }
}
