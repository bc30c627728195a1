//! A guard that meters sees each piece before it goes out.

use std::{collections::VecDeque, pin::Pin};

use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    body::{BoxError, ZtBody},
    clock::{Clock, ManualClock, Timestamp},
    gate::{Gate, Link, Settings},
};

/// A check whose guard lets as many bytes out as it is told to, and can make each piece wait.
#[derive(Debug, Clone, Default)]
struct Tap(Arc<TapState>);

#[derive(Debug, Default)]
struct TapState {
    asked: Mutex<Vec<Bytes>>,
    settled: Mutex<Vec<(End, u64)>>,
    door: Door,
    most: AtomicUsize,
}

impl Tap {
    fn of(most: usize) -> Self {
        let tap = Self::default();
        tap.0.most.store(most, Ordering::SeqCst);
        tap
    }

    fn asked(&self) -> Vec<Bytes> {
        self.0.asked.lock().unwrap().clone()
    }

    fn settled(&self) -> Vec<(End, u64)> {
        self.0.settled.lock().unwrap().clone()
    }
}

impl Check for Tap {
    type Guard = TapGuard;
    const NAME: &'static str = "tap";
    const STAGE: Stage = Stage::Anywhere;

    fn check(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<TapGuard> {
        Step::pass(TapGuard {
            tap: self.clone(),
            seen: 0,
            waiting: false,
        })
    }
}

struct TapGuard {
    tap: Tap,
    seen: usize,
    waiting: bool,
}

impl Guard for TapGuard {
    const METERS: bool = true;

    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if !std::mem::replace(&mut self.waiting, true) {
            self.seen += data.len();
            self.tap.0.asked.lock().unwrap().push(data.clone());
        }
        if self.tap.0.door.poll(task).is_pending() {
            return Poll::Pending;
        }
        self.waiting = false;
        Poll::Ready(if self.seen > self.tap.0.most.load(Ordering::SeqCst) {
            Err(Code::BudgetExhausted.into())
        } else {
            Ok(())
        })
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        let seen = (settlement.end, settlement.bytes);
        self.tap.0.settled.lock().unwrap().push(seen);
    }
}

/// A body of frames that says how long it is, and when it has ended.
#[derive(Debug, Default)]
struct Script {
    frames: VecDeque<Frame<Bytes>>,
    polls: Arc<AtomicUsize>,
    sized: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(self.frames.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::default();
        }
        let lengths = self.frames.iter().filter_map(Frame::data_ref);
        SizeHint::with_exact(lengths.map(Bytes::len).sum::<usize>() as u64)
    }
}

fn script(pieces: &[&'static str]) -> Script {
    Script {
        frames: pieces
            .iter()
            .map(|text| Frame::data(Bytes::from_static(text.as_bytes())))
            .collect(),
        sized: true,
        ..Script::default()
    }
}

async fn through(
    chain: impl crate::gate::Chain<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    settings: Settings,
    response: Response<Script>,
) -> Response<ZtBody<Script>> {
    let response = Arc::new(Mutex::new(Some(response)));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let response = response.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    Gate::<_, _, crate::gate::Keep>::with_settings(service, chain, Arc::new(settings))
        .oneshot(request)
        .await
        .unwrap()
}

async fn tapped(tap: &Tap, body: Script) -> ZtBody<Script> {
    let settings = Settings::default();
    let chain = Link::first(tap.clone());
    through(chain, request(), settings, Response::new(body))
        .await
        .into_body()
}

fn poll(body: &mut ZtBody<Script>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn piece(body: &mut ZtBody<Script>) -> Bytes {
    let Poll::Ready(Some(Ok(frame))) = poll(body) else {
        panic!("there is a piece")
    };
    frame.into_data().unwrap()
}

#[tokio::test]
async fn no_piece_goes_out_before_the_guard_has_said_so_nor_is_the_next_one_made() {
    let tap = Tap::of(10);
    let script = script(&["ab", "cde"]);
    let polls = Arc::clone(&script.polls);
    let mut body = tapped(&tap, script).await;
    tap.0.door.close();
    for _ in 0..3 {
        assert!(poll(&mut body).is_pending());
    }
    assert_eq!(tap.asked(), ["ab"], "asked about it once");
    assert_eq!(polls.load(Ordering::SeqCst), 1);
    tap.0.door.open();
    assert_eq!(piece(&mut body), "ab");
    assert_eq!(piece(&mut body), "cde");
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(tap.settled(), [(End::Complete, 5)]);
}

#[tokio::test]
async fn the_last_piece_is_not_lost_while_it_is_held() {
    let tap = Tap::of(10);
    let mut body = tapped(&tap, script(&["abc"])).await;
    assert_eq!(body.size_hint().exact(), Some(3));
    tap.0.door.close();
    assert!(poll(&mut body).is_pending());
    // The body behind it has ended, and this one has not.
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(tap.settled().is_empty());
    tap.0.door.open();
    assert_eq!(piece(&mut body), "abc");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert_eq!(tap.settled(), [(End::Complete, 3)]);
}

#[tokio::test]
async fn the_hint_of_a_body_that_does_not_know_its_length_covers_what_is_held() {
    let tap = Tap::of(10);
    let unsized_script = Script {
        sized: false,
        ..script(&["abc"])
    };
    let mut body = tapped(&tap, unsized_script).await;
    tap.0.door.close();
    assert!(poll(&mut body).is_pending());
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (3, None)
    );
}

#[tokio::test]
async fn a_body_that_was_cut_off_gives_an_error_and_then_nothing() {
    let tap = Tap::of(3);
    let mut script = script(&["ab", "cd", "e"]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    script.frames.push_back(Frame::trailers(trailers));
    let polls = Arc::clone(&script.polls);
    let mut body = tapped(&tap, script).await;
    assert_eq!(piece(&mut body), "ab");
    let Poll::Ready(Some(Err(error))) = poll(&mut body) else {
        panic!("it is cut off")
    };
    let denial: &Denial = error.downcast_ref().unwrap();
    assert_eq!(denial.code(), Code::BudgetExhausted);
    assert_eq!(tap.settled(), [(End::Cut, 2)]);
    // Neither the piece, nor what comes behind it, nor the trailers.
    for _ in 0..5 {
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }
    assert_eq!(polls.load(Ordering::SeqCst), 2);
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    drop(body);
    assert_eq!(tap.settled().len(), 1);
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_not_complete() {
    let tap = Tap::of(3);
    let mut response = Response::new(script(&["abc", "def"]));
    response
        .headers_mut()
        .insert("content-length", "6".parse().unwrap());
    let chain = Link::first(tap.clone());
    let response = through(chain, request(), Settings::default(), response).await;
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(tap.settled(), [(End::Cut, 3)]);
}

#[tokio::test]
async fn a_body_that_is_dropped_while_a_piece_is_held_is_abandoned() {
    let tap = Tap::of(10);
    let mut body = tapped(&tap, script(&["abc"])).await;
    tap.0.door.close();
    assert!(poll(&mut body).is_pending());
    drop(body);
    assert_eq!(tap.settled(), [(End::Abandoned, 0)]);
}

#[tokio::test]
async fn trailers_go_out_last() {
    let tap = Tap::of(10);
    let mut script = script(&["abc"]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    script.frames.push_back(Frame::trailers(trailers));
    let mut body = tapped(&tap, script).await;
    tap.0.door.close();
    assert!(poll(&mut body).is_pending());
    tap.0.door.open();
    assert_eq!(piece(&mut body), "abc");
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else {
        panic!("the trailers come")
    };
    assert!(frame.is_trailers());
    assert_eq!(tap.asked().len(), 1, "trailers are not metered");
    assert_eq!(tap.settled(), [(End::Complete, 3)]);
}

#[tokio::test]
async fn each_of_two_guards_is_asked_once_about_each_piece_from_the_innermost() {
    let (outer, inner) = (Tap::of(4), Tap::of(10));
    let chain = Link::first(outer.clone())
        .then(passes())
        .then(inner.clone());
    let response = Response::new(script(&["ab", "cd", "ef"]));
    let mut body = through(chain, request(), Settings::default(), response)
        .await
        .into_body();
    outer.0.door.close();
    for _ in 0..3 {
        assert!(poll(&mut body).is_pending());
    }
    assert_eq!((outer.asked().len(), inner.asked().len()), (1, 1));
    outer.0.door.open();
    inner.0.door.close();
    assert_eq!(piece_when(&mut body, &inner).await, "ab");
    assert_eq!(piece(&mut body), "cd");
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!((outer.asked().len(), inner.asked().len()), (3, 3));
    let cut = [(End::Cut, 4)];
    assert_eq!((outer.settled(), inner.settled()), (cut.into(), cut.into()));
}

/// The inner one has answered already: its door is of no importance.
async fn piece_when(body: &mut ZtBody<Script>, inner: &Tap) -> Bytes {
    let piece = piece(body);
    inner.0.door.open();
    piece
}

#[tokio::test]
async fn what_has_no_place_in_the_answer_does_not_go_out_unmetered() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::GET, StatusCode::NO_CONTENT),
        (Method::GET, StatusCode::NOT_MODIFIED),
    ] {
        let tap = Tap::of(10);
        let mut asked = request();
        *asked.method_mut() = method.clone();
        let mut response = Response::new(script(&["stray"]));
        *response.status_mut() = status;
        let chain = Link::first(tap.clone());
        let mut body = through(chain, asked, Settings::default(), response)
            .await
            .into_body();
        assert_eq!(tap.settled(), [(End::Complete, 0)]);
        // A server makes a Content-Length of it, which only HEAD may have without the content.
        let length = if method == Method::HEAD { 5 } else { 0 };
        assert_eq!(body.size_hint().exact(), Some(length), "{method} {status}");
        assert!(
            matches!(poll(&mut body), Poll::Ready(None)),
            "{method} {status}"
        );
        assert!(tap.asked().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_is_not_metered() {
    let tap = Tap::of(0);
    let chain = Link::first(tap.clone()).then(refuses(Code::PolicyDenied));
    let response = through(chain, request(), Settings::default(), Response::default()).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.is_empty());
    assert!(tap.asked().is_empty());
}

#[tokio::test]
async fn a_stack_that_observes_cuts_nothing_off_and_notes_it() {
    let clock = ManualClock::default();
    let tap = Tap::of(3);
    let spy = Spy::default();
    for (until, whole) in [
        (
            clock.now().unwrap() + std::time::Duration::from_secs(1),
            true,
        ),
        (Timestamp::EPOCH, false),
    ] {
        let settings = Settings::default()
            .with_clock(clock.clone())
            .insecure_observe_only(until);
        let chain = Link::first(spy.clone()).then(tap.clone());
        let response = Response::new(script(&["ab", "cd"]));
        let body = through(chain, request(), settings, response)
            .await
            .into_body();
        assert_eq!(body.collect().await.is_ok(), whole);
    }
    assert_eq!(tap.settled(), [(End::Complete, 4), (End::Cut, 2)]);
}

#[tokio::test]
async fn a_stack_without_meters_hands_pieces_on_untouched() {
    let spy = Spy::default();
    let chain = Link::first(spy.clone());
    let response = Response::new(script(&["ab", "cd"]));
    let body = through(chain, request(), Settings::default(), response).await;
    assert_eq!(body.into_body().collect().await.unwrap().to_bytes(), "abcd");
    assert_eq!(spy.once().bytes, 4);
}

#[tokio::test]
async fn a_stack_that_observes_asks_each_of_two_guards_about_each_piece() {
    let (outer, inner) = (Tap::of(1), Tap::of(100));
    outer.0.door.open();
    inner.0.door.open();
    let until = ManualClock::default().now().unwrap() + std::time::Duration::from_secs(3600);
    let settings = Settings::default()
        .with_clock(ManualClock::default())
        .insecure_observe_only(until);
    let chain = Link::first(outer.clone()).then(inner.clone());
    let answer = Response::new(script(&["ab", "cd", "ef"]));
    let mut body = through(chain, request(), settings, answer)
        .await
        .into_body();
    for text in ["ab", "cd", "ef"] {
        assert_eq!(piece(&mut body), text);
    }
    assert_eq!(outer.asked(), ["ab", "cd", "ef"]);
    assert_eq!(inner.asked(), ["ab", "cd", "ef"]);
}

#[tokio::test]
async fn a_body_that_says_it_has_ended_gives_nothing_more() {
    /// It says so before it has begun.
    struct Lies;

    impl Body for Lies {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"free")))))
        }

        fn is_end_stream(&self) -> bool {
            true
        }
    }

    let tap = Tap::of(0);
    let lies =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(Lies)) });
    let gate = Gate::new(lies, Link::first(tap.clone()));
    let mut body = gate.oneshot(request()).await.unwrap().into_body();
    assert!(body.frame().await.is_none());
    assert_eq!(tap.settled(), [(End::Complete, 0)]);
}
