//! A body that is hashed as it flows.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};

use super::super::{ContentDigest, DigestAlgorithm, DigestMismatch, DigestedBody, Unproved};
use crate::body::BoxError;

type Piece = Result<Frame<Bytes>, BoxError>;

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from(text)))
}

fn trailers() -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checked", "1".parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn digested<I>(
    pieces: I,
    content: &str,
) -> DigestedBody<impl Body<Data = Bytes, Error = BoxError> + Unpin>
where
    I: IntoIterator<Item = Piece>,
    I::IntoIter: Unpin,
{
    let digest = ContentDigest::of(DigestAlgorithm::Sha256, content.as_bytes());
    DigestedBody::new(StreamBody::new(stream::iter(pieces)), &digest)
}

/// The pieces, and `!` for an error, `#` for trailers.
async fn pieces(mut body: impl Body<Data = Bytes, Error = BoxError> + Unpin) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        seen.push(match frame {
            Ok(frame) if frame.is_trailers() => "#".to_owned(),
            Ok(frame) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Err(error) => format!("!{error}"),
        });
    }
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    seen
}

const MISMATCH: &str = "!the content does not have its digest";

#[tokio::test]
async fn withholds_the_last_piece_of_another_body() {
    for (sent, seen) in [
        (vec!["abcx"], vec![MISMATCH]),
        (vec!["abc", "x"], vec!["abc", MISMATCH]),
        (vec!["a", "b", "c", "x"], vec!["a", "b", "c", MISMATCH]),
        // Empty pieces set nothing free.
        (vec!["abcx", "", ""], vec![MISMATCH]),
        (vec!["", "", "abcx", ""], vec![MISMATCH]),
        // Cut short, or nothing at all.
        (vec!["ab"], vec![MISMATCH]),
        (vec!["abcd"], vec![MISMATCH]),
        (vec![""], vec![MISMATCH]),
        (vec![], vec![MISMATCH]),
    ] {
        let body = digested(sent.iter().map(|piece| data(piece)), "abc");
        let found = pieces(body).await;
        assert_eq!(found, seen, "{sent:?}");
    }
}

#[tokio::test]
async fn trailers_of_another_body_are_not_handed_on() {
    let body = digested([data("a"), data("x"), trailers()], "ab");
    assert_eq!(pieces(body).await, ["a", MISMATCH]);
}

#[tokio::test]
async fn nothing_follows_trailers_and_they_are_left_out() {
    let body = digested([data("ab"), trailers(), data("c")], "ab");
    assert_eq!(pieces(body).await, ["ab"]);
    let body = digested([data("ab"), trailers(), data("c")], "abc");
    assert_eq!(pieces(body).await, [MISMATCH]);
}

#[tokio::test]
async fn a_body_that_breaks_off_fails_and_keeps_what_was_withheld() {
    let pieces_of = || [data("a"), data("b"), Err(BoxError::from("reset"))];
    let body = digested(pieces_of(), "ab");
    assert_eq!(pieces(body).await, ["a", "!reset"]);
}

#[tokio::test]
async fn hands_on_the_body_that_has_the_digest() {
    for (sent, seen) in [
        (vec![data("abc")], vec!["abc"]),
        (vec![data("a"), data("bc")], vec!["a", "bc"]),
        (vec![data(""), data("abc"), data("")], vec!["abc"]),
        (vec![data("ab"), data("c"), trailers()], vec!["ab", "c"]),
    ] {
        assert_eq!(pieces(digested(sent, "abc")).await, seen);
    }
    let none: [Piece; 0] = [];
    assert_eq!(pieces(digested(none, "")).await, [""; 0]);
}

#[tokio::test]
async fn says_how_much_is_to_come_and_ends_only_when_it_ended() {
    let digest = ContentDigest::of(DigestAlgorithm::Sha512, b"abc");
    let mut body = DigestedBody::new(Full::new(Bytes::from("abc")), &digest);
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "abc");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));

    // An inner body that has ended is not one whose digest was seen.
    let empty = DigestedBody::new(Full::<Bytes>::default(), &digest);
    assert!(!empty.is_end_stream());
    let error = empty.collect().await.unwrap_err();
    assert!(error.is::<DigestMismatch>());
}

#[tokio::test]
async fn whoever_asked_is_told_once_and_says_how_it_fails() {
    let told = Arc::new(Mutex::new(Vec::new()));
    for (sent, expected) in [
        (vec![data("ab")], vec![]),
        (vec![data("x")], vec!["mismatch"]),
        (vec![data("ab"), Err("reset".into())], vec!["reset"]),
    ] {
        let notes = Arc::clone(&told);
        let body = digested(sent, "ab").or(Box::new(move |why| {
            notes.lock().unwrap().push(match why {
                Unproved::Mismatch => "mismatch".to_owned(),
                Unproved::Broken(error) => error.to_string(),
            });
            Some("told".into())
        }));
        let seen = pieces(body).await;
        assert_eq!(*told.lock().unwrap(), expected);
        assert_eq!(seen.contains(&"!told".to_owned()), !expected.is_empty());
        told.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn where_it_only_looks_nothing_is_withheld_and_nothing_fails() {
    let told = Arc::new(Mutex::new(0));
    let notes = Arc::clone(&told);
    let body = digested([data("a"), data(""), data("x"), trailers()], "ab");
    let mut body = body.observing().or(Box::new(move |_| {
        *notes.lock().unwrap() += 1;
        Some("never seen".into())
    }));
    // The first piece is there before a second was asked for.
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "a");
    assert_eq!(pieces(body).await, ["x", "#"]);
    assert_eq!(*told.lock().unwrap(), 1);
}
