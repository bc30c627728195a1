use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::request::Parts;

use super::{
    ConfigError, SignaturePolicy,
    body::SignedBody,
    check::{Proved, Refused, Search, digest_forms},
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
    /// Where the memory forgets before the policy does, or the policy cannot be told to clients.
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

    fn verify(&self, parts: &Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        match self.0.search(parts, cx, 0, None, None) {
            Search::Found(proved) => match self.0.record(&proved, cx) {
                Recording::Now(verdict) => self.0.admit(&proved, verdict, cx).into(),
                Recording::Later(future) => self.later(Wait::Replay { future, proved }),
            },
            Search::Refused(refused) => self.0.answers.denial(refused).into(),
            Search::Asked {
                at,
                refused,
                resolving,
            } => self.later(Wait::Key {
                at,
                refused,
                future: resolving,
            }),
        }
    }

    /// Goes on where a key or the memory has to be waited for.
    fn later(&self, wait: Wait) -> Step<Arc<Principal>> {
        let inner = Arc::clone(&self.0);
        let mut wait = Some(wait);
        Step::Later(Later::poll_fn(move |task, parts, cx| {
            while let Some(waiting) = wait.as_mut() {
                match ready!(waiting.poll(task)) {
                    Ready::Verdict(verdict) => {
                        let Some(Wait::Replay { proved, .. }) = wait.take() else {
                            break;
                        };
                        return Poll::Ready(inner.admit(&proved, verdict, cx));
                    }
                    Ready::Key(resolved) => {
                        let Some(Wait::Key { at, refused, .. }) = wait.take() else {
                            break;
                        };
                        match inner.search(parts, cx, at, Some(resolved), refused) {
                            Search::Refused(refused) => {
                                return Poll::Ready(Err(inner.answers.denial(refused)));
                            }
                            Search::Asked {
                                at,
                                refused,
                                resolving: future,
                            } => {
                                wait = Some(Wait::Key {
                                    at,
                                    refused,
                                    future,
                                });
                            }
                            Search::Found(proved) => match inner.record(&proved, cx) {
                                Recording::Now(verdict) => {
                                    return Poll::Ready(inner.admit(&proved, verdict, cx));
                                }
                                Recording::Later(future) => {
                                    wait = Some(Wait::Replay { future, proved });
                                }
                            },
                        }
                    }
                }
            }
            Poll::Ready(Err(Denial::misordered(
                "a signature was polled after it was judged",
            )))
        }))
    }
}

const REALM: &str = "api";

/// What is waited for.
enum Wait {
    Key {
        at: usize,
        refused: Option<Refused>,
        future: BoxFuture<'static, Resolved>,
    },
    Replay {
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
    fn record(&self, proved: &Proved, cx: &SecurityContext) -> Recording {
        self.replays.record(&proved.sighting(cx.now()))
    }

    fn admit(
        &self,
        proved: &Proved,
        verdict: Verdict,
        cx: &mut SecurityContext,
    ) -> Result<Arc<Principal>, Denial> {
        let refusal = match verdict {
            Verdict::Fresh => {
                let body = if proved.digest {
                    &self.covered
                } else {
                    &self.uncovered
                };
                cx.owe_body(Arc::clone(body) as _)?;
                return Ok(Arc::clone(&proved.principal));
            }
            Verdict::Replayed => Refusal::Replayed,
            Verdict::Unavailable(why) => Refusal::ReplayUnavailable(why),
        };
        Err(self.answers.denial(refusal.into()))
    }
}

impl Authenticate for VerifySignatureLayer {
    const NAME: &'static str = "VerifySignature";
    const PROVES_BODY: bool = true;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        let headers = &parts.headers;
        if !headers.contains_key(SIGNATURE_INPUT) && !headers.contains_key(SIGNATURE) {
            return Presented::Absent;
        }
        if self.0.is_for_us(parts, cx) {
            Presented::Mine
        } else {
            Presented::Foreign
        }
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        self.verify(parts, cx)
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
