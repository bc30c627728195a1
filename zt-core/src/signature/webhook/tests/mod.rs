mod attacks;
mod claim;
mod config;
mod known;
mod memory;
mod refusals;
mod stack;
mod tamper;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Request, Response, header::WWW_AUTHENTICATE};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use sha2::Sha256;
use tower::{Layer, ServiceExt};

use super::*;
use crate::{
    body::{BoxError, RequestBody, ZtBody},
    clock::{ManualClock, Timestamp},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{OpenContextLayer, Settings},
    secret::Secret,
    signature::replay::{Recording, ReplayMemory, Sighting, Verdict},
};

/// When the documented example of Standard Webhooks was sent.
const NOW: u64 = 1_614_265_330;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &str = r#"{"test": 2432232314}"#;
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const GITHUB: &str = "It's a Secret to Everybody";
const STRIPE: &str = "whsec_0123456789abcdef0123456789abcdef";

/// Remembers all that it was told, and answers as it was told to.
#[derive(Debug, Default)]
struct Memory {
    seen: Mutex<Vec<Seen>>,
    is_down: AtomicBool,
    waits: AtomicBool,
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    key: crate::signature::replay::ReplayKey,
    keyid: String,
    created: Timestamp,
    until: Timestamp,
}

impl Memory {
    fn len(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn verdict(&self, sighting: &Sighting<'_>) -> Verdict {
        if self.is_down.load(Ordering::SeqCst) {
            return Verdict::Unavailable("cut");
        }
        let mut seen = self.seen.lock().unwrap();
        seen.retain(|one| one.until >= sighting.now);
        if seen.iter().any(|one| one.key == sighting.key) {
            return Verdict::Replayed;
        }
        seen.push(Seen {
            key: sighting.key,
            keyid: sighting.keyid.to_owned(),
            created: sighting.created,
            until: sighting.until,
        });
        Verdict::Fresh
    }
}

impl ReplayMemory for Memory {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        let verdict = self.verdict(sighting);
        if self.waits.load(Ordering::SeqCst) {
            return Recording::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                verdict
            }));
        }
        Recording::Now(verdict)
    }
}

/// A body that knows whether it was read; it hides its length.
#[derive(Default)]
struct Watched {
    data: Option<Bytes>,
    read: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.read.store(true, Ordering::SeqCst);
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Keeps the body that it is handed, and who it is told that asks.
#[derive(Clone, Default)]
struct Handler(Arc<Mutex<Option<(Bytes, String)>>>);

impl<B> tower::Service<Request<RequestBody<B>>> for Handler
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<B>>) -> Self::Future {
        let kept = Arc::clone(&self.0);
        Box::pin(async move {
            let cx = request.extensions().get::<SecurityContext>().unwrap();
            let who = cx.principal().unwrap().subject().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            *kept.lock().unwrap() = Some((body, who));
            Ok(Response::new(Full::default()))
        })
    }
}

/// What became of a webhook.
struct Outcome {
    status: u16,
    denial: Option<Denial>,
    challenge: Option<String>,
    /// What the handler was given: the body, and who it is told that asks.
    handled: Option<(Bytes, String)>,
    /// Whether the body was asked for anything.
    read: bool,
}

impl Outcome {
    fn code(&self) -> Option<Code> {
        self.denial.as_ref().map(Denial::code)
    }

    fn detail(&self) -> &str {
        self.denial
            .as_ref()
            .and_then(Denial::private_detail)
            .unwrap_or_default()
    }
}

/// A layer with its clock and memory.
struct Door {
    layer: VerifyWebhookLayer,
    clock: ManualClock,
    memory: Arc<Memory>,
}

impl Door {
    fn new(build: impl FnOnce(Arc<Memory>) -> WebhookBuilder) -> Self {
        let memory = Arc::new(Memory::default());
        Self {
            layer: build(Arc::clone(&memory)).build().unwrap(),
            clock: ManualClock::at(Timestamp::from_secs(NOW)),
            memory,
        }
    }

    fn standard() -> Self {
        Self::new(|memory| VerifyWebhookLayer::standard(&WHSEC.into(), "shop", memory))
    }

    fn github() -> Self {
        Self::new(|memory| VerifyWebhookLayer::github(&GITHUB.into(), "forge", memory))
    }

    fn stripe() -> Self {
        Self::new(|memory| VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory))
    }

    async fn ask(&self, request: Request<Bytes>) -> Outcome {
        ask(&self.layer, &self.clock, request).await
    }
}

async fn ask<L>(layer: &L, clock: &ManualClock, request: Request<Bytes>) -> Outcome
where
    L: Layer<Handler>,
    L::Service: tower::Service<
            Request<Watched>,
            Response = Response<ZtBody<Full<Bytes>>>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let handled = Arc::new(Mutex::new(None));
    let read = Arc::new(AtomicBool::new(false));
    let request = request.map(|data| Watched {
        data: Some(data),
        read: Arc::clone(&read),
    });
    let service = layer.layer(Handler(Arc::clone(&handled)));
    let settings = Settings::default().with_clock(clock.clone());
    let response = OpenContextLayer::new(settings)
        .layer(service)
        .oneshot(request)
        .await
        .unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let handled = handled.lock().unwrap().take();
    Outcome {
        status: response.status().as_u16(),
        denial: response.extensions().get::<Denial>().cloned(),
        challenge: challenge.map(|value| value.to_str().unwrap().to_owned()),
        handled,
        read: read.load(Ordering::SeqCst),
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `v1,` and the signature of Standard Webhooks.
fn standard_v1(secret: &str, id: &str, seconds: u64, body: &[u8]) -> String {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let head = format!("{id}.{seconds}.");
    format!(
        "v1,{}",
        STANDARD.encode(mac(&key, &[head.as_bytes(), body]))
    )
}

fn request(headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = Request::post("/hooks").body(body.into()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

fn standard(seconds: u64, body: &str) -> Request<Bytes> {
    let signature = standard_v1(WHSEC, ID, seconds, body.as_bytes());
    standard_with(&signature, seconds, body)
}

fn standard_with(signature: &str, seconds: u64, body: &str) -> Request<Bytes> {
    let seconds = seconds.to_string();
    let headers = [
        ("webhook-id", ID),
        ("webhook-timestamp", &seconds),
        ("webhook-signature", signature),
    ];
    request(&headers, body.to_owned())
}

fn github(secret: &str, body: &str) -> Request<Bytes> {
    let signature = hex(&mac(secret.as_bytes(), &[body.as_bytes()]));
    let headers = [
        ("x-hub-signature-256", &*format!("sha256={signature}")),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-github-event", "push"),
    ];
    request(&headers, body.to_owned())
}

fn stripe_v1(secret: &str, seconds: u64, body: &str) -> String {
    let head = format!("{seconds}.");
    hex(&mac(secret.as_bytes(), &[head.as_bytes(), body.as_bytes()]))
}

fn stripe(seconds: u64, body: &str) -> Request<Bytes> {
    let v1 = stripe_v1(STRIPE, seconds, body);
    stripe_with(&format!("t={seconds},v1={v1}"), body)
}

fn stripe_with(header: &str, body: &str) -> Request<Bytes> {
    request(&[("stripe-signature", header)], body.to_owned())
}

fn without(mut request: Request<Bytes>, name: &str) -> Request<Bytes> {
    request.headers_mut().remove(name).unwrap();
    request
}

fn and(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    let value = HeaderValue::from_str(value).unwrap();
    request.headers_mut().append(name, value);
    request
}

/// A webhook that passes.
type Good = fn() -> Request<Bytes>;

/// The three of them, each with a webhook that passes.
fn all() -> [(Door, Good); 3] {
    [
        (Door::standard(), || standard(NOW, BODY)),
        (Door::github(), || github(GITHUB, BODY)),
        (Door::stripe(), || stripe(NOW, BODY)),
    ]
}
