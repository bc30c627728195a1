//! Bodies that turn out to be others than those that were signed.

use zt_core::{
    authenticate::{Authenticate, BodyPlan, Presented, ProveBody, with_body},
    body::RequestBody,
    decision::Challenge,
    digest::{ContentDigest, DigestAlgorithm},
    identity::{AuthMethod, Principal, PrincipalKind},
};

use super::*;

/// Names a caller and leaves the body to be compared with the digest of `paid`.
#[derive(Debug, Clone)]
struct Digested;

impl Authenticate for Digested {
    const NAME: &'static str = "Digested";
    const PROVES_BODY: bool = true;

    fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented {
        Presented::Mine
    }

    fn authenticate(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        let who = Principal::assertion(PrincipalKind::Service, "orders", AuthMethod::Signature);
        cx.owe_body(Arc::new(Self))
            .map(|()| Arc::new(who.finish()))
            .into()
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

impl ProveBody for Digested {
    fn plan(&self, _: &Parts, _: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        Ok(BodyPlan::Stream {
            digest: ContentDigest::of(DigestAlgorithm::Sha256, b"paid"),
        })
    }

    fn mismatch(&self) -> Denial {
        Code::SignatureInvalid.into()
    }
}

#[tokio::test]
async fn a_body_that_turned_out_to_be_another_after_the_head_stands_in_the_outcome() {
    for (sent, code) in [("paid", Value::Null), ("pwnd", "signature-invalid".into())] {
        let (log, disk) = log();
        // Its answer leaves before the body was read, which is the answer's.
        let echo = tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| async {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let inner = with_body(Digested).layer(Authorize::default().layer(echo));
        let (outer, _) = RecordAuditLayer::new(log.clone()).split();
        let gate = Gate::new(inner, Link::first(outer));
        let body = Full::new(Bytes::from_static(sent.as_bytes()));
        let response = gate.oneshot(Request::post("/").body(body).unwrap()).await;
        let read = response.unwrap().into_body().collect().await;
        assert_eq!(read.is_ok(), code.is_null());
        let records = close(log, &disk);
        let outcome = records.iter().find(|record| record["kind"] == "outcome");
        assert_eq!(outcome.unwrap()["code"], code, "{sent}");
    }
}
