use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response, request::Parts};
use tower::{Layer, ServiceExt, service_fn};

use super::EnforceSanctionsLayer;
use crate::{
    authenticate::{Authenticate, Authenticated, Presented},
    clock::{ManualClock, Timestamp},
    context::{SecurityContext, Stage},
    decision::{Challenge, Code, Denial},
    gate::{Check, FnCheck, GateLayer, Link, Root, Settings, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    state::{MemoryFeed, RouteRule, Routes, Sanction, SanctionAction, SanctionTarget, Sanctions},
};

const ID: &str = "spiffe://example.test/orders";

#[derive(Clone)]
struct Ada;

impl Authenticate for Ada {
    const NAME: &'static str = "Ada";

    fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented {
        Presented::Mine
    }

    fn authenticate(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).token("t-1");
        Step::pass(Arc::new(ada.finish()))
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

struct Fixture {
    clock: ManualClock,
    sanctions: Sanctions,
    peer: Option<&'static str>,
    public: bool,
    authenticates: bool,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            sanctions: Sanctions::local(clock.clone()),
            clock,
            peer: None,
            public: false,
            authenticates: true,
        }
    }

    async fn impose(&self, target: SanctionTarget, action: SanctionAction) {
        let sanction = Sanction {
            target,
            action,
            reason: "private reason".to_owned(),
            author: "root".into(),
            expires: None,
        };
        self.sanctions.impose(sanction).await.unwrap();
    }

    /// The code with which a request is refused.
    async fn ask(&self) -> Option<Code> {
        self.denial().await.map(|denial| denial.code())
    }

    async fn denial(&self) -> Option<Denial> {
        let routes = Routes::builder().route(match self.public {
            true => RouteRule::new(Method::GET, "/").public(),
            false => RouteRule::new(Method::GET, "/"),
        });
        let route = routes.build().unwrap().resolve(&Method::GET, "/").unwrap();
        let resolve = FnCheck::new(move |_: &mut Parts, cx: &mut SecurityContext| {
            cx.set_route(route.clone());
            Ok(())
        });
        let settings = Arc::new(Settings::default().with_clock(self.clock.clone()));
        let enforce = EnforceSanctionsLayer::new(self.sanctions.clone());
        let inner = service_fn(|_: Request<String>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let mut request = Request::get("/").body(String::new()).unwrap();
        if let Some(id) = self.peer {
            let peer = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls);
            let peer = Arc::new(peer.spiffe_id(id).finish());
            request.extensions_mut().insert(peer);
        }
        let chain = Link::new(Root, resolve);
        let response = if self.authenticates {
            let chain = chain.then(Authenticated::new(Ada)).then(enforce);
            let gate = GateLayer::new(chain, settings).layer(inner);
            gate.oneshot(request).await.unwrap()
        } else {
            let gate = GateLayer::new(chain.then(enforce), settings).layer(inner);
            gate.oneshot(request).await.unwrap()
        };
        response.extensions().get::<Denial>().cloned()
    }
}

#[tokio::test]
async fn lets_whoever_is_not_sanctioned_pass() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.ask().await, None);
    fixture.peer = Some(ID);
    let other = SanctionTarget::Token("t-2".into());
    fixture.impose(other, SanctionAction::Revoke).await;
    assert_eq!(fixture.ask().await, None);
}

#[tokio::test]
async fn refuses_to_stand_before_authentication() {
    let mut fixture = Fixture::new();
    fixture.authenticates = false;
    assert_eq!(fixture.ask().await, Some(Code::StackMisordered));
}

#[tokio::test]
async fn refuses_by_a_view_that_is_too_old() {
    let mut fixture = Fixture::new();
    let store = crate::state::tests::Shelf::shared();
    let feed = Arc::new(MemoryFeed::new(fixture.clock.clone()));
    let builder = Sanctions::builder(fixture.clock.clone());
    fixture.sanctions = builder.store(store).feed(feed).open().await.unwrap();
    assert_eq!(fixture.ask().await, None);
    fixture.clock.advance(Duration::from_secs(6));
    assert_eq!(fixture.ask().await, Some(Code::StoreUnavailable));
    fixture.public = true;
    assert_eq!(fixture.ask().await, None);
}

#[tokio::test]
async fn refuses_a_revoked_credential_and_tells_nobody_why() {
    let fixture = Fixture::new();
    let token = SanctionTarget::Token("t-1".into());
    fixture.impose(token, SanctionAction::Revoke).await;
    let denial = fixture.denial().await.unwrap();
    assert_eq!(denial.code(), Code::CredentialRevoked);
    assert_eq!(denial.status(), 401);
    assert!(!denial.public_sentence().contains("private"));
    let detail = denial.private_detail().unwrap();
    assert!(detail.contains("private reason"), "{detail}");
}

#[tokio::test]
async fn refuses_a_caller_under_quarantine() {
    let fixture = Fixture::new();
    let subject = SanctionTarget::Subject {
        issuer: None,
        subject: "ada".into(),
        before: Timestamp::MAX,
    };
    fixture.impose(subject, SanctionAction::Quarantine).await;
    let denial = fixture.denial().await.unwrap();
    assert_eq!(denial.code(), Code::Quarantined);
    assert_eq!(denial.status(), 403);
}

#[tokio::test]
async fn refuses_a_workload_on_any_route() {
    let mut fixture = Fixture::new();
    fixture.peer = Some(ID);
    let workload = SanctionTarget::Workload(ID.into());
    fixture.impose(workload, SanctionAction::Quarantine).await;
    assert_eq!(fixture.ask().await, Some(Code::Quarantined));
    fixture.public = true;
    assert_eq!(fixture.ask().await, Some(Code::Quarantined));
}

#[tokio::test]
async fn looks_at_nobody_s_name_on_a_public_route() {
    let mut fixture = Fixture::new();
    fixture.public = true;
    let token = SanctionTarget::Token("t-1".into());
    fixture.impose(token, SanctionAction::Revoke).await;
    assert_eq!(fixture.ask().await, None);
}

#[test]
fn stands_where_it_says() {
    assert_eq!(EnforceSanctionsLayer::STAGE, Stage::Sanction);
    fn takes<C: crate::stack::slots::Sanctioning>(_: C) {}
    takes(EnforceSanctionsLayer::new(Sanctions::local(
        ManualClock::default(),
    )));
}
