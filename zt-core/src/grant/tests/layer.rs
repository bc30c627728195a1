//! The layer, and streams that stand on a grant. Conditions as in the module's documentation.

use std::{convert::Infallible, pin::Pin, sync::Mutex};

use futures_util::StreamExt;
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::task::JoinHandle;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    authorize::{AnyAuthenticated, AuthorizeLayer, Policy, all},
    body::{BoxError, ZtBody},
    context::{SecurityContext, Stage},
    decision::{Code, Denial, Permit},
    gate::{Check, OpenContextLayer, Settings, Step},
    policy::{CompiledPolicy, PolicyOptions},
    state::{Feed, MAX_VIEW_AGE, MemoryFeed},
};

type Pieces = Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// Says who asks.
#[derive(Clone)]
struct Named(Arc<Principal>);

impl Check for Named {
    type Guard = ();

    const NAME: &'static str = "Named";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        cx.set_principal(Arc::clone(&self.0));
        Step::pass(())
    }
}

crate::impl_layer!(Named);

struct Answer {
    denial: Option<Denial>,
    permit: Option<Permit>,
    body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
}

impl Answer {
    fn refused(&self) -> Code {
        assert!(self.permit.is_none(), "the handler was reached");
        self.denial.as_ref().expect("a denial").code()
    }

    fn passed(&self) -> &Permit {
        self.permit.as_ref().expect("a permit")
    }

    /// Reads the answer to its end, which is a denial.
    fn read(mut self) -> JoinHandle<(usize, Code)> {
        tokio::spawn(async move {
            let mut pieces = 0;
            loop {
                match self.body.frame().await.expect("it has no end of its own") {
                    Ok(_) => pieces += 1,
                    Err(error) => {
                        return (pieces, error.downcast_ref::<Denial>().unwrap().code());
                    }
                }
            }
        })
    }
}

/// What stands before the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Authentication,
    Authorization,
    /// The policy with the layer's scope as a rule, and not the layer.
    Policy(Asks),
}

/// How a policy asks for the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Rule,
    #[cfg(feature = "cedar")]
    Condition,
    /// One of several policies.
    Combined,
    /// Only tried, beside one that asks for none.
    Candidate,
}

async fn ask(grants: &Grants, clock: &ManualClock, who: Principal, before: Before) -> Answer {
    let seen: Arc<Mutex<Option<Permit>>> = Arc::default();
    let handler = service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<String>| {
            let cx: &SecurityContext = request.extensions().get().unwrap();
            *seen.lock().unwrap() = cx.permit().cloned();
            // One piece, and then nothing for ever.
            let piece = async { Ok(Frame::data(Bytes::from_static(b"x"))) };
            let pieces = futures_util::stream::once(piece).chain(futures_util::stream::pending());
            let body: StreamBody<Pieces> = StreamBody::new(Box::pin(pieces));
            async { Ok::<_, Infallible>(Response::new(body)) }
        }
    });
    let open = OpenContextLayer::new(Settings::default().with_clock(clock.clone()));
    let required = RequireGrantLayer::new(grants.clone(), "refunds.write").unwrap();
    let named = Named(Arc::new(who));
    let request = Request::get("/refunds").body(String::new()).unwrap();
    let inner = required.layer(handler.clone());
    let (parts, body) = match before {
        Before::Nothing => split(open.layer(inner).oneshot(request).await.unwrap()),
        Before::Authentication => split(
            open.layer(named.layer(inner))
                .oneshot(request)
                .await
                .unwrap(),
        ),
        Before::Authorization => {
            let authorize = AuthorizeLayer::new(AnyAuthenticated);
            let service = open.layer(named.layer(authorize.layer(inner)));
            split(service.oneshot(request).await.unwrap())
        }
        Before::Policy(asks) => {
            let authorize = AuthorizeLayer::new(policy(grants, asks));
            let service = open.layer(named.layer(authorize.layer(handler)));
            split(service.oneshot(request).await.unwrap())
        }
    };
    let permit = seen.lock().unwrap().take();
    Answer {
        denial: parts.extensions.get::<Denial>().cloned(),
        permit,
        body,
    }
}

fn policy(grants: &Grants, asks: Asks) -> Arc<dyn Policy> {
    let options = PolicyOptions::new().grants(Arc::new(grants.clone()));
    let load = |says: &str| {
        let rule = "[[rule]]\nid = \"refunds\"\neffect = \"allow\"\npath = \"/refunds\"\n";
        CompiledPolicy::from_toml(&format!("{rule}{says}\n"), &options).unwrap()
    };
    let by_grant = load("grant = \"refunds.write\"");
    match asks {
        Asks::Rule => Arc::new(by_grant),
        #[cfg(feature = "cedar")]
        Asks::Condition => Arc::new(load("when = 'context.grants.contains(\"refunds.write\")'")),
        Asks::Combined => Arc::new(all((by_grant, AnyAuthenticated))),
        Asks::Candidate => Arc::new(load("").with_candidate(&by_grant)),
    }
}

type BoxedBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

fn split<B>(response: Response<ZtBody<B>>) -> (http::response::Parts, BoxedBody)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    (parts, Box::pin(body))
}

impl World {
    async fn ask(&self, who: Principal, before: Before) -> Answer {
        ask(&self.grants, &self.clock, who, before).await
    }
}

#[tokio::test]
async fn refuses_where_nobody_was_authenticated() {
    let world = World::new().await;
    world.approved().await;
    let answer = world.ask(ada(), Before::Nothing).await;
    assert_eq!(answer.refused(), Code::StackMisordered);
    let answer = world
        .ask(Principal::anonymous(), Before::Authentication)
        .await;
    assert_eq!(answer.refused(), Code::CredentialMissing);
}

#[tokio::test]
async fn refuses_whoever_holds_no_grant_and_says_which() {
    for before in [Before::Authentication, Before::Authorization] {
        let world = World::new().await;
        let open = world.asked().await;
        let answer = world.ask(ada(), before).await;
        assert_eq!(answer.refused(), Code::PolicyDenied, "only asked for");
        let denial = answer.denial.unwrap();
        let named: Vec<&str> = denial.violated_policies().iter().map(|it| &**it).collect();
        assert_eq!(named, ["grant: refunds.write"]);
        world.grants.approve(&open.id, &grace()).await.unwrap();
        for other in [grace(), program("ada", &[]), person("eve", &[])] {
            assert_eq!(world.ask(other, before).await.refused(), Code::PolicyDenied);
        }
        world.ask(ada(), before).await.passed();
        world.grants.revoke(&open.id, &ada(), "done").await.unwrap();
        assert_eq!(world.ask(ada(), before).await.refused(), Code::PolicyDenied);
    }
}

#[tokio::test]
async fn refuses_at_the_exact_second() {
    let world = World::new().await;
    world.approved().await;
    world.clock.advance(HOUR - Duration::from_micros(1));
    world.ask(ada(), Before::Authentication).await.passed();
    world.clock.advance(Duration::from_micros(1));
    let answer = world.ask(ada(), Before::Authentication).await;
    assert_eq!(answer.refused(), Code::PolicyDenied);
}

#[tokio::test]
async fn refuses_when_nobody_knows() {
    let world = World::new().await;
    world.approved().await;
    let feed: Arc<dyn Feed> = Arc::new(MemoryFeed::new(world.clock.clone()));
    let options = GrantOptions::new(config())
        .recorder(Arc::clone(&world.log) as Arc<dyn Recorder>)
        .feed(feed);
    let store = Arc::clone(&world.store) as Arc<dyn Store>;
    let grants = Grants::open(store, world.clock.clone(), options)
        .await
        .unwrap();
    let answer = ask(&grants, &world.clock, ada(), Before::Authentication).await;
    answer.passed();
    let reading = answer.read();
    settle().await;
    // Nobody follows: what is known grows old.
    world
        .clock
        .advance(MAX_VIEW_AGE + Duration::from_millis(500));
    let answer = ask(&grants, &world.clock, ada(), Before::Authentication).await;
    assert_eq!(answer.refused(), Code::StoreUnavailable);
    // An answer on its way is cut, too: nobody can say that it may go on.
    assert_eq!(reading.await.unwrap(), (1, Code::StoreUnavailable));
}

#[tokio::test]
async fn a_scope_that_nobody_can_be_granted_is_a_mistake() {
    let world = World::new().await;
    let layer = RequireGrantLayer::new(world.grants.clone(), "refunds.wirte");
    let expected = ConfigError::NotGranted("refunds.wirte".to_owned());
    assert_eq!(layer.map(drop), Err(expected));
}

#[tokio::test]
async fn a_permit_of_its_own_names_the_grant_and_ends_with_it() {
    let world = World::new().await;
    let grant = world.approved().await;
    let answer = world.ask(ada(), Before::Authentication).await;
    let permit = answer.passed();
    assert_eq!(permit.rule(), "grant: refunds.write");
    assert_eq!(permit.valid_until(), grant.until);
    // Behind authorization the permit is the policy's.
    let answer = world.ask(ada(), Before::Authorization).await;
    assert_ne!(answer.passed().rule(), "grant: refunds.write");
}

#[tokio::test]
async fn a_stream_ends_with_the_grant_whoever_permitted_it() {
    for before in [Before::Authentication, Before::Authorization] {
        let world = World::new().await;
        world.approved().await;
        let answer = world.ask(ada(), before).await;
        answer.passed();
        let reading = answer.read();
        settle().await;
        // In steps, as time passes: whoever waits looks in between.
        for _ in 0..36 {
            world.clock.advance(Duration::from_millis(99_999));
            settle().await;
            assert!(!reading.is_finished());
        }
        world.clock.advance(Duration::from_micros(35_999));
        settle().await;
        assert!(!reading.is_finished(), "one microsecond before");
        world.clock.advance(Duration::from_micros(1));
        settle().await;
        let (pieces, code) = reading.await.unwrap();
        assert_eq!((pieces, code), (1, Code::CredentialExpired));
    }
}

#[tokio::test]
async fn a_stream_is_cut_within_a_second_of_the_revocation() {
    for before in [
        Before::Authentication,
        Before::Authorization,
        Before::Policy(Asks::Rule),
        #[cfg(feature = "cedar")]
        Before::Policy(Asks::Condition),
        Before::Policy(Asks::Combined),
    ] {
        let world = World::new().await;
        let grant = world.approved().await;
        let answer = world.ask(ada(), before).await;
        let reading = answer.read();
        settle().await;
        world.clock.advance(Duration::from_secs(60));
        settle().await;
        assert!(!reading.is_finished());
        world
            .grants
            .revoke(&grant.id, &officer(), "left")
            .await
            .unwrap();
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(reading.await.unwrap(), (1, Code::PolicyDenied));
    }
}

#[tokio::test]
async fn a_stream_does_not_stand_on_what_is_only_tried() {
    let world = World::new().await;
    let grant = world.approved().await;
    let answer = world.ask(ada(), Before::Policy(Asks::Candidate)).await;
    answer.passed();
    let reading = answer.read();
    settle().await;
    let revoked = world.grants.revoke(&grant.id, &officer(), "left").await;
    revoked.unwrap();
    world.clock.advance(Duration::from_secs(10));
    settle().await;
    assert!(!reading.is_finished());
    reading.abort();
}
