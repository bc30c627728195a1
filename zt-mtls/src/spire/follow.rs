//! The call and the calls after it, for as long as anybody has the credentials.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
};
use zt_core::random;

use super::{
    Endpoint, FIRST_ANSWER, MAX_PAUSE, MIN_PAUSE, Spire, SpireError,
    call::{Io, Responses},
    error::Failure,
    update::{self, Update},
};
use crate::credentials::{Credentials, Material, WeakCredentials};

/// Waits for the first response that can be used, and leaves a task that follows.
pub(super) async fn connect(spire: Arc<Spire>) -> Result<Credentials, SpireError> {
    let mut last: Arc<str> = "the agent did not answer".into();
    let found = tokio::select! {
        biased;
        found = first(&spire, &mut last) => found,
        () = lasting(&spire) => Err(None),
    };
    let (mut call, update, material) = match found {
        Ok(found) => found,
        Err(Some(failure)) => return Err(SpireError::Refused(failure.to_string().into())),
        Err(None) => return Err(SpireError::NoIdentity(last)),
    };
    let provider = Arc::clone(&spire.provider);
    let credentials = Credentials::with(material, provider, Arc::clone(&spire.clock));
    let follower = Follower {
        credentials: credentials.downgrade(),
        spire,
        last: update,
    };
    let gone = gone(credentials.changes());
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = gone => {}
            () = follower.follow(&mut call) => {}
        }
    });
    Ok(credentials)
}

type First = (Call, Update, Material);

/// A call that brought a response, or the failure that is final.
async fn first(spire: &Spire, last: &mut Arc<str>) -> Result<First, Option<Failure>> {
    let mut pauses = Pauses::default();
    loop {
        match open(spire).await {
            Ok(found) => return Ok(found),
            Err(failure) if failure.is_final() => return Err(Some(failure)),
            Err(failure) => {
                tracing::warn!(agent = %spire.endpoint, error = %failure, "no identity yet");
                *last = failure.to_string().into();
            }
        }
        pauses.wait(spire).await;
    }
}

/// Until the patience ends.
async fn lasting(spire: &Spire) {
    match spire.patience {
        Some(span) => spire.clock.sleep(span).await,
        None => std::future::pending().await,
    }
}

/// Until the last clone of the credentials is dropped.
async fn gone(mut changes: watch::Receiver<u64>) {
    while changes.changed().await.is_ok() {}
}

struct Follower {
    spire: Arc<Spire>,
    credentials: WeakCredentials,
    last: Update,
}

/// A stream of responses, and since when.
struct Call {
    responses: Responses,
    since: Duration,
}

impl Follower {
    async fn follow(mut self, call: &mut Call) {
        let mut pauses = Pauses::default();
        loop {
            let failure = self.read(call).await;
            self.report(&failure);
            if self.spire.clock.monotonic().saturating_sub(call.since) >= MAX_PAUSE {
                pauses = Pauses::default();
            }
            loop {
                pauses.wait(&self.spire).await;
                match open(&self.spire).await {
                    Ok((next, update, material)) => {
                        self.replace(update, material);
                        *call = next;
                        break;
                    }
                    Err(failure) => self.report(&failure),
                }
            }
        }
    }

    /// Takes responses until one cannot be used, or there are no more.
    async fn read(&mut self, call: &mut Call) -> Failure {
        loop {
            match call.next(&self.spire).await {
                Ok((update, material)) => self.replace(update, material),
                Err(failure) => return failure,
            }
        }
    }

    /// An agent that was called again says what it said before: that is no change.
    fn replace(&mut self, update: Update, material: Material) {
        let Some(credentials) = self.credentials.upgrade() else {
            return;
        };
        if self.last == update {
            return credentials.live().confirm();
        }
        self.last = update;
        let id = material.identity().spiffe_id().cloned();
        let generation = credentials.replace(material);
        tracing::info!(id = ?id, generation, "new credentials from the agent");
    }

    fn report(&self, failure: &Failure) {
        tracing::warn!(agent = %self.spire.endpoint, error = %failure, "the last credentials are kept");
        if let Some(credentials) = self.credentials.upgrade() {
            credentials.live().failed(failure);
        }
    }
}

impl Call {
    async fn next(&mut self, spire: &Spire) -> Result<(Update, Material), Failure> {
        let message = self.responses.next().await?;
        let now = spire.clock.now();
        Ok(update::read(&message, &spire.choice, &spire.provider, now)?)
    }
}

/// Calls the agent, and waits for its first response (SPIFFE_Workload_API section 4.3: it comes at
/// once).
async fn open(spire: &Spire) -> Result<First, Failure> {
    let open = async {
        let io = reach(&spire.endpoint)
            .await
            .map_err(|error| Failure::Unreachable(spire.endpoint.clone(), error))?;
        let mut call = Call {
            responses: Responses::call(io, Arc::clone(&spire.clock)).await?,
            since: spire.clock.monotonic(),
        };
        let (update, material) = call.next(spire).await?;
        Ok((call, update, material))
    };
    tokio::select! {
        biased;
        found = open => found,
        () = spire.clock.sleep(FIRST_ANSWER) => Err(Failure::Late),
    }
}

async fn reach(endpoint: &Endpoint) -> io::Result<Io> {
    Ok(match endpoint {
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Endpoint::Tcp(address) => Box::new(TcpStream::connect(address).await?),
    })
}

/// The pauses between calls, each twice as long as the one before.
#[derive(Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    async fn wait(&mut self, spire: &Spire) {
        // Without chance all of it is waited: agents are not called by everybody at once for that.
        let chance = random::bytes::<4>(&*spire.entropy).map_or(u32::MAX, u32::from_le_bytes);
        spire.clock.sleep(self.next(chance)).await;
    }

    /// Between the half and the whole of it, by chance.
    pub(super) fn next(&mut self, chance: u32) -> Duration {
        let factor = 1_u32.checked_shl(self.0).unwrap_or(u32::MAX);
        self.0 = self.0.saturating_add(1);
        let half = MIN_PAUSE.saturating_mul(factor).min(MAX_PAUSE) / 2;
        half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}
