//! Bodies that are read whole before the handler is called.

use super::*;

#[tokio::test]
async fn refuses_by_the_head_alone_before_a_byte_is_read() {
    let refuses = Fake {
        plan: Err(Code::SignatureInvalid),
        ..Fake::collects("")
    };
    let reads = Fake::collects("abc");
    let touched = Arc::new(AtomicUsize::new(0));
    for proofs in [[&refuses, &reads], [&reads, &refuses]] {
        let count = Arc::clone(&touched);
        let body = stream::poll_fn(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(None::<Piece>)
        });
        let outcome = Setup::of(proofs)
            .ask(StreamBody::new(body).boxed_unsync())
            .await;
        outcome.refused(Code::SignatureInvalid);
    }
    assert_eq!(touched.load(Ordering::SeqCst), 0);
    assert!(!reads.asked().contains(&"abc".to_owned()));
}

#[tokio::test]
async fn a_body_is_there_where_its_stream_has_not_ended() {
    for (body, asked) in [
        (full(""), "plan, no body"),
        (full("abc"), "plan, body"),
        // Chunked, with nothing in it: that is known only once it was read.
        (pieces([]), "plan, body"),
    ] {
        let fake = Fake::with(BodyPlan::HandOn);
        let outcome = Setup::of([&fake]).ask(body).await;
        assert_eq!(outcome.code(), None);
        assert!(!outcome.seen().collected);
        assert_eq!(fake.asked(), [asked]);
    }
}

#[tokio::test]
async fn refuses_a_body_past_the_limit_by_one_byte() {
    for body in [
        full("123456789"),
        pieces([data("123456789")]),
        pieces([data("12345678"), data("9")]),
        pieces("123456789".split("").map(data)),
        // Where it drips besides, the limit is what is met first.
        dripping([data("12345678"), data(""), data("9")]),
    ] {
        let outcome = Setup::of([&Fake::collects("123456789")]).ask(body).await;
        outcome.refused(Code::BodyTooLarge);
    }
    for body in [
        full("12345678"),
        pieces([data("1234"), data("5678"), data("")]),
    ] {
        let outcome = Setup::of([&Fake::collects("12345678")]).ask(body).await;
        assert_eq!(outcome.pieces(), ["12345678"]);
    }
}

#[tokio::test]
async fn the_tightest_of_two_limits_holds() {
    let tight = |bytes, secs| {
        let deadline = Duration::from_secs(secs);
        Fake::within(CollectLimits { bytes, deadline }, "123456")
    };
    let (few, soon) = (tight(5, 60), tight(60, 2));
    for proofs in [[&few, &soon], [&soon, &few]] {
        let setup = Setup::of(proofs);
        setup.ask(full("123456")).await.refused(Code::BodyTooLarge);
        let setup = Setup::of(proofs);
        let clock = setup.clock.0.clone();
        let (outcome, ()) = tokio::join!(setup.ask(dripping([data("1")])), async {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(2));
        });
        outcome.refused(Code::RequestTimeout);
    }
}

#[tokio::test]
async fn refuses_a_body_that_drips_past_its_deadline_however_much_came() {
    let setup = Setup::of([&Fake::collects("ab")]);
    let clock = setup.clock.0.clone();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Piece>();
    let body = stream::poll_fn(move |task| receiver.poll_recv(task));
    let body = StreamBody::new(body).boxed_unsync();
    let (outcome, ()) = tokio::join!(setup.ask(body), async {
        for piece in ["a", "", "b", "c", "d"] {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
            let _ = sender.send(data(piece));
        }
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(1));
    });
    outcome.refused(Code::RequestTimeout);
    // One wait for the whole body, not one a piece.
    assert_eq!(setup.clock.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn refuses_a_body_that_breaks_off() {
    for body in [
        pieces([reset()]),
        pieces([data("ab"), reset()]),
        pieces([data("ab"), trailers(), reset()]),
    ] {
        let outcome = Setup::of([&Fake::collects("ab")]).ask(body).await;
        outcome.refused(Code::RequestMalformed);
    }
}

#[tokio::test]
async fn refuses_a_body_that_lies_about_its_length() {
    /// Says that more is to come than does.
    struct Lies(TestBody, u64);

    impl Body for Lies {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            task: &mut Context<'_>,
        ) -> Poll<Option<Piece>> {
            std::pin::Pin::new(&mut self.0).poll_frame(task)
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.1)
        }
    }

    for (says, code) in [
        (0, Some(Code::SignatureInvalid)),
        (3, Some(Code::SignatureInvalid)),
        (9, Some(Code::BodyTooLarge)),
        (u64::MAX, Some(Code::BodyTooLarge)),
    ] {
        let body = Lies(pieces([data("ab"), data("cd")]), says);
        let outcome = Setup::of([&Fake::collects("abc")])
            .ask(body.boxed_unsync())
            .await;
        assert_eq!(outcome.code(), code, "{says}");
    }
}

#[tokio::test]
async fn refuses_another_body_than_the_one_that_was_proved() {
    for body in [
        full("abx"),
        full("ab"),
        full("abcd"),
        full(""),
        pieces([]),
        pieces([data("ab"), data("x")]),
        pieces([data("abx"), trailers()]),
    ] {
        let fake = Fake::collects("abc");
        let outcome = Setup::of([&fake]).ask(body).await;
        outcome.refused(Code::SignatureInvalid);
        assert_eq!(fake.asked().len(), 1, "it was not asked to finish");
    }
}

#[tokio::test]
async fn each_of_two_proofs_refuses_in_its_own_words() {
    let (right, wrong) = (Fake::collects("abc"), Fake::collects("x"));
    let wrong = wrong.or(Code::BindingMismatch);
    for proofs in [[&right, &wrong], [&wrong, &right]] {
        let outcome = Setup::of(proofs).ask(full("abc")).await;
        outcome.refused(Code::BindingMismatch);
    }
    // Also the digest of one that would have been content with a stream.
    let streams = Fake::streams("x").or(Code::BindingMismatch);
    for proofs in [[&right, &streams], [&streams, &right]] {
        let outcome = Setup::of(proofs).ask(pieces([data("abc")])).await;
        outcome.refused(Code::BindingMismatch);
    }
    let same = Fake::streams("abc");
    let outcome = Setup::of([&same, &right]).ask(pieces([data("abc")])).await;
    assert_eq!(outcome.pieces(), ["abc"]);
    assert_eq!(same.asked(), ["plan, body"]);
}

#[tokio::test]
async fn hands_on_the_body_that_was_read() {
    for (body, expected) in [
        (full("abc"), vec!["abc"]),
        (pieces([data("a"), data("bc")]), vec!["abc"]),
        (pieces([data("a"), data("b"), data("c")]), vec!["abc"]),
        // Nobody has proved trailers.
        (
            pieces([data(""), data("abc"), data(""), trailers()]),
            vec!["abc"],
        ),
    ] {
        let fake = Fake::collects("abc");
        let setup = Setup::of([&fake]);
        let outcome = setup.ask(body).await;
        assert_eq!(outcome.pieces(), expected);
        assert!(outcome.seen().collected);
        assert_eq!(fake.asked(), ["plan, body", "abc"]);
        // What is there is not waited for.
        assert_eq!(setup.clock.1.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_body_of_one_piece_is_not_copied() {
    let sent = Bytes::from_owner(b"abc".to_vec());
    let at = sent.as_ptr() as usize;
    let body = pieces([data(""), Ok(Frame::data(sent)), data("")]);
    let outcome = Setup::of([&Fake::collects("abc")]).ask(body).await;
    assert_eq!(outcome.seen().at, Some(at));
}

#[tokio::test]
async fn a_body_that_comes_in_time_passes() {
    let setup = Setup::of([&Fake::collects("ab")]);
    let clock = setup.clock.0.clone();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Piece>();
    let body = stream::poll_fn(move |task| receiver.poll_recv(task));
    let body = StreamBody::new(body).boxed_unsync();
    let (outcome, ()) = tokio::join!(setup.ask(body), async {
        for piece in ["a", "b"] {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(2));
            let _ = sender.send(data(piece));
        }
        drop(sender);
    });
    assert_eq!(outcome.pieces(), ["ab"]);
}

#[test]
fn large_bodies_are_compared_with_and_without_a_runtime() {
    let content: &'static str = "x".repeat(300_000).leak();
    let limits = CollectLimits {
        bytes: 300_000,
        ..LIMITS
    };
    for (digested, code) in [(content, None), ("y", Some(Code::SignatureInvalid))] {
        let fake = Fake::within(limits, digested);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let outcome = runtime.block_on(Setup::of([&fake]).ask(full(content)));
        assert_eq!(outcome.code(), code);
        let setup = Setup::of([&fake]);
        let asking = std::pin::pin!(setup.ask(full(content)));
        let mut task = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(outcome) = std::future::Future::poll(asking, &mut task) else {
            panic!("there is nothing to wait for");
        };
        assert_eq!(outcome.code(), code);
    }
}

/// What the check answers at once; `None` where it waits.
fn at_once(
    fake: &Fake,
    mut body: RequestBody<TestBody>,
) -> (Option<Result<bool, Code>>, RequestBody<TestBody>) {
    let (mut parts, ()) = Request::new(()).into_parts();
    let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
    cx.owe_body(Arc::new(fake.clone())).unwrap();
    let check = VerifyBody::<Authenticated<Signed>>::new();
    let step = check.check(&mut parts, &mut body, &mut cx);
    assert!(!cx.owes_body());
    let answer = match step {
        Step::Now(result) => Some(
            result
                .map(|guard| guard.is_some())
                .map_err(|denial| denial.code()),
        ),
        Step::Later(_) => None,
    };
    (answer, body)
}

#[test]
fn where_there_is_no_body_nothing_is_waited_for() {
    for fake in [Fake::collects(""), Fake::streams("")] {
        let (answer, body) = at_once(&fake, RequestBody::new(full("")));
        assert_eq!(answer, Some(Ok(false)));
        assert!(body.as_collected().unwrap().bytes().is_empty());
    }
    for fake in [Fake::collects("abc"), Fake::streams("abc")] {
        let (answer, _) = at_once(&fake, RequestBody::new(full("")));
        assert_eq!(answer, Some(Err(Code::SignatureInvalid)));
    }
}

#[test]
fn a_body_that_was_collected_is_judged_and_not_read_again() {
    let collected =
        |text: &'static str| RequestBody::collected(CollectedBody::new(Bytes::from(text), None));
    for fake in [Fake::collects("abc"), Fake::streams("abc")] {
        let (answer, body) = at_once(&fake, collected("abc"));
        assert_eq!(answer, Some(Ok(false)));
        assert_eq!(body.as_collected().unwrap().bytes(), "abc");
        let (answer, _) = at_once(&fake, collected("abx"));
        assert_eq!(answer, Some(Err(Code::SignatureInvalid)));
    }
    let long = Fake::collects("123456789");
    let (answer, _) = at_once(&long, collected("123456789"));
    assert_eq!(answer, Some(Err(Code::BodyTooLarge)));
    let waits = Fake::collects("abc").naming("hook", true);
    assert_eq!(at_once(&waits, collected("abc")).0, None);
}

#[tokio::test]
async fn a_body_of_which_a_check_has_read_is_handed_on_whole_as_it_was_judged() {
    let mut half = CollectedBody::new(Bytes::from("abc"), None);
    half.frame().await.unwrap().unwrap();
    let (answer, body) = at_once(&Fake::collects("abc"), RequestBody::collected(half));
    assert_eq!(answer, Some(Ok(false)));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
}

#[test]
fn where_nothing_is_owed_nothing_is_done() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
    let mut body = RequestBody::new(full("abc"));
    let check = VerifyBody::<Authenticated<Signed>>::new();
    let step = check.check(&mut parts, &mut body, &mut cx);
    assert!(matches!(step, Step::Now(Ok(None))));
    assert!(body.try_into_inner().is_ok());
}
