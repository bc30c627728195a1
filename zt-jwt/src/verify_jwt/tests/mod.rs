//! Refusals first; the conditions are numbered as in the module's documentation.

mod answers;
mod credential;
mod origin;
mod refusals;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Builder};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use zt_core::{
    clock::{Clock, ManualClock},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{OpenContextLayer, Settings},
    identity::Principal,
    secret::Secret,
};

use super::*;
use crate::{Algorithm, Issuer, Verifier};

const ISSUER: &str = "https://issuer.example";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

struct World {
    clock: ManualClock,
    verifier: Verifier,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let secret = Secret::new(SECRET.to_vec());
        let issuer = Issuer::shared_secret(ISSUER, "orders", Algorithm::Hs256, &secret).unwrap();
        let verifier = Verifier::builder()
            .clock(clock.clone())
            .issuer(issuer)
            .build()
            .unwrap();
        Self { clock, verifier }
    }

    fn layer(&self, config: VerifyJwtConfig) -> VerifyJwtLayer {
        VerifyJwtLayer::with_config(self.verifier.clone(), config).unwrap()
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().unwrap().as_secs();
        json!({"iss": ISSUER, "sub": "ada", "aud": "orders", "exp": now + 300, "iat": now})
    }

    /// A token that is good for five minutes from now.
    fn token(&self) -> String {
        sign(&self.claims())
    }

    async fn ask(&self, config: VerifyJwtConfig, request: Builder) -> Answer {
        self.ask_through(self.layer(config), request).await
    }

    async fn ask_through<L, B>(&self, layer: L, request: Builder) -> Answer
    where
        L: Layer<Handler>,
        L::Service: tower::Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
        B: 'static,
    {
        let seen = Seen::default();
        let settings = Settings::default().with_clock(self.clock.clone());
        let inner = layer
            .layer(handler(seen.clone()))
            .map_response(|response| response.map(|_| Full::<Bytes>::default()));
        let service = OpenContextLayer::new(settings).layer(inner);
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        let (parts, _) = response.into_parts();
        Answer {
            status: parts.status,
            denial: parts.extensions.get().cloned(),
            headers: parts.headers,
            seen: seen.0.lock().unwrap().take(),
        }
    }
}

/// What the handler got to see.
type Sight = (HeaderMap, Option<Arc<Principal>>);

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<Sight>>>);

type Handler = tower::util::BoxCloneService<Request<()>, Response<Full<Bytes>>, Infallible>;

fn handler(seen: Seen) -> Handler {
    Handler::new(service_fn(move |request: Request<()>| {
        let cx = request.extensions().get::<SecurityContext>().unwrap();
        let sight = (request.headers().clone(), cx.principal().cloned());
        *seen.0.lock().unwrap() = Some(sight);
        std::future::ready(Ok(Response::default()))
    }))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    denial: Option<Denial>,
    seen: Option<Sight>,
}

impl Answer {
    fn code(&self) -> Option<Code> {
        let code = self.denial.as_ref().map(Denial::code);
        assert_eq!(code.is_none(), self.seen.is_some());
        code
    }

    fn why(&self) -> &str {
        self.denial.as_ref().unwrap().private_detail().unwrap()
    }

    fn challenges(&self) -> Vec<&str> {
        let all = self.headers.get_all("www-authenticate").iter();
        all.map(|value| value.to_str().unwrap()).collect()
    }

    fn principal(&self) -> &Principal {
        self.seen.as_ref().unwrap().1.as_ref().unwrap()
    }

    fn headers_seen(&self) -> &HeaderMap {
        &self.seen.as_ref().unwrap().0
    }
}

fn sign(claims: &Value) -> String {
    let b64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let header = br#"{"alg":"HS256","typ":"JWT"}"#;
    let signed = [b64(header), b64(claims.to_string().as_bytes())].join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let tag = hmac::sign(&key, signed.as_bytes());
    [signed, b64(tag.as_ref())].join(".")
}

fn get() -> Builder {
    Request::get("/orders/7")
}

fn with_token(token: &str) -> Builder {
    get().header("authorization", format!("Bearer {token}"))
}
