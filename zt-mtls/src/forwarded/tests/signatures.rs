//! What is taken off outside the stack was signed all the same.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use zt_core::{
    body::RequestBody,
    context::{Claimed, SecurityContext},
    secret::Secret,
    signature::{
        base::Component,
        key::{KeyEntry, KeyRing, SigningKey},
        replay::MemoryReplays,
        sign::SignRequestLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
};

use super::*;

/// How a signed request of the gateway is answered that is changed on its way.
async fn answer(change: impl FnOnce(&mut Request<Full<Bytes>>)) -> (u16, Option<Claimed>) {
    let fixture = Fixture::new();
    let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32])).unwrap();
    let keys = KeyRing::new([KeyEntry::new("k", key.verifying_key(), "gateway")]).unwrap();
    let covered = Component::field("client-cert").unwrap();
    let policy = SignaturePolicy::strict().covering(covered.clone());
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let verify = VerifySignatureLayer::new(policy, keys, replays).unwrap();
    let server =
        ForwardedPeerLayer::new(fixture.believes(ForwardedHeader::ClientCert)).layer(verify.layer(
            service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
                assert!(!request.headers().contains_key("client-cert"));
                let cx: &SecurityContext = request.extensions().get().unwrap();
                let peer = cx.peer().unwrap();
                assert_eq!(peer.spiffe_id(), Some("spiffe://shop.example/batch"));
                let mut response = Response::new(Full::<Bytes>::default());
                response
                    .extensions_mut()
                    .insert(cx.trail().claimed().clone());
                Ok::<_, std::convert::Infallible>(response)
            }),
        ));
    let sent = std::sync::Mutex::new(None);
    let client = SignRequestLayer::new(key, "k")
        .unwrap()
        .cover(covered)
        .unwrap();
    let client = client.layer(service_fn(|request: Request<Full<Bytes>>| {
        *sent.lock().unwrap() = Some(request);
        async { Ok::<_, std::convert::Infallible>(Response::new(())) }
    }));
    let request = Request::post("https://payments.internal/charge")
        .header("client-cert", bytes(&fixture.client.chain[0]))
        .body(Full::new(Bytes::from("42")))
        .unwrap();
    client.oneshot(request).await.unwrap();
    let mut request = sent.into_inner().unwrap().unwrap();
    request.extensions_mut().insert(fixture.gateway());
    change(&mut request);
    let response = server.oneshot(request).await.unwrap();
    let claimed = response.extensions().get().cloned();
    (response.status().as_u16(), claimed)
}

#[tokio::test]
async fn a_signature_that_covers_the_certificate_verifies() {
    let (status, claimed) = answer(|_| ()).await;
    assert_eq!(status, 200);
    let claimed = claimed.unwrap();
    assert_eq!(claimed.all("client-cert").count(), 1);
}

#[tokio::test]
async fn a_certificate_that_was_put_in_another_place_is_refused() {
    let (status, _) = answer(|request| {
        let other = TestCa::new("shop.example").workload("/batch");
        let value = bytes(&other.chain[0]).parse().unwrap();
        // Over a connection that is not believed the signature alone says no.
        request.extensions_mut().remove::<Arc<PeerIdentity>>();
        request.headers_mut().insert("client-cert", value);
    })
    .await;
    assert_eq!(status, 401);
}
