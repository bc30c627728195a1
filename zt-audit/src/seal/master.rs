//! What comes from the sealing key: the key that wraps the keys of subjects, and the key of
//! pseudonyms.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;
use zt_core::{clock::Timestamp, secret::Secret};

use super::{DataSubject, Pseudonym, VaultError};

/// The bytes of a key.
pub(super) type KeyBytes = Zeroizing<[u8; KEY]>;
pub(super) const KEY: usize = 32;
/// Nonce, key and tag.
pub(super) const WRAPPED: usize = NONCE_LEN + KEY + MAX_TAG_LEN;

const SALT: &[u8] = b"zt-audit sealing key";

/// The keys that come from the sealing key.
pub(super) struct Master {
    wrapping: LessSafeKey,
    pseudonyms: Hmac<Sha256>,
}

impl Master {
    pub(super) fn new(sealing_key: &Secret) -> Result<Self, VaultError> {
        if sealing_key.len() < KEY {
            return Err(VaultError::SealingKey("has fewer than 32 bytes"));
        }
        let bytes = sealing_key.expose();
        if bytes.iter().all(|byte| bytes.first() == Some(byte)) {
            return Err(VaultError::SealingKey("is the same byte again and again"));
        }
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(bytes);
        let derive = |what: &[u8]| -> Result<KeyBytes, VaultError> {
            let mut key = KeyBytes::default();
            secret
                .expand(&[what], hkdf::HKDF_SHA256)
                .and_then(|output| output.fill(&mut *key))
                .map_err(|_| VaultError::SealingKey("cannot be used"))?;
            Ok(key)
        };
        let pseudonyms = Hmac::new_from_slice(&*derive(b"pseudonyms")?)
            .map_err(|_| VaultError::SealingKey("cannot be used"))?;
        Ok(Self {
            wrapping: aead(&derive(b"wrapping of subjects' keys")?)?,
            pseudonyms,
        })
    }

    /// Lengths stand before names, so that no two subjects are written alike.
    pub(super) fn pseudonym(&self, subject: DataSubject<'_>) -> Pseudonym {
        let mut mac = self.pseudonyms.clone();
        match subject {
            DataSubject::Principal {
                issuer: Some(issuer),
                subject,
            } => {
                mac.update(&[1]);
                mac.update(&(issuer.len() as u64).to_be_bytes());
                mac.update(issuer.as_bytes());
                mac.update(subject.as_bytes());
            }
            DataSubject::Principal {
                issuer: None,
                subject: name,
            }
            | DataSubject::Named(name) => {
                mac.update(&[2]);
                mac.update(name.as_bytes());
            }
            DataSubject::Anonymous(at) => {
                mac.update(&[3]);
                mac.update(&day_of(at).to_be_bytes());
            }
        }
        let mut bytes = [0; 16];
        for (byte, of_mac) in bytes.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte = of_mac;
        }
        Pseudonym::from_bytes(bytes)
    }

    /// Wraps `key`; `about` is bound to it.
    pub(super) fn wrap(
        &self,
        key: &KeyBytes,
        nonce: [u8; NONCE_LEN],
        about: &[u8],
    ) -> Result<[u8; WRAPPED], VaultError> {
        let mut bytes = key.clone();
        let tag = self
            .wrapping
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(about),
                &mut *bytes,
            )
            .map_err(|_| VaultError::Sealed)?;
        let mut wrapped = [0; WRAPPED];
        let parts = nonce.iter().chain(bytes.iter()).chain(tag.as_ref());
        for (to, from) in wrapped.iter_mut().zip(parts) {
            *to = *from;
        }
        Ok(wrapped)
    }

    /// The key that was wrapped with `about`.
    pub(super) fn unwrap(
        &self,
        wrapped: &[u8; WRAPPED],
        about: &[u8],
    ) -> Result<LessSafeKey, VaultError> {
        let (nonce, rest) = wrapped.split_first_chunk().ok_or(VaultError::Sealed)?;
        let mut bytes = Zeroizing::new([0; KEY + MAX_TAG_LEN]);
        bytes.copy_from_slice(rest);
        let opened = self
            .wrapping
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(about),
                &mut *bytes,
            )
            .map_err(|_| VaultError::Sealed)?;
        UnboundKey::new(&AES_256_GCM, opened)
            .map(LessSafeKey::new)
            .map_err(|_| VaultError::Sealed)
    }
}

/// Days since 1970-01-01 (UTC).
pub(super) const fn day_of(at: Timestamp) -> u64 {
    at.as_secs() / (24 * 60 * 60)
}

/// A key that seals.
pub(super) fn aead(key: &KeyBytes) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, &**key)
        .map(LessSafeKey::new)
        .map_err(|_| VaultError::Sealed)
}
