//! What a response makes of us.

use std::sync::Arc;

use prost::{DecodeError, Message};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zt_core::clock::{ClockError, Timestamp};

use super::{
    Choice, MAX_SVIDS,
    message::{X509Svid, X509SvidResponse},
};
use crate::{
    bundle::{BundleError, Bundles, MAX_AUTHORITIES, TrustBundle},
    credentials::{Identity, IdentityError, Material},
    id::{IdError, SpiffeId, TrustDomain},
    svid::{
        Leaf, SvidError,
        der::{Reader, SEQUENCE},
    },
    verify::{End, MAX_CHAIN, Refusal, Trust, TrustError},
};

/// Why a response cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    #[error("it has no identity")]
    NoSvid,
    #[error("it has more than {MAX_SVIDS} identities")]
    TooManySvids,
    #[error("`{0}` of an identity is empty")]
    Empty(&'static str),
    #[error("it has no identity with the hint `{0}`")]
    NoHint(Arc<str>),
    #[error("it has no identity `{0}`")]
    NoId(SpiffeId),
    #[error("`{0}` is no SPIFFE ID: {1}")]
    Id(Arc<str>, IdError),
    #[error("`{0}` is not the SPIFFE ID of a trust domain")]
    NotADomain(SpiffeId),
    #[error("the certificate of `{0}` is another's")]
    OtherId(SpiffeId),
    #[error("the certificates of `{0}` cannot be read, or are too many")]
    Certificates(Arc<str>),
    #[error(transparent)]
    Svid(#[from] SvidError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("its own bundle does not vouch for `{0}`: {1}")]
    NotVouchedFor(SpiffeId, Refusal),
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// A response that was read. Two that are equal make the same of us: the key is the certificate's.
#[derive(PartialEq)]
pub(super) struct Update {
    chain: Vec<CertificateDer<'static>>,
    bundles: Bundles,
    crls: Vec<Vec<u8>>,
}

/// One identity of a response.
struct Entry {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    bundle: TrustBundle,
    message: X509Svid,
}

/// Reads a response: what it says, and what that makes of us.
pub(super) fn read(
    response: &[u8],
    choice: &Choice,
    provider: &CryptoProvider,
    now: Result<Timestamp, ClockError>,
) -> Result<(Update, Material), Unusable> {
    let mut response = X509SvidResponse::decode(response)?;
    if response.svids.len() > MAX_SVIDS {
        return Err(Unusable::TooManySvids);
    }
    // SPIFFE_Workload_API section 4.5: where one of them is not complete, none is used.
    let entries: Result<Vec<_>, _> = response
        .svids
        .iter()
        .map(|svid| Entry::read(svid))
        .collect();
    let entries = entries?;
    let mut bundles = Bundles::new();
    for entry in &entries {
        add(&mut bundles, entry.bundle.clone())?;
    }
    for (domain, roots) in &response.federated_bundles {
        let domain = trust_domain(domain)?;
        match federated(&domain, roots) {
            Ok(Some(bundle)) => add(&mut bundles, bundle)?,
            // Nobody vouches for it, and its workloads are refused.
            Ok(None) => {}
            // Likewise. Whoever publishes it must not be able to keep our own identity from us.
            Err(why) => {
                tracing::warn!(%domain, error = %why, "a federated bundle cannot be used, and its domain is not trusted");
            }
        }
    }
    let mut entry = choice.of(entries)?;
    let key = std::mem::take(&mut entry.message.x509_svid_key);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let identity = Identity::with(entry.chain.clone(), key, provider)?;
    let trust = Trust::spiffe(bundles.values().cloned())?;
    entry.is_vouched_for(&trust, provider, now?)?;
    let crls = std::mem::take(&mut response.crl);
    let trust = match crls.is_empty() {
        true => trust,
        false => trust.revocation_lists(crls.iter().map(|list| list.as_slice().into()))?,
    };
    let update = Update {
        chain: entry.chain,
        bundles,
        crls,
    };
    Ok((update, Material::new(identity, trust)))
}

impl Choice {
    /// SPIFFE_Workload_API sections 5.2.1 and 5.3: the first of those that fit.
    fn of(&self, entries: Vec<Entry>) -> Result<Entry, Unusable> {
        let mut entries = entries.into_iter();
        match self {
            Self::First => entries.next().ok_or(Unusable::NoSvid),
            Self::Hint(hint) => entries
                .find(|entry| *entry.message.hint == **hint)
                .ok_or_else(|| Unusable::NoHint(Arc::clone(hint))),
            Self::Id(id) => entries
                .find(|entry| entry.id == *id)
                .ok_or_else(|| Unusable::NoId(id.clone())),
        }
    }
}

impl Entry {
    fn read(message: &[u8]) -> Result<Self, Unusable> {
        let message = X509Svid::decode(message)?;
        for (name, empty) in [
            ("spiffe_id", message.spiffe_id.is_empty()),
            ("x509_svid", message.x509_svid.is_empty()),
            ("x509_svid_key", message.x509_svid_key.is_empty()),
            ("bundle", message.bundle.is_empty()),
        ] {
            if empty {
                return Err(Unusable::Empty(name));
            }
        }
        let id = spiffe_id(&message.spiffe_id)?;
        let chain = certificates(&message.x509_svid, MAX_CHAIN)
            .ok_or_else(|| Unusable::Certificates(id.shared()))?;
        let leaf = Leaf::read(chain.first().map_or(&[], AsRef::as_ref))?;
        if leaf.claimed()? != id {
            return Err(Unusable::OtherId(id));
        }
        Ok(Self {
            bundle: bundle(id.trust_domain(), &message.bundle)?,
            id,
            chain,
            message,
        })
    }

    /// Peers who have the same bundle would refuse us otherwise. Whether we are revoked is theirs to
    /// say.
    fn is_vouched_for(
        &self,
        trust: &Trust,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<(), Unusable> {
        let Some((leaf, others)) = self.chain.split_first() else {
            return Err(Unusable::Certificates(self.id.shared()));
        };
        let algorithms = &provider.signature_verification_algorithms;
        match trust.verify(End::Client, algorithms, leaf, others, now) {
            Ok(_) => Ok(()),
            Err(why) => Err(Unusable::NotVouchedFor(self.id.clone(), why)),
        }
    }
}

/// The same bundle comes with each identity of a trust domain.
fn add(bundles: &mut Bundles, bundle: TrustBundle) -> Result<(), BundleError> {
    let domain = bundle.trust_domain().clone();
    match bundles.get(&domain) {
        None => drop(bundles.insert(domain, bundle)),
        Some(known) if *known == bundle => {}
        Some(_) => return Err(BundleError::Twice(domain)),
    }
    Ok(())
}

fn bundle(domain: TrustDomain, der: &[u8]) -> Result<TrustBundle, Unusable> {
    match certificates(der, MAX_AUTHORITIES) {
        Some(roots) => Ok(TrustBundle::new(domain, roots)?),
        None => Err(Unusable::Certificates(domain.id().into())),
    }
}

/// The bundle of another trust domain, where it has any roots.
fn federated(domain: &TrustDomain, der: &[u8]) -> Result<Option<TrustBundle>, Unusable> {
    if der.is_empty() {
        return Ok(None);
    }
    let bundle = bundle(domain.clone(), der)?;
    Trust::spiffe([bundle.clone()])?;
    Ok(Some(bundle))
}

/// A federated bundle is keyed by the SPIFFE ID of its trust domain.
fn trust_domain(id: &str) -> Result<TrustDomain, Unusable> {
    let id = spiffe_id(id)?;
    match id.is_workload() {
        true => Err(Unusable::NotADomain(id)),
        false => Ok(id.trust_domain()),
    }
}

fn spiffe_id(text: &str) -> Result<SpiffeId, Unusable> {
    SpiffeId::parse(text).map_err(|why| {
        let shown: String = text.chars().filter(|char| !char.is_control()).collect();
        Unusable::Id(shown.chars().take(256).collect::<String>().into(), why)
    })
}

/// Certificates in DER, one behind the other; `None` where they are not that, or more than `most`.
fn certificates(der: &[u8], most: usize) -> Option<Vec<CertificateDer<'static>>> {
    let mut reader = Reader::new(der);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let certificate = reader.whole(SEQUENCE)?;
        if found.len() == most {
            return None;
        }
        found.push(CertificateDer::from(certificate.to_vec()));
    }
    Some(found)
}
