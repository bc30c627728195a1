use std::{fmt, sync::Arc};

use http::{StatusCode, request::Parts};
use zt_core::{
    authenticate::{Authenticate, Presented},
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::Step,
    identity::{AuthMethod, Binding, PeerIdentity, Principal, PrincipalKind},
};

use super::{Peers, principals::Principals};

/// Lets requests pass that come over the connection of a workload on a list.
///
/// A request passes when
///
/// 1. the server that took its connection verified a certificate, or believed a proxy that did
///    (`credential-missing` otherwise);
/// 2. that certificate has not ended (`credential-expired`);
/// 3. the workload is on the list (`policy-denied` otherwise); an empty list has nobody.
///
/// It names the workload as the caller: kind service, the SPIFFE ID as subject, its trust domain as
/// issuer, bound to the certificate. A plain certificate is called by the name that is on the list.
/// Behind another authenticator, as in [`all_of`](zt_core::authenticate::all_of), it adds that proof
/// to the caller who is named already.
///
/// Where each connection has a certificate, each request presents it. So in
/// [`any_of`](zt_core::authenticate::any_of) a token beside it is `credential-ambiguous`: ask for both,
/// or for the token alone and for the workload in the policy.
///
/// # What a refusal looks like
///
/// 401 `credential-missing` and `credential-expired`, with the challenge `ClientCertificate`, which tells
/// that another connection is asked for, since a certificate is shown before HTTP begins; 403 `policy-denied`. The audit record has the name that
/// was refused, and the caller is told nothing.
///
/// # What it does not do
///
/// It verifies no certificate: [`serve`](crate::serve) and [`forwarded`](crate::forwarded) do. It
/// asks no sanctions: the stack's `sanctions` slot behind it strikes the workload, and the proxy that
/// speaks for it.
///
/// ```
/// use std::{convert::Infallible, sync::Arc};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// use zt_core::{clock::Timestamp, identity::{PeerIdentity, PeerSource}};
/// use zt_mtls::peer::{Peers, RequirePeerLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let peers = Peers::parse(["spiffe://shop.example/orders"])?;
/// let service = RequirePeerLayer::new(peers).layer(service_fn(|_: Request<String>| async {
///     Ok::<_, Infallible>(Response::new("paid".to_owned()))
/// }));
/// // Instead of this: a server that verified the certificate.
/// let over = |id: &str| {
///     let peer = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls).spiffe_id(id);
///     Request::get("/").extension(Arc::new(peer.finish())).body(String::new())
/// };
/// let permitted = service.clone().oneshot(over("spiffe://shop.example/orders")?).await?;
/// assert_eq!(permitted.status(), 200);
/// let refused = service.oneshot(over("spiffe://shop.example/batch")?).await?;
/// assert_eq!(refused.status(), 403);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RequirePeerLayer(Arc<Required>);

struct Required {
    peers: Peers,
    let_in: Principals,
}

/// The service that [`RequirePeerLayer`] makes of `S`.
pub type RequirePeer<S> = <RequirePeerLayer as tower_layer::Layer<S>>::Service;

zt_core::impl_authenticate_layer!(RequirePeerLayer);

impl RequirePeerLayer {
    /// Lets `peers` in.
    #[must_use]
    pub fn new(peers: Peers) -> Self {
        Self(Arc::new(Required {
            peers,
            let_in: Principals::new(),
        }))
    }

    pub(super) fn verify(&self, cx: &SecurityContext) -> Result<Arc<Principal>, Denial> {
        let Some(peer) = cx.peer() else {
            return Err(asking_for_another_connection(
                Code::CredentialMissing.into(),
            ));
        };
        if peer.not_after() <= cx.now() {
            return Err(asking_for_another_connection(
                Code::CredentialExpired.into(),
            ));
        }
        if let Some(principal) = self.0.let_in.find(peer) {
            return Ok(principal);
        }
        let principal = self.make(peer)?;
        self.0.let_in.keep(peer, &principal);
        Ok(principal)
    }

    pub(super) fn make(&self, peer: &PeerIdentity) -> Result<Arc<Principal>, Denial> {
        let Some(name) = self.0.peers.name_of(peer) else {
            let who = name(peer).unwrap_or("a certificate without a name");
            return Err(Denial::new(Code::PolicyDenied).detail(format!("`{who}` is not allowed")));
        };
        Ok(principal(peer, name))
    }
}

/// A 401 has to have a challenge (RFC 9110 section 15.5.2), and no header answers this one. No scheme that
/// is registered says so; this one was proposed (draft-thomson-httpbis-cant-01).
fn another_connection() -> Challenge {
    Challenge::new("ClientCertificate")
}

/// Without this, the answer would ask for a token.
pub(crate) fn asking_for_another_connection(denial: Denial) -> Denial {
    if denial.status() == StatusCode::UNAUTHORIZED && denial.challenges().is_empty() {
        return denial.challenge(another_connection());
    }
    denial
}

/// What a peer is called: its SPIFFE ID, or the first of its other names.
fn name(peer: &PeerIdentity) -> Option<&str> {
    peer.spiffe_id()
        .or_else(|| peer.uris().next())
        .or_else(|| peer.dns_names().next())
}

fn principal(peer: &PeerIdentity, name: &str) -> Arc<Principal> {
    let mut who = Principal::assertion(PrincipalKind::Service, name, AuthMethod::ClientCertificate)
        .expires_at(peer.not_after())
        .binding(Binding::CertificateThumbprint(*peer.thumbprint()));
    if let Some(domain) = peer.spiffe_id().and_then(trust_domain) {
        who = who.issuer(domain);
    }
    Arc::new(who.finish())
}

/// `spiffe://` and the trust domain of an ID.
fn trust_domain(id: &str) -> Option<&str> {
    let path = id.match_indices('/').nth(2).map(|(place, _)| place);
    id.get(..path?)
}

impl Authenticate for RequirePeerLayer {
    const NAME: &'static str = "RequirePeer";

    fn presented(&self, _: &Parts, cx: &SecurityContext) -> Presented {
        match cx.peer() {
            Some(_) => Presented::Mine,
            None => Presented::Absent,
        }
    }

    fn authenticate(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        self.verify(cx).into()
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![another_connection()]
    }
}

impl fmt::Debug for RequirePeerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequirePeerLayer")
            .field(&self.0.peers)
            .finish()
    }
}
