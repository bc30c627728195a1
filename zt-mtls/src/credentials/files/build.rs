//! A material from what the files held.

use std::{path::Path, sync::Arc};

use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use zt_core::clock::Timestamp;

use super::{
    Files, FilesError,
    read::{Part, Role, Seen},
};
use crate::{
    bundle::TrustBundle,
    credentials::{Identity, IdentityError, Material, pem_all},
    verify::Trust,
};

impl Files {
    /// The material that `seen` gives at `now`.
    pub(super) fn material(
        &self,
        seen: &Seen,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Material, FilesError> {
        let (mut chain, mut key): (&[u8], &[u8]) = (&[], &[]);
        let (mut bundles, mut roots, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for part in &seen.parts {
            match &part.role {
                Role::Certificate => chain = &part.bytes,
                Role::Key => key = &part.bytes,
                Role::Bundle(domain) => {
                    let bundle = if is_json(&part.bytes) {
                        TrustBundle::from_jwks(domain.clone(), &part.bytes)
                    } else {
                        TrustBundle::from_pem(domain.clone(), &part.bytes)
                    };
                    bundles.push(bundle.map_err(|why| FilesError::Bundle {
                        file: Arc::clone(&part.file),
                        domain: domain.clone(),
                        why,
                    })?);
                }
                Role::Roots => roots.extend(part.certificates()?),
                Role::List => lists.extend(part.lists()?),
            }
        }
        let identity = self.identity(chain, key, provider, now)?;
        let trust = if bundles.is_empty() {
            Trust::pki(roots, self.names.clone())?
        } else {
            Trust::spiffe(bundles)?
        };
        let trust = match &*lists {
            [] => trust,
            _ => trust.revocation_lists(lists)?,
        };
        Ok(Material::new(identity, trust))
    }

    fn identity(
        &self,
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Identity, FilesError> {
        let fails = |why: IdentityError| FilesError::Identity {
            certificate: Arc::clone(&self.certificate),
            key: Arc::clone(&self.key),
            why,
        };
        let identity = Identity::from_pem_with(chain, key, provider).map_err(fails)?;
        if identity.not_after() <= now {
            return Err(FilesError::Ended(Arc::clone(&self.certificate)));
        }
        if identity.not_before() > now {
            return Err(FilesError::NotYet(Arc::clone(&self.certificate)));
        }
        Ok(identity)
    }
}

impl Part {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FilesError> {
        let all: Vec<_> = pem_all(&self.bytes).map_err(|why| format(&self.file, why))?;
        if all.is_empty() {
            return Err(format(&self.file, "there is no certificate in it"));
        }
        Ok(all)
    }

    fn lists(&self) -> Result<Vec<CertificateRevocationListDer<'_>>, FilesError> {
        if is_der(&self.bytes) {
            return Ok(vec![self.bytes.as_slice().into()]);
        }
        let all: Vec<_> = pem_all(&self.bytes).map_err(|why| format(&self.file, why))?;
        // An empty file is no list; it must not end revocation.
        if all.is_empty() {
            return Err(format(&self.file, "there is no revocation list in it"));
        }
        Ok(all)
    }
}

fn format(file: &Arc<Path>, why: &'static str) -> FilesError {
    FilesError::Format {
        file: Arc::clone(file),
        why,
    }
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// A SEQUENCE of more than 127 bytes (X.690 section 8.1.3): no text begins so.
const fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, length, ..] if *length >= 0x80)
}
