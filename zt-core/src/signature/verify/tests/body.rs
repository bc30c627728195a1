//! Condition 12: the body.

use std::time::Duration;

use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::body::{BoxError, CollectLimits};

fn both() -> [Server; 2] {
    [strict(), server(SignaturePolicy::strict().stream())]
}

#[tokio::test]
async fn refuses_a_body_that_the_signature_does_not_cover() {
    for server in both() {
        let mut uncovered = Draft::post("42").without("\"content-digest\"");
        server
            .ask(uncovered.signed())
            .await
            .invalid("covers no digest");
        uncovered.headers.clear();
        uncovered.params = uncovered.params.replace("n1", "n2");
        server
            .ask(uncovered.signed())
            .await
            .invalid("covers no digest");
        // A method does not say that there is no body.
        uncovered.method = "GET";
        uncovered.params = uncovered.params.replace("n2", "n3");
        server
            .ask(uncovered.signed())
            .await
            .invalid("covers no digest");
        assert_eq!(server.handled(), 0);
    }
}

#[tokio::test]
async fn refuses_a_body_that_was_changed() {
    for server in both() {
        let mut request = Draft::post("42").signed();
        *request.body_mut() = Full::from("43");
        server.ask(request).await.invalid("another digest");
    }
    let server = strict();
    let mut request = Draft::post("42").signed();
    *request.body_mut() = Full::default();
    server.ask(request).await.invalid("another digest");
    assert_eq!(server.handled(), 0);
}

#[tokio::test]
async fn refuses_a_body_where_nothing_was_signed() {
    // The client signed a request without a body; somebody adds one.
    for server in both() {
        let mut request = Draft::default().signed();
        *request.body_mut() = Full::from("x");
        server.ask(request).await.invalid("covers no digest");
        assert_eq!(server.handled(), 0);
    }
}

#[tokio::test]
async fn a_digest_is_compared_also_where_it_need_not_be_there() {
    let mut draft = Draft::post("");
    assert!(strict().ask(draft.signed()).await.passed());
    draft.headers = vec![("content-digest".into(), digest_of("x"))];
    strict().ask(draft.signed()).await.invalid("another digest");
}

#[tokio::test]
async fn refuses_a_digest_of_which_one_member_only_is_covered() {
    let draft = Draft::post("42")
        .without("\"content-digest\"")
        .cover("\"content-digest\";key=\"sha-256\"");
    // The naive client does not know `;key`; the strict policy asks for the whole field first.
    strict().ask(draft.signed()).await.invalid("");
}

#[tokio::test]
async fn refuses_digests_that_cannot_be_used() {
    for value in [
        "md5=:AAAAAAAAAAAAAAAAAAAAAA==:",
        "sha-256=\"text\"",
        "sha-256=:AAAA:",
        "sha-256",
        "garbage(",
        "",
    ] {
        let mut draft = Draft::post("42");
        draft.headers = vec![("content-digest".into(), value.into())];
        strict()
            .ask(draft.signed())
            .await
            .invalid("digest of the body cannot be used");
    }
}

#[tokio::test]
async fn a_body_is_not_read_before_the_head_has_been_verified_and_remembered() {
    let server = strict();
    let layer = server.layer.clone();
    let service = OpenContextLayer::new(server.settings.clone()).layer(layer.layer(
        tower::service_fn(|_: Request<RequestBody<Panicking>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }),
    ));
    let forged = Draft {
        secret: vec![8; 32],
        ..Draft::post("42")
    };
    let request = forged.signed().map(|_| Panicking);
    answer(service.oneshot(request).await.unwrap())
        .await
        .invalid("does not hold");
}

/// A body that must not be touched.
#[derive(Debug)]
struct Panicking;

impl http_body::Body for Panicking {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("the body was read");
    }
}

#[tokio::test]
async fn a_replay_whose_body_never_comes_is_a_replay_all_the_same() {
    let server = strict();
    let request = Draft::post("42").signed();
    let layer = server.layer.clone();
    let handler = tower::service_fn(|_: Request<RequestBody<_>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = OpenContextLayer::new(server.settings.clone()).layer(layer.layer(handler));
    let pending = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
    let (parts, _) = request.clone().into_parts();
    let mut waiting = tokio_test_task(service.oneshot(Request::from_parts(parts, pending)));
    assert!(waiting.poll().is_none());
    server.ask(request).await.is(Code::Replayed, "");
}

/// A future that is polled by hand.
struct Task<F>(std::pin::Pin<Box<F>>);

fn tokio_test_task<F: Future>(future: F) -> Task<F> {
    Task(Box::pin(future))
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Option<F::Output> {
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        match self.0.as_mut().poll(&mut task) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

#[tokio::test]
async fn a_body_past_the_limit_is_too_large() {
    let limits = CollectLimits {
        bytes: 4,
        deadline: Duration::from_secs(1),
    };
    let small = || server(SignaturePolicy::strict().buffer(limits));
    assert!(small().ask(Draft::post("1234").signed()).await.passed());
    let answer = small().ask(Draft::post("12345").signed()).await;
    answer.is(Code::BodyTooLarge, "");
}

#[tokio::test]
async fn a_body_need_not_be_covered_where_that_was_said() {
    let server = server(SignaturePolicy::strict().insecure_unsigned_body());
    let mut draft = Draft::post("42").without("\"content-digest\"");
    draft.headers.clear();
    assert!(server.ask(draft.signed()).await.passed());
    // What is covered is compared all the same.
    let mut request = Draft::post("42")
        .params(";created=NOW;keyid=\"k1\";nonce=\"n2\"")
        .signed();
    *request.body_mut() = Full::from("43");
    server.ask(request).await.invalid("another digest");
}
