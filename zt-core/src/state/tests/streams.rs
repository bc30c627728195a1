//! What goes on while an answer does: the gate ends it when its permit ends or a sanction strikes.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tower::{ServiceExt, service_fn};

use super::Shelf;
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    context::{SecurityContext, Stage},
    decision::{Code, Denial, Permit},
    gate::{Check, End, Gate, Guard, Keep, Lease, Link, Settings, Settlement, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    state::{HEARTBEAT, MemoryFeed, Sanction, SanctionAction, SanctionTarget, Sanctions},
};

const SECOND: Duration = Duration::from_secs(1);
const ID: &str = "spiffe://example.test/orders";

/// Names the caller, permits the request, and notes how it ended.
#[derive(Clone)]
struct Everything {
    caller: Option<Arc<Principal>>,
    permit_until: Option<Timestamp>,
    ends: Arc<Mutex<Vec<End>>>,
}

struct Ends(Arc<Mutex<Vec<End>>>);

impl Guard for Ends {
    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.0.lock().unwrap().push(settlement.end);
    }
}

impl Check for Everything {
    type Guard = Ends;

    const NAME: &'static str = "everything";
    const STAGE: Stage = Stage::Authorize;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Ends> {
        if let Some(caller) = &self.caller {
            cx.set_principal(Arc::clone(caller));
            let mut permit = Permit::assertion("test");
            if let Some(until) = self.permit_until {
                permit = permit.valid_until(until);
            }
            cx.set_permit(permit.finish()).unwrap();
        }
        Step::pass(Ends(Arc::clone(&self.ends)))
    }
}

struct Fixture {
    clock: ManualClock,
    sanctions: Sanctions,
    check: Everything,
    peer: Option<PeerIdentity>,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::default();
        let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).token("t-1");
        Self {
            sanctions: Sanctions::local(clock.clone()),
            check: Everything {
                caller: Some(Arc::new(ada.finish())),
                permit_until: None,
                ends: Arc::default(),
            },
            peer: None,
            clock,
        }
    }

    fn after(&self, span: Duration) -> Timestamp {
        self.clock.now().unwrap() + span
    }

    fn expiring_caller(&mut self, span: Duration) {
        let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
        let ada = ada.expires_at(self.after(span)).finish();
        self.check.caller = Some(Arc::new(ada));
    }

    fn workload(&mut self, not_after: Timestamp) {
        let peer = PeerIdentity::assertion([7; 32], not_after, PeerSource::Tls);
        self.peer = Some(peer.spiffe_id(ID).finish());
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(Arc::new(peer.clone()));
        }
        request
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::new(
            Settings::default()
                .with_clock(self.clock.clone())
                .with_sanctions(self.sanctions.clone()),
        )
    }

    /// An answer whose body is `frames`, read by its caller to its end.
    fn stream(
        &self,
        frames: impl Stream<Item = Bytes> + Send + Sync + Unpin + 'static,
    ) -> JoinHandle<Option<Code>> {
        let frames = frames.map(|data| Ok::<_, Infallible>(Frame::data(data)));
        let body = Arc::new(Mutex::new(Some(StreamBody::new(frames))));
        let inner = service_fn(move |_: Request<()>| {
            let body = body.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(Response::new(body)) }
        });
        let gate = Gate::<_, _, Keep>::with_settings(
            inner,
            Link::first(self.check.clone()),
            self.settings(),
        );
        let request = self.request();
        tokio::spawn(async move {
            let response = gate.oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                if let Err(error) = frame {
                    return Some(error.downcast_ref::<Denial>().unwrap().code());
                }
                tokio::task::yield_now().await;
            }
            None
        })
    }

    /// The lease of a request whose connection was upgraded.
    async fn upgrade(&self) -> Lease {
        let inner = service_fn(|request: Request<()>| async move {
            let cx = request.extensions().get::<SecurityContext>().unwrap();
            let mut response = Response::new(String::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.extensions_mut().insert(cx.lease());
            Ok::<_, Infallible>(response)
        });
        let gate = Gate::<_, _, Keep>::with_settings(
            inner,
            Link::first(self.check.clone()),
            self.settings(),
        );
        let response = gate.oneshot(self.request()).await.unwrap();
        assert_eq!(*self.check.ends.lock().unwrap(), [End::Upgraded]);
        response.extensions().get::<Lease>().unwrap().clone()
    }

    /// Moves time on by `span`, in steps that every task sees.
    async fn pass(&self, span: Duration) {
        let step = Duration::from_millis(50);
        let mut left = span;
        settle().await;
        while !left.is_zero() {
            self.clock.advance(step.min(left));
            left = left.saturating_sub(step);
            settle().await;
        }
    }

    async fn strike(&self) {
        self.impose(SanctionTarget::Token("t-1".into())).await;
    }

    async fn impose(&self, target: SanctionTarget) {
        let sanction = Sanction {
            target,
            action: SanctionAction::Revoke,
            reason: "stolen".to_owned(),
            author: "root".into(),
            expires: None,
        };
        self.sanctions.impose(sanction).await.unwrap();
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn ended<T>(task: JoinHandle<T>) -> T {
    assert!(task.is_finished(), "it goes on");
    task.await.unwrap()
}

mod bodies {
    use super::*;

    #[tokio::test]
    async fn one_that_is_silent_ends_within_a_second_of_a_sanction() {
        let fixture = Fixture::new();
        let stream = fixture.stream(stream::pending());
        fixture.pass(60 * SECOND).await;
        assert!(!stream.is_finished());
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert_eq!(ended(stream).await, Some(Code::CredentialRevoked));
        assert_eq!(*fixture.check.ends.lock().unwrap(), [End::Cut]);
    }

    #[tokio::test]
    async fn one_that_never_stops_ends_within_a_second_of_a_sanction() {
        let fixture = Fixture::new();
        let stream = fixture.stream(stream::repeat(Bytes::from_static(b"x")));
        fixture.pass(10 * SECOND).await;
        assert!(!stream.is_finished());
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert_eq!(ended(stream).await, Some(Code::CredentialRevoked));
        assert_eq!(*fixture.check.ends.lock().unwrap(), [End::Cut]);
    }

    #[tokio::test]
    async fn one_that_speaks_now_and_then_ends_within_a_second_of_a_sanction() {
        let fixture = Fixture::new();
        let (sender, receiver) = mpsc::unbounded_channel();
        let frames = stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        let stream = fixture.stream(Box::pin(frames));
        for _ in 0..20 {
            sender.send(Bytes::from_static(b"x")).unwrap();
            fixture.pass(SECOND / 4).await;
        }
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert_eq!(ended(stream).await, Some(Code::CredentialRevoked));
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_is_complete() {
        let fixture = Fixture::new();
        let chunk = Bytes::from_static(b"x");
        let stream = fixture.stream(stream::iter(vec![chunk; 3]));
        settle().await;
        assert_eq!(ended(stream).await, None);
        assert_eq!(*fixture.check.ends.lock().unwrap(), [End::Complete]);
    }

    #[tokio::test]
    async fn each_ends_with_its_permit_credential_or_certificate_and_not_before() {
        for which in ["permit", "credential", "certificate"] {
            let mut fixture = Fixture::new();
            match which {
                "permit" => fixture.check.permit_until = Some(fixture.after(60 * SECOND)),
                "credential" => fixture.expiring_caller(60 * SECOND),
                _ => fixture.workload(fixture.after(60 * SECOND)),
            }
            let silent = fixture.stream(stream::pending());
            let busy = fixture.stream(stream::repeat(Bytes::from_static(b"x")));
            fixture.pass(60 * SECOND - Duration::from_millis(50)).await;
            assert!(!silent.is_finished() && !busy.is_finished(), "{which}");
            fixture.pass(Duration::from_millis(50)).await;
            assert_eq!(
                ended(silent).await,
                Some(Code::CredentialExpired),
                "{which}"
            );
            assert_eq!(ended(busy).await, Some(Code::CredentialExpired), "{which}");
        }
    }

    #[tokio::test]
    async fn a_sanctioned_workload_s_ends_on_a_public_route_too() {
        let mut fixture = Fixture::new();
        fixture.check.caller = None;
        fixture.workload(Timestamp::MAX);
        let stream = fixture.stream(stream::pending());
        fixture.pass(SECOND).await;
        fixture.impose(SanctionTarget::Workload(ID.into())).await;
        fixture.pass(SECOND).await;
        assert_eq!(ended(stream).await, Some(Code::CredentialRevoked));
    }

    #[tokio::test]
    async fn all_end_when_nobody_can_say_who_is_sanctioned() {
        let mut fixture = Fixture::new();
        let feed = MemoryFeed::new(fixture.clock.clone());
        let builder = Sanctions::builder(fixture.clock.clone()).store(Shelf::shared());
        let builder = builder.feed(Arc::new(feed.clone()));
        fixture.sanctions = builder.open().await.unwrap();
        tokio::spawn(fixture.sanctions.follow());
        let stream = fixture.stream(stream::pending());
        fixture.pass(60 * SECOND).await;
        assert!(!stream.is_finished());
        feed.fail();
        fixture.pass(4 * SECOND).await;
        assert!(!stream.is_finished());
        fixture.pass(2 * SECOND + HEARTBEAT).await;
        assert_eq!(ended(stream).await, Some(Code::StoreUnavailable));
    }

    #[tokio::test]
    async fn all_end_when_nobody_can_say_what_time_it_is() {
        let fixture = Fixture::new();
        let stream = fixture.stream(stream::pending());
        fixture.pass(SECOND).await;
        fixture.clock.fail();
        fixture.pass(SECOND).await;
        assert_eq!(ended(stream).await, Some(Code::ClockUnavailable));
    }
}

mod upgrades {
    use super::*;

    #[tokio::test]
    async fn a_lease_ends_within_a_second_of_a_sanction() {
        let fixture = Fixture::new();
        let lease = fixture.upgrade().await;
        let waiting = tokio::spawn(async move { lease.ended().await.code() });
        fixture.pass(60 * SECOND).await;
        assert!(!waiting.is_finished());
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert_eq!(ended(waiting).await, Code::CredentialRevoked);
    }

    #[tokio::test]
    async fn a_lease_ends_with_its_permit() {
        let mut fixture = Fixture::new();
        fixture.check.permit_until = Some(fixture.after(60 * SECOND));
        let lease = fixture.upgrade().await;
        let waiting = tokio::spawn(async move { lease.ended().await.code() });
        fixture.pass(60 * SECOND - Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        fixture.pass(Duration::from_millis(50)).await;
        assert_eq!(ended(waiting).await, Code::CredentialExpired);
    }

    #[tokio::test]
    async fn a_read_that_waits_and_later_writes_fail() {
        let fixture = Fixture::new();
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = fixture.upgrade().await.guard(ours);
        theirs.write_all(b"ping").await.unwrap();
        let mut buffer = [0; 4];
        ours.read_exact(&mut buffer).await.unwrap();
        ours.write_all(b"pong").await.unwrap();
        theirs.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"pong");

        let waiting = tokio::spawn(async move {
            let read = ours.read(&mut [0; 4]).await;
            (read.unwrap_err(), ours)
        });
        fixture.pass(10 * SECOND).await;
        assert!(!waiting.is_finished());
        fixture.strike().await;
        fixture.pass(SECOND).await;
        let (error, mut ours) = ended(waiting).await;
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        let denial = error.get_ref().unwrap().downcast_ref::<Denial>().unwrap();
        assert_eq!(denial.code(), Code::CredentialRevoked);
        theirs.write_all(b"more").await.unwrap();
        assert!(ours.read(&mut buffer).await.is_err());
        assert!(ours.write(b"x").await.is_err());
    }

    #[tokio::test]
    async fn a_write_that_waits_fails() {
        let mut fixture = Fixture::new();
        fixture.check.permit_until = Some(fixture.after(5 * SECOND));
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut ours = fixture.upgrade().await.guard(ours);
        let waiting = tokio::spawn(async move { ours.write_all(b"more than fits").await });
        fixture.pass(5 * SECOND - Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        fixture.pass(Duration::from_millis(50)).await;
        let error = ended(waiting).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn a_reader_is_woken_though_another_task_wrote_last() {
        let fixture = Fixture::new();
        let (ours, _theirs) = tokio::io::duplex(1024);
        let (mut reader, mut writer) = tokio::io::split(fixture.upgrade().await.guard(ours));
        let waiting = tokio::spawn(async move { reader.read(&mut [0; 4]).await.is_err() });
        settle().await;
        let written = tokio::spawn(async move {
            writer.write_all(b"x").await.unwrap();
            std::future::pending::<()>().await;
        });
        fixture.pass(SECOND / 10).await;
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert!(ended(waiting).await);
        written.abort();
    }
}

/// A body that gives `text` again and again, whenever it is asked.
fn endless(text: &'static str) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(stream::repeat_with(move || {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes())))
    }))
}

#[tokio::test]
async fn an_answer_that_a_layer_in_between_threw_away_does_not_take_the_watch_with_it() {
    // A retry, or a layer that reads an answer and streams another one.
    let fixture = Fixture::new();
    let inner = Gate::<_, _, Keep>::with_settings(
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(endless("first"))) }),
        Link::first(fixture.check.clone()),
        fixture.settings(),
    );
    let between = service_fn(move |request: Request<()>| {
        let inner = inner.clone();
        async move {
            drop(inner.oneshot(request).await?);
            Ok::<_, Infallible>(Response::new(endless("second")))
        }
    });
    let outer = Gate::<_, _, Keep>::with_settings(between, crate::gate::Opened, fixture.settings());
    let mut body = outer.oneshot(fixture.request()).await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "second"
    );
    fixture.strike().await;
    fixture.pass(SECOND).await;
    assert!(body.frame().await.unwrap().is_err(), "it goes on");
}

#[tokio::test]
async fn a_stream_where_none_belongs_is_cut_too() {
    // A server of HTTP/2 sends what a handler answers to HEAD, or with 204.
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let fixture = Fixture::new();
        let inner = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(endless("x"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        });
        let gate = Gate::<_, _, Keep>::with_settings(
            inner,
            Link::first(fixture.check.clone()),
            fixture.settings(),
        );
        let mut request = fixture.request();
        *request.method_mut() = method.parse().unwrap();
        let mut body = gate.oneshot(request).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        fixture.strike().await;
        fixture.pass(SECOND).await;
        assert!(body.frame().await.unwrap().is_err(), "{method} {status}");
        assert_eq!(*fixture.check.ends.lock().unwrap(), [End::Complete]);
    }
}

#[tokio::test]
async fn a_stream_that_lies_about_its_length_is_cut_while_it_waits() {
    let fixture = Fixture::new();
    let inner = service_fn(move |_: Request<()>| async move {
        let frames = stream::iter(["x"])
            .map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))))
            .chain(stream::pending());
        let mut response = Response::new(StreamBody::new(frames));
        let length = http::HeaderValue::from_static("1");
        response.headers_mut().insert("content-length", length);
        Ok::<_, Infallible>(response)
    });
    let gate = Gate::<_, _, Keep>::with_settings(
        inner,
        Link::first(fixture.check.clone()),
        fixture.settings(),
    );
    let mut body = gate.oneshot(fixture.request()).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let waits = tokio::spawn(async move { body.frame().await });
    fixture.strike().await;
    fixture.pass(SECOND).await;
    assert!(waits.is_finished(), "nobody woke it");
}
