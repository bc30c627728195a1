//! A client that knows nothing of the code under test: it writes signature bases as text.

mod attacks;
mod body;
mod configured;
mod copies;
mod keys;
mod places;
mod refusals;
mod tampering;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_layer::Layer;

use super::*;
use crate::{
    body::RequestBody,
    clock::{Clock, ManualClock},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{OpenContextLayer, Settings},
    secret::Secret,
    signature::{
        key::{KeyEntry, KeyRing, VerifyingKey},
        replay::MemoryReplays,
    },
};

pub(super) const SECRET: [u8; 32] = [7; 32];

/// A request in the making; `Default` is one that the strict policy lets pass.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: &'static str,
    pub(super) components: Vec<String>,
    /// Everything behind the list of components.
    pub(super) params: String,
    pub(super) label: String,
    pub(super) secret: Vec<u8>,
}

/// The time of the tests.
pub(super) fn now() -> u64 {
    ManualClock::default().now().unwrap().as_secs()
}

pub(super) fn digest_of(body: &str) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            method: "GET",
            target: "/orders/7?full=1".into(),
            host: "shop.example".into(),
            headers: Vec::new(),
            body: "",
            components: ["@method", "@authority", "@path", "@query"]
                .map(|name| format!("\"{name}\""))
                .into(),
            params: format!(";created={};keyid=\"k1\";nonce=\"n1\"", now()),
            label: "sig1".into(),
            secret: SECRET.into(),
        }
    }
}

impl Draft {
    pub(super) fn post(body: &'static str) -> Self {
        let mut draft = Self {
            method: "POST",
            body,
            ..Self::default()
        };
        draft
            .headers
            .push(("content-digest".into(), digest_of(body)));
        draft.components.push("\"content-digest\"".into());
        draft
    }

    pub(super) fn params(mut self, params: &str) -> Self {
        self.params = params.replace("NOW", &now().to_string());
        self
    }

    pub(super) fn cover(mut self, component: &str) -> Self {
        self.components.push(component.into());
        self
    }

    pub(super) fn without(mut self, component: &str) -> Self {
        self.components.retain(|one| one != component);
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(super) fn signature_params(&self) -> String {
        format!("({}){}", self.components.join(" "), self.params)
    }

    fn value(&self, component: &str) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        match component.trim_matches('"') {
            "@method" => self.method.into(),
            "@authority" => self.host.to_ascii_lowercase(),
            "@path" => path.into(),
            "@query" => format!("?{query}"),
            "@target-uri" => format!("https://{}{}", self.host, self.target),
            name => {
                let lines = self.headers.iter().filter(|(header, _)| header == name);
                let lines: Vec<_> = lines.map(|(_, value)| value.trim()).collect();
                lines.join(", ")
            }
        }
    }

    pub(super) fn base(&self) -> String {
        let mut base = String::new();
        for component in &self.components {
            base += &format!("{component}: {}\n", self.value(component));
        }
        base + "\"@signature-params\": " + &self.signature_params()
    }

    pub(super) fn signature(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
        mac.update(self.base().as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// The request as it is sent, signed.
    pub(super) fn signed(&self) -> Request<Full<Bytes>> {
        let mut request = self.unsigned();
        let label = &self.label;
        let input = format!("{label}={}", self.signature_params());
        let signature = format!("{label}=:{}:", self.signature());
        let headers = request.headers_mut();
        headers.append("signature-input", input.parse().unwrap());
        headers.append("signature", signature.parse().unwrap());
        request
    }

    /// The request without a signature.
    pub(super) fn unsigned(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::from_bytes(self.method.as_bytes()).unwrap())
            .uri(&self.target)
            .header("host", &self.host);
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
            .body(Full::new(Bytes::from_static(self.body.as_bytes())))
            .unwrap()
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The handler answered: whose request it was, and the body that it read.
    Passed(String, String),
    Denied(Code, String),
}

impl Answer {
    pub(super) fn passed(&self) -> bool {
        matches!(self, Self::Passed(..))
    }

    #[track_caller]
    pub(super) fn is(&self, code: Code, detail: &str) {
        match self {
            Self::Denied(found, text) if *found == code && text.contains(detail) => {}
            other => panic!("{other:?} instead of {code}: {detail}"),
        }
    }

    #[track_caller]
    pub(super) fn invalid(&self, detail: &str) {
        self.is(Code::SignatureInvalid, detail);
    }
}

/// A server behind the layer.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) layer: VerifySignatureLayer,
    pub(super) clock: ManualClock,
    pub(super) settings: Settings,
    pub(super) handled: Arc<AtomicUsize>,
}

pub(super) fn entry(id: &str) -> KeyEntry {
    let key = VerifyingKey::hmac_sha256(&Secret::new(SECRET.into())).unwrap();
    KeyEntry::new(id, key, "order-service")
}

pub(super) fn strict() -> Server {
    server(SignaturePolicy::strict())
}

pub(super) fn server(policy: SignaturePolicy) -> Server {
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let ring = KeyRing::new([entry("k1")]).unwrap();
    Server::new(VerifySignatureLayer::new(policy, ring, replays).unwrap())
}

impl Server {
    pub(super) fn new(layer: VerifySignatureLayer) -> Self {
        let clock = ManualClock::default();
        Self {
            layer,
            settings: Settings::default().with_clock(clock.clone()),
            clock,
            handled: Arc::default(),
        }
    }

    pub(super) fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    pub(super) async fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        answer(self.response(request).await).await
    }

    pub(super) async fn response(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Response<crate::body::ZtBody<crate::body::ZtBody<Full<Bytes>>>> {
        let handled = Arc::clone(&self.handled);
        let handler = tower::service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
            handled.fetch_add(1, Ordering::SeqCst);
            async move {
                let who = request.extensions().get::<SecurityContext>().unwrap();
                let who = who.principal().unwrap().subject().to_owned();
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .map(|all| all.to_bytes());
                let mut response = Response::new(Full::new(body.unwrap_or_default()));
                response
                    .headers_mut()
                    .insert("x-subject", who.parse().unwrap());
                Ok::<_, Infallible>(response)
            }
        });
        let service = OpenContextLayer::new(self.settings.clone()).layer(self.layer.layer(handler));
        service.oneshot(request).await.unwrap()
    }
}

pub(super) async fn answer<B>(response: Response<B>) -> Answer
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let denial = response.extensions().get::<Denial>().cloned();
    let who = response.headers().get("x-subject").cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    match (denial, who) {
        (Some(denial), None) => Answer::Denied(
            denial.code(),
            denial.private_detail().unwrap_or_default().to_owned(),
        ),
        (None, Some(who)) => Answer::Passed(
            who.to_str().unwrap().to_owned(),
            String::from_utf8(body.to_vec()).unwrap(),
        ),
        both => panic!("{both:?}"),
    }
}
