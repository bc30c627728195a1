use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Uri, header, request::Parts};

use super::{Claimed, ClientAddress, RequestId, Stage, TraceParent, detached};
use crate::{
    clock::{ClockError, Timestamp},
    decision::{Code, Denial, Permit},
    gate::{Settings, Standing},
    identity::{PeerIdentity, Principal},
    state::Route,
};

/// How far the handler came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerRun {
    /// It was never called: no effect can have happened.
    NotReached,
    /// It was called.
    Reached,
    /// It was called and panicked.
    Panicked,
}

/// What an answer stands on.
type Stands = Mutex<Vec<Arc<dyn Standing>>>;

/// What is known about one request, shared between its context and the guards that outlive it.
///
/// Extensions do not survive an abandoned request; this does, because every guard holds a handle.
pub struct Trail {
    /// Here and not in the context, so that copies of the context do not all count on the one
    /// value that every request of every thread shares.
    pub(super) settings: Arc<Settings>,
    pub(super) request_id: RequestId,
    pub(super) opened_at: Result<Timestamp, ClockError>,
    pub(super) opened_monotonic: Duration,
    pub(super) traceparent: Option<TraceParent>,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) grpc: bool,
    pub(super) client: ClientAddress,
    pub(super) claimed: Claimed,
    pub(super) peer: Option<Arc<PeerIdentity>>,
    pub(super) route: OnceLock<Route>,
    pub(super) principal: Mutex<Option<Arc<Principal>>>,
    pub(super) permit: OnceLock<Permit>,
    pub(super) denial: OnceLock<Denial>,
    pub(super) would_deny: OnceLock<Denial>,
    pub(super) dry_run: OnceLock<Arc<str>>,
    pub(super) timings: Mutex<Vec<(&'static str, Duration)>>,
    pub(super) stages: AtomicU16,
    /// The run, and in the upper half how many gates it has passed at most.
    pub(super) handler: AtomicU16,
    pub(super) decided: AtomicBool,
    pub(super) rolled_up: AtomicBool,
    pub(super) body_exceeded: AtomicBool,
    pub(super) body_streams: AtomicBool,
    pub(super) body_refused: OnceLock<Denial>,
    pub(super) watched: AtomicBool,
    /// What the answer stands on besides; boxed, because few requests have any.
    standing: OnceLock<Box<Stands>>,
}

impl Trail {
    pub(super) fn open(
        parts: &Parts,
        kept: bool,
        settings: Arc<Settings>,
        opened_at: Result<Timestamp, ClockError>,
        opened_monotonic: Duration,
        client: ClientAddress,
        claimed: Claimed,
    ) -> Self {
        let agent = parts.headers.get(header::USER_AGENT);
        let (uri, user_agent) = if kept {
            detached::target(&parts.uri, agent)
        } else {
            (parts.uri.clone(), agent.cloned())
        };
        Self {
            settings,
            request_id: RequestId::next(),
            opened_at,
            opened_monotonic,
            traceparent: TraceParent::from_headers(&parts.headers),
            method: parts.method.clone(),
            uri,
            user_agent,
            grpc: is_grpc(parts),
            client,
            claimed,
            peer: parts.extensions.get::<Arc<PeerIdentity>>().cloned(),
            route: OnceLock::new(),
            principal: Mutex::new(None),
            permit: OnceLock::new(),
            denial: OnceLock::new(),
            would_deny: OnceLock::new(),
            dry_run: OnceLock::new(),
            timings: Mutex::new(Vec::new()),
            stages: AtomicU16::new(0),
            handler: AtomicU16::new(0),
            decided: AtomicBool::new(false),
            rolled_up: AtomicBool::new(false),
            body_exceeded: AtomicBool::new(false),
            body_streams: AtomicBool::new(false),
            body_refused: OnceLock::new(),
            watched: AtomicBool::new(false),
            standing: OnceLock::new(),
        }
    }

    /// The request's id.
    #[must_use]
    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The request's `now`; the epoch where the clock could not answer (such a request is refused).
    #[must_use]
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at.unwrap_or(Timestamp::EPOCH)
    }

    /// The monotonic clock at that moment.
    #[must_use]
    pub const fn opened_monotonic(&self) -> Duration {
        self.opened_monotonic
    }

    /// The caller's trace, where it is valid.
    #[must_use]
    pub const fn traceparent(&self) -> Option<TraceParent> {
        self.traceparent
    }

    /// The method as it came.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The target as it was first seen, before any router took a prefix away.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What the client calls itself.
    #[must_use]
    pub const fn user_agent(&self) -> Option<&HeaderValue> {
        self.user_agent.as_ref()
    }

    /// Whether the request is gRPC.
    #[must_use]
    pub const fn is_grpc(&self) -> bool {
        self.grpc
    }

    /// Where it comes from.
    #[must_use]
    pub const fn client(&self) -> &ClientAddress {
        &self.client
    }

    /// The identity headers as they came.
    #[must_use]
    pub const fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// The workload on the connection.
    #[must_use]
    pub const fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.peer.as_ref()
    }

    /// The route, once it was resolved.
    #[must_use]
    pub fn route(&self) -> Option<&Route> {
        self.route.get()
    }

    /// Who asks, once that was proved.
    #[must_use]
    pub fn principal(&self) -> Option<Arc<Principal>> {
        self.principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The permit, once there is one.
    #[must_use]
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.get()
    }

    /// The denial that the request was answered with.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        self.denial.get()
    }

    /// The first denial that a stack which only observes let pass.
    #[must_use]
    pub fn would_deny(&self) -> Option<&Denial> {
        self.would_deny.get()
    }

    /// What rules that are only tried would have decided otherwise.
    #[must_use]
    pub fn dry_run(&self) -> Option<&str> {
        self.dry_run.get().map(|note| &**note)
    }

    /// How long each check took, where the stack was told to measure.
    #[must_use]
    pub fn timings(&self) -> Vec<(&'static str, Duration)> {
        self.timings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How far the handler came.
    #[must_use]
    pub fn handler(&self) -> HandlerRun {
        match self.handler.load(Ordering::Acquire) & RUN {
            0 => HandlerRun::NotReached,
            1 => HandlerRun::Reached,
            _ => HandlerRun::Panicked,
        }
    }

    /// Whether a check of `stage` has begun, as of the last chain that ended or stopped.
    #[must_use]
    pub fn has_reached(&self, stage: Stage) -> bool {
        self.stages.load(Ordering::Acquire) & stage.bit() != 0
    }

    /// Takes the right to record the request's decision: `true` once, whoever asks first.
    #[must_use]
    pub fn take_decision(&self) -> bool {
        !self.decided.swap(true, Ordering::AcqRel)
    }

    /// Bytes of what came with the request and is kept of it, roughly: what a record that waits
    /// keeps in memory. A caller that others share is counted whole.
    #[must_use]
    pub fn size(&self) -> usize {
        let target = self.uri.path_and_query();
        let target = target.map_or(0, |target| target.as_str().len());
        let agent = self.user_agent.as_ref().map_or(0, HeaderValue::len);
        let caller = {
            let principal = self.principal.lock();
            let principal = principal.unwrap_or_else(PoisonError::into_inner);
            principal.as_ref().map(|caller| caller.size())
        };
        let caller = caller.or_else(|| Some(self.permit()?.principal()?.size()));
        self.claimed
            .size()
            .saturating_add(target)
            .saturating_add(agent)
            .saturating_add(caller.unwrap_or(0))
    }

    /// Notes that the request's decision has no record of its own and is only counted. For
    /// recorders, so that they tell the outcome alike.
    pub fn roll_up(&self) {
        self.rolled_up.store(true, Ordering::Release);
    }

    /// Whether the request's decision is only counted.
    #[must_use]
    pub fn is_rolled_up(&self) -> bool {
        self.rolled_up.load(Ordering::Acquire)
    }

    /// Whether the request's body was longer than its limit.
    #[must_use]
    pub fn has_exceeded_body(&self) -> bool {
        self.body_exceeded.load(Ordering::Acquire)
    }

    /// Why the request's body, as far as it came, was not the one that was proved.
    #[must_use]
    pub fn body_refused(&self) -> Option<&Denial> {
        self.body_refused.get()
    }

    pub(crate) const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(super) fn take_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn release_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }

    pub(super) fn stand_on(&self, standing: Arc<dyn Standing>) {
        self.standing
            .get_or_init(Box::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(standing);
    }

    pub(crate) fn stands(&self) -> bool {
        self.standing.get().is_some()
    }

    pub(crate) fn standing(&self) -> Vec<Arc<dyn Standing>> {
        self.standing
            .get()
            .map(|standing| {
                standing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone()
            })
            .unwrap_or_default()
    }

    pub(crate) fn standing_until(&self) -> Option<Timestamp> {
        let standing = self.standing.get()?;
        let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing
            .iter()
            .filter_map(|standing| standing.until())
            .min()
    }

    pub(crate) fn body_exceeded(&self) {
        self.body_exceeded.store(true, Ordering::Release);
    }

    /// Notes that the request's body is verified while the handler reads it.
    pub(crate) fn stream_body(&self) {
        self.body_streams.store(true, Ordering::Release);
    }

    pub(crate) fn streams_body(&self) -> bool {
        self.body_streams.load(Ordering::Acquire)
    }

    pub(crate) fn refuse_body(&self, denial: Denial) {
        let _ = self.body_refused.set(denial);
    }

    /// Whether the stack observes only, at the request's `now`.
    pub(crate) fn is_observing(&self) -> bool {
        self.settings
            .observe_until()
            .is_some_and(|until| self.opened_at() < until)
    }

    /// Whether the stack lets this denial pass.
    pub(crate) fn would_waive(&self, denial: &Denial) -> bool {
        let stands = matches!(
            denial.code(),
            Code::StackMisordered
                | Code::AuditUnavailable
                | Code::ClockUnavailable
                | Code::HandlerPanicked
        );
        !stands && self.is_observing()
    }

    /// Lets a denial pass where the stack was told to observe only, and notes it.
    pub(crate) fn waive(&self, denial: Denial) -> Result<(), Denial> {
        if !self.would_waive(&denial) {
            return Err(denial);
        }
        self.would_have_denied(denial);
        Ok(())
    }

    /// Notes what a stack that only observes lets pass.
    pub(crate) fn would_have_denied(&self, denial: Denial) {
        tracing::warn!(
            request_id = %self.request_id, code = denial.code().as_str(), rule = denial.rule(),
            policy = denial.policy(), version = denial.version(), "would deny"
        );
        let _ = self.would_deny.set(denial);
    }

    /// Notes what rules that are only tried would have decided; the first note stays.
    pub(crate) fn tried(&self, note: impl Into<Arc<str>>) {
        let _ = self.dry_run.set(note.into());
    }

    pub(crate) fn deny(&self, denial: &Denial) {
        // The first denial is the answer's reason; a later one (an audit log that cannot write
        // after the handler panicked) stands in the outcome through the response's status.
        let _ = self.denial.set(denial.clone());
    }

    /// Notes that a gate behind `outside` others calls its inner service.
    pub(crate) fn reach(&self, outside: u8) {
        let passed = u16::from(outside).saturating_add(1) << 8;
        self.note_run(|noted| Some((noted & !RUN).max(passed) | HandlerRun::Reached as u16));
    }

    /// Notes that a gate behind `outside` others refused. Those believed that they had reached the
    /// handler, and had reached that gate; unless another attempt (a layer in between tries again)
    /// came further: then it ran.
    pub(crate) fn turn_back(&self, outside: u8) {
        self.note_run(|noted| {
            (noted >> 8 <= u16::from(outside))
                .then_some(noted & !RUN | HandlerRun::NotReached as u16)
        });
    }

    pub(crate) fn panicked(&self) {
        self.note_run(|noted| Some(noted & !RUN | HandlerRun::Panicked as u16));
    }

    fn note_run(&self, change: impl FnMut(u16) -> Option<u16>) {
        // Where nothing is to be changed, it stays.
        let _ = self
            .handler
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }
}

/// The lower half of [`Trail::handler`].
const RUN: u16 = 0xff;

/// The id; everything else may be personal.
impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// `application/grpc`, alone or with a suffix such as `+proto` (gRPC over HTTP/2, "Requests").
fn is_grpc(parts: &Parts) -> bool {
    parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| {
            value
                .as_bytes()
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";")
                })
        })
}
