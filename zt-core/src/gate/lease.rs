//! How long an answer may go on: until the permit ends, or a sanction strikes, or something else
//! that it stands on is taken away.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::settings::LIVENESS_INTERVAL;
use crate::{
    clock::{Sleep, Timestamp},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::Settings,
    identity::{PeerIdentity, Principal},
};

/// The right to go on that a response, or an upgraded connection, holds.
///
/// The gate watches response bodies itself. A handler that upgrades a connection (a websocket)
/// takes a lease and either wraps the stream with [`Lease::guard`] or selects on [`Lease::ended`].
#[derive(Clone)]
pub struct Lease {
    settings: Arc<Settings>,
    principal: Option<Arc<Principal>>,
    peer: Option<Arc<PeerIdentity>>,
    until: Option<Timestamp>,
    standing: Vec<Arc<dyn Standing>>,
}

/// Something that a permit stands on and that can be taken away while the answer goes on: a grant.
/// See [`SecurityContext::stand_on`].
pub trait Standing: fmt::Debug + Send + Sync + 'static {
    /// When it ends by itself.
    fn until(&self) -> Option<Timestamp>;

    /// Whether it is there at `now`. Asked about twice a second as long as the answer goes on, so it
    /// answers from memory.
    ///
    /// # Errors
    ///
    /// Why the answer is cut.
    fn check(&self, now: Timestamp) -> Result<(), Denial>;
}

impl Lease {
    /// The lease of a request that was permitted.
    #[must_use]
    pub fn of(cx: &SecurityContext) -> Self {
        let principal = cx.principal().cloned().or_else(|| cx.trail().principal());
        Self {
            settings: Arc::clone(cx.settings()),
            until: until(cx, principal.as_deref()),
            principal,
            peer: cx.peer().cloned(),
            standing: cx.trail().standing(),
        }
    }

    /// Whether anything can end the lease of `cx`.
    pub(crate) fn is_limited(cx: &SecurityContext) -> bool {
        let ends = |principal: Option<&Principal>| until(cx, principal).is_some();
        cx.settings().sanctions().is_some()
            || cx.trail().stands()
            || match cx.principal() {
                Some(principal) => ends(Some(principal)),
                None => ends(cx.trail().principal().as_deref()),
            }
    }

    /// Whether it still holds.
    ///
    /// # Errors
    ///
    /// `credential-expired` when the permit has ended, the sanction's code when one struck, what a
    /// [`Standing`] says when it is gone,
    /// `clock-unavailable` when nobody can say.
    pub fn check(&self) -> Result<(), Denial> {
        let now = self
            .settings
            .clock()
            .now()
            .map_err(|error| Denial::new(Code::ClockUnavailable).detail(error.to_string()))?;
        if self.until.is_some_and(|until| until <= now) {
            return Err(Code::CredentialExpired.into());
        }
        for standing in &self.standing {
            standing.check(now)?;
        }
        match self.settings.sanctions() {
            Some(sanctions) => {
                sanctions.check(self.principal.as_deref(), self.peer.as_deref(), now)
            }
            None => Ok(()),
        }
    }

    /// Ready when the lease has ended, with the reason.
    pub async fn ended(&self) -> Denial {
        let mut watch = Watch::new(self.clone());
        std::future::poll_fn(|task| watch.poll_ended(task)).await
    }

    /// `stream` for as long as the lease holds; reads and writes fail from then on.
    pub fn guard<T>(&self, stream: T) -> Leased<T> {
        Leased {
            stream,
            reading: Watch::new(self.clone()),
            writing: Watch::new(self.clone()),
        }
    }
}

/// The earliest end of permit, credential and certificate.
fn until(cx: &SecurityContext, principal: Option<&Principal>) -> Option<Timestamp> {
    let permit = cx.permit().and_then(crate::decision::Permit::valid_until);
    let credential = principal.and_then(Principal::expires_at);
    let certificate = cx.peer().map(|peer| peer.not_after());
    let standing = cx.trail().standing_until();
    earlier(earlier(earlier(permit, credential), certificate), standing)
}

/// The earlier of two ends. Written out, because the optimizer makes hundreds of instructions of
/// the minimum over an array of options.
const fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) if one.as_micros() <= other.as_micros() => Some(one),
        (_, Some(other)) => Some(other),
        (one, None) => one,
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// A lease with the timer that wakes whoever holds it.
pub(crate) struct Watch {
    lease: Lease,
    timer: Option<Sleep>,
    checked: Option<Duration>,
}

impl Watch {
    pub(crate) const fn new(lease: Lease) -> Self {
        Self {
            lease,
            timer: None,
            checked: None,
        }
    }

    /// For an answer to a request whose clock said `now` at `monotonic`. Where the lease held then,
    /// the first look can wait as long as any other.
    pub(crate) fn since(lease: Lease, now: Timestamp, monotonic: Duration) -> Self {
        let held = lease.settings.sanctions().is_none()
            && lease.standing.is_empty()
            && lease.until.is_none_or(|until| now < until);
        Self {
            lease,
            timer: None,
            checked: held.then_some(monotonic),
        }
    }

    /// Whether the lease holds right now; looks at most once a few milliseconds.
    pub(crate) fn check(&mut self) -> Result<(), Denial> {
        let now = self.lease.settings.clock().monotonic();
        let fresh = self
            .checked
            .is_some_and(|at| now.saturating_sub(at) < Duration::from_millis(10));
        if !fresh {
            self.lease.check()?;
            self.checked = Some(now);
        }
        Ok(())
    }

    /// Ready when the lease has ended; otherwise the task is woken to look again.
    pub(crate) fn poll_ended(&mut self, task: &mut Context<'_>) -> Poll<Denial> {
        loop {
            if let Err(denial) = self.lease.check() {
                return Poll::Ready(denial);
            }
            let clock = self.lease.settings.clock();
            let timer = self.timer.get_or_insert_with(|| {
                let left = self
                    .lease
                    .until
                    .zip(clock.now().ok())
                    .map(|(until, now)| until.since(now));
                clock.sleep(left.map_or(LIVENESS_INTERVAL, |left| left.min(LIVENESS_INTERVAL)))
            });
            match timer.as_mut().poll(task) {
                Poll::Ready(()) => self.timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A stream that ends with its lease; made by [`Lease::guard`].
pub struct Leased<T> {
    stream: T,
    // One for each direction: a stream may be split between two tasks, and a timer wakes only the
    // one that polled it last.
    reading: Watch,
    writing: Watch,
}

fn poll_lease(watch: &mut Watch, task: &mut Context<'_>) -> io::Result<()> {
    match watch.poll_ended(task) {
        Poll::Ready(denial) => Err(io::Error::new(io::ErrorKind::PermissionDenied, denial)),
        Poll::Pending => Ok(()),
    }
}

impl<T> fmt::Debug for Leased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased")
            .field("lease", &self.reading.lease)
            .finish_non_exhaustive()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Leased<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_lease(&mut self.reading, task)?;
        Pin::new(&mut self.stream).poll_read(task, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Leased<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_lease(&mut self.writing, task)?;
        Pin::new(&mut self.stream).poll_write(task, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
