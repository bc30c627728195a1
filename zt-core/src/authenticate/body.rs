//! Proofs that need the body: an authenticator that has to see it says so with
//! [`SecurityContext::owe_body`], and [`VerifyBody`], right behind it, sees to that.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{request::Parts, response};
use http_body::Body;

use super::add;
use crate::{
    body::{BoxError, CollectLimits, CollectedBody, RequestBody},
    context::{SecurityContext, Stage, Trail},
    decision::Denial,
    digest::{ContentDigest, DigestedBody},
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
    /// [`BodyPlan::Collect`]. A principal is added to the one that is there.
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
        unimplemented!()
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
