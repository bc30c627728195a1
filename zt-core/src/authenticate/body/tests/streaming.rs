//! Bodies that the handler reads while they are verified.

use super::*;

const REFUSED: &str = "!the signature is not valid";

fn another() -> TestBody {
    pieces([data("a"), data("b"), data("x")])
}

#[tokio::test]
async fn answers_in_the_place_of_a_handler_that_swallowed_the_error() {
    for (body, seen) in [
        (another(), vec!["a", "b", REFUSED]),
        (full("abx"), vec![REFUSED]),
        (full("ab"), vec![REFUSED]),
        (pieces([]), vec![REFUSED]),
        (pieces([data("abx"), data("")]), vec![REFUSED]),
        (
            pieces([data("a"), data("bx"), trailers()]),
            vec!["a", REFUSED],
        ),
    ] {
        let outcome = Setup::of([&Fake::streams("abc")]).ask(body).await;
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        assert_eq!(outcome.seen().pieces, seen);
        let refused = outcome.trail.body_refused().unwrap();
        assert_eq!(refused.code(), Code::SignatureInvalid);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_the_one_that_was_proved() {
    let body = pieces([data("abc"), reset()]);
    let outcome = Setup::of([&Fake::streams("abc")]).ask(body).await;
    assert_eq!(outcome.code(), Some(Code::RequestMalformed));
    assert_eq!(outcome.seen().pieces, ["!the request is not well formed"]);
}

#[tokio::test]
async fn a_handler_that_stops_early_never_saw_the_end() {
    let setup = |reads| Setup::of([&Fake::streams("abc")]).reading(reads);
    let half = setup(Reads::OnePiece).ask(another()).await;
    assert_eq!(half.pieces(), ["a"]);
    assert!(half.trail.body_refused().is_none());
    let nothing = setup(Reads::Nothing).ask(another()).await;
    assert_eq!(nothing.pieces(), [""; 0]);
    // Where the first piece is the last, it is not to be had.
    let whole = setup(Reads::OnePiece).ask(full("abx")).await;
    assert_eq!(whole.code(), Some(Code::SignatureInvalid));
    assert_eq!(whole.seen().pieces, [REFUSED]);
}

#[tokio::test]
async fn a_body_that_is_not_there_is_judged_before_the_handler() {
    let outcome = Setup::of([&Fake::streams("abc")]).ask(full("")).await;
    outcome.refused(Code::SignatureInvalid);
    let outcome = Setup::of([&Fake::streams("")]).ask(full("")).await;
    assert_eq!(outcome.pieces(), [""; 0]);
}

#[tokio::test]
async fn each_of_two_proofs_refuses_in_its_own_words() {
    let right = Fake::streams("abc");
    let wrong = Fake::streams("x").or(Code::BindingMismatch);
    for proofs in [[&right, &wrong], [&wrong, &right]] {
        let outcome = Setup::of(proofs).ask(pieces([data("a"), data("bc")])).await;
        assert_eq!(outcome.code(), Some(Code::BindingMismatch));
        assert_eq!(
            outcome.seen().pieces.last().unwrap(),
            &format!("!{}", Code::BindingMismatch.sentence())
        );
        assert!(!outcome.seen().pieces.concat().contains("bc"));
    }
    let both = Setup::of([&right, &right]);
    let outcome = both.ask(pieces([data("a"), data("bc"), trailers()])).await;
    assert_eq!(outcome.pieces(), ["a", "bc"]);
}

#[tokio::test]
async fn hands_on_the_body_that_was_proved_as_it_comes() {
    let fake = Fake::streams("abc");
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Piece>();
    let body = stream::poll_fn(move |task| receiver.poll_recv(task));
    let body = StreamBody::new(body).boxed_unsync();
    let setup = Setup::of([&fake]).reading(Reads::OnePiece);
    // One piece late: the handler has the first while the last is not sent.
    sender.send(data("a")).unwrap();
    sender.send(data("bc")).unwrap();
    assert_eq!(setup.ask(body).await.pieces(), ["a"]);

    let setup = Setup::of([&fake]);
    for (body, seen) in [
        (full("abc"), vec!["abc"]),
        (pieces([data("a"), data("bc")]), vec!["a", "bc"]),
        // Nobody has proved trailers.
        (pieces([data("ab"), data("c"), trailers()]), vec!["ab", "c"]),
    ] {
        let outcome = setup.ask(body).await;
        assert_eq!(outcome.pieces(), seen);
        assert!(!outcome.seen().collected);
    }
    assert_eq!(
        fake.asked(),
        ["plan, body"; 4],
        "it was not asked to finish"
    );
}
