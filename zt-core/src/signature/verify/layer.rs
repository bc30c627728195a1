use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, request::Parts};

use super::{
    ConfigError, SignaturePolicy,
    body::SignedBody,
    check::{Looked, Proved, Search, digest_forms, fields},
    refusal::Refusal,
};
use crate::{
    authenticate::{Authenticate, Presented},
    context::SecurityContext,
    decision::{Challenge, Denial},
    gate::{Later, Step},
    identity::Principal,
    signature::{
        base::{Component, SIGNATURE, SIGNATURE_INPUT},
        key::{KeyResolver, Resolved},
        replay::{Recording, ReplayMemory, Verdict},
        verify::refuse::Answers,
    },
    store::BoxFuture,
};

/// Lets requests pass that are signed as its policy wants; see the [module](super).
#[derive(Clone)]
pub struct VerifySignatureLayer(Arc<Inner>);

/// The service that [`VerifySignatureLayer`] makes of `S`.
pub type VerifySignature<S> = <VerifySignatureLayer as tower_layer::Layer<S>>::Service;

crate::impl_body_authenticate_layer!(VerifySignatureLayer);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) policy: SignaturePolicy,
    pub(super) keys: Arc<dyn KeyResolver>,
    pub(super) replays: Arc<dyn ReplayMemory>,
    pub(super) explains: bool,
    /// The forms of the component that binds the body's digest.
    pub(super) digests: Vec<Component>,
    pub(super) answers: Answers,
    /// What is left to be seen of the body: where its digest is covered, and where it is not.
    covered: Arc<SignedBody>,
    uncovered: Arc<SignedBody>,
}

impl VerifySignatureLayer {
    /// Verifies signatures as `policy` says, with the keys that `keys` finds, and lets each pass
    /// once, as far as `replays` remembers.
    ///
    /// # Errors
    ///
    /// Where the memory forgets before the policy does or counts on a smaller skew, the fixed
    /// authority is none, or the policy cannot be told to clients.
    pub fn new(
        policy: SignaturePolicy,
        keys: impl KeyResolver,
        replays: impl ReplayMemory,
    ) -> Result<Self, ConfigError> {
        if let Some(memory) = replays.window()
            && memory < policy.replay_window()
        {
            return Err(ConfigError::MemoryTooShort {
                memory,
                policy: policy.replay_window(),
            });
        }
        if let Some(memory) = replays.future_skew()
            && memory < policy.future_skew
        {
            return Err(ConfigError::MemorySkew {
                memory,
                policy: policy.future_skew,
            });
        }
        policy.authority.check()?;
        let answers = Answers::new(&policy, REALM)?;
        Ok(Self(Arc::new(Inner {
            covered: Arc::new(SignedBody::new(&policy, true, &answers)),
            uncovered: Arc::new(SignedBody::new(&policy, false, &answers)),
            keys: Arc::new(keys),
            replays: Arc::new(replays),
            explains: false,
            digests: digest_forms(),
            answers,
            policy,
        })))
    }

    /// Where a signature does not hold, the denial's private detail describes the signature base:
    /// lengths and short hashes of what is covered, never the values. For finding out why two sides
    /// do not agree; see [`explain`](crate::signature::explain).
    #[must_use]
    pub fn explaining(mut self) -> Self {
        Arc::make_mut(&mut self.0).explains = true;
        self
    }

    fn go_on(&self, search: Search, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        match self.0.proceed(search, cx) {
            Next::Done(result) => result.into(),
            Next::Wait(wait) => self.later(wait),
        }
    }

    /// Goes on where a key or the memory has to be waited for.
    fn later(&self, wait: Wait) -> Step<Arc<Principal>> {
        let inner = Arc::clone(&self.0);
        let mut wait = Some(wait);
        Step::Later(Later::poll_fn(move |task, parts, cx| {
            while let Some(waiting) = wait.as_mut() {
                let ready = ready!(waiting.poll(task));
                let next = match (ready, wait.take()) {
                    (Ready::Key(resolved), Some(Wait::Key { looked, .. })) => {
                        inner.proceed(inner.search(parts, cx, *looked, Some(resolved)), cx)
                    }
                    (Ready::Verdict(verdict), Some(Wait::Replay { at, proved, .. })) => {
                        inner.after(verdict, at, proved, cx)
                    }
                    _ => break,
                };
                match next {
                    Next::Done(result) => return Poll::Ready(result),
                    Next::Wait(next) => wait = Some(next),
                }
            }
            Poll::Ready(Err(Denial::misordered(
                "a signature was polled after it was judged",
            )))
        }))
    }
}

const REALM: &str = "api";

/// An answer, or something to wait for.
enum Next {
    Done(Result<Arc<Principal>, Denial>),
    Wait(Wait),
}

/// What is waited for.
enum Wait {
    Key {
        looked: Box<Looked>,
        future: BoxFuture<'static, Resolved>,
    },
    Replay {
        /// Which of the signatures.
        at: usize,
        future: BoxFuture<'static, Verdict>,
        proved: Proved,
    },
}

enum Ready {
    Key(Resolved),
    Verdict(Verdict),
}

impl Wait {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Ready> {
        match self {
            Self::Key { future, .. } => future.as_mut().poll(task).map(Ready::Key),
            Self::Replay { future, .. } => future.as_mut().poll(task).map(Ready::Verdict),
        }
    }
}

impl Inner {
    fn proceed(&self, search: Search, cx: &mut SecurityContext) -> Next {
        match search {
            Search::Found(proved) => self.record(0, proved, cx),
            Search::Refused(refused) => Next::Done(Err(self.answers.denial(refused))),
            Search::Asked { looked, resolving } => Next::Wait(Wait::Key {
                looked,
                future: resolving,
            }),
        }
    }

    /// Remembers the signatures from `at` on; with the last one the request passes.
    fn record(&self, mut at: usize, proved: Proved, cx: &mut SecurityContext) -> Next {
        while let Some(sighting) = proved.sighting(at, cx.now()) {
            match self.replays.record(&sighting) {
                Recording::Now(Verdict::Fresh) => at += 1,
                Recording::Now(verdict) => return self.after(verdict, at, proved, cx),
                Recording::Later(future) => {
                    return Next::Wait(Wait::Replay { at, future, proved });
                }
            }
        }
        Next::Done(self.admit(&proved, cx))
    }

    fn after(&self, verdict: Verdict, at: usize, proved: Proved, cx: &mut SecurityContext) -> Next {
        let refusal = match verdict {
            Verdict::Fresh => return self.record(at + 1, proved, cx),
            Verdict::Replayed => Refusal::Replayed,
            Verdict::Unavailable(why) => Refusal::ReplayUnavailable(why),
        };
        Next::Done(Err(self.answers.denial(refusal.into())))
    }

    fn admit(&self, proved: &Proved, cx: &mut SecurityContext) -> Result<Arc<Principal>, Denial> {
        let body = if proved.digest {
            &self.covered
        } else {
            &self.uncovered
        };
        cx.owe_body(Arc::clone(body) as _)?;
        Ok(Arc::clone(proved.principal()))
    }
}

impl Authenticate for VerifySignatureLayer {
    const NAME: &'static str = "VerifySignature";
    const PROVES_BODY: bool = true;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        let fields = fields(parts, cx);
        let absent = |name: &HeaderName| fields.lines(name).next().is_none();
        if absent(&SIGNATURE_INPUT) && absent(&SIGNATURE) {
            return Presented::Absent;
        }
        if self.0.is_for_us(parts, cx) {
            Presented::Mine
        } else {
            Presented::Foreign
        }
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        let search = self.0.search(parts, cx, Looked::default(), None);
        self.go_on(search, cx)
    }

    /// Reads the fields once.
    fn proceed(
        &self,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Result<Step<Arc<Principal>>, Presented> {
        let search = self.0.search(parts, cx, Looked::default(), None);
        if search.is_for_others() {
            return Err(self.presented(parts, cx));
        }
        Ok(self.go_on(search, cx))
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![self.0.answers.challenge().clone()]
    }

    /// Signatures that are for others are as good as none.
    fn unproved(&self, _: Presented) -> Denial {
        self.0.answers.missing()
    }
}

impl fmt::Debug for VerifySignatureLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifySignatureLayer")
            .field("policy", &self.0.policy)
            .field("keys", &self.0.keys)
            .field("replays", &self.0.replays)
            .finish_non_exhaustive()
    }
}
