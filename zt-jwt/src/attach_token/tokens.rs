use std::{
    fmt,
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::{Either, select};
use tokio::sync::{Semaphore, watch};
use zt_core::{
    clock::{Clock, ClockError, Timestamp},
    random::Entropy,
    state::{Probe, Readiness},
};

use super::{
    AttachableToken, SourceError, TokenSource, TokensBuilder, Unavailable,
    flight::{Departure, Flights, Need},
    schedule::micros,
    settings::Checked,
};

/// The current token of a source, kept fresh; clones share it.
///
/// Requests take the token that is there: they read a snapshot, without a lock. The first one that
/// finds it due sends for a new one and goes on with the old; how long that takes, and whether the
/// issuer is up, slows nobody down until the old token ends. Then requests wait for the answer that
/// is under way, and where it does not come they get an error and are not sent.
#[derive(Clone)]
pub struct Tokens(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) source: Box<dyn TokenSource>,
    pub(super) settings: Checked,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) current: ArcSwapOption<Held>,
    /// The source should be asked from this moment of the monotonic clock on, in microseconds.
    pub(super) due: AtomicU64,
    pub(super) flights: Flights,
    /// Counts answers; who waits for one listens here.
    pub(super) landed: watch::Sender<u64>,
    /// For those who wait.
    pub(super) seats: Semaphore,
}

/// The token in use.
pub(super) struct Held {
    pub(super) token: AttachableToken,
    /// Before this it is attached.
    pub(super) usable_until: Option<End>,
    pub(super) edition: u64,
}

/// The end of a token by both clocks; the earlier one counts. The wall clock knows of the time that
/// a machine slept, the monotonic one does not move where somebody corrects the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Duration,
}

/// What was taken of a token, and which edition that is.
#[derive(Debug, Clone)]
pub(super) struct Picked<T> {
    pub(super) value: T,
    pub(super) edition: u64,
}

/// Takes of a token what is needed: a request needs one header value.
pub(super) type Pick<T> = fn(&AttachableToken) -> T;

/// How [`Tokens`] stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokensStatus {
    /// Whether there is a token to attach.
    pub usable: bool,
    /// When that token ends, where it does.
    pub expires_at: Option<Timestamp>,
    /// How many times in a row the source failed.
    pub failures: u32,
    /// What it said last, where it failed.
    pub last_error: Option<Arc<SourceError>>,
}

impl Tokens {
    /// Tokens of `source`, with the usual [settings](super::TokenSettings) and the system's clock.
    ///
    /// The source is asked when the first request comes, or by [`ready`](Self::ready) or
    /// [`keep_fresh`](Self::keep_fresh).
    pub fn new(source: impl TokenSource) -> Self {
        TokensBuilder::new(source).finish(Checked::default())
    }

    /// Tokens of `source`, with other settings.
    pub fn builder(source: impl TokenSource) -> TokensBuilder {
        TokensBuilder::new(source)
    }

    /// The token, where need be after waiting for it; for uses that no layer covers. Have it go
    /// only where it is meant to.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub async fn token(&self) -> Result<AttachableToken, Unavailable> {
        let picked = match self.0.current(AttachableToken::clone) {
            Ok(picked) => picked,
            Err(NotNow::Clock(error)) => return Err(error.into()),
            Err(NotNow::Absent) => self.0.clone().wait(AttachableToken::clone).await?,
        };
        Ok(picked.value)
    }

    /// Waits for the first token, so that a service that cannot have one says so when it starts.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub async fn ready(&self) -> Result<(), Unavailable> {
        self.token().await.map(drop)
    }

    /// Keeps the token fresh where no requests do; ends when the last handle is gone. Spawn it in
    /// services that call others seldom and must not wait then.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        const LONG: Duration = Duration::from_secs(3_600);
        let shared = Arc::downgrade(&self.0);
        async move {
            while let Some(tokens) = shared.upgrade() {
                let mut landing = tokens.landed.subscribe();
                let monotonic = tokens.clock.monotonic();
                let due = tokens.due.load(Ordering::Relaxed);
                let pause = due.saturating_sub(micros(monotonic));
                if pause == 0 {
                    tokens.depart(Need::Renewal);
                }
                // Where it was due and has not left, something is amiss that time may mend.
                let pause = Duration::from_micros(pause).clamp(Duration::from_secs(1), LONG);
                let sleep = tokens.clock.sleep(pause);
                drop(tokens);
                select(sleep, pin!(landing.changed())).await;
            }
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> TokensStatus {
        let (failures, last_error) = self.0.flights.last();
        TokensStatus {
            usable: self.0.usable(),
            expires_at: self
                .0
                .current
                .load()
                .as_ref()
                .and_then(|held| held.token.expires_at()),
            failures,
            last_error,
        }
    }

    /// Shows in `readiness`, as `name`, whether there is a token. Being asked counts as a request:
    /// a process that gets no requests until it is ready would not become ready otherwise.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        let shared = Arc::downgrade(&self.0);
        readiness.register(name, move || match shared.upgrade() {
            Some(shared) if shared.current(|_| ()).is_ok() => Probe::Ready,
            _ => Probe::NotReady("there is no token to call others with"),
        });
    }
}

/// Why no token can be had without waiting.
#[derive(Debug)]
pub(super) enum NotNow {
    Absent,
    Clock(ClockError),
}

impl Shared {
    /// The token, without waiting. Sends for another where that is due.
    pub(super) fn current<T>(self: &Arc<Self>, pick: Pick<T>) -> Result<Picked<T>, NotNow> {
        let (wall, monotonic) = self.clock.read();
        if micros(monotonic) >= self.due.load(Ordering::Relaxed) {
            self.depart(Need::Renewal);
        }
        let current = self.current.load();
        let held = current.as_ref().ok_or(NotNow::Absent)?;
        if !held.is_usable(wall, monotonic).map_err(NotNow::Clock)? {
            return Err(NotNow::Absent);
        }
        Ok(Picked {
            value: pick(&held.token),
            edition: held.edition,
        })
    }

    /// The token that is on its way.
    pub(super) async fn wait<T>(self: Arc<Self>, pick: Pick<T>) -> Result<Picked<T>, Unavailable> {
        let _seat = self.seats.try_acquire().map_err(|_| Unavailable::Crowded)?;
        let mut landing = match self.depart(Need::Token) {
            Departure::Flying(landing) => landing,
            Departure::Needless => return self.settled(pick),
            Departure::Paused(error) => return Err(error),
        };
        let deadline = self.settings.wait;
        let changed = pin!(async {
            if landing.changed().await.is_err() {
                pending::<()>().await;
            }
        });
        match select(changed, self.clock.sleep(deadline)).await {
            Either::Left(_) => self.settled(pick),
            Either::Right(_) => Err(Unavailable::TooSlow(deadline)),
        }
    }

    /// What there is now, for one who does not wait again.
    fn settled<T>(self: &Arc<Self>, pick: Pick<T>) -> Result<Picked<T>, Unavailable> {
        self.current(pick).map_err(|not_now| match not_now {
            NotNow::Clock(error) => Unavailable::Clock(error),
            NotNow::Absent => self.flights.why(self.clock.monotonic()),
        })
    }

    pub(super) fn usable(&self) -> bool {
        let (wall, monotonic) = self.clock.read();
        let current = self.current.load();
        current
            .as_ref()
            .is_some_and(|held| held.is_usable(wall, monotonic) == Ok(true))
    }
}

impl Held {
    fn is_usable(
        &self,
        wall: Result<Timestamp, ClockError>,
        monotonic: Duration,
    ) -> Result<bool, ClockError> {
        match self.usable_until {
            None => Ok(true),
            Some(end) => wall.map(|now| now < end.wall && monotonic < end.monotonic),
        }
    }
}

impl<S: TokenSource> From<S> for Tokens {
    fn from(source: S) -> Self {
        Self::new(source)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}
