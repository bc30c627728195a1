//! Refusals first; the conditions are numbered as in the module's documentation.

mod acts;
mod format;
mod refusals;
mod shared;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Builder};
use http_body_util::Full;
use tower::{Layer, ServiceExt};

use super::*;
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    context::{PeerAddr, SecurityContext},
    decision::{Code, Denial},
    gate::{OpenContextLayer, Settings},
    identity::Principal,
    random::SeededEntropy,
    store::{MemoryStore, Store},
};

/// One registry over one store, as an application has it.
struct World {
    clock: ManualClock,
    store: Arc<dyn Store>,
    tokens: ServiceTokens,
}

impl World {
    async fn new() -> Self {
        Self::with(ServiceTokenConfig::new("test")).await
    }

    async fn with(options: impl Into<ServiceTokenOptions>) -> Self {
        let clock = ManualClock::default();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
        let tokens = ServiceTokens::open(Arc::clone(&store), clock.clone(), seeded(options, 1))
            .await
            .unwrap();
        Self {
            clock,
            store,
            tokens,
        }
    }

    /// Another instance over the same store.
    async fn other(&self, options: impl Into<ServiceTokenOptions>) -> ServiceTokens {
        ServiceTokens::open(
            Arc::clone(&self.store),
            self.clock.clone(),
            seeded(options, 2),
        )
        .await
        .unwrap()
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    /// Good for an hour and everything.
    fn request(&self) -> MintRequest {
        MintRequest::new("billing", "nightly export")
            .expires(self.now() + HOUR)
            .author("ada")
    }

    async fn mint(&self) -> MintedToken {
        self.tokens.mint(self.request()).await.unwrap()
    }

    async fn ask(&self, request: Builder) -> Answer {
        ask(&self.tokens, &self.clock, request).await
    }

    /// A GET of `/orders/7` with this token.
    async fn present(&self, token: &str) -> Answer {
        self.ask(with_token(token)).await
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn seeded(options: impl Into<ServiceTokenOptions>, seed: u64) -> ServiceTokenOptions {
    options.into().entropy(SeededEntropy::new(seed))
}

fn with_token(token: &str) -> Builder {
    Request::get("/orders/7").header("x-service-token", token)
}

struct Answer {
    status: StatusCode,
    code: Option<Code>,
    detail: String,
    challenges: Vec<String>,
    principal: Option<Arc<Principal>>,
}

impl Answer {
    fn refused(&self) -> Code {
        assert!(self.principal.is_none(), "the handler was reached");
        self.code.expect("a denial")
    }

    fn passed(&self) -> &Principal {
        assert_eq!(self.status, 200, "{}", self.detail);
        self.principal.as_ref().expect("a principal")
    }
}

async fn ask(tokens: &ServiceTokens, clock: &ManualClock, request: Builder) -> Answer {
    let seen: Arc<Mutex<Option<Arc<Principal>>>> = Arc::default();
    let handler = tower::service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<String>| {
            let cx: &SecurityContext = request.extensions().get().unwrap();
            *seen.lock().unwrap() = cx.principal().cloned();
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        }
    });
    let service = OpenContextLayer::new(Settings::default().with_clock(clock.clone()))
        .layer(VerifyServiceTokenLayer::new(tokens.clone()).layer(handler));
    let response = service
        .oneshot(request.body(String::new()).unwrap())
        .await
        .unwrap();
    let denial = response.extensions().get::<Denial>();
    let principal = seen.lock().unwrap().take();
    Answer {
        status: response.status(),
        code: denial.map(Denial::code),
        detail: denial
            .and_then(Denial::private_detail)
            .unwrap_or_default()
            .to_owned(),
        challenges: response
            .headers()
            .get_all("www-authenticate")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect(),
        principal,
    }
}

fn from(address: &str) -> PeerAddr {
    PeerAddr(SocketAddr::new(address.parse().unwrap(), 4711))
}

/// A token of the same form, with its checksum.
fn forged(environment: &str, id: &str, secret: u8) -> String {
    let id = super::format::TokenId::from_text(id).unwrap();
    let text = super::format::compose(environment, id, &[secret; 43]);
    String::from_utf8(text).unwrap()
}
