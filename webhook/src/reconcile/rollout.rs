//! Restarts a rollout, if this replica gets the ticket.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use serde_json::Value;

use super::in_time;
use super::restart::{Pace, Refused, patch};
use super::tell::request;

/// The Lease that says when something was restarted last. Whoever changes it may restart.
pub(crate) const TICKET: &str = "kaos-webhook-restarts";

/// A workload that could be restarted.
pub(super) struct Workload<'a> {
    /// Its path on the API server.
    pub(super) path: &'a str,
    /// The workload as it was read.
    pub(super) object: &'a Value,
    /// The hash of the settings by which its pods were missed.
    pub(super) config: &'a str,
}

/// What came of a wish to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is restarted.
    Restarted,
    /// Something else was restarted a moment ago, or another replica was faster.
    NotNow,
    /// The workload is to be left alone.
    Refused(Refused),
}

/// Restarts `workload` unless it is too early, or another replica was faster.
///
/// `home` is the namespace of the ticket.
pub(super) async fn restart(
    client: &Client,
    home: &str,
    pace: &Pace,
    workload: &Workload<'_>,
) -> Result<Tried, Error> {
    let now = Timestamp::now();
    let times = match pace.allows_workload(workload.object, workload.config, now) {
        Ok(times) => times,
        Err(refused) => return Ok(Tried::Refused(refused)),
    };
    let leases = Api::<Lease>::namespaced(client.clone(), home);
    match in_time(take_ticket(&leases, pace, now)).await {
        Ok(true) => {}
        Ok(false) => return Ok(Tried::NotNow),
        Err(error) if is_conflict(&error) => return Ok(Tried::NotNow),
        Err(error) => return Err(error),
    }
    let body = patch(workload.object, workload.config, times, now);
    let patched = request(client, "PATCH", workload.path, MERGE_PATCH, &body).await;
    match patched {
        Ok(_) => Ok(Tried::Restarted),
        // It changed since we read it: it will be looked at again.
        Err(error) if is_conflict(&error) => Ok(Tried::NotNow),
        Err(error) => Err(error),
    }
}

const MERGE_PATCH: &str = "application/merge-patch+json";

async fn take_ticket(leases: &Api<Lease>, pace: &Pace, now: Timestamp) -> Result<bool, Error> {
    let Some(mut lease) = leases.get_opt(TICKET).await? else {
        let mut lease = Lease::default();
        lease.metadata.name = Some(TICKET.to_owned());
        stamp(&mut lease, now);
        leases.create(&PostParams::default(), &lease).await?;
        return Ok(true);
    };
    let last = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    if !pace.allows(last.map(|MicroTime(time)| time), now) {
        return Ok(false);
    }
    stamp(&mut lease, now);
    // The version that was read goes along: of two replicas one gets a conflict.
    leases
        .replace(TICKET, &PostParams::default(), &lease)
        .await?;
    Ok(true)
}

fn stamp(lease: &mut Lease, now: Timestamp) {
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.renew_time = Some(MicroTime(now));
}

fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}
