//! Who may stay: certificates that end, materials that come, connections that do nothing.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use rustls_pki_types::CertificateDer;
use zt_core::{
    clock::{ClockError, Timestamp},
    state::Snapshot,
};

use super::{
    registry::{Ending, Entry},
    server::{Phase, Server},
};
use crate::{
    apart::apart,
    credentials::Material,
    verify::{End, Refusal, Verified},
};

/// Looks at all connections, for as long as it is polled.
pub(super) async fn watch(server: Arc<Server>) {
    tokio::select! {
        () = ends(&server) => {}
        () = materials(&server) => {}
    }
}

/// What happened while a connection was made.
pub(super) fn welcome(server: &Server, entry: &Entry) {
    let material = server.credentials.load();
    if entry.generation.load(Ordering::Acquire) != material.generation() {
        match server.clock.now() {
            Ok(now) => {
                let verdict = verify(server, &material, &entry.chain, now);
                apply(entry, &material, verdict);
            }
            // Whoever judges all by this material may have done so, and will not come again.
            Err(_) => entry.throw(),
        }
    }
    match server.phase() {
        Phase::Open => {}
        Phase::Closing => entry.end(Ending::Shutdown),
        Phase::Over => entry.throw(),
    }
    if let Ok(now) = server.clock.now() {
        entry.look(now);
        if entry.until().since(now) < TICK {
            server.ends_soon.notify_one();
        }
    }
}

/// Ends what has ended, and what does nothing.
async fn ends(server: &Server) {
    let mut known = None;
    loop {
        let (wall, monotonic) = server.clock.read();
        // A clock that cannot answer stops no certificate from ending: time goes on from when it
        // last could.
        let now = match (wall, known) {
            (Ok(now), _) => Some(now),
            (Err(_), Some((wall, at))) => Some(wall + monotonic.saturating_sub(at)),
            (Err(_), None) => None,
        };
        if let Ok(now) = wall {
            known = Some((now, monotonic));
        }
        let mut wait = TICK;
        server.registry.for_each(|entry| {
            if let Some(now) = now {
                entry.look(now);
                let left = entry.until().since(now);
                if left > Duration::ZERO {
                    wait = wait.min(left);
                }
            }
            if entry.activity.idle(monotonic) >= server.limits.idle_timeout {
                entry.end(Ending::Idle);
            }
            if entry
                .line
                .is_stalled(monotonic, server.limits.stall_timeout)
            {
                tracing::debug!(address = %entry.address, "a peer does not read");
                entry.throw();
            }
        });
        tokio::select! {
            () = server.clock.sleep(wait) => {}
            () = server.ends_soon.notified() => {}
        }
    }
}

/// Judges all connections by each material that comes.
async fn materials(server: &Arc<Server>) {
    let mut changes = server.credentials.changes();
    // One may have come before anybody watched.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        if judge_all(server).await.is_err() {
            // The clock cannot answer: each request is refused meanwhile.
            server.clock.sleep(TICK).await;
            changes.mark_changed();
        }
    }
}

async fn judge_all(server: &Arc<Server>) -> Result<(), ClockError> {
    let material = server.credentials.load();
    let now = server.clock.now()?;
    let mut entries = server.registry.all();
    entries.retain(|entry| entry.generation.load(Ordering::Acquire) < material.generation());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = entries.len().div_ceil(threads).max(1);
    let mut tasks = Vec::new();
    while !entries.is_empty() {
        let some: Arc<[_]> = entries
            .split_off(entries.len().saturating_sub(share))
            .into();
        let work = {
            let (server, material, some) =
                (Arc::clone(server), Arc::clone(&material), Arc::clone(&some));
            move || judge(&server, &material, &some, now)
        };
        tasks.push((some, apart(work)));
    }
    for (some, judged) in tasks {
        if judged.await.is_none() {
            tracing::warn!("connections are closed, because nobody could judge them");
            let unjudged = |entry: &&Arc<Entry>| {
                entry.generation.load(Ordering::Acquire) < material.generation()
            };
            let unjudged = some.iter().filter(unjudged);
            unjudged.for_each(|entry| entry.end(Ending::Revoked));
        }
    }
    Ok(())
}

/// Judges connections; each chain once, however many connections showed it.
fn judge(server: &Server, material: &Snapshot<Material>, entries: &[Arc<Entry>], now: Timestamp) {
    let mut known: HashMap<&[CertificateDer<'_>], Result<Verified, Refusal>> = HashMap::new();
    for entry in entries {
        let verdict = known
            .entry(&entry.chain)
            .or_insert_with(|| verify(server, material, &entry.chain, now));
        apply(entry, material, verdict.clone());
    }
}

fn verify(
    server: &Server,
    material: &Material,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let algorithms = &server
        .credentials
        .provider()
        .signature_verification_algorithms;
    let Some((leaf, others)) = chain.split_first() else {
        return Err(Refusal::TooLong);
    };
    material
        .trust()
        .verify(End::Client, algorithms, leaf, others, now)
}

fn apply(entry: &Entry, material: &Snapshot<Material>, verdict: Result<Verified, Refusal>) {
    match verdict {
        Ok(verified) => entry.judged(material.generation(), verified.not_after),
        Err(why) => {
            let (address, peer) = (entry.address, entry.identity.spiffe_id());
            tracing::info!(%address, peer, %why, "a certificate is not good any more");
            entry.end(Ending::Revoked);
        }
    }
}

/// How often certificates are looked at, at least: clocks step.
const TICK: Duration = Duration::from_millis(500);
