//! Proofs that need the body: an authenticator that has to see it says so with
//! [`SecurityContext::owe_body`], and [`VerifyBody`], right behind it, sees to that.
//!
//! It protects against a body that is not the one that was proved: exchanged on the way, cut
//! short, or never digested at all. A request passes when
//!
//! 1. each proof that was left open agrees with the head alone ([`ProveBody::plan`]), before a
//!    byte of the body is read;
//! 2. where one asks for the whole body ([`BodyPlan::Collect`]), it arrives within the tightest of
//!    their limits (`body-too-large`, `request-timeout`; `request-malformed` where it breaks off),
//!    has every digest that any of them names, and each of them says that it is
//!    [finished](ProveBody::finish);
//! 3. where they only ask for a digest ([`BodyPlan::Stream`]), the body goes on to the handler as
//!    it comes, but for its last piece, which stays here until the digest is seen to match.
//!
//! A refusal is what the proof says ([`ProveBody::mismatch`]). In stream mode the handler runs
//! already: its body fails, nothing more is handed on, and the denial takes the place of its
//! answer, also where it swallowed the error. Only a head that has left already cannot be taken
//! back: an answer that is made of the body as it comes breaks off, also where it swallowed the
//! error.
//!
//! **What stream mode means.** A handler that acts on early pieces acts on bytes that nobody has
//! verified. What it never sees is the end: what it does once the body has ended, it does for the
//! body that was proved. A handler that does not read, or stops half way, is answered for as if
//! there were nothing to verify, because of what it did not read there is nothing to know.
//!
//! It stands right behind the authenticator: in a stack always (it is nothing where the
//! authenticator proves no body), by hand with [`with_body`]. Without it, an authenticator that
//! left a proof open is refused with `stack-misordered`. A proxy that changes the coding of a body
//! (compresses it, say) breaks its digest.
//!
//! A stack that only observes hands on every body whole: what it would have denied is noted, and
//! what was read goes before what was not.

mod collect;
mod layer;

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{request::Parts, response};
use http_body::Body;

use self::collect::{Collecting, Judging};
pub use self::layer::{ProvingChain, WithBody, with_body};
use crate::{
    body::{BoxError, CollectLimits, CollectedBody, RequestBody, broken},
    context::{Owed, SecurityContext, Stage, Trail},
    decision::{Code, Denial},
    digest::{ContentDigest, DigestedBody, Unproved},
    gate::{CheckBody, Guard, Later, Step},
    identity::Principal,
};

/// What an authenticator has yet to see of the body before its proof holds.
pub trait ProveBody: fmt::Debug + Send + Sync + 'static {
    /// Says what is to be done, before a byte of the body is read. `present` is whether there is
    /// a body: whether its stream has not ended, whatever `Content-Length` says.
    ///
    /// # Errors
    ///
    /// Where the head alone shows that the proof does not hold.
    fn plan(&self, parts: &Parts, present: bool, cx: &SecurityContext) -> Result<BodyPlan, Denial>;

    /// What a body is answered that is not the one that was proved.
    fn mismatch(&self) -> Denial;

    /// What the body proves, once it was read whole; asked where the plan was
    /// [`BodyPlan::Collect`]. A principal is added to the one that is there. Trailers are not handed
    /// on. A body that is there at once is proved in the call of the service, another one in its
    /// future.
    fn finish(
        &self,
        _body: &CollectedBody,
        _parts: &mut Parts,
        _cx: &mut SecurityContext,
    ) -> Step<Option<Arc<Principal>>> {
        Step::pass(None)
    }
}

/// What is to be done with a body.
#[derive(Debug, Clone)]
pub enum BodyPlan {
    /// Nothing: it is handed on as it came.
    HandOn,
    /// It is read whole before the handler is called, and has `digest` where there is one.
    Collect {
        /// How much is read, and for how long.
        limits: CollectLimits,
        /// What it is compared with.
        digest: Option<ContentDigest>,
    },
    /// It is hashed while the handler reads it; its last piece is withheld until it is seen to have
    /// `digest`.
    Stream {
        /// What it is compared with.
        digest: ContentDigest,
    },
}

/// Fulfils what authenticators owe: reads or wraps the body, right behind them.
///
/// `A` says whether there can be anything to do; a stack without such an authenticator has this
/// check and does nothing for it.
pub struct VerifyBody<A>(PhantomData<fn() -> A>);

impl<A: BodyProver> VerifyBody<A> {
    /// The check behind the authenticator `A`.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Whether a check may leave a body to be verified; see [`Authenticate::PROVES_BODY`](super::Authenticate::PROVES_BODY).
pub trait BodyProver: Send + Sync + 'static {
    /// Whether it may.
    const PROVES_BODY: bool;
}

impl<A> Default for VerifyBody<A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<A> Clone for VerifyBody<A> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<A> fmt::Debug for VerifyBody<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyBody")
    }
}

impl<A, B> CheckBody<B> for VerifyBody<A>
where
    A: BodyProver,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Guard = Option<Verified>;

    const NAME: &'static str = "VerifyBody";
    const STAGE: Stage = Stage::Authenticate;
    const PRESENT: bool = A::PROVES_BODY;

    fn check(
        &self,
        parts: &mut Parts,
        body: &mut RequestBody<B>,
        cx: &mut SecurityContext,
    ) -> Step<Option<Verified>, RequestBody<B>> {
        if !cx.owes_body() {
            return Step::Now(Ok(None));
        }
        // One that was collected is there to be looked at, also where its stream was read.
        let collected = body.as_collected();
        let present = !body.is_end_stream()
            || collected.is_some_and(|collected| !collected.bytes().is_empty());
        let plans = match Plans::of(cx.take_owed(), parts, present, cx) {
            Ok(plans) => plans,
            Err(denial) => return denial.into(),
        };
        if plans.are_none() {
            return Step::Now(Ok(None));
        }
        let at_hand = match body.as_collected() {
            Some(collected) => Some(collected.clone()),
            None => (!present).then(CollectedBody::default),
        };
        match (at_hand, plans.limits) {
            (Some(content), limits) => judge(content, limits, plans, parts, body, cx),
            (None, Some(limits)) => {
                Collecting::read(body.take(), limits, plans, cx).start(parts, body, cx)
            }
            (None, None) => {
                plans.stream(body, cx);
                Step::Now(Ok(Some(Verified(()))))
            }
        }
    }
}

/// Judges content that need not be waited for.
fn judge<B>(
    content: CollectedBody,
    limits: Option<CollectLimits>,
    plans: Plans,
    parts: &mut Parts,
    body: &mut RequestBody<B>,
    cx: &mut SecurityContext,
) -> Step<Option<Verified>, RequestBody<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if limits.is_some_and(|limits| content.bytes().len() > limits.bytes) {
        return Denial::new(Code::BodyTooLarge).into();
    }
    let mut judging = Judging::new(content, plans);
    match judging.poll(None, parts, cx) {
        Poll::Ready(result) => {
            *body = RequestBody::collected(judging.handed_on(cx));
            Step::Now(result.map(|()| None))
        }
        Poll::Pending => Step::Later(Later::of(Collecting::judge(judging))),
    }
}

/// What the proofs that were left open want, in their order; those that want nothing are not
/// among them.
#[derive(Clone)]
struct Plans {
    proofs: [Option<Open>; 2],
    /// The tightest, where any wants the whole body.
    limits: Option<CollectLimits>,
}

/// A proof that is open.
#[derive(Clone)]
struct Open {
    by: Arc<dyn ProveBody>,
    digest: Option<ContentDigest>,
    /// Whether it wants to see the whole body.
    finishes: bool,
}

impl Plans {
    fn of(owed: Owed, parts: &Parts, present: bool, cx: &SecurityContext) -> Result<Self, Denial> {
        let mut limits: Option<CollectLimits> = None;
        let mut open = |by: Arc<dyn ProveBody>| {
            let (digest, finishes) = match by.plan(parts, present, cx)? {
                BodyPlan::HandOn => return Ok(None),
                BodyPlan::Stream { digest } => (Some(digest), false),
                BodyPlan::Collect {
                    limits: its,
                    digest,
                } => {
                    let other = limits.unwrap_or(its);
                    limits = Some(CollectLimits {
                        bytes: its.bytes.min(other.bytes),
                        deadline: its.deadline.min(other.deadline),
                    });
                    (digest, true)
                }
            };
            Ok::<_, Denial>(Some(Open {
                by,
                digest,
                finishes,
            }))
        };
        let [first, second] = owed;
        let first = first.map(&mut open).transpose()?.flatten();
        let second = second.map(&mut open).transpose()?.flatten();
        Ok(Self {
            proofs: [first, second],
            limits,
        })
    }

    fn are_none(&self) -> bool {
        self.proofs.iter().all(Option::is_none)
    }

    /// How much content is hashed at once. More of it takes above some 200 microseconds, and goes
    /// where it keeps no other request waiting.
    fn at_once(&self) -> usize {
        let mut digests = self.proofs.iter().flatten();
        let slow = digests.any(|proof| proof.digest.as_ref().is_some_and(ContentDigest::is_slow));
        if slow { 48 * 1024 } else { 256 * 1024 }
    }

    /// The first proof whose digest is not the one of `content`.
    fn mismatch(&self, content: &[u8]) -> Option<Denial> {
        let mut compared: Option<&ContentDigest> = None;
        for proof in self.proofs.iter().flatten() {
            let Some(digest) = &proof.digest else {
                continue;
            };
            // Two proofs of one field are compared once.
            if compared != Some(digest) && !digest.matches(content) {
                return Some(proof.by.mismatch());
            }
            compared = Some(digest);
        }
        None
    }

    /// Has the body hashed while the handler reads it.
    fn stream<B>(self, body: &mut RequestBody<B>, cx: &SecurityContext)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let observing = cx.is_observing();
        if !observing {
            cx.trail().stream_body();
        }
        for Open { by, digest, .. } in self.proofs.into_iter().flatten() {
            let Some(digest) = digest else { continue };
            let trail = Arc::clone(cx.trail());
            let refuse = move |why: Unproved<'_>| {
                let denial = match why {
                    Unproved::Mismatch => by.mismatch(),
                    // The proof inside this one has refused the body already.
                    Unproved::Broken(error) => match error.downcast_ref::<Denial>() {
                        Some(denial) => denial.clone(),
                        None => broken(error),
                    },
                };
                if observing {
                    trail.would_have_denied(denial);
                    return None;
                }
                trail.refuse_body(denial.clone());
                Some(denial.into())
            };
            let digested = DigestedBody::new(body.take(), &digest).or(Box::new(refuse));
            *body = RequestBody::stream(if observing {
                digested.observing()
            } else {
                digested
            });
        }
    }
}

/// Answers for the handler where the body that it read was not the one that was proved.
#[derive(Debug)]
pub struct Verified(());

impl Guard for Verified {
    const SETTLES: bool = false;

    fn poll_release(
        &mut self,
        _: &mut Context<'_>,
        _: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        match trail.body_refused() {
            Some(denial) => Poll::Ready(Err(denial.clone())),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests;
