//! The rules of the [module](super), over certificates and a time.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};
use zt_core::{
    clock::Timestamp,
    identity::{PeerIdentity, PeerSource},
};

use super::{
    MAX_CHAIN, MAX_CHAIN_BYTES, MAX_STEPS, Refusal, Trust,
    revocation::Layer,
    trust::{Mode, Roots},
};
use crate::{
    id::{SpiffeId, TrustDomain},
    svid::{Authority, Leaf, Names, NoAuthority, SvidError, names},
};

/// Which end of the connection a certificate was shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// A peer whose certificate is good.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) id: Option<SpiffeId>,
    pub(crate) leaf: Leaf,
    /// When the first certificate of the path ends.
    pub(crate) not_after: Timestamp,
}

impl Verified {
    pub(crate) fn identity(&self, source: PeerSource) -> Arc<PeerIdentity> {
        let mut peer = self.leaf.assertion(self.not_after, source);
        if let Some(id) = &self.id {
            peer = peer.spiffe_id(id.shared());
        }
        Arc::new(peer.finish())
    }
}

impl Trust {
    /// Judges a certificate and what came beside it.
    pub(crate) fn verify(
        &self,
        end: End,
        algorithms: &WebPkiSupportedAlgorithms,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        let bytes = others.iter().fold(leaf.len(), |sum, der| sum + der.len());
        if others.len() >= MAX_CHAIN || bytes > MAX_CHAIN_BYTES {
            return Err(Refusal::TooLong);
        }
        steps(leaf, others)?;
        let read = Leaf::read(leaf)?;
        let (id, roots) = match &self.mode {
            Mode::Spiffe(domains) => {
                let id = read.claimed()?;
                let domain = id.trust_domain();
                let place = domains.binary_search_by(|(known, _)| known.cmp(&domain));
                match place.ok().and_then(|place| domains.get(place)) {
                    Some((_, roots)) => (Some((id, domain)), roots),
                    None => return Err(Refusal::UnknownTrustDomain(domain)),
                }
            }
            Mode::Pki(roots, _) => (None, roots),
        };
        let chain = Chain {
            end,
            algorithms,
            leaf,
            others,
            domain: id.as_ref().map(|(_, domain)| domain),
            roots,
            now,
        };
        let until = chain.verify()?;
        match &self.mode {
            Mode::Spiffe(_) => drop(read.workload()?),
            Mode::Pki(..) if !read.may_sign_handshakes() => return Err(Refusal::MayNotSign),
            // A server is compared with the name that was dialled.
            Mode::Pki(_, names) if end == End::Client && !names.allow(&read) => {
                return Err(Refusal::NameNotAllowed);
            }
            Mode::Pki(..) => {}
        }
        Ok(Verified {
            id: id.map(|(id, _)| id),
            not_after: until.min(read.not_after),
            leaf: read,
        })
    }
}

/// Bounds how long webpki looks for paths: counts the steps that it would take.
fn steps(leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Refusal> {
    let beside: Option<Vec<_>> = others.iter().map(|der| names(der)).collect();
    let beside = beside.ok_or(Refusal::Beside)?;
    let leaf = names(leaf).ok_or(SvidError::Malformed)?;
    let mut left = MAX_STEPS;
    let mut path = Vec::with_capacity(beside.len());
    step(leaf.issuer, &beside, &mut path, &mut left)
}

/// From a certificate of `issuer` to all that may have issued it and are not on the path yet.
fn step(
    issuer: &[u8],
    beside: &[Names<'_>],
    path: &mut Vec<usize>,
    left: &mut usize,
) -> Result<(), Refusal> {
    for (place, names) in beside.iter().enumerate() {
        if names.subject != issuer || path.contains(&place) {
            continue;
        }
        *left = left.checked_sub(1).ok_or(Refusal::Tangled)?;
        // webpki goes no further than that.
        if path.len() < MAX_BETWEEN {
            path.push(place);
            step(names.issuer, beside, path, left)?;
            path.pop();
        }
    }
    Ok(())
}

/// What a path is looked for in.
struct Chain<'a> {
    end: End,
    algorithms: &'a WebPkiSupportedAlgorithms,
    leaf: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    /// The leaf's trust domain.
    domain: Option<&'a TrustDomain>,
    roots: &'a Roots,
    now: Timestamp,
}

impl Chain<'_> {
    /// When the first of what stands above the leaf ends.
    fn verify(&self) -> Result<Timestamp, Refusal> {
        let cert = EndEntityCert::try_from(self.leaf).map_err(Refusal::Chain)?;
        let mut refusal = Refusal::Chain(webpki::Error::UnknownIssuer);
        for layer in &self.roots.layers {
            match self.path(&cert, layer) {
                Ok(until) => return Ok(until),
                // What another layer says is more telling.
                Err(found) if is_no_path(&refusal) => refusal = found,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    fn path(&self, cert: &EndEntityCert<'_>, layer: &Layer) -> Result<Timestamp, Refusal> {
        let usage = match self.end {
            End::Client => KeyUsage::client_auth(),
            End::Server => KeyUsage::server_auth(),
        };
        let lists: Vec<_> = layer.lists.iter().map(|list| &**list).collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        if revocation.is_none() && layer.asks_for_lists {
            return Err(Refusal::Chain(webpki::Error::UnknownRevocationStatus));
        }
        let until = Cell::new(Timestamp::EPOCH);
        let refused = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| match self.judge(path) {
            Ok(end) => {
                until.set(end);
                Ok(())
            }
            Err(refusal) => {
                refused.replace(Some(refusal));
                Err(webpki::Error::UnknownIssuer)
            }
        };
        let path = cert.verify_for_usage(
            self.algorithms.all,
            &layer.anchors,
            self.others,
            unix(self.now),
            usage,
            revocation,
            Some(&judge),
        );
        match (path, refused.take()) {
            (Ok(_), _) => Ok(until.get()),
            (Err(webpki::Error::UnknownIssuer), Some(refusal)) => Err(refusal),
            (Err(error), _) => Err(Refusal::Chain(error)),
        }
    }

    /// What webpki does not ask of a path. When the first of what stands above the leaf ends.
    fn judge(&self, path: &VerifiedPath<'_>) -> Result<Timestamp, Refusal> {
        let mut until = self.root(path)?;
        for between in path.intermediate_certificates() {
            let says = Authority::read(&between.der()).map_err(|error| match error {
                NoAuthority::Workload => Refusal::ForeignIssuer,
                _ => Refusal::NotAnIssuer,
            })?;
            if !says.has_usage {
                return Err(Refusal::NotAnIssuer);
            }
            if self.domain.is_some() && says.domain.is_some() && says.domain.as_ref() != self.domain
            {
                return Err(Refusal::ForeignIssuer);
            }
            until = until.min(says.not_after);
        }
        Ok(until)
    }

    /// When the root ends, which webpki does not look at.
    fn root(&self, path: &VerifiedPath<'_>) -> Result<Timestamp, Refusal> {
        let time = unix(self.now);
        let mut refused = webpki::Error::UnknownIssuer;
        let mut until = None;
        for (begin, end) in self.roots.spans(path.anchor()) {
            if time < unix(begin) {
                let not_before = unix(begin);
                refused = webpki::Error::CertNotValidYet { time, not_before };
            } else if time > unix(end) {
                let not_after = unix(end);
                refused = webpki::Error::CertExpired { time, not_after };
            } else {
                until = until.max(Some(end));
            }
        }
        until.ok_or(Refusal::Chain(refused))
    }
}

/// Whether no path was found, or one to a root of the same name and another key.
const fn is_no_path(refusal: &Refusal) -> bool {
    use webpki::Error;
    matches!(
        refusal,
        Refusal::Chain(
            Error::UnknownIssuer
                | Error::InvalidSignatureForPublicKey
                | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        )
    )
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(at.as_micros()))
}

/// The most certificates between that webpki takes.
const MAX_BETWEEN: usize = 6;
