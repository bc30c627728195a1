use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use webpki::Error as Pki;
use zt_core::{
    clock::Timestamp,
    context::{Claimed, ClaimedNames},
    decision::{Code, Denial},
    identity::{PeerIdentity, PeerSource},
};

use super::{
    ForwardedCertificate, Malformed,
    cache::{Moment, Verifications},
};
use crate::{
    credentials::Credentials,
    peer::Peers,
    verify::{End, Refusal, Trust, Verified},
};

/// In which header a proxy forwards certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `Client-Cert`, and `Client-Cert-Chain` where it is there (RFC 9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    Xfcc,
}

/// Who is believed to forward certificates, and how; see the [module](super).
#[derive(Clone)]
pub struct Forwarded {
    names: ClaimedNames,
    belief: Option<Belief>,
}

#[derive(Clone)]
struct Belief {
    proxies: Peers,
    header: ForwardedHeader,
    credentials: Credentials,
    /// In place of the credentials' own.
    trust: Option<Trust>,
    /// Whether a proxy that forwards nobody is somebody.
    proxy_for_itself: bool,
    single_element: bool,
    /// Shared by clones that ask for the same.
    verified: Arc<Verifications>,
}

impl Forwarded {
    /// Nobody is believed: the headers are taken off.
    #[must_use]
    pub fn nobody() -> Self {
        let names = ClaimedNames::none()
            .with(XFCC.as_str())
            .with(CLIENT_CERT.as_str())
            .with(CLIENT_CERT_CHAIN.as_str());
        Self {
            names,
            belief: None,
        }
    }

    /// `proxies` are believed to say in `header` who called them, and have to. The certificates are
    /// verified by what `credentials` trust at the time.
    #[must_use]
    pub fn by(proxies: Peers, header: ForwardedHeader, credentials: &Credentials) -> Self {
        Self {
            belief: Some(Belief {
                proxies,
                header,
                credentials: credentials.clone(),
                trust: None,
                proxy_for_itself: false,
                single_element: false,
                verified: Arc::new(Verifications::new()),
            }),
            ..Self::nobody()
        }
    }

    /// Forwarded certificates are verified by `trust`, where whoever vouches for the proxy's callers
    /// does not vouch for the proxy. It stays what it is when the credentials are replaced.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        self.with(|belief| {
            belief.trust = Some(trust);
            belief.verified = Arc::new(Verifications::new());
        })
    }

    /// A request of a proxy that forwards nobody is the proxy's own, such as a health check.
    ///
    /// So is then that of everybody whom the proxy lets in without a certificate, and of everybody who
    /// can make it leave the header out (some take off what a client names in `Connection`). Keep the
    /// proxy off the lists of [`RequirePeer`](crate::peer::RequirePeer) but for what anybody may have.
    #[must_use]
    pub fn insecure_proxy_for_itself(self) -> Self {
        self.with(|belief| belief.proxy_for_itself = true)
    }

    /// `X-Forwarded-Client-Cert` has one element, since the proxy sets it anew.
    #[must_use]
    pub fn single_element(self) -> Self {
        self.with(|belief| belief.single_element = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Belief)) -> Self {
        if let Some(belief) = &mut self.belief {
            change(belief);
        }
        self
    }

    /// Takes the headers off a request, and puts whom they name in the place of the proxy where they
    /// are believed.
    ///
    /// # Errors
    ///
    /// The answer to a request that must not go on.
    pub fn settle(
        &self,
        headers: &mut HeaderMap,
        extensions: &mut Extensions,
    ) -> Result<(), Denial> {
        let claimed = self.names.capture(headers);
        let named = self.name(headers, extensions);
        for name in claimed.names() {
            headers.remove(name);
        }
        if !claimed.is_empty() {
            let claimed = match extensions.get::<Claimed>() {
                Some(earlier) => claimed.and(earlier),
                None => claimed,
            };
            extensions.insert(claimed);
        }
        if let Some(peer) = named? {
            extensions.insert(peer);
        }
        Ok(())
    }

    /// Whom the headers name, where they are believed.
    fn name(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<Arc<PeerIdentity>>, Denial> {
        let Some(belief) = &self.belief else {
            return Ok(None);
        };
        let says = belief.says(headers);
        let taken_off = !says && belief.said(extensions);
        if !says && !taken_off && belief.proxy_for_itself {
            return Ok(None);
        }
        let proxy = extensions
            .get::<Arc<PeerIdentity>>()
            .filter(|peer| peer.source() == PeerSource::Tls && belief.proxies.allow(peer));
        match proxy {
            Some(proxy) if says => belief.identify(headers, proxy).map(Some),
            // All clients of the proxy would pass for the proxy.
            Some(_) if taken_off => Err(Denial::misordered(
                "a server or layer further out took the proxy's header off: it needs this `Forwarded`",
            )),
            Some(_) => Err(Denial::new(Code::CredentialMissing)
                .detail("a proxy that is to forward a certificate did not")),
            None => Ok(None),
        }
    }
}

impl Belief {
    /// Whether there is anything in the header that counts.
    fn says(&self, headers: &HeaderMap) -> bool {
        match self.header {
            ForwardedHeader::Xfcc => headers.contains_key(XFCC),
            ForwardedHeader::ClientCert => {
                headers.contains_key(CLIENT_CERT) || headers.contains_key(CLIENT_CERT_CHAIN)
            }
        }
    }

    /// Whether there was, before whoever stands further out took it off and believed nobody.
    fn said(&self, extensions: &Extensions) -> bool {
        let was = |name: &HeaderName| {
            let claimed = extensions.get::<Claimed>();
            claimed.is_some_and(|claimed| claimed.names().any(|claimed| claimed == name))
        };
        match self.header {
            ForwardedHeader::Xfcc => was(&XFCC),
            ForwardedHeader::ClientCert => was(&CLIENT_CERT) || was(&CLIENT_CERT_CHAIN),
        }
    }

    fn identify(
        &self,
        headers: &HeaderMap,
        proxy: &Arc<PeerIdentity>,
    ) -> Result<Arc<PeerIdentity>, Denial> {
        let (now, monotonic) = self.credentials.clock().read();
        let now =
            now.map_err(|error| Denial::new(Code::ClockUnavailable).detail(error.to_string()))?;
        let at = Moment { now, monotonic };
        if proxy.not_after() <= now {
            return Err(Denial::new(Code::CredentialExpired)
                .detail("the certificate of the proxy has ended"));
        }
        let cert = self.read(headers)?;
        let thumbprint: [u8; 32] = Sha256::digest(&cert.leaf).into();
        if cert.hash.is_some_and(|hash| hash != thumbprint) {
            return Err(Denial::new(Code::CredentialInvalid)
                .detail("the forwarded hash is not that of the forwarded certificate"));
        }
        let edition = self.credentials.load();
        let (trust, generation) = match &self.trust {
            Some(trust) => (trust, 0),
            None => (edition.trust(), edition.generation()),
        };
        let key = [thumbprint, *proxy.thumbprint()];
        if let Some(peer) = self.verified.find(&key, proxy, generation, at) {
            return Ok(peer);
        }
        let peer = self.verify(trust, &cert, proxy, now)?;
        self.verified.keep(key, Arc::clone(&peer), generation, at);
        Ok(peer)
    }

    fn read(&self, headers: &HeaderMap) -> Result<ForwardedCertificate, Denial> {
        let lines = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
        match self.header {
            ForwardedHeader::Xfcc => match ForwardedCertificate::from_xfcc(lines(XFCC)) {
                Ok((_, elements)) if self.single_element && elements > 1 => {
                    Err(Malformed::SeveralElements)
                }
                Ok((cert, _)) => Ok(cert),
                Err(error) => Err(error),
            },
            ForwardedHeader::ClientCert => {
                ForwardedCertificate::from_client_cert(lines(CLIENT_CERT), lines(CLIENT_CERT_CHAIN))
            }
        }
        .map_err(|error| {
            let code = match error {
                Malformed::NoCertificate => Code::CredentialInvalid,
                _ => Code::CredentialMalformed,
            };
            Denial::new(code).detail(format!("the header of the proxy: {error}"))
        })
    }

    fn verify(
        &self,
        trust: &Trust,
        cert: &ForwardedCertificate,
        proxy: &Arc<PeerIdentity>,
        now: Timestamp,
    ) -> Result<Arc<PeerIdentity>, Denial> {
        let algorithms = &self
            .credentials
            .provider()
            .signature_verification_algorithms;
        trust
            .verify(End::Client, algorithms, &cert.leaf, &cert.others, now)
            .map(|good| identity(&good, proxy))
            .map_err(|refusal| {
                Denial::new(code(&refusal)).detail(format!("the forwarded certificate: {refusal}"))
            })
    }
}

/// Whom a certificate names that `proxy` forwarded.
fn identity(good: &Verified, proxy: &Arc<PeerIdentity>) -> Arc<PeerIdentity> {
    let mut peer = good
        .leaf
        .assertion(good.not_after, PeerSource::Forwarded)
        .via(Arc::clone(proxy));
    if let Some(id) = &good.id {
        peer = peer.spiffe_id(id.shared());
    }
    Arc::new(peer.finish())
}

/// How a request is answered whose forwarded certificate is not good.
fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Chain(Pki::CertExpired { .. }) => Code::CredentialExpired,
        Refusal::Chain(Pki::CertRevoked) => Code::CredentialRevoked,
        // That is for us to renew, not for the client.
        Refusal::Chain(Pki::CrlExpired { .. }) => Code::KeysUnavailable,
        Refusal::Clock => Code::ClockUnavailable,
        _ => Code::CredentialInvalid,
    }
}

const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Believes nobody.
impl Default for Forwarded {
    fn default() -> Self {
        Self::nobody()
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Forwarded");
        if let Some(belief) = &self.belief {
            debug
                .field("proxies", &belief.proxies)
                .field("header", &belief.header)
                .field("proxy_for_itself", &belief.proxy_for_itself)
                .field("single_element", &belief.single_element);
        }
        debug.finish_non_exhaustive()
    }
}
