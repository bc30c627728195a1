//! An authenticator that proves bodies, as a layer by itself.

use tower_layer::Layer;

use super::VerifyBody;
use crate::{
    authenticate::{Authenticate, Authenticated},
    gate::{BodyLink, Gate, Link, Replace, Root, Settings},
};

/// The chain of an authenticator and what verifies the body behind it.
pub type ProvingChain<A> = BodyLink<Link<Root, Authenticated<A>>, VerifyBody<Authenticated<A>>>;

/// The layer of an authenticator, or a combination of them, that proves bodies and stands outside
/// of a stack: `with_body(any_of(jwt, signature)).layer(service)`. The service behind it gets a
/// `Request<RequestBody<B>>`.
///
/// Such an authenticator as a layer without it does not compile:
///
/// ```compile_fail
/// # use std::sync::Arc;
/// # use http::request::Parts;
/// # use tower::Layer;
/// # use zt_core::{authenticate::{Authenticate, Presented, with_body}, context::SecurityContext};
/// # use zt_core::{decision::{Challenge, Code}, gate::Step, identity::Principal};
/// #[derive(Clone)]
/// struct Signed;
///
/// impl Authenticate for Signed {
///     const NAME: &'static str = "Signed";
///     const PROVES_BODY: bool = true;
///     // ..
/// #   fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented { Presented::Mine }
/// #   fn authenticate(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
/// #       Step::Now(Err(Code::CredentialInvalid.into()))
/// #   }
/// #   fn challenges(&self) -> Vec<Challenge> { Vec::new() }
/// }
///
/// let service = Signed.optional().layer(());
/// ```
///
/// and with it does:
///
/// ```
/// # use std::sync::Arc;
/// # use http::request::Parts;
/// # use tower::Layer;
/// # use zt_core::{authenticate::{Authenticate, Presented, with_body}, context::SecurityContext};
/// # use zt_core::{decision::{Challenge, Code}, gate::Step, identity::Principal};
/// # #[derive(Clone)]
/// # struct Signed;
/// # impl Authenticate for Signed {
/// #   const NAME: &'static str = "Signed";
/// #   const PROVES_BODY: bool = true;
/// #   fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented { Presented::Mine }
/// #   fn authenticate(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
/// #       Step::Now(Err(Code::CredentialInvalid.into()))
/// #   }
/// #   fn challenges(&self) -> Vec<Challenge> { Vec::new() }
/// # }
/// let service = with_body(Signed.optional()).layer(());
/// ```
pub const fn with_body<A: Authenticate>(authenticator: A) -> WithBody<A> {
    WithBody(authenticator)
}

/// See [`with_body`].
#[derive(Debug, Clone)]
pub struct WithBody<A>(A);

impl<A: Authenticate, S> Layer<S> for WithBody<A> {
    type Service = Gate<S, ProvingChain<A>, Replace>;

    fn layer(&self, inner: S) -> Self::Service {
        let check = Authenticated::new(self.0.clone());
        let chain = Link::new(Root, check).then_body(VerifyBody::new());
        Gate::with_settings(inner, chain, Settings::shared_default())
    }
}

/// Implements [`tower_layer::Layer`] for an [`Authenticate`]r that proves bodies: a gate over it and
/// [`VerifyBody`]. The service behind it gets a `Request<RequestBody<B>>`.
#[macro_export]
macro_rules! impl_body_authenticate_layer {
    ([$($generic:ident),*] $authenticator:ty $(where $($bound:tt)*)?) => {
        impl<S $(, $generic)*> $crate::tower_layer::Layer<S> for $authenticator $(where $($bound)*)? {
            type Service = $crate::gate::Gate<
                S,
                $crate::authenticate::ProvingChain<Self>,
                $crate::gate::Replace,
            >;

            fn layer(&self, inner: S) -> Self::Service {
                let this = ::core::clone::Clone::clone(self);
                $crate::tower_layer::Layer::layer(&$crate::authenticate::with_body(this), inner)
            }
        }
    };
    ($authenticator:ty) => {
        $crate::impl_body_authenticate_layer!([] $authenticator);
    };
}
