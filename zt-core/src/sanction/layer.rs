use http::request::Parts;
use tower_layer::Layer;

use super::check::decide;
use crate::{
    context::{SecurityContext, Stage},
    gate::{Check, Step},
    stack::slots::Sanctioning,
    state::Sanctions,
};

/// Refuses callers and workloads that were sanctioned; see the [module](crate::sanction).
#[derive(Debug, Clone)]
pub struct EnforceSanctionsLayer(Sanctions);

/// The service that [`EnforceSanctionsLayer`] makes.
pub type EnforceSanctions<S> = <EnforceSanctionsLayer as Layer<S>>::Service;

impl EnforceSanctionsLayer {
    /// Obeys `sanctions`.
    #[must_use]
    pub const fn new(sanctions: Sanctions) -> Self {
        Self(sanctions)
    }
}

impl Check for EnforceSanctionsLayer {
    type Guard = ();

    const NAME: &'static str = "EnforceSanctions";
    const STAGE: Stage = Stage::Sanction;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        decide(&self.0, cx, Self::NAME).into()
    }
}

impl Sanctioning for EnforceSanctionsLayer {}

crate::impl_layer!(EnforceSanctionsLayer);
