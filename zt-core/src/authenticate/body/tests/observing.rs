//! A stack that only observes notes what it would have denied, and hands every body on whole.

use super::*;

#[tokio::test]
async fn what_the_head_alone_refuses_goes_on_untouched() {
    let refuses = Fake {
        plan: Err(Code::SignatureInvalid),
        ..Fake::collects("")
    };
    let setup = Setup::of([&refuses]).observing();
    let outcome = setup.ask(pieces([data("a"), data("b")])).await;
    assert_eq!(outcome.pieces(), ["a", "b"]);
    assert_eq!(outcome.would_deny(), Some(Code::SignatureInvalid));
}

#[tokio::test]
async fn a_body_that_was_not_read_whole_goes_on_whole() {
    for (body, seen, code) in [
        (full("123456789"), vec!["123456789"], Code::BodyTooLarge),
        (
            pieces([data("1234"), data("5678"), data("9"), data("0"), trailers()]),
            vec!["12345678", "9", "0", "#"],
            Code::BodyTooLarge,
        ),
        (
            pieces([data("ab"), trailers(), reset(), data("never")]),
            vec!["ab", "#", "!reset"],
            Code::RequestMalformed,
        ),
        (pieces([reset()]), vec!["!reset"], Code::RequestMalformed),
    ] {
        let fake = Fake::collects("abc").naming("hook", false);
        let outcome = Setup::of([&fake]).observing().ask(body).await;
        let mut found = outcome.pieces();
        // A reader stops at the error; this one goes on, and nothing comes.
        found.dedup();
        assert_eq!(found, seen);
        assert_eq!(outcome.would_deny(), Some(code));
        assert!(outcome.trail.principal().unwrap().is_anonymous());
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_took_too_long_goes_on_with_what_comes_later() {
    let setup = Setup::of([&Fake::collects("abcd")]).observing();
    let clock = setup.clock.0.clone();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Piece>();
    let body = stream::poll_fn(move |task| receiver.poll_recv(task));
    let body = StreamBody::new(body).boxed_unsync();
    let (outcome, ()) = tokio::join!(setup.ask(body), async move {
        sender.send(data("a")).unwrap();
        sender.send(data("b")).unwrap();
        tokio::task::yield_now().await;
        clock.advance(LIMITS.deadline);
        tokio::task::yield_now().await;
        sender.send(data("c")).unwrap();
        sender.send(trailers()).unwrap();
    });
    assert_eq!(outcome.pieces(), ["ab", "c", "#"]);
    assert_eq!(outcome.would_deny(), Some(Code::RequestTimeout));
}

#[tokio::test]
async fn another_body_goes_on_as_it_is_and_names_nobody() {
    let fake = Fake::collects("abc").naming("hook", false);
    for (body, seen) in [
        (
            pieces([data("a"), data("bx"), trailers()]),
            vec!["abx", "#"],
        ),
        (full(""), vec![]),
    ] {
        let outcome = Setup::of([&fake]).observing().ask(body).await;
        assert_eq!(outcome.pieces(), seen);
        assert_eq!(outcome.would_deny(), Some(Code::SignatureInvalid));
        assert!(outcome.trail.principal().unwrap().is_anonymous());
    }
    let no = Fake {
        refuses: true,
        ..fake
    };
    let outcome = Setup::of([&no]).observing().ask(full("abc")).await;
    assert_eq!(outcome.pieces(), ["abc"]);
    assert_eq!(outcome.would_deny(), Some(Code::Replayed));
    assert!(outcome.trail.principal().unwrap().is_anonymous());
}

#[tokio::test]
async fn a_stream_is_neither_withheld_nor_broken_off() {
    for (body, seen, code) in [
        (
            pieces([data("a"), data("bx"), trailers()]),
            vec!["a", "bx", "#"],
            Code::SignatureInvalid,
        ),
        (full("abx"), vec!["abx"], Code::SignatureInvalid),
        (full(""), vec![], Code::SignatureInvalid),
        (
            pieces([data("a"), reset()]),
            vec!["a", "!reset"],
            Code::RequestMalformed,
        ),
    ] {
        let setup = Setup::of([&Fake::streams("abc")]).observing();
        let outcome = setup.ask(body).await;
        assert_eq!(outcome.pieces(), seen);
        assert_eq!(outcome.would_deny(), Some(code));
        assert!(outcome.trail.body_refused().is_none());
    }
}

#[tokio::test]
async fn what_would_pass_passes_and_nothing_is_noted() {
    for fake in [Fake::collects("abc"), Fake::streams("abc")] {
        let setup = Setup::of([&fake]).observing();
        let outcome = setup.ask(pieces([data("a"), data("bc")])).await;
        assert_eq!(outcome.pieces().concat(), "abc");
        assert_eq!(outcome.would_deny(), None);
    }
}
