use std::{
    fmt,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    Access, Policy, ReadingBodies, Verdict,
    check::{Duty, conclude, public, undecided},
};
use crate::{
    body::BodyRoom,
    context::{SecurityContext, Stage},
    decision::{Code, Denial, PolicyName},
    gate::{Check, Gate, Later, Link, Root, Step},
    stack::slots::{Authorization, Authorizes},
};

/// Asks a [`Policy`] whether the request may go on; see the [module](super).
pub struct AuthorizeLayer<P> {
    policy: Arc<P>,
    settings: Arc<PolicySettings>,
}

/// The service that [`AuthorizeLayer`] makes.
pub type Authorize<S, P> = <AuthorizeLayer<P> as Layer<S>>::Service;

#[derive(Debug, Clone)]
struct PolicySettings {
    name: Option<PolicyName>,
    deadline: Duration,
    room: BodyRoom,
}

impl<P: Policy> AuthorizeLayer<P> {
    /// Nothing passes that `policy` does not permit.
    pub fn new(policy: P) -> Self {
        Self {
            policy: Arc::new(policy),
            settings: Arc::new(PolicySettings {
                name: None,
                deadline: Duration::from_secs(5),
                room: BodyRoom::default(),
            }),
        }
    }

    /// What permits and audit records call the policy, where its verdicts do not say.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.settings).name = Some(PolicyName::new(name, version));
        self
    }

    /// How long a policy may wait for its facts; 5 s. Then the request is refused with
    /// `store-unavailable`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        Arc::make_mut(&mut self.settings).deadline = deadline;
        self
    }

    /// How many bytes of bodies that were read for the policy are there at once; 64 MiB. Where there
    /// is no room the request is refused with `store-unavailable`, and nothing of its body is read.
    /// Layers that are given the same room share it.
    #[must_use]
    pub fn body_room(mut self, room: BodyRoom) -> Self {
        Arc::make_mut(&mut self.settings).room = room;
        self
    }

    /// By itself, outside of a stack: reads the body of a request whose policy
    /// [needs it](Policy::needs_body). The service behind it gets a `Request<RequestBody<B>>`.
    ///
    /// A stack does that by itself.
    #[must_use]
    pub const fn reading_bodies(self) -> ReadingBodies<Self> {
        ReadingBodies::around(self)
    }
}

impl<P: Policy> Check for AuthorizeLayer<P> {
    type Guard = ();

    const NAME: &'static str = "Authorize";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        match self.authorize(parts, cx) {
            Authorization::Decided(step) => step,
            // Whoever stands around it has seen to that.
            Authorization::NeedsBody { decide, .. } if cx.body().is_some() => {
                decide(Ok(()), parts, cx)
            }
            Authorization::NeedsBody { .. } => unread(),
        }
    }
}

#[cold]
fn unread() -> Step<()> {
    Denial::misordered(
        "the policy needs the body, which nothing reads: put the layer into a stack, or use \
         `AuthorizeLayer::new(..).reading_bodies()`",
    )
    .into()
}

impl<P: Policy> Authorizes for AuthorizeLayer<P> {
    fn authorize(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Authorization<()> {
        if let Err(denial) = undecided(cx) {
            return Authorization::Decided(denial.into());
        }
        if let Some(permitted) = public(cx) {
            return Authorization::Decided(permitted.into());
        }
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return Authorization::Decided(denial.into());
        }
        // One request is decided by one edition, however often it is asked, and however long its
        // body takes.
        match self.policy.edition() {
            None => self.ask(&*self.policy, || Arc::clone(&self.policy) as _, parts, cx),
            Some(edition) => self.ask(&*edition, || Arc::clone(&edition), parts, cx),
        }
    }
}

impl<P: Policy> AuthorizeLayer<P> {
    #[inline]
    fn ask<Q: Policy + ?Sized>(
        &self,
        policy: &Q,
        shared: impl FnOnce() -> Arc<dyn Policy>,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Authorization<()> {
        match policy.needs_body(&Access::new(parts, cx)) {
            None => Authorization::Decided(decide(policy, &self.settings, parts, cx)),
            Some(limits) => {
                let (policy, settings) = (shared(), Arc::clone(&self.settings));
                let decide = move |read: Result<(), Denial>, parts: &mut _, cx: &mut _| match read {
                    Ok(()) => decide(&*policy, &settings, parts, cx),
                    Err(unread) => {
                        let (name, own) = (settings.name.as_ref(), || known(&*policy));
                        conclude(Err(unread), Duty::Decide, name, own, cx).into()
                    }
                };
                Authorization::NeedsBody {
                    limits,
                    room: self.settings.room.clone(),
                    decide: Box::new(decide),
                }
            }
        }
    }
}

fn known<Q: Policy + ?Sized>(policy: &Q) -> Option<PolicyName> {
    policy.known_as().map(PolicyName::from)
}

/// Asks the policy, and turns what it says into a permit or a denial.
#[inline]
fn decide<Q: Policy + ?Sized>(
    policy: &Q,
    settings: &Arc<PolicySettings>,
    parts: &mut Parts,
    cx: &mut SecurityContext,
) -> Step<()> {
    let own = || known(policy);
    match policy.decide(&Access::new(parts, cx)) {
        Step::Now(verdict) => {
            conclude(verdict, Duty::Decide, settings.name.as_ref(), own, cx).into()
        }
        Step::Later(later) => Step::Later(wait(later, Arc::clone(settings), own(), cx)),
    }
}

/// Waits for a policy, no longer than its deadline.
fn wait(
    mut later: Later<Verdict>,
    settings: Arc<PolicySettings>,
    mut own: Option<PolicyName>,
    cx: &SecurityContext,
) -> Later<()> {
    let mut deadline = cx.settings().clock().sleep(settings.deadline);
    Later::poll_fn(move |task, parts, cx| {
        let verdict = match later.poll(task, parts, cx) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => {
                ready!(deadline.as_mut().poll(task));
                Err(Denial::new(Code::StoreUnavailable)
                    .detail("the policy did not answer before its deadline"))
            }
        };
        let (name, own) = (settings.name.as_ref(), || own.take());
        Poll::Ready(conclude(verdict, Duty::Decide, name, own, cx))
    })
}

impl<S, P: Policy> Layer<S> for AuthorizeLayer<P> {
    type Service = Gate<S, Link<Root, Self>>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Link::new(Root, self.clone()))
    }
}

impl<P> Clone for AuthorizeLayer<P> {
    fn clone(&self) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<P> fmt::Debug for AuthorizeLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
