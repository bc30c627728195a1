//! Ways to show a handler what nobody has verified, tried from outside.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::AtomicBool,
};

use futures_util::FutureExt;
use tower::ServiceBuilder;

use super::*;
use crate::{
    authenticate::with_body,
    digest::DigestedBody,
    gate::{FnCheck, GateLayer, Keep, OpenContextLayer},
};

/// A handler that notes whether it was called, whatever its body.
fn marks<B>(
    called: &Arc<AtomicBool>,
) -> impl tower::Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ use<B>
where
    B: Send + 'static,
{
    let called = Arc::clone(called);
    service_fn(move |_: Request<B>| {
        called.store(true, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::default())) }
    })
}

fn code_of<B>(response: &Response<B>) -> Option<Code> {
    response.extensions().get::<Denial>().map(Denial::code)
}

/// Panics where it is asked what to answer.
#[derive(Debug)]
struct Panics;

impl ProveBody for Panics {
    fn plan(&self, _: &Parts, _: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        let digest = digest("abc");
        Ok(BodyPlan::Stream { digest })
    }

    fn mismatch(&self) -> Denial {
        panic!("no words for it");
    }
}

#[test]
fn a_proof_that_panics_over_another_body_sets_nothing_free() {
    for observes in [false, true] {
        let inner = RequestBody::new(pieces([data("a"), data("EVIL"), trailers()]));
        let body = DigestedBody::new(inner, &digest("abc"));
        let body = body.or(Box::new(|_| Some(Panics.mismatch().into())));
        let body = if observes { body.observing() } else { body };
        let mut body = std::pin::pin!(body);
        let mut seen = Vec::new();
        for _ in 0..6 {
            let frame = catch_unwind(AssertUnwindSafe(|| body.frame().now_or_never().unwrap()));
            if let Ok(Some(Ok(frame))) = frame {
                seen.extend(frame.into_data());
            }
        }
        // Where nothing is withheld, all was handed on before the end.
        let all = if observes {
            vec!["a", "EVIL"]
        } else {
            vec!["a"]
        };
        assert_eq!(seen, all);
    }
}

#[tokio::test]
async fn a_body_that_failed_gives_nothing_more_however_often_it_is_asked() {
    for body in [
        pieces([data("a"), data("x"), data("y")]),
        pieces([data("a"), data("x"), reset(), data("EVIL"), trailers()]),
    ] {
        let body = RequestBody::new(body);
        let mut body = std::pin::pin!(DigestedBody::new(body, &digest("abc")));
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push(match body.frame().await {
                Some(Ok(frame)) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
                Some(Err(_)) => "!".to_owned(),
                None => "-".to_owned(),
            });
        }
        let data: Vec<_> = seen
            .iter()
            .filter(|one| one.len() == 1 && *one != "!" && *one != "-")
            .collect();
        assert!(
            !seen.iter().any(|one| one == "y" || one.contains("EVIL")),
            "{seen:?}"
        );
        assert_eq!(seen.iter().filter(|one| *one == "!").count(), 1, "{seen:?}");
        assert!(data.len() <= 2);
        assert_eq!(seen.last().unwrap(), "-");
        assert!(body.is_end_stream());
    }
}

/// A body that says that it has ended, and goes on.
struct Lies(Option<Bytes>, bool);

impl Body for Lies {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.1
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(0)
    }
}

#[tokio::test]
async fn a_body_that_lies_about_its_end_shows_nothing_that_was_not_digested() {
    for fake in [Fake::collects(""), Fake::streams("")] {
        let setup = Setup::of([&fake]);
        let lies = UnsyncBoxBody::new(Lies(Some(Bytes::from("EVIL")), true));
        assert_eq!(setup.ask(lies).await.pieces(), [""; 0]);
        // One that lies about its length only is read and found out.
        let lies = UnsyncBoxBody::new(Lies(Some(Bytes::from("EVIL")), false));
        let outcome = setup.ask(lies).await;
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        let seen = outcome.seen.map(|seen| seen.pieces).unwrap_or_default();
        assert!(!seen.concat().contains("EVIL"), "{seen:?}");
    }
}

/// Reads the body to its end and puts it back as it is: its stream has ended, its bytes are there.
#[derive(Debug, Clone)]
struct Drains;

impl CheckBody<TestBody> for Drains {
    type Guard = ();

    const NAME: &'static str = "Drains";
    const STAGE: Stage = Stage::Anywhere;

    fn check(
        &self,
        _: &mut Parts,
        body: &mut RequestBody<TestBody>,
        _: &mut SecurityContext,
    ) -> Step<(), RequestBody<TestBody>> {
        let whole = body.take().collect().now_or_never().unwrap().unwrap();
        let mut whole = CollectedBody::new(whole.to_bytes(), None);
        let _ = whole.frame().now_or_never();
        *body = RequestBody::collected(whole);
        Step::Now(Ok(()))
    }
}

#[tokio::test]
async fn a_collected_body_whose_stream_was_read_is_a_body_all_the_same() {
    let fake = Fake::collects("abc");
    for (content, code) in [("abc", None), ("EVIL", Some(Code::SignatureInvalid))] {
        let looks = Looks::default();
        let chain = Link::new(Root, looks.clone())
            .then(Authenticated::new(Signed(vec![fake.clone()])))
            .then_body(Drains);
        let chain = crate::gate::BodyLink::new(chain, VerifyBody::<Authenticated<Signed>>::new());
        let outcome = Setup::of([&fake])
            .through(chain, looks, full(content))
            .await;
        assert_eq!(outcome.code(), code);
    }
    assert_eq!(fake.asked(), ["plan, body", "abc", "plan, body"]);
}

/// One piece without content after the other, never waiting.
struct Hollow(ManualClock, u32);

impl Body for Hollow {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.1 += 1;
        if self.1.is_multiple_of(64) {
            self.0.advance(LIMITS.deadline / 1_000);
        }
        assert!(self.1 < 1_000_000, "nothing ends it");
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test]
async fn pieces_without_content_end_at_the_deadline_and_let_others_run() {
    let setup = Setup::of([&Fake::collects("abc")]);
    let hollow = UnsyncBoxBody::new(Hollow(setup.clock.0.clone(), 0));
    let other = Arc::new(AtomicBool::new(false));
    let ran = Arc::clone(&other);
    let (outcome, ()) = tokio::join!(setup.ask(hollow), async move {
        ran.store(true, Ordering::SeqCst);
    });
    outcome.refused(Code::RequestTimeout);
    assert!(other.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_stream_of_pieces_without_content_lets_others_run() {
    let clock = ManualClock::default();
    let hollow = RequestBody::new(UnsyncBoxBody::new(Hollow(clock, 0)));
    let mut body = std::pin::pin!(DigestedBody::new(hollow, &digest("abc")));
    // Whoever reads it with a deadline of their own comes to look at the clock.
    assert!(body.frame().now_or_never().is_none());
}

#[tokio::test]
async fn a_gate_further_out_that_keeps_the_body_lets_nothing_owed_through() {
    let called = Arc::new(AtomicBool::new(false));
    let fake = Fake::collects("abc");
    let settings = Arc::new(Settings::default());
    let outer = Link::new(Root, Authenticated::new(Signed(vec![fake.clone()])));
    let outer: GateLayer<_, Keep> = GateLayer::with_mode(outer, Arc::clone(&settings));
    // Inside stands a gate that would verify, but the outer one cannot know.
    let service = ServiceBuilder::new()
        .layer(outer)
        .layer(with_body(Signed(vec![fake.clone()])))
        .service(marks::<RequestBody<TestBody>>(&called));
    let response = service.oneshot(Request::new(full("EVIL"))).await.unwrap();
    assert_eq!(code_of(&response), Some(Code::StackMisordered));
    assert!(!called.load(Ordering::SeqCst));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_gate_further_in_that_keeps_the_body_lets_nothing_owed_through() {
    let called = Arc::new(AtomicBool::new(false));
    let fake = Fake::collects("abc");
    let inner = Link::new(Root, Authenticated::new(Signed(vec![fake.clone()])));
    let inner: GateLayer<_, Keep> = GateLayer::with_mode(inner, Arc::new(Settings::default()));
    let service = ServiceBuilder::new()
        .layer(with_body(Signed(vec![Fake::collects("abc")])))
        .layer(inner)
        .service(marks::<RequestBody<TestBody>>(&called));
    let response = service.oneshot(Request::new(full("abc"))).await.unwrap();
    assert_eq!(code_of(&response), Some(Code::StackMisordered));
    assert!(!called.load(Ordering::SeqCst));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn what_is_owed_behind_the_check_of_the_body_is_refused() {
    let fake = Fake::collects("abc");
    let looks = Looks::default();
    let late = fake.clone();
    let owes = move |_: &mut Parts, cx: &mut SecurityContext| cx.owe_body(Arc::new(late.clone()));
    let chain = Link::new(Root, looks.clone())
        .then(Authenticated::new(Signed(vec![fake.clone()])))
        .then_body(VerifyBody::<Authenticated<Signed>>::new())
        .then(FnCheck::new(owes));
    for observing in [false, true] {
        let setup = Setup::of([&fake]);
        let setup = if observing { setup.observing() } else { setup };
        let outcome = setup
            .through(chain.clone(), looks.clone(), full("abc"))
            .await;
        outcome.refused(Code::StackMisordered);
    }
}

#[tokio::test]
async fn a_stream_inside_of_which_another_gate_collects_is_refused_by_both() {
    let called = Arc::new(AtomicBool::new(false));
    let outer = Fake::streams("abc").or(Code::BindingMismatch);
    let inner = Fake::collects("abx");
    let service = |called: &Arc<AtomicBool>| {
        ServiceBuilder::new()
            .layer(with_body(Signed(vec![outer.clone()])))
            .layer(with_body(Signed(vec![inner.clone()])))
            .service(marks::<RequestBody<RequestBody<TestBody>>>(called))
    };
    let body = pieces([data("ab"), data("x")]);
    let response = service(&called).oneshot(Request::new(body)).await.unwrap();
    assert_eq!(code_of(&response), Some(Code::BindingMismatch));
    let body = pieces([data("ab"), data("c")]);
    let response = service(&called).oneshot(Request::new(body)).await.unwrap();
    assert_eq!(code_of(&response), Some(Code::SignatureInvalid));
    assert!(!called.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_context_that_is_used_again_carries_no_proof_of_another_body() {
    let fake = Fake::collects("abc");
    let called = Arc::new(AtomicBool::new(false));
    let inner =
        with_body(Signed(vec![fake.clone()])).layer(marks::<RequestBody<TestBody>>(&called));
    // Calls a second service with the extensions of the first request and another body.
    let handler = service_fn(move |request: Request<RequestBody<TestBody>>| {
        let (parts, _) = request.into_parts();
        inner
            .clone()
            .oneshot(Request::from_parts(parts, full("EVIL")))
    });
    let service = with_body(Signed(vec![fake])).layer(handler);
    let response = service.oneshot(Request::new(full("abc"))).await.unwrap();
    assert_eq!(code_of(&response), Some(Code::SignatureInvalid));
    assert!(!called.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_goes_on_reading_behind_the_answer_never_sees_the_end() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let handler = service_fn(move |request: Request<RequestBody<TestBody>>| {
        let sender = sender.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            let _ = sender.send(read(request.into_body(), Reads::All).await);
        });
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let service = with_body(Signed(vec![Fake::streams("abc")])).layer(handler);
    let body = pieces([data("ab"), data("EVIL"), trailers()]);
    let response = service.oneshot(Request::new(body)).await.unwrap();
    drop(response);
    assert_eq!(
        receiver.await.unwrap().pieces,
        ["ab", "!the signature is not valid"]
    );
}

/// Echoes a body as it comes, and takes an error for its end.
struct Swallows(std::pin::Pin<Box<RequestBody<TestBody>>>);

impl Body for Swallows {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0
            .as_mut()
            .poll_frame(task)
            .map(|frame| frame.filter(Result::is_ok))
    }
}

#[tokio::test]
async fn an_answer_that_swallows_the_error_as_it_streams_breaks_off() {
    let handler = service_fn(|request: Request<RequestBody<TestBody>>| async {
        let body = Swallows(Box::pin(request.into_body()));
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = with_body(Signed(vec![Fake::streams("abc")])).layer(handler);
    // A gate further out has the same trail.
    let service = OpenContextLayer::new(Settings::default()).layer(service);
    for (body, good) in [
        (pieces([data("ab"), data("c")]), true),
        (pieces([data("ab"), data("x")]), false),
        (pieces([data("ab"), reset()]), false),
    ] {
        let response = service.clone().oneshot(Request::new(body)).await.unwrap();
        assert_eq!(response.status(), 200);
        let all = response.into_body().collect().await;
        assert_eq!(all.is_ok(), good);
    }
}

/// A proof that panics once the body is read.
#[derive(Debug, Clone)]
struct PanicsLate(bool);

impl ProveBody for PanicsLate {
    fn plan(&self, _: &Parts, _: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        assert!(self.0, "at once");
        Ok(BodyPlan::Collect {
            limits: LIMITS,
            digest: None,
        })
    }

    fn mismatch(&self) -> Denial {
        Code::SignatureInvalid.into()
    }

    fn finish(
        &self,
        _: &CollectedBody,
        _: &mut Parts,
        _: &mut SecurityContext,
    ) -> Step<Option<Arc<Principal>>> {
        panic!("late");
    }
}

#[tokio::test]
async fn a_proof_that_panics_refuses_also_where_the_stack_only_observes() {
    for (late, observing) in [(false, false), (false, true), (true, false), (true, true)] {
        let proof = PanicsLate(late);
        let owes =
            move |_: &mut Parts, cx: &mut SecurityContext| cx.owe_body(Arc::new(proof.clone()));
        let looks = Looks::default();
        let chain = Link::new(Root, looks.clone())
            .then(FnCheck::new(owes))
            .then_body(VerifyBody::<Authenticated<Signed>>::new());
        for body in [full("abc"), full(""), pieces([data("a"), data("b")])] {
            let setup = Setup::of([]);
            let setup = if observing { setup.observing() } else { setup };
            let outcome = setup.through(chain.clone(), looks.clone(), body).await;
            outcome.refused(Code::HandlerPanicked);
        }
    }
}
