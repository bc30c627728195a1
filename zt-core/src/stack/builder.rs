use std::sync::Arc;

use http::Method;

use super::{
    ZeroTrust,
    slots::{Authorizes, LimitsPeer, Nothing, Records, Sanctioning, SetsHeaders, Spends},
};
use crate::{
    authenticate::{Authenticate, Authenticated, BodyProver, InsecureAnonymous, VerifyBody},
    authorize::{AnyAuthenticated, AuthorizeLayer, ReadingBodies},
    body::RequestBody,
    clock::Timestamp,
    context::Stage,
    gate::{BodyLink, Chain, Check, Link, Root, Settings},
    headers::SetSecurityHeadersLayer,
    sanction::EnforceSanctionsLayer,
    state::{
        Acknowledgement, ConfigEvent, Event, Recorder, RouteError, RouteRule, Routes,
        RoutesBuilder, Sanctions,
    },
    validate::ValidateRequestLayer,
};

/// The chain of a finished stack.
pub type Onion<H, O, P, A, S, U, Z, L, C, K> = Link<
    Link<
        Link<
            BodyLink<
                Link<
                    Link<
                        BodyLink<
                            Link<
                                Link<BodyLink<Link<Link<Root, H>, O>, ValidateRequestLayer>, P>,
                                A,
                            >,
                            VerifyBody<A>,
                        >,
                        S,
                    >,
                    U,
                >,
                ReadingBodies<Z>,
            >,
            L,
        >,
        C,
    >,
    K,
>;

/// A stack could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The validation layer has routes of its own, which the stack would not obey.
    #[error("the routes of a stack are named in its builder, and not in `.validate(..)`")]
    RoutesOfValidation,
    /// There is no randomness for what has to be generated.
    #[error(transparent)]
    Entropy(#[from] crate::random::EntropyError),
}

/// A mandatory slot in which nothing stands yet.
#[derive(Debug, Clone, Copy)]
pub struct Missing;

/// The opt-out of the mandatory audit record; made by [`Builder::without_audit`].
#[derive(Debug, Clone, Copy)]
pub struct WithoutAudit;

/// What stands in the `record` slot.
#[derive(Debug, Clone)]
pub struct Recorded<R>(R);

/// The `record` slot is filled.
#[diagnostic::on_unimplemented(
    message = "this stack has no audit record: its `record` slot is empty",
    label = "name `.record(RecordAuditLayer::new(..))` before `.build()`",
    note = "a stack that keeps no record says `.without_audit()`"
)]
pub trait RecordFilled {
    /// The outer half.
    type Outer: Check;
    /// The commit point.
    type Commit: Check;

    /// When a record counts as taken.
    fn acknowledges(&self) -> Acknowledgement {
        Acknowledgement::Sync
    }

    /// Both halves, and where the stack's own configuration is recorded.
    fn halves(self) -> (Self::Outer, Self::Commit, Option<Arc<dyn Recorder>>);
}

/// The `authenticate` slot is filled.
#[diagnostic::on_unimplemented(
    message = "this stack does not ask who calls: its `authenticate` slot is empty",
    label = "name `.authenticate(..)` before `.build()`",
    note = "a stack that asks nobody says `.insecure_anonymous()`"
)]
pub trait AuthenticateFilled: Check + BodyProver {}

/// The `authorize` slot is filled.
#[diagnostic::on_unimplemented(
    message = "this stack has no policy: its `authorize` slot is empty",
    label = "name `.authorize(AuthorizeLayer::new(..))` before `.build()`",
    note = "a stack for whoever is authenticated says `.any_authenticated()`"
)]
pub trait AuthorizeFilled: Authorizes {}

impl<R: Records> RecordFilled for Recorded<R> {
    type Outer = R::Outer;
    type Commit = R::Commit;

    fn acknowledges(&self) -> Acknowledgement {
        self.0.acknowledges()
    }

    fn halves(self) -> (R::Outer, R::Commit, Option<Arc<dyn Recorder>>) {
        let recorder = self.0.recorder();
        let (outer, commit) = self.0.split();
        (outer, commit, recorder)
    }
}

impl RecordFilled for WithoutAudit {
    type Outer = Nothing;
    type Commit = Nothing;

    fn halves(self) -> (Nothing, Nothing, Option<Arc<dyn Recorder>>) {
        (Nothing, Nothing, None)
    }
}

impl<A: Authenticate> AuthenticateFilled for Authenticated<A> {}
impl AuthenticateFilled for InsecureAnonymous {}
impl<Z: Authorizes> AuthorizeFilled for Z {}

/// Collects the layers of a stack; see the [module](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder<H, R, P, A, S, U, Z, L, C> {
    headers: H,
    record: R,
    validate: ValidateRequestLayer,
    peer: P,
    authenticate: A,
    sanction: S,
    step_up: U,
    authorize: Z,
    limit: L,
    charge: C,
    routes: RoutesBuilder,
    doors: Vec<String>,
    settings: Settings,
}

type Empty = Builder<
    SetSecurityHeadersLayer,
    Missing,
    Nothing,
    Missing,
    Nothing,
    Nothing,
    Missing,
    Nothing,
    Nothing,
>;

impl ZeroTrust {
    /// Starts a stack.
    pub fn builder() -> Empty {
        Builder {
            headers: SetSecurityHeadersLayer::default(),
            record: Missing,
            validate: ValidateRequestLayer::default(),
            peer: Nothing,
            authenticate: Missing,
            sanction: Nothing,
            step_up: Nothing,
            authorize: Missing,
            limit: Nothing,
            charge: Nothing,
            routes: Routes::builder(),
            doors: Vec::new(),
            settings: Settings::default(),
        }
    }
}

/// The builder with another value, of another type, in one slot.
macro_rules! refill {
    ($builder:ident, headers = $value:expr) => {
        refill!(@ $builder, headers, $value, record peer authenticate sanction step_up authorize limit charge)
    };
    ($builder:ident, record = $value:expr) => {
        refill!(@ $builder, record, $value, headers peer authenticate sanction step_up authorize limit charge)
    };
    ($builder:ident, peer = $value:expr) => {
        refill!(@ $builder, peer, $value, headers record authenticate sanction step_up authorize limit charge)
    };
    ($builder:ident, authenticate = $value:expr) => {
        refill!(@ $builder, authenticate, $value, headers record peer sanction step_up authorize limit charge)
    };
    ($builder:ident, sanction = $value:expr) => {
        refill!(@ $builder, sanction, $value, headers record peer authenticate step_up authorize limit charge)
    };
    ($builder:ident, step_up = $value:expr) => {
        refill!(@ $builder, step_up, $value, headers record peer authenticate sanction authorize limit charge)
    };
    ($builder:ident, authorize = $value:expr) => {
        refill!(@ $builder, authorize, $value, headers record peer authenticate sanction step_up limit charge)
    };
    ($builder:ident, limit = $value:expr) => {
        refill!(@ $builder, limit, $value, headers record peer authenticate sanction step_up authorize charge)
    };
    ($builder:ident, charge = $value:expr) => {
        refill!(@ $builder, charge, $value, headers record peer authenticate sanction step_up authorize limit)
    };
    (@ $builder:ident, $slot:ident, $value:expr, $($other:ident)*) => {
        Builder {
            $slot: $value,
            $($other: $builder.$other,)*
            validate: $builder.validate,
            routes: $builder.routes,
            doors: $builder.doors,
            settings: $builder.settings,
        }
    };
}

impl<H, R, P, A, S, U, Z, L, C> Builder<H, R, P, A, S, U, Z, L, C> {
    /// Step 1: other security headers than those for an API.
    pub fn headers<N: SetsHeaders>(self, layer: N) -> Builder<N, R, P, A, S, U, Z, L, C> {
        refill!(self, headers = layer)
    }

    /// Steps 2 and 9: where decisions and outcomes are recorded.
    pub fn record<N: Records>(self, layer: N) -> Builder<H, Recorded<N>, P, A, S, U, Z, L, C> {
        refill!(self, record = Recorded(layer))
    }

    /// No record is kept. For trying things out.
    pub fn without_audit(self) -> Builder<H, WithoutAudit, P, A, S, U, Z, L, C> {
        refill!(self, record = WithoutAudit)
    }

    /// Step 3: other bounds than the default's. Its routes are the builder's own; a layer that
    /// brings others is an error.
    pub fn validate(mut self, layer: ValidateRequestLayer) -> Self {
        self.validate = layer;
        self
    }

    /// Step 4: a limit by peer, before anything costs much.
    pub fn limit_peer<N: LimitsPeer>(self, layer: N) -> Builder<H, R, N, A, S, U, Z, L, C> {
        refill!(self, peer = layer)
    }

    /// Step 5: who asks.
    pub fn authenticate<N: Authenticate>(
        self,
        authenticator: N,
    ) -> Builder<H, R, P, Authenticated<N>, S, U, Z, L, C> {
        refill!(self, authenticate = Authenticated::new(authenticator))
    }

    /// Nobody is asked who they are; every caller is anonymous.
    pub fn insecure_anonymous(mut self) -> Builder<H, R, P, InsecureAnonymous, S, U, Z, L, C> {
        self.doors.push("insecure_anonymous".to_owned());
        refill!(self, authenticate = InsecureAnonymous)
    }

    /// Step 6: revoked credentials and quarantined callers; running streams are cut too.
    pub fn sanctions(
        mut self,
        sanctions: Sanctions,
    ) -> Builder<H, R, P, A, EnforceSanctionsLayer, U, Z, L, C> {
        self.settings = self.settings.with_sanctions(sanctions.clone());
        refill!(self, sanction = EnforceSanctionsLayer::new(sanctions))
    }

    /// Step 6: stronger authentication.
    pub fn step_up<N: Sanctioning>(self, layer: N) -> Builder<H, R, P, A, S, N, Z, L, C> {
        refill!(self, step_up = layer)
    }

    /// Step 7: the policy.
    pub fn authorize<N: Authorizes>(self, layer: N) -> Builder<H, R, P, A, S, U, N, L, C> {
        refill!(self, authorize = layer)
    }

    /// Whoever proved who they are may do everything.
    pub fn any_authenticated(
        mut self,
    ) -> Builder<H, R, P, A, S, U, AuthorizeLayer<AnyAuthenticated>, L, C> {
        self.doors.push("any_authenticated".to_owned());
        refill!(self, authorize = AuthorizeLayer::new(AnyAuthenticated))
    }

    /// Step 8: a limit by principal.
    pub fn limit<N: Spends>(self, layer: N) -> Builder<H, R, P, A, S, U, Z, N, C> {
        refill!(self, limit = layer)
    }

    /// Step 8: a budget.
    pub fn charge<N: Spends>(self, layer: N) -> Builder<H, R, P, A, S, U, Z, L, N> {
        refill!(self, charge = layer)
    }

    /// Declares a route; policies, prices and audit modes name it by its id.
    pub fn route(mut self, rule: RouteRule) -> Self {
        self.routes = self.routes.route(rule);
        self
    }

    /// A public route: no credential and no authorization is asked for. Validation, the limit by
    /// peer, headers and the audit record hold for it too.
    pub fn public(self, method: Method, template: &str) -> Self {
        self.route(RouteRule::new(method, template).public())
    }

    /// Until `until`, what would be denied is recorded and goes on; from then on it is denied.
    ///
    /// An audit log that cannot write, a clock that cannot answer and a panic refuse all the same.
    pub fn insecure_observe_only(mut self, until: Timestamp) -> Self {
        self.settings = self.settings.insecure_observe_only(until);
        self
    }

    /// Clock, randomness, rendering, proxies, readiness. Keeps the sanctions and the date until
    /// which the stack observes.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings.inheriting(&self.settings);
        self
    }

    /// The stack.
    ///
    /// Its steps, and the doors that were opened, are recorded as a `config` event.
    ///
    /// # Errors
    ///
    /// When a route's template cannot be used, or the validation layer has routes of its own.
    #[expect(
        clippy::type_complexity,
        reason = "the chain is the stack; applications infer it"
    )]
    pub fn build<O, K>(self) -> Result<ZeroTrust<Onion<H, O, P, A, S, U, Z, L, C, K>>, StackError>
    where
        // Equations instead of projections in the type: only so the message is the one above.
        R: RecordFilled<Outer = O, Commit = K>,
        O: Check,
        K: Check,
        A: AuthenticateFilled,
        Z: AuthorizeFilled,
        H: SetsHeaders,
        P: LimitsPeer,
        S: Sanctioning,
        U: Sanctioning,
        L: Spends,
        C: Spends,
    {
        if !self.validate.routes().is_empty() {
            return Err(StackError::RoutesOfValidation);
        }
        let mut doors = self.doors;
        doors.extend(self.validate.doors().map(str::to_owned));
        doors.extend(self.routes.public().map(|(method, template)| {
            let method = method.map_or("*", Method::as_str);
            format!("public {method} {template}")
        }));
        let early = Some(self.record.acknowledges()).filter(|when| !when.is_durable());
        doors.extend(early.map(|when| format!("acknowledge {}", when.as_str())));
        doors.extend(self.routes.early().map(|(method, template, when)| {
            let method = method.map_or("*", Method::as_str);
            format!("acknowledge {} {method} {template}", when.as_str())
        }));
        // However it was said: by the builder, or in the settings.
        let until = self.settings.observe_until().map(Timestamp::as_secs);
        doors.extend(until.map(|until| format!("insecure_observe_only until {until}")));
        let without = self.settings.claimed_names().without();
        doors.extend(without.map(|name| format!("insecure_without {name}")));
        let validate = self.validate.with_routes(self.routes.build()?);
        let (outer, commit, recorder) = self.record.halves();
        let chain = Link::new(Link::new(Root, self.headers), outer);
        let chain = BodyLink::new(chain, validate)
            .then(self.peer)
            .then(self.authenticate)
            .then_body(VerifyBody::new())
            .then(self.sanction)
            .then(self.step_up)
            .then_body(ReadingBodies::around(self.authorize))
            .then(self.limit)
            .then(self.charge)
            .then(commit);
        let mut onion = Vec::new();
        describe(&chain, &mut onion);
        let zt = ZeroTrust::new(chain, Arc::new(self.settings), onion);
        if let Some(recorder) = recorder {
            announce(&zt, &doors, &*recorder);
        }
        Ok(zt)
    }
}

/// The chain runs over any body; to describe it one has to be named.
fn describe(
    chain: &impl Chain<RequestBody<http_body_util::Empty<bytes::Bytes>>>,
    onion: &mut Vec<(Stage, &'static str)>,
) {
    chain.describe(&mut |stage, name| onion.push((stage, name)));
}

/// Records what the stack is made of, and which doors stand open.
fn announce<C>(zt: &ZeroTrust<C>, doors: &[String], recorder: &dyn Recorder) {
    let steps: Vec<&str> = zt.steps().map(|(_, name)| name).collect();
    let detail = format!("steps: {}; doors: {}", steps.join(", "), doors.join(", "));
    let event = ConfigEvent {
        at: zt.opened_at(),
        part: "stack",
        action: "loaded",
        version: env!("CARGO_PKG_VERSION").into(),
        detail: Some(detail),
    };
    recorder.record(Event::Config(event)).detach();
}
