//! Revocation lists (RFC 5280 section 5), and which of them are asked about whom.
//!
//! webpki asks the first list whose issuer has the right name, and refuses where that one is not signed
//! by the issuer's key. So the newest stands first: an older one, which does not know of the last
//! revocations, is asked about nobody. And as two roots may have one name (of two trust domains, or
//! before and after a change of keys), lists that a root signed are asked about chains to that root
//! alone. Two *intermediates* of one name and different keys, both with lists, are not told apart:
//! certificates of one of them are refused.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use zt_core::clock::Timestamp;

use super::TrustError;
use crate::svid::der::{
    BIT_STRING, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE,
    UTC_TIME, time,
};

/// The most bytes of a revocation list.
pub const MAX_REVOCATION_LIST: usize = 32 << 20;
/// The most revocation lists.
pub const MAX_REVOCATION_LISTS: usize = 256;

/// Revocation lists, the newest first.
#[derive(Clone, Default)]
pub(super) struct Lists(Arc<[List]>);

struct List {
    list: Arc<CertRevocationList<'static>>,
    /// When it was made, and its number.
    age: (Timestamp, Number),
    /// When it is out of date; at once where it does not say.
    end: Timestamp,
    issuer: Box<[u8]>,
    signed: Signed,
}

/// A number as its length and bytes, without leading zeros: so they compare.
type Number = (usize, Box<[u8]>);

/// What a signature is over, and what it is.
struct Signed {
    data: Box<[u8]>,
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
}

/// Roots of which no two have one name and different keys, with the lists for chains to them.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) lists: Vec<Arc<CertRevocationList<'static>>>,
    /// Whether there are lists, here or for others: then all is to be covered by one.
    pub(super) asks_for_lists: bool,
}

impl Lists {
    pub(super) fn read<'a>(
        lists: impl IntoIterator<Item = CertificateRevocationListDer<'a>>,
    ) -> Result<Self, TrustError> {
        let mut all = Vec::new();
        for der in lists {
            if all.len() == MAX_REVOCATION_LISTS || der.len() > MAX_REVOCATION_LIST {
                return Err(TrustError::TooManyRevocations);
            }
            all.push(List::read(&der).map_err(TrustError::Crl)?);
        }
        if all.is_empty() {
            return Err(TrustError::NoRevocationList);
        }
        all.sort_by(|one, other| Reverse(&one.age).cmp(&Reverse(&other.age)));
        Ok(Self(all.into()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When each is out of date that is the newest of its issuer and for its part of what that issued.
    pub(super) fn ends(&self, everybody: &[TrustAnchor<'static>]) -> Arc<[Timestamp]> {
        let mut ends = BTreeMap::new();
        for list in &*self.0 {
            let signer = everybody
                .iter()
                .position(|anchor| list.is_signed_by(anchor));
            let part = list.list.issuing_distribution_point();
            ends.entry((&list.issuer, signer, part)).or_insert(list.end);
        }
        ends.into_values().collect()
    }

    /// Parts `anchors` so that lists can be told apart; `everybody` are the roots of all trust domains.
    pub(super) fn layers(
        &self,
        anchors: &[TrustAnchor<'static>],
        everybody: &[TrustAnchor<'static>],
    ) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        for anchor in anchors {
            let apart = |other: &TrustAnchor<'_>| {
                other.subject == anchor.subject
                    && other.subject_public_key_info != anchor.subject_public_key_info
            };
            let free = |layer: &&mut Layer| self.0.is_empty() || !layer.anchors.iter().any(apart);
            match layers.iter_mut().find(free) {
                Some(layer) => layer.anchors.push(anchor.clone()),
                None => layers.push(Layer {
                    anchors: vec![anchor.clone()],
                    lists: Vec::new(),
                    asks_for_lists: !self.0.is_empty(),
                }),
            }
        }
        for list in &*self.0 {
            let somebodys = everybody.iter().any(|anchor| list.is_signed_by(anchor));
            for layer in &mut layers {
                if !somebodys || layer.anchors.iter().any(|anchor| list.is_signed_by(anchor)) {
                    layer.lists.push(Arc::clone(&list.list));
                }
            }
        }
        layers
    }
}

impl List {
    fn read(der: &[u8]) -> Result<Self, webpki::Error> {
        let list = OwnedCertRevocationList::from_der(der)?;
        Self::with(list.into(), der).ok_or(webpki::Error::BadDer)
    }

    /// What webpki does not tell (RFC 5280 section 5.1).
    fn with(list: CertRevocationList<'static>, der: &[u8]) -> Option<Self> {
        let mut outer = Reader::only(der, SEQUENCE)?;
        let data = outer.whole(SEQUENCE)?;
        let algorithm = outer.expect(SEQUENCE)?;
        let (_unused, signature) = outer.expect(BIT_STRING)?.split_first()?;
        let mut tbs = Reader::only(data, SEQUENCE)?;
        tbs.optional(INTEGER)?;
        tbs.expect(SEQUENCE)?;
        let issuer = tbs.expect(SEQUENCE)?;
        let made = Timestamp::from_secs(time(tbs.next()?)?);
        let (mut end, mut number) = (Timestamp::EPOCH, Number::default());
        while !tbs.is_empty() {
            match tbs.next()? {
                (0xa0, extensions) => number = crl_number(Reader::only(extensions, SEQUENCE)?)?,
                next @ (UTC_TIME | GENERALIZED_TIME, _) => end = Timestamp::from_secs(time(next)?),
                _ => {}
            }
        }
        Some(Self {
            list: Arc::new(list),
            age: (made, number),
            end,
            issuer: issuer.into(),
            signed: Signed {
                data: data.into(),
                algorithm: algorithm.into(),
                signature: signature.into(),
            },
        })
    }

    /// Whether `anchor` has its issuer's name, and its key made the signature.
    fn is_signed_by(&self, anchor: &TrustAnchor<'_>) -> bool {
        let of = || {
            let mut spki = Reader::new(&anchor.subject_public_key_info);
            let algorithm = spki.expect(SEQUENCE)?;
            let (_unused, key) = spki.expect(BIT_STRING)?.split_first()?;
            Some((algorithm, key))
        };
        let Some((algorithm, key)) = of() else {
            return false;
        };
        let Signed {
            data,
            algorithm: by,
            signature,
        } = &self.signed;
        let all = default_provider().signature_verification_algorithms.all;
        anchor.subject.as_ref() == &*self.issuer
            && all.iter().any(|one| {
                one.signature_alg_id().as_ref() == &**by
                    && one.public_key_alg_id().as_ref() == algorithm
                    && one.verify_signature(key, data, signature).is_ok()
            })
    }
}

fn crl_number(mut extensions: Reader<'_>) -> Option<Number> {
    while !extensions.is_empty() {
        let mut extension = Reader::new(extensions.expect(SEQUENCE)?);
        let id = extension.expect(OBJECT_IDENTIFIER)?;
        extension.boolean()?;
        let value = extension.expect(OCTET_STRING)?;
        if id == CRL_NUMBER {
            let number = Reader::only(value, INTEGER)?.rest();
            let digits = number.iter().skip_while(|byte| **byte == 0);
            let digits: Box<[u8]> = digits.copied().collect();
            return Some((digits.len(), digits));
        }
    }
    Some(Number::default())
}

/// RFC 5280 section 5.2.3.
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
