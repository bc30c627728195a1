use std::{
    fmt,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    Access, Policy, Verdict,
    check::{Duty, PolicyName, conclude, public, undecided},
};
use crate::{
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Check, Gate, Later, Link, Root, Step},
    stack::slots::Authorizes,
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
}

impl<P: Policy> AuthorizeLayer<P> {
    /// Nothing passes that `policy` does not permit.
    pub fn new(policy: P) -> Self {
        Self {
            policy: Arc::new(policy),
            settings: Arc::new(PolicySettings {
                name: None,
                deadline: Duration::from_secs(5),
            }),
        }
    }

    /// What permits and audit records call the policy, where its verdicts do not say.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.settings).name = Some((name.into(), version.into()));
        self
    }

    /// How long a policy may wait for its facts; 5 s. Then the request is refused with
    /// `store-unavailable`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        Arc::make_mut(&mut self.settings).deadline = deadline;
        self
    }
}

impl<P: Policy> Check for AuthorizeLayer<P> {
    type Guard = ();

    const NAME: &'static str = "Authorize";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Err(denial) = undecided(cx) {
            return denial.into();
        }
        if let Some(permitted) = public(cx) {
            return permitted.into();
        }
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return denial.into();
        }
        match self.policy.decide(&Access::new(parts, cx)) {
            Step::Now(verdict) => {
                conclude(verdict, Duty::Decide, self.settings.name.as_ref(), cx).into()
            }
            Step::Later(later) => Step::Later(wait(later, Arc::clone(&self.settings), cx)),
        }
    }
}

/// Waits for a policy, no longer than its deadline.
fn wait(
    mut later: Later<Verdict>,
    settings: Arc<PolicySettings>,
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
        Poll::Ready(conclude(verdict, Duty::Decide, settings.name.as_ref(), cx))
    })
}

impl<P: Policy> Authorizes for AuthorizeLayer<P> {}

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
