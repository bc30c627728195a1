use http::request::Parts;
use tower_layer::Layer;
use zt_core::{
    authorize::Access,
    context::{SecurityContext, Stage},
    gate::{Check, Gate, Link, Root, Step},
    stack::slots::Sanctioning,
};

use super::{RequireStepUp, claims::conclude};

/// [`RequireStepUp`] as a layer, and for the `step_up` slot of a stack. It gives no permit.
///
/// In the slot it lets requests to public routes pass, of which nobody is asked who they are. As a
/// layer, on a route or on all, it lets nobody pass without a name.
#[derive(Debug, Clone)]
pub struct RequireStepUpLayer(RequireStepUp);

/// The service that [`RequireStepUpLayer`] makes of `S`.
pub type RequireStepUpService<S> = <RequireStepUpLayer as Layer<S>>::Service;

impl RequireStepUpLayer {
    /// Nothing passes whose authentication is too weak or too long ago.
    #[must_use]
    pub const fn new(required: RequireStepUp) -> Self {
        Self(required)
    }
}

/// As a step of a stack.
impl Check for RequireStepUpLayer {
    type Guard = ();

    const NAME: &'static str = "RequireStepUp";
    const STAGE: Stage = Stage::Sanction;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if cx.is_public() {
            return Step::pass(());
        }
        Narrow(self.0.clone()).check(parts, cx)
    }
}

impl Sanctioning for RequireStepUpLayer {}

impl<S> Layer<S> for RequireStepUpLayer {
    type Service = Gate<S, Link<Root, Narrow>>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Link::new(Root, Narrow(self.0.clone())))
    }
}

/// Behind a stack, on one of its routes, where its own stage has long passed.
#[derive(Debug, Clone)]
pub struct Narrow(RequireStepUp);

impl Check for Narrow {
    type Guard = ();

    const NAME: &'static str = "RequireStepUp";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Err(denial) = cx.require(Stage::Authenticate, Self::NAME) {
            return denial.into();
        }
        conclude(self.0.verdict(&Access::new(parts, cx))).into()
    }
}
