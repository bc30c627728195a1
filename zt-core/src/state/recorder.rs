//! Where decisions, outcomes and administrative acts are recorded.
//!
//! zt-core says what is recorded and what "durable" means; zt-audit writes it. An effect waits for
//! [`Durable`]: a handler that changes something, the response of one that does not, an admin's
//! act.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use tokio::sync::mpsc;

use super::SanctionTarget;
use crate::{
    clock::Timestamp,
    context::{HandlerRun, Trail},
    decision::{Denial, Permit},
    gate::End,
};

/// Something that is recorded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A request was permitted or denied, or went away before either.
    Decision(DecisionEvent),
    /// A request is over.
    Outcome(OutcomeEvent),
    /// An administrator did something.
    Admin(AdminEvent),
    /// A just-in-time grant was made, used up or withdrawn.
    Grant(GrantEvent),
    /// Something happened to limits: money was held or spent, a threshold crossed.
    Budget(BudgetEvent),
    /// A sanction was imposed or lifted.
    Sanction(SanctionEvent),
    /// A configuration was loaded or refused.
    Config(ConfigEvent),
    /// A detector noticed something.
    Alert(AlertEvent),
}

impl Event {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Decision(_) => EventKind::Decision,
            Self::Outcome(_) => EventKind::Outcome,
            Self::Admin(_) => EventKind::Admin,
            Self::Grant(_) => EventKind::Grant,
            Self::Budget(_) => EventKind::Budget,
            Self::Sanction(_) => EventKind::Sanction,
            Self::Config(_) => EventKind::Config,
            Self::Alert(_) => EventKind::Alert,
        }
    }
}

/// The kinds of events; a recorder has more of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::Decision`].
    Decision,
    /// [`Event::Outcome`].
    Outcome,
    /// [`Event::Admin`].
    Admin,
    /// [`Event::Grant`].
    Grant,
    /// [`Event::Budget`].
    Budget,
    /// [`Event::Sanction`].
    Sanction,
    /// [`Event::Config`].
    Config,
    /// [`Event::Alert`].
    Alert,
}

impl EventKind {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Outcome => "outcome",
            Self::Admin => "admin",
            Self::Grant => "grant",
            Self::Budget => "budget",
            Self::Sanction => "sanction",
            Self::Config => "config",
            Self::Alert => "alert",
        }
    }
}

/// What was decided about one request. Who asked, for what and from where is in the trail.
#[derive(Debug, Clone)]
pub struct DecisionEvent {
    /// The request's facts.
    pub trail: Arc<Trail>,
    /// The decision.
    pub verdict: Verdict,
    /// What an effect waits for; `None` where it is told afterwards, and nothing waits.
    pub acknowledge: Option<Acknowledgement>,
}

/// When a record counts as taken, so that the effect that waits for it may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledgement {
    /// When it is durable.
    #[default]
    Sync,
    /// When the recorder has taken it and is not behind: it will be durable within the delay that the
    /// recorder promises, and a crash of the machine or the process can lose that much. A recorder
    /// that is further behind lets wait as with [`Sync`](Self::Sync).
    Batched,
    /// When the recorder has taken it, however far behind it is.
    Async,
}

impl Acknowledgement {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Batched => "batched",
            Self::Async => "async",
        }
    }

    /// Whether what waits may rely on the record: a crash cannot lose it any more.
    #[must_use]
    pub const fn is_durable(self) -> bool {
        matches!(self, Self::Sync)
    }
}

/// A decision as it is recorded.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It was permitted.
    Permit(Permit),
    /// It was denied.
    Deny(Denial),
    /// It went away before a decision, or no layer made one.
    Undecided,
}

impl Verdict {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Permit(_) => "permit",
            Self::Deny(_) => "deny",
            Self::Undecided => "undecided",
        }
    }
}

/// How one request ended.
#[derive(Debug, Clone)]
pub struct OutcomeEvent {
    /// The request's facts.
    pub trail: Arc<Trail>,
    /// How it ended.
    pub end: End,
    /// How far the handler came.
    pub handler: HandlerRun,
    /// The response's status, where there was a response.
    pub status: Option<StatusCode>,
    /// `grpc-status`, where the response was gRPC.
    pub grpc_status: Option<u16>,
    /// Bytes of body handed on.
    pub bytes: u64,
    /// From the opening of the context to the end.
    pub elapsed: Duration,
}

/// An administrative act: who did what to what.
#[derive(Debug, Clone)]
pub struct AdminEvent {
    /// When.
    pub at: Timestamp,
    /// Who; `None` for the application itself.
    pub author: Option<Arc<str>>,
    /// The act: `service-token.mint`.
    pub action: &'static str,
    /// What it was done to.
    pub object: Arc<str>,
    /// Why, or what else an auditor should know. Never a secret.
    pub detail: Option<String>,
}

/// A change to a just-in-time grant.
#[derive(Debug, Clone)]
pub struct GrantEvent {
    /// When.
    pub at: Timestamp,
    /// Who made the change.
    pub author: Option<Arc<str>>,
    /// Who vouched for them.
    pub author_issuer: Option<Arc<str>>,
    /// `requested`, `approved`, `rejected`, `withdrawn`, `lapsed`, `revoked`, `expired`,
    /// `break-glass`, `reviewed`; `undone` where what was recorded did not happen after all.
    pub action: &'static str,
    /// Which grant.
    pub id: Option<Arc<str>>,
    /// Whose grant.
    pub subject: Arc<str>,
    /// Who vouched for them.
    pub issuer: Option<Arc<str>>,
    /// For which tenant it is.
    pub tenant: Option<Arc<str>>,
    /// What is granted: its scope.
    pub grant: Arc<str>,
    /// Why: what whoever asked said, or whoever decided otherwise.
    pub reason: Option<String>,
    /// When it ends, or lapses where nobody has approved it.
    pub expires: Option<Timestamp>,
}

/// Something that happened to limits: money held or spent, a threshold crossed, an administrator's
/// act.
///
/// What was spent from a budget in a window is the sum over the holds in the `settled` and `expired`
/// events (a `settled` one replaces the `expired` one of its hold), and over the `charge` ones,
/// since the last `reset`. `overrun` says which part of that was not held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetEvent {
    /// When.
    pub at: Timestamp,
    /// Who made the change, where a person did.
    pub author: Option<Arc<str>>,
    /// `held`, `extended`, `unmetered`, `settled`, `expired`, `overrun`, `threshold`, `burn`, `would-refuse`,
    /// `override`, `clear-override`, `grant`, `revoke`, `reset`, `charge`.
    pub action: &'static str,
    /// The reservation.
    pub hold: Option<u128>,
    /// The subject of the outermost level, under which all of it is counted.
    pub root: Arc<str>,
    /// Which limits. An amount is spent from each of them, not divided among them.
    pub budgets: Arc<[BudgetPart]>,
    /// The ISO 4217 code; `None` where it is not about money.
    pub currency: Option<Arc<str>>,
    /// How much: in nano-units of the currency, else in units of the limit. All that is held, all
    /// that was charged, what was spent above the hold, what is spent where a threshold was crossed.
    pub nanos: u64,
    /// Of the limit: which threshold was crossed; what will be spent at the window's end.
    pub percent: Option<u32>,
    /// The request that it belongs to.
    pub request: Option<crate::context::RequestId>,
    /// What else an auditor should know. Never a secret.
    pub detail: Option<String>,
}

/// One limit of one subject, in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetPart {
    /// The name of the limit.
    pub limit: Arc<str>,
    /// Whose.
    pub subject: Arc<str>,
    /// The window: its first moment, and the first one after it. Rates have none.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// A sanction imposed or lifted.
#[derive(Debug, Clone)]
pub struct SanctionEvent {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: Arc<str>,
    /// `imposed` or `lifted`.
    pub action: &'static str,
    /// Against what.
    pub target: SanctionTarget,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// A configuration loaded or refused.
#[derive(Debug, Clone)]
pub struct ConfigEvent {
    /// When.
    pub at: Timestamp,
    /// Which part: `policy`, `limits`, `jwks`, `certificate`.
    pub part: &'static str,
    /// `loaded` or `refused`.
    pub action: &'static str,
    /// Its version or digest.
    pub version: Arc<str>,
    /// What was wrong.
    pub detail: Option<String>,
}

/// Something that a detector noticed.
#[derive(Debug, Clone)]
pub struct AlertEvent {
    /// When.
    pub at: Timestamp,
    /// Which detector.
    pub detector: &'static str,
    /// About whom.
    pub subject: Arc<str>,
    /// How sure, in thousandths.
    pub score: u32,
    /// What it saw.
    pub evidence: String,
}

/// The record could not be made durable; whatever waits for it refuses with `audit-unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The queue has no place.
    #[error("the audit queue is full")]
    Full,
    /// The log cannot write.
    #[error("the audit log cannot write: {0}")]
    Unavailable(Arc<str>),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

/// Takes events and makes them durable, in order.
pub trait Recorder: fmt::Debug + Send + Sync + 'static {
    /// Takes `event` at once, without waiting; what waits for it polls the [`Durable`].
    fn record(&self, event: Event) -> Durable;

    /// Events from now on, after each is durable; at most `capacity` wait, more are dropped and
    /// counted.
    fn subscribe(&self, capacity: usize) -> Events;
}

impl<R: Recorder + ?Sized> Recorder for Arc<R> {
    fn record(&self, event: Event) -> Durable {
        (**self).record(event)
    }

    fn subscribe(&self, capacity: usize) -> Events {
        (**self).subscribe(capacity)
    }
}

/// How far a recorder has come; its implementation behind [`Durable`].
pub trait DurableProgress: Send + Sync {
    /// Ready when record `index` is durable, or never will be.
    ///
    /// # Errors
    ///
    /// When the record was not written.
    fn poll_durable(&self, index: u64, task: &mut Context<'_>) -> Poll<Result<(), RecordError>>;
}

/// A future that is ready when a record is durable. Dropping it changes nothing: the record is
/// written all the same.
#[must_use]
pub struct Durable(State);

enum State {
    Done(Result<(), RecordError>),
    Waiting(Arc<dyn DurableProgress>, u64),
}

impl Durable {
    /// Already decided.
    pub const fn done(result: Result<(), RecordError>) -> Self {
        Self(State::Done(result))
    }

    /// Record `index` of `progress`.
    pub fn waiting(progress: Arc<dyn DurableProgress>, index: u64) -> Self {
        Self(State::Waiting(progress, index))
    }

    /// Lets the record be written without waiting for it.
    pub fn detach(self) {}
}

impl Future for Durable {
    type Output = Result<(), RecordError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &self.0 {
            State::Done(result) => return Poll::Ready(result.clone()),
            State::Waiting(progress, index) => {
                std::task::ready!(progress.poll_durable(*index, task))
            }
        };
        self.0 = State::Done(result.clone());
        Poll::Ready(result)
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Done(result) => f.debug_tuple("Durable").field(result).finish(),
            State::Waiting(_, index) => write!(f, "Durable(waiting for {index})"),
        }
    }
}

/// Events after they are durable; see [`Recorder::subscribe`].
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// The next event; `None` when the recorder is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, where one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// How many events found no place.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The subscribers of a recorder; for implementations of [`Recorder`].
#[derive(Debug, Default)]
pub struct Fanout(Mutex<Vec<(mpsc::Sender<Event>, Arc<AtomicU64>)>>);

impl Fanout {
    /// Adds a subscriber with place for `capacity` events (at least one).
    #[must_use]
    pub fn subscribe(&self, capacity: usize) -> Events {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        self.lock().push((sender, Arc::clone(&dropped)));
        Events { receiver, dropped }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Sends `event` to each subscriber; never waits.
    pub fn publish(&self, event: &Event) {
        self.lock()
            .retain(|(sender, dropped)| match sender.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(mpsc::Sender<Event>, Arc<AtomicU64>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the last events in memory: for tests and development. Nothing is durable.
#[derive(Debug)]
pub struct MemoryRecorder {
    events: Mutex<VecDeque<Event>>,
    capacity: usize,
    fanout: Fanout,
}

impl MemoryRecorder {
    /// Keeps at most `capacity` events and forgets the oldest.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            events: Mutex::default(),
            capacity: capacity.max(1),
            fanout: Fanout::default(),
        }
    }

    /// What was recorded, the oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

impl Recorder for MemoryRecorder {
    fn record(&self, event: Event) -> Durable {
        self.fanout.publish(&event);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == self.capacity {
            events.pop_front();
        }
        events.push_back(event);
        Durable::done(Ok(()))
    }

    fn subscribe(&self, capacity: usize) -> Events {
        self.fanout.subscribe(capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(object: &str) -> Event {
        Event::Admin(AdminEvent {
            at: Timestamp::EPOCH,
            author: None,
            action: "test",
            object: object.into(),
            detail: None,
        })
    }

    #[tokio::test]
    async fn subscribers_are_bounded_and_drops_are_counted() {
        let recorder = MemoryRecorder::new(2);
        let mut events = recorder.subscribe(2);
        for object in ["a", "b", "c"] {
            recorder.record(admin(object)).await.unwrap();
        }
        assert_eq!(events.dropped(), 1);
        let Some(Event::Admin(first)) = events.next().await else {
            panic!("an event")
        };
        assert_eq!(&*first.object, "a");
        assert_eq!(recorder.events().len(), 2);
        drop(events);
        recorder.record(admin("d")).detach();
        assert!(recorder.fanout.is_empty());
    }
}
