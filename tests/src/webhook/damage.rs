//! Somebody deletes or spoils the Secret of certificates, while pods are created all the time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::World;
use super::cluster::until;
use super::late::{Witness, first_der};
use super::rotation::{Counts, Running, said, two_of_which_one_is_late};
use super::setup::{HOME, NAME};

/// Within this the Secret is whole again, and its certificate served by all.
const WITHIN: Duration = Duration::from_mins(1);

/// What is done to the Secret.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Deleted,
    /// Half of the certificate is there, as where a writer was killed.
    HalfCertificate,
    HalfKey,
    /// Another key, which fits no certificate.
    Emptied,
    /// The authority alone: certificate and key still fit each other.
    NoAuthority,
}

/// Each kind of damage, the next when all is well again, and two at once.
pub async fn survived(world: &World) -> Result<String> {
    let namespace = "damage";
    let short = ["--cert-settle=2s".to_owned()];
    let replicas = two_of_which_one_is_late(world, namespace, &short).await?;
    let before = Counts::read(world, &replicas).await?;
    let witness = Witness::start(world, &replicas);
    let load = Running::start(world, namespace).await?;
    let mut outcome = Ok(());
    for damage in [
        &[Damage::Deleted][..],
        &[Damage::HalfCertificate],
        &[Damage::HalfKey],
        &[Damage::NoAuthority],
        &[Damage::Emptied, Damage::Deleted],
    ] {
        let healed = healed(world, &witness, damage).await;
        outcome = healed.with_context(|| format!("after {damage:?}"));
        if outcome.is_err() {
            break;
        }
    }
    let load = load.end().await?;
    let handshakes = witness.end().await;
    outcome?;
    load.check()?;
    Counts::read(world, &replicas).await?.same_as(&before)?;
    let what = format!(
        "the Secret deleted, cut and emptied; {} more handshakes",
        handshakes?
    );
    Ok(said(&load, &what))
}

/// Does damage, and waits until another certificate is stored and served.
async fn healed(world: &World, witness: &Witness, damage: &[Damage]) -> Result<()> {
    let good = stored(world).await?.context("a Secret")?;
    for damage in damage {
        inflict(world, *damage, &good).await?;
    }
    until(WITHIN, "another certificate is stored", async || {
        let now = stored(world).await?.and_then(|secret| whole(&secret));
        Ok(now.is_some() && now != whole(&good))
    })
    .await?;
    until(WITHIN, "all replicas serve what is stored", async || {
        let now = stored(world).await?.and_then(|secret| whole(&secret));
        Ok(now.is_some_and(|leaf| witness.all_serve(&leaf)))
    })
    .await
}

async fn inflict(world: &World, damage: Damage, good: &Value) -> Result<()> {
    let half = |key: &str| {
        let text = text(good, key)?;
        anyhow::Ok(openssl::base64::encode_block(&text[..text.len() / 2]))
    };
    let data = match damage {
        Damage::Deleted => return world.cluster.delete(&path()).await,
        Damage::HalfCertificate => json!({"tls.crt": half("tls.crt")?}),
        Damage::HalfKey => json!({"tls.key": half("tls.key")?}),
        Damage::NoAuthority => json!({"ca.crt": ""}),
        Damage::Emptied => json!({"tls.crt": "", "tls.key": ""}),
    };
    let patch = json!({"data": data});
    let answer = world.cluster.send("PATCH", &path(), &patch).await?;
    let written = answer.object("spoil the Secret")?;
    ensure!(written["data"] != good["data"], "nothing was spoilt");
    Ok(())
}

/// The Secret, if there is one.
async fn stored(world: &World) -> Result<Option<Value>> {
    let answer = world.cluster.send("GET", &path(), &Value::Null).await?;
    Ok(answer.status.is_success().then_some(answer.object))
}

/// Its certificate in DER, if that is whole and has a whole key.
fn whole(secret: &Value) -> Option<Vec<u8>> {
    let certificate = text(secret, "tls.crt").ok()?;
    let key = text(secret, "tls.key").ok()?;
    openssl::pkey::PKey::private_key_from_pem(&key).ok()?;
    first_der(&certificate).ok()
}

fn text(secret: &Value, key: &str) -> Result<Vec<u8>> {
    let text = secret["data"][key].as_str().context("a text")?;
    Ok(openssl::base64::decode_block(text)?)
}

fn path() -> String {
    format!("/api/v1/namespaces/{HOME}/secrets/{NAME}-tls")
}
