//! Policies that see the body: when it is read, and what becomes of it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use super::*;
use crate::{
    authenticate::{Authenticate, Authenticated, BodyPlan, Presented, ProveBody, VerifyBody},
    body::{BodyRoom, BoxError, CollectLimits, RequestBody},
    clock::{ClockError, Sleep},
    decision::Challenge,
    digest::{ContentDigest, DigestAlgorithm},
    gate::{Guard, Replace, Settlement},
};

pub(super) const LIMITS: CollectLimits = CollectLimits {
    bytes: 8,
    deadline: Duration::from_secs(5),
};

/// Permits what has `ok` for its body, and asks for every one.
#[derive(Clone, Default)]
pub(super) struct ByBody {
    pub(super) waits: bool,
    pub(super) seen: Arc<Mutex<Vec<String>>>,
}

impl ByBody {
    fn judge(seen: &Mutex<Vec<String>>, access: &Access<'_>) -> Verdict {
        let text = match access.body() {
            Some(body) => String::from_utf8_lossy(body.bytes()).into_owned(),
            None => "nothing".to_owned(),
        };
        let verdict = match &*text {
            "ok" => Verdict::permit("ok"),
            "panic" => panic!("the policy failed"),
            _ => Verdict::deny("another body"),
        };
        seen.lock().unwrap().push(text);
        verdict
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Policy for ByBody {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        if !self.waits {
            return Step::pass(Self::judge(&self.seen, access));
        }
        let seen = Arc::clone(&self.seen);
        later(tokio::task::yield_now(), move |(), access: &Access<'_>| {
            Self::judge(&seen, access)
        })
    }

    fn needs_body(&self, _: &Access<'_>) -> Option<CollectLimits> {
        Some(LIMITS)
    }

    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        Some(("bodies".into(), "3".into()))
    }
}

/// Pieces, and how often was asked for one. At its end it waits for ever, unless it `ends`.
struct Pieces {
    pieces: VecDeque<Piece>,
    ends: bool,
    polls: Arc<AtomicUsize>,
}

type Piece = Result<Frame<Bytes>, BoxError>;

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        match self.pieces.pop_front() {
            None if !self.ends => Poll::Pending,
            piece => Poll::Ready(piece),
        }
    }
}

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from(text)))
}

fn trailers() -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checked", "1".parse().unwrap());
    Ok(Frame::trailers(trailers))
}

/// A clock that tells how many wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting(pub(super) ManualClock, pub(super) Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sleep(span)
    }
}

/// Counts how often it was settled.
#[derive(Clone, Default)]
struct Counts(Arc<AtomicUsize>);

impl Guard for Counts {
    fn settle(&mut self, _: &Settlement<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Check for Counts {
    type Guard = Self;
    const NAME: &'static str = "Counts";
    const STAGE: Stage = Stage::Record;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Self> {
        Step::pass(self.clone())
    }
}

/// What stands around a policy.
struct Setup {
    pieces: Vec<Piece>,
    ends: bool,
    method: Method,
    public: bool,
    observes: bool,
    clock: Counting,
    room: BodyRoom,
    polls: Arc<AtomicUsize>,
    settled: Counts,
    keep: Keep,
    /// What the handler was given: its pieces, `#` for trailers and `!` for an error.
    given: Arc<Mutex<Option<Vec<String>>>>,
}

impl Setup {
    fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self {
            pieces: pieces.into_iter().collect(),
            ends: true,
            method: Method::POST,
            public: false,
            observes: false,
            clock: Counting::default(),
            room: BodyRoom::default(),
            polls: Arc::default(),
            settled: Counts::default(),
            keep: Keep::default(),
            given: Arc::default(),
        }
    }

    fn endless(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self {
            ends: false,
            ..Self::of(pieces)
        }
    }

    fn settings(&self) -> Arc<Settings> {
        let settings = Settings::default().with_clock(self.clock.clone());
        Arc::new(match self.observes {
            true => settings.insecure_observe_only(Timestamp::MAX),
            false => settings,
        })
    }

    async fn ask<P: Policy>(&mut self, policy: P) -> Asked {
        let layer = AuthorizeLayer::new(policy).body_room(self.room.clone());
        let layer = layer.reading_bodies();
        let chain = Link::first(self.keep.clone()).then(self.settled.clone());
        let mut rule = RouteRule::any("/x");
        if self.public {
            rule = rule.public();
        }
        self.through(chain.then(route(rule)).then(ada()).then_body(layer))
            .await
    }

    async fn through<C>(&mut self, chain: C) -> Asked
    where
        C: Chain<RequestBody<Pieces>>,
    {
        let given = Arc::clone(&self.given);
        let handler = service_fn(move |request: Request<RequestBody<Pieces>>| {
            let given = Arc::clone(&given);
            async move {
                let cx: &SecurityContext = request.extensions().get().unwrap();
                assert!(cx.body().is_none(), "the copy was dropped");
                let mut seen = Vec::new();
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    seen.push(match frame {
                        Ok(frame) if frame.is_trailers() => "#".to_owned(),
                        Ok(frame) => {
                            String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
                        }
                        Err(error) => format!("!{error}"),
                    });
                }
                *given.lock().unwrap() = Some(seen);
                Ok::<_, Infallible>(Answer::default())
            }
        });
        let body = Pieces {
            pieces: std::mem::take(&mut self.pieces).into(),
            ends: self.ends,
            polls: Arc::clone(&self.polls),
        };
        let request = Request::builder().method(self.method.clone()).uri("/x");
        let gate: Gate<_, _, Replace> = Gate::with_settings(handler, chain, self.settings());
        let answer = gate.oneshot(request.body(body).unwrap()).await.unwrap();
        Asked {
            denial: answer.extensions().get::<Denial>().cloned(),
            given: self.given.lock().unwrap().take(),
            trail: self.keep.0.lock().unwrap().take().unwrap(),
        }
    }
}

struct Asked {
    denial: Option<Denial>,
    given: Option<Vec<String>>,
    trail: Arc<Trail>,
}

impl Asked {
    fn code(&self) -> Option<Code> {
        assert_eq!(self.denial.is_some(), self.given.is_none());
        self.denial.as_ref().map(Denial::code)
    }

    fn given(&self) -> Vec<&str> {
        let given = self.given.as_ref().expect("the handler was not called");
        given.iter().map(String::as_str).collect()
    }
}

// Refusals first

#[tokio::test]
async fn refuses_a_body_that_cannot_be_read_whole_and_asks_nobody() {
    let reset = || Err(BoxError::from("reset"));
    for (pieces, code) in [
        (vec![data("1234"), data("56789")], Code::BodyTooLarge),
        (vec![data("123456789")], Code::BodyTooLarge),
        (vec![data("ok"), reset()], Code::RequestMalformed),
        (vec![reset()], Code::RequestMalformed),
    ] {
        let policy = ByBody::default();
        let outcome = Setup::of(pieces).ask(policy.clone()).await;
        assert_eq!(outcome.code(), Some(code));
        assert!(policy.seen().is_empty() && outcome.trail.permit().is_none());
        // Who refused is known all the same.
        assert_eq!(outcome.denial.unwrap().policy(), Some("bodies"));
    }
}

#[tokio::test]
async fn refuses_a_body_that_takes_too_long() {
    for pieces in [vec![], vec![data("o")]] {
        let policy = ByBody::default();
        let mut setup = Setup::endless(pieces);
        let clock = setup.clock.clone();
        let (outcome, ()) = tokio::join!(setup.ask(policy.clone()), async move {
            assert_eq!(clock.1.load(Ordering::SeqCst), 1, "it waits");
            clock.0.advance(LIMITS.deadline);
        });
        assert_eq!(outcome.code(), Some(Code::RequestTimeout));
        assert!(policy.seen().is_empty());
    }
}

#[tokio::test]
async fn a_flood_of_bodies_that_never_end_fills_no_memory_and_keeps_nobody_waiting() {
    let room = BodyRoom::new(2 * 1024);
    let setup = |pieces: Vec<Piece>, ends: bool| Setup {
        room: room.clone(),
        ends,
        ..Setup::of(pieces)
    };
    let waits = |future: Pin<&mut dyn Future<Output = Asked>>| {
        let task = &mut Context::from_waker(Waker::noop());
        future.poll(task).is_pending()
    };
    let (mut one, mut two) = (setup(vec![data("o")], false), setup(vec![], false));
    let mut one = Box::pin(one.ask(ByBody::default()));
    let mut two = Box::pin(two.ask(ByBody::default()));
    assert!(waits(one.as_mut()) && waits(two.as_mut()));
    assert_eq!(room.free(), 0);

    for observes in [false, true] {
        let policy = ByBody::default();
        let mut third = setup(vec![data("ok")], true);
        third.observes = observes;
        let outcome = third.ask(policy.clone()).await;
        assert!(policy.seen().is_empty(), "nobody is asked");
        let denial = match observes {
            true => {
                assert_eq!(outcome.given(), ["ok"], "it goes on as it came");
                outcome.trail.would_deny().cloned()
            }
            false => {
                assert_eq!(third.polls.load(Ordering::SeqCst), 0, "nothing is read");
                outcome.denial
            }
        };
        let denial = denial.unwrap();
        assert_eq!(denial.code(), Code::StoreUnavailable);
        assert_eq!(
            (denial.status().as_u16(), denial.policy()),
            (503, Some("bodies"))
        );
        assert_eq!(denial.retry_after_secs(), Some(1));
    }

    // Whoever gives up makes room.
    drop(two);
    let outcome = setup(vec![data("ok")], true).ask(ByBody::default()).await;
    assert_eq!((outcome.code(), outcome.given()), (None, vec!["ok"]));
    drop(one);
    assert_eq!(room.free(), 2 * 1024);
    // So does whatever is refused.
    for (pieces, code) in [
        (vec![data("123456789")], Code::BodyTooLarge),
        (vec![data("no")], Code::PolicyDenied),
    ] {
        let outcome = setup(pieces, true).ask(ByBody::default()).await;
        assert_eq!(outcome.code(), Some(code));
        assert_eq!(room.free(), 2 * 1024);
    }
}

#[tokio::test]
async fn refuses_what_the_policy_says_of_the_body() {
    for waits in [false, true] {
        for (pieces, seen) in [
            (vec![data("no")], "no"),
            (vec![data("o"), data("k"), data("!")], "ok!"),
            // No body at all is an empty one.
            (vec![], ""),
        ] {
            let policy = ByBody {
                waits,
                ..ByBody::default()
            };
            let outcome = Setup::of(pieces).ask(policy.clone()).await;
            assert_eq!(outcome.code(), Some(Code::PolicyDenied));
            assert_eq!(policy.seen(), [seen]);
            let denial = outcome.denial.unwrap();
            assert_eq!(
                (denial.policy(), denial.version()),
                (Some("bodies"), Some("3"))
            );
        }
    }
}

#[tokio::test]
async fn refuses_where_nothing_reads_the_body_and_says_what_to_do() {
    let policy = ByBody::default();
    let outcome = under(policy.clone()).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    assert!(outcome.detail().contains("reading_bodies"));
    assert!(policy.seen().is_empty());
}

#[tokio::test]
async fn reads_nothing_before_it_is_known_who_asks() {
    let policy = AuthorizeLayer::new(ByBody::default()).reading_bodies();
    let mut setup = Setup::of([data("ok")]);
    let chain = Link::first(setup.keep.clone()).then_body(policy);
    let outcome = setup.through(chain).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    assert_eq!(setup.polls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn reads_nothing_that_no_policy_asked_for() {
    let no_matter = |access: &Access<'_>| access.body().is_none();
    let silent = |_: &Access<'_>| Verdict::NotApplicable;
    let mut setup = Setup::of([data("a"), data("b"), trailers()]);
    assert_eq!(setup.ask(no_matter).await.given(), ["a", "b", "#"]);
    let mut setup = Setup::of([data("a")]);
    assert_eq!(setup.ask(silent).await.code(), Some(Code::PolicyDenied));
    assert_eq!(setup.polls.load(Ordering::SeqCst), 0);
    // Nor on a public route.
    let policy = ByBody::default();
    let mut setup = Setup::of([data("a"), data("b")]);
    setup.public = true;
    assert_eq!(setup.ask(policy.clone()).await.given(), ["a", "b"]);
    assert!(policy.seen().is_empty());
}

#[tokio::test]
async fn reads_nothing_of_a_tunnel() {
    // RFC 9110 section 9.3.6: a CONNECT has no content.
    let policy = ByBody::default();
    let mut setup = Setup::endless([data("ok")]);
    setup.method = Method::CONNECT;
    let outcome = setup.ask(policy.clone()).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    assert_eq!(
        (policy.seen(), setup.polls.load(Ordering::SeqCst)),
        (vec![String::new()], 0)
    );
}

#[tokio::test]
async fn a_policy_that_panics_over_a_body_permits_nothing() {
    for waits in [false, true] {
        let policy = ByBody {
            waits,
            ..ByBody::default()
        };
        let outcome = Setup::of([data("panic")]).ask(policy).await;
        assert_eq!(outcome.code(), Some(Code::HandlerPanicked));
    }
}

#[tokio::test]
async fn a_request_that_goes_away_while_its_body_is_read_is_settled_once() {
    let mut setup = Setup::endless([data("o")]);
    let (settled, keep) = (setup.settled.0.clone(), setup.keep.clone());
    let policy = ByBody::default();
    {
        let mut asked = Box::pin(setup.ask(policy.clone()));
        let task = &mut Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(task).is_pending());
        assert_eq!(settled.load(Ordering::SeqCst), 0);
    }
    assert_eq!(settled.load(Ordering::SeqCst), 1);
    let trail = keep.0.lock().unwrap().take().unwrap();
    assert!(trail.permit().is_none() && trail.denial().is_none());
    assert!(policy.seen().is_empty());
}

// What passes

#[tokio::test]
async fn a_permitted_body_goes_on_whole() {
    for waits in [false, true] {
        for pieces in [
            vec![data("ok"), trailers()],
            vec![data("o"), data(""), data("k"), trailers()],
        ] {
            let policy = ByBody {
                waits,
                ..ByBody::default()
            };
            let outcome = Setup::of(pieces).ask(policy.clone()).await;
            assert_eq!(outcome.given(), ["ok", "#"]);
            assert_eq!(policy.seen(), ["ok"]);
            assert_eq!(outcome.trail.permit().unwrap().rule(), "ok");
        }
    }
}

#[tokio::test]
async fn a_stack_that_observes_hands_on_every_body_and_says_so_in_the_permit() {
    let reset = || Err(BoxError::from("reset"));
    for (pieces, given, code) in [
        (vec![data("no")], vec!["no"], Code::PolicyDenied),
        (
            vec![data("1234"), data("56789"), data("0"), trailers()],
            vec!["1234", "56789", "0", "#"],
            Code::BodyTooLarge,
        ),
        (
            vec![data("a"), data("b"), reset()],
            vec!["ab", "!reset"],
            Code::RequestMalformed,
        ),
    ] {
        let mut setup = Setup::of(pieces);
        setup.observes = true;
        let outcome = setup.ask(ByBody::default()).await;
        let mut seen = outcome.given();
        seen.dedup();
        assert_eq!(seen, given);
        assert_eq!(outcome.trail.would_deny().unwrap().code(), code);
        assert!(outcome.trail.permit().unwrap().is_observed_only());
    }
    // What takes too long goes on with what comes later; nothing does here.
    let mut setup = Setup::endless([data("a")]);
    setup.observes = true;
    let (clock, trail) = (setup.clock.clone(), setup.keep.clone());
    let mut asked = Box::pin(setup.ask(ByBody::default()));
    let task = &mut Context::from_waker(Waker::noop());
    assert!(asked.as_mut().poll(task).is_pending());
    clock.0.advance(LIMITS.deadline);
    assert!(asked.as_mut().poll(task).is_pending(), "the handler reads");
    let trail = trail.0.lock().unwrap().take().unwrap();
    assert_eq!(trail.would_deny().unwrap().code(), Code::RequestTimeout);
    assert!(trail.permit().unwrap().is_observed_only());
}

// Beside what proves bodies

/// Wants the body to have a digest, collected or as it comes.
#[derive(Debug, Clone)]
struct Signed {
    content: &'static str,
    collects: bool,
}

impl ProveBody for Signed {
    fn plan(&self, _: &Parts, _: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        let digest = ContentDigest::of(DigestAlgorithm::Sha256, self.content.as_bytes());
        Ok(match self.collects {
            true => BodyPlan::Collect {
                limits: CollectLimits {
                    bytes: 100,
                    ..LIMITS
                },
                digest: Some(digest),
            },
            false => BodyPlan::Stream { digest },
        })
    }

    fn mismatch(&self) -> Denial {
        Code::SignatureInvalid.into()
    }
}

impl Authenticate for Signed {
    const NAME: &'static str = "Signed";
    const PROVES_BODY: bool = true;

    fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented {
        Presented::Mine
    }

    fn authenticate(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        if let Err(denial) = cx.owe_body(Arc::new(self.clone())) {
            return denial.into();
        }
        Step::pass(Arc::new(ada_with(&[], &[])))
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_body_that_is_proved_is_read_once_and_decided_by_only_where_it_was_proved() {
    for collects in [false, true] {
        for (content, pieces, code, seen) in [
            ("ok", vec![data("o"), data("k")], None, vec!["ok"]),
            (
                "no",
                vec![data("n"), data("o")],
                Some(Code::PolicyDenied),
                vec!["no"],
            ),
            // Another body than the one that was signed decides nothing.
            (
                "no",
                vec![data("o"), data("k")],
                Some(Code::SignatureInvalid),
                vec![],
            ),
            ("ok", vec![data("o")], Some(Code::SignatureInvalid), vec![]),
            (
                "a body of its own length",
                vec![data("a body of its own length")],
                Some(Code::BodyTooLarge),
                vec![],
            ),
        ] {
            let policy = ByBody::default();
            let signed = Authenticated::new(Signed { content, collects });
            let mut setup = Setup::of(pieces);
            let chain = Link::first(setup.keep.clone())
                .then(signed)
                .then_body(VerifyBody::<Authenticated<Signed>>::new())
                .then_body(AuthorizeLayer::new(policy.clone()).reading_bodies());
            let outcome = setup.through(chain).await;
            assert_eq!(outcome.code(), code, "{content}, {collects}");
            assert_eq!(policy.seen(), seen);
            if code.is_none() {
                assert_eq!(outcome.given(), ["ok"]);
            }
        }
    }
}

// Editions and combinations

/// Is replaced when it is told to; says which edition has decided.
#[derive(Clone, Default)]
struct Replaced {
    edition: Arc<AtomicUsize>,
    asks: Arc<[bool]>,
}

impl Policy for Replaced {
    fn decide(&self, _: &Access<'_>) -> Step<Verdict> {
        Denial::misordered("asked itself").into()
    }

    fn edition(&self) -> Option<Arc<dyn Policy>> {
        let at = self.edition.load(Ordering::SeqCst);
        Some(Arc::new(Edition(at, self.asks[at])))
    }
}

struct Edition(usize, bool);

impl Policy for Edition {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        assert_eq!(access.body().is_some(), self.1);
        Step::pass(Verdict::permit(self.0.to_string()))
    }

    fn needs_body(&self, _: &Access<'_>) -> Option<CollectLimits> {
        self.1.then_some(LIMITS)
    }
}

#[tokio::test]
async fn a_policy_that_is_replaced_while_a_body_is_read_decides_by_the_edition_that_asked() {
    let policy = Replaced {
        asks: [true, false].into(),
        ..Replaced::default()
    };
    let combined = all((yes, policy.clone()));
    for (policy, edition) in [
        (Arc::new(policy.clone()) as Arc<dyn Policy>, &policy.edition),
        (Arc::new(combined), &policy.edition),
    ] {
        edition.store(0, Ordering::SeqCst);
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let layer = AuthorizeLayer::new(policy).reading_bodies();
        let keep = Keep::default();
        let chain = Link::first(keep.clone()).then(ada()).then_body(layer);
        let handler = service_fn(|_: Request<RequestBody<_>>| async {
            Ok::<_, Infallible>(Answer::default())
        });
        let body = futures_util::stream::once(async move {
            receiver.await.unwrap();
            data("ok")
        });
        let body = http_body_util::StreamBody::new(body).boxed_unsync();
        let gate: Gate<_, _, Replace> =
            Gate::with_settings(handler, chain, Settings::shared_default());
        let (answer, ()) = tokio::join!(gate.oneshot(Request::new(body)), async {
            edition.store(1, Ordering::SeqCst);
            sender.send(()).unwrap();
        });
        assert_eq!(answer.unwrap().status(), 200);
        let trail = keep.0.lock().unwrap().take().unwrap();
        assert_eq!(trail.permit().unwrap().rule(), "0");
    }
}

#[test]
fn a_combination_needs_the_most_that_one_of_its_policies_needs() {
    struct Needs(usize, u64);
    impl Policy for Needs {
        fn decide(&self, _: &Access<'_>) -> Step<Verdict> {
            Step::pass(Verdict::NotApplicable)
        }

        fn needs_body(&self, _: &Access<'_>) -> Option<CollectLimits> {
            let deadline = Duration::from_secs(self.1);
            (self.0 > 0).then_some(CollectLimits {
                bytes: self.0,
                deadline,
            })
        }
    }
    let (parts, ()) = Request::new(()).into_parts();
    let cx = SecurityContext::open(&parts, &Settings::shared_default());
    let access = Access::new(&parts, &cx);
    let needs = |policy: &dyn Policy| {
        policy
            .needs_body(&access)
            .map(|limits| (limits.bytes, limits.deadline.as_secs()))
    };
    assert_eq!(needs(&all((yes, no))), None);
    assert_eq!(needs(&any((yes, Needs(0, 0)))), None);
    assert_eq!(needs(&all((Needs(7, 1), yes, Needs(3, 9)))), Some((7, 9)));
    assert_eq!(needs(&any((yes, Needs(7, 1)))), Some((7, 1)));
    assert_eq!(needs(&deny_overrides((Needs(1, 2), yes))), Some((1, 2)));
    assert_eq!(
        needs(&Arc::new(all((any((Needs(4, 4), no)),)))),
        Some((4, 4))
    );
    assert!(all((yes, no)).edition().is_none());
}
