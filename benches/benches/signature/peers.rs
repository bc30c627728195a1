//! Verifiers by others, each used as its documentation says.

use std::{collections::HashMap, convert::Infallible, hint::black_box, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Empty, Full};
use httpsig_hyper::{
    ContentDigestType, MessageSignatureReq as _, RequestContentDigest as _,
    prelude::{
        AlgorithmName, HttpSignatureParams, PublicKey, SharedKey, VerifyingKey,
        message_component::HttpMessageComponentId,
    },
};
use web_bot_auth::{
    components::{CoveredComponent, DerivedComponent, HTTPField},
    keyring::{Algorithm, KeyRing},
    message_signatures::{MessageVerifier, SignedMessage},
};
use zt_benches::{Group, Kind, Outcome, Template};
use zt_core::{
    clock::{Clock, SystemClock},
    signature::replay::{Recording, ReplayKey, Verdict},
};

use super::{
    memory::Busy,
    ours::{self, drain},
    probes::Found,
    sign::{Answered, Order, PUBLIC_ID, SECRET, SHARED_ID},
};
use crate::bare::wait;

pub(super) const HMAC: &str = "httpsig-hyper 0.0.26, hmac-sha256";
/// Asked for what [`ours`] is asked for, by what its interface offers for that.
pub(super) const STRICT: &str = "httpsig-hyper 0.0.26, hmac-sha256, made strict";
const ED25519: &str = "httpsig-hyper 0.0.26, ed25519";

/// Adds those that verify.
pub(super) fn add(
    group: &mut Group,
    shared: &Order<'_>,
    public: &Order<'_>,
    busy: &Busy,
) -> Outcome {
    let digest = shared.length > 0;
    let note = match digest {
        true => "then verify_content_digest; no nonce, age, policy",
        false => "no nonce, age, policy",
    };
    {
        let key = SharedKey::HmacSha256(SECRET.to_vec());
        let (good, bad) = (shared.good()?, shared.bad()?);
        let (good, bad) = expectations(&good, &bad);
        group.service(Kind::Peer, HMAC, note, httpsig(key, digest), good, &bad)?;
        let note = "key by id, nonce, age, coverage, the same memory; a name is handed on";
        let strict = made_strict(Strict::new(busy)?, digest);
        group.service(Kind::Peer, STRICT, note, strict, good, &bad)?;
    }
    let bytes = public.keys.public()?;
    let key = PublicKey::from_bytes(&AlgorithmName::Ed25519, &bytes)?;
    let (good, bad) = (public.good()?, public.bad()?);
    let (good, bad) = expectations(&good, &bad);
    group.service(Kind::Peer, ED25519, note, httpsig(key, digest), good, &bad)?;

    let mut ring = KeyRing::default();
    if !ring.import_raw(PUBLIC_ID.to_owned(), Algorithm::Ed25519, bytes.to_vec()) {
        return Err("the key is not taken".into());
    }
    // It says nothing of the body.
    let bad: Vec<_> = bad.into_iter().take(3).collect();
    let note = "head only: no digest; no nonce, age, policy";
    let service = web_bot_auth(ring);
    group.service(
        Kind::Peer,
        "web-bot-auth 0.7, ed25519",
        note,
        service,
        good,
        &bad,
    )?;
    Ok(())
}

/// Adds the one that signs.
pub(super) fn sign(group: &mut Group, order: &Order<'_>) -> Outcome {
    let key = Arc::new(SharedKey::HmacSha256(SECRET.to_vec()));
    let covered = ["@method", "@authority", "@path", "@query", "content-digest"];
    let covered = covered
        .into_iter()
        .map(HttpMessageComponentId::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let covered = Arc::new(covered);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (key, covered) = (Arc::clone(&key), Arc::clone(&covered));
        async move {
            match signed(request, &key, &covered).await {
                Ok(request) => drain(request).await,
                Err(_) => refused(),
            }
        }
    });
    group.service(
        Kind::Peer,
        "httpsig-hyper 0.0.26, sign, hmac-sha256",
        "digest, nonce, MAC",
        service,
        (&order.plain(), StatusCode::OK),
        &[],
    )?;
    Ok(())
}

type Digested =
    Request<http_body_util::combinators::BoxBody<Bytes, httpsig_hyper::HyperDigestError>>;

async fn signed(
    request: Request<Body>,
    key: &SharedKey,
    covered: &[HttpMessageComponentId],
) -> Answered<Digested> {
    let mut request = request
        .set_content_digest(&ContentDigestType::Sha256)
        .await?;
    let mut params = HttpSignatureParams::try_new(covered)?;
    params.set_random_nonce().set_keyid(SHARED_ID);
    request
        .set_message_signature(&params, key, Some("sig1"))
        .await?;
    Ok(request)
}

type Expected<'a> = (&'a Template, StatusCode);

fn expectations<'a>(good: &'a Template, bad: &'a [Template]) -> (Expected<'a>, Vec<Expected<'a>>) {
    let bad = bad.iter().map(|one| (one, StatusCode::UNAUTHORIZED));
    ((good, StatusCode::OK), bad.collect())
}

/// Verifies the signature, and the digest where that is wanted.
fn httpsig<K>(
    key: K,
    digest: bool,
) -> impl tower::Service<Request<Body>, Response = Response<Body>> + Clone
where
    K: VerifyingKey + Send + Sync + 'static,
{
    let key = Arc::new(key);
    tower::service_fn(move |request: Request<Body>| {
        let key = Arc::clone(&key);
        async move {
            // It wants a body that threads can share, which axum's is not; it does not look at it.
            let (parts, body) = request.into_parts();
            let head = Request::from_parts(parts, Empty::<Bytes>::new());
            if head.verify_message_signature(&*key, None).await.is_err() {
                return refused();
            }
            let request = Request::from_parts(head.into_parts().0, body);
            if !digest {
                return drain(request).await;
            }
            match request.verify_content_digest().await {
                Ok(request) => drain(request).await,
                Err(_) => refused(),
            }
        }
    })
}

/// What a strict policy asks for, around what the library reads and verifies.
struct Strict {
    keys: HashMap<String, (SharedKey, Arc<str>)>,
    covered: Vec<HttpMessageComponentId>,
    digest: HttpMessageComponentId,
    busy: Busy,
}

/// Whose request it is, for the handler.
#[derive(Clone)]
struct Owner(#[expect(dead_code, reason = "no handler here reads it")] Arc<str>);

impl Strict {
    fn new(busy: &Busy) -> Answered<Self> {
        let key = (
            SharedKey::HmacSha256(SECRET.to_vec()),
            "order-service".into(),
        );
        let covered = ["@method", "@authority", "@path", "@query"];
        let covered = covered.into_iter().map(HttpMessageComponentId::try_from);
        Ok(Self {
            keys: HashMap::from([(SHARED_ID.to_owned(), key)]),
            covered: covered.collect::<Result<_, _>>()?,
            digest: HttpMessageComponentId::try_from("content-digest")?,
            busy: busy.another()?,
        })
    }

    /// Whose `head` is, where everything holds that can be said of it. The fields are read once.
    fn verify(&self, head: &Request<Empty<Bytes>>, digest: bool) -> Option<Owner> {
        let now = SystemClock.now().ok()?.as_secs();
        let signatures = head.extract_signatures().ok()?;
        let (_, (base, headers)) = signatures.first()?;
        let params = headers.signature_params();
        let (keyid, nonce) = (params.keyid.as_deref()?, params.nonce.as_deref()?);
        let created = params.created?;
        if created > now + 5 || now.saturating_sub(created) > ours::MAX_AGE.as_secs() {
            return None;
        }
        let covered = &params.covered_components;
        let all = self.covered.iter().chain(digest.then_some(&self.digest));
        if !all.into_iter().all(|one| covered.contains(one)) {
            return None;
        }
        let (key, owner) = self.keys.get(keyid)?;
        base.verify_signature_headers(key, headers).ok()?;
        black_box(ReplayKey::of_nonce(keyid, nonce));
        let seen = self.busy.see(keyid);
        matches!(seen, Recording::Now(Verdict::Fresh)).then(|| Owner(Arc::clone(owner)))
    }
}

/// The same as ours is asked for.
fn made_strict(
    strict: Strict,
    digest: bool,
) -> impl tower::Service<Request<Body>, Response = Response<Body>> + Clone {
    let strict = Arc::new(strict);
    tower::service_fn(move |request: Request<Body>| {
        let strict = Arc::clone(&strict);
        async move {
            let (parts, body) = request.into_parts();
            let head = Request::from_parts(parts, Empty::<Bytes>::new());
            let Some(owner) = strict.verify(&head, digest) else {
                return refused();
            };
            let mut request = Request::from_parts(head.into_parts().0, body);
            request.extensions_mut().insert(owner);
            if !digest {
                return drain(request).await;
            }
            match request.verify_content_digest().await {
                Ok(request) => drain(request).await,
                Err(_) => refused(),
            }
        }
    })
}

fn refused() -> Result<Response<Body>, Infallible> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(answer)
}

/// A request as web-bot-auth asks for it.
struct Head<'a>(&'a Parts);

impl SignedMessage for Head<'_> {
    fn lookup_component(&self, name: &CoveredComponent) -> Vec<String> {
        let uri = &self.0.uri;
        match name {
            CoveredComponent::HTTP(HTTPField { name, .. }) => {
                let lines = self.0.headers.get_all(name).iter();
                let lines = lines.filter_map(|line| line.to_str().ok());
                lines.map(str::to_owned).collect()
            }
            CoveredComponent::Derived(DerivedComponent::Method { .. }) => {
                vec![self.0.method.to_string()]
            }
            CoveredComponent::Derived(DerivedComponent::Authority { .. }) => {
                let authority = uri.authority();
                authority.map(ToString::to_string).into_iter().collect()
            }
            CoveredComponent::Derived(DerivedComponent::Path { .. }) => {
                vec![uri.path().to_owned()]
            }
            CoveredComponent::Derived(DerivedComponent::Query { .. }) => {
                vec![format!("?{}", uri.query().unwrap_or_default())]
            }
            CoveredComponent::Derived(_) => Vec::new(),
        }
    }
}

fn web_bot_auth(
    ring: KeyRing,
) -> impl tower::Service<Request<Body>, Response = Response<Body>> + Clone {
    let ring = Arc::new(ring);
    tower::service_fn(move |request: Request<Body>| {
        let ring = Arc::clone(&ring);
        async move {
            let (parts, body) = request.into_parts();
            let verified = MessageVerifier::parse(&Head(&parts), |_| true)
                .and_then(|verifier| verifier.verify(&ring, None));
            match verified {
                Ok(_) => drain(Request::from_parts(parts, body)).await,
                Err(_) => refused(),
            }
        }
    })
}

/// `standardwebhooks`, which wants the whole payload.
pub(super) fn webhooks(
    secret: &str,
) -> Answered<impl tower::Service<Request<Body>, Response = Response<Body>> + Clone + use<>> {
    let webhook = Arc::new(standardwebhooks::Webhook::new(secret)?);
    Ok(tower::service_fn(move |request: Request<Body>| {
        let webhook = Arc::clone(&webhook);
        async move {
            let (parts, body) = request.into_parts();
            let Ok(content) = body.collect().await.map(|all| all.to_bytes()) else {
                return refused();
            };
            match webhook.verify(&content, &parts.headers) {
                Ok(()) => drain(Request::from_parts(parts, Full::new(content))).await,
                Err(_) => refused(),
            }
        }
    }))
}

/// What httpsig-hyper makes of `request`: the signature, then the digest where there is one.
pub(super) fn probe(request: Request<Bytes>) -> Found {
    let verified = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait(async {
            let key = SharedKey::HmacSha256(SECRET.to_vec());
            let (parts, body) = request.into_parts();
            let head = Request::from_parts(parts, Empty::<Bytes>::new());
            let verified = head.verify_message_signature(&key, None).await;
            verified.map_err(|error| error.to_string())?;
            if !head.headers().contains_key("content-digest") {
                return Ok(());
            }
            let request = Request::from_parts(head.into_parts().0, Full::new(body));
            let verified = request.verify_content_digest().await;
            verified.map(drop).map_err(|error| error.to_string())
        })
    }));
    match verified {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it panics".to_owned()),
    }
}
