//! The secrets that webhooks are checked with.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::{WebhookClaim, WebhookError, WebhookFormat};
use crate::secret::Secret;
#[cfg(feature = "asymmetric")]
use crate::signature::key::VerifyingKey;

/// The most keys: an HMAC is computed over the body with each.
const MAX_KEYS: usize = 4;

/// How many bytes of key a shared secret has at least.
///
/// Standard Webhooks says 24 to 64. Stripe's are made by Stripe and always longer than 32. GitHub
/// takes whatever a person types, and who has seen one delivery can try words against it at
/// leisure: 16 bytes keep the passwords out, and let the hex tokens of 20 and more that most
/// instructions say to make pass.
const fn minimum(format: WebhookFormat) -> usize {
    match format {
        WebhookFormat::Standard => 24,
        WebhookFormat::GitHub => 16,
        WebhookFormat::Stripe => 32,
    }
}

const MAX_STANDARD: usize = 64;

/// What webhooks are checked with, parsed once.
#[derive(Clone, Default)]
pub(super) struct Keys {
    /// Keyed already.
    macs: Vec<Hmac<Sha256>>,
    #[cfg(feature = "asymmetric")]
    ed25519: Vec<VerifyingKey>,
}

impl Keys {
    /// The keys in `secrets`.
    ///
    /// # Errors
    ///
    /// Where a secret is not one of `format`, or can be guessed and `short` does not say that it
    /// may.
    pub(super) fn new(
        format: WebhookFormat,
        secrets: &[Secret],
        short: bool,
    ) -> Result<Self, WebhookError> {
        if secrets.len() > MAX_KEYS {
            return Err(WebhookError::TooManySecrets);
        }
        let mut keys = Self::default();
        for secret in secrets {
            match format {
                WebhookFormat::Standard => keys.add_standard(secret.expose(), short)?,
                WebhookFormat::GitHub => keys.add_shared(secret.expose(), format, short)?,
                WebhookFormat::Stripe => {
                    // The key is the text as it stands, prefix included.
                    if !secret.expose().starts_with(b"whsec_") {
                        return Err(WebhookError::SecretForm("it begins with `whsec_`"));
                    }
                    keys.add_shared(secret.expose(), format, short)?;
                }
            }
        }
        Ok(keys)
    }

    pub(super) fn len(&self) -> usize {
        #[cfg(feature = "asymmetric")]
        return self.macs.len() + self.ed25519.len();
        #[cfg(not(feature = "asymmetric"))]
        self.macs.len()
    }

    /// Whether any signature that is claimed is of a kind that there is a key for.
    pub(super) fn can_judge(&self, claim: &WebhookClaim) -> bool {
        let shared = !claim.macs().is_empty() && !self.macs.is_empty();
        #[cfg(feature = "asymmetric")]
        let shared = shared || (!claim.ed25519().is_empty() && !self.ed25519.is_empty());
        shared
    }

    /// Whether one of the signatures is of one of the keys. The time tells how many there are of
    /// each and how long the body is, not which of them it was.
    pub(super) fn hold(&self, claim: &WebhookClaim, body: &[u8]) -> bool {
        let mut held = Choice::from(0);
        if !claim.macs().is_empty() {
            for mac in &self.macs {
                let code: [u8; 32] = mac
                    .clone()
                    .chain_update(claim.before_body())
                    .chain_update(body)
                    .finalize()
                    .into_bytes()
                    .into();
                for claimed in claim.macs() {
                    held |= code.ct_eq(claimed);
                }
            }
        }
        bool::from(held) | self.hold_ed25519(claim, body)
    }

    #[cfg(feature = "asymmetric")]
    fn hold_ed25519(&self, claim: &WebhookClaim, body: &[u8]) -> bool {
        if claim.ed25519().is_empty() || self.ed25519.is_empty() {
            return false;
        }
        let signed = [claim.before_body(), body].concat();
        let mut held = false;
        for key in &self.ed25519 {
            for claimed in claim.ed25519() {
                held |= key.verify(&signed, claimed).is_ok();
            }
        }
        held
    }

    #[cfg(not(feature = "asymmetric"))]
    const fn hold_ed25519(&self, _: &WebhookClaim, _: &[u8]) -> bool {
        false
    }

    /// `whsec_` or `whpk_`, and base64.
    fn add_standard(&mut self, text: &[u8], short: bool) -> Result<(), WebhookError> {
        if text.starts_with(b"whsk_") {
            return Err(WebhookError::PrivateKey);
        }
        if let Some(public) = text.strip_prefix(b"whpk_") {
            return self.add_public(public);
        }
        let secret = text
            .strip_prefix(b"whsec_")
            .ok_or(WebhookError::SecretForm(
                "it begins with `whsec_` or `whpk_`",
            ))?;
        let secret = from_base64(secret).ok_or(WebhookError::SecretForm("it is base64"))?;
        if secret.len() > MAX_STANDARD {
            return Err(WebhookError::SecretTooLong);
        }
        self.add_shared(&secret, WebhookFormat::Standard, short)
    }

    fn add_shared(
        &mut self,
        secret: &[u8],
        format: WebhookFormat,
        short: bool,
    ) -> Result<(), WebhookError> {
        let minimum = if short { 1 } else { minimum(format) };
        if secret.len() < minimum {
            return Err(WebhookError::SecretTooShort {
                bytes: secret.len(),
                minimum,
            });
        }
        let keyed =
            Hmac::new_from_slice(secret).map_err(|_| WebhookError::SecretForm("HMAC takes it"))?;
        self.macs.push(keyed);
        Ok(())
    }

    #[cfg(feature = "asymmetric")]
    fn add_public(&mut self, text: &[u8]) -> Result<(), WebhookError> {
        let wrong = WebhookError::PublicKey("it is not the base64 of 32 bytes");
        let bytes = from_base64(text).ok_or(wrong)?;
        let bytes = <&[u8; 32]>::try_from(&**bytes).map_err(|_| wrong)?;
        let key = VerifyingKey::ed25519(bytes)
            .map_err(|_| WebhookError::PublicKey("it is not a point of Ed25519"))?;
        self.ed25519.push(key);
        Ok(())
    }

    #[cfg(not(feature = "asymmetric"))]
    const fn add_public(&mut self, _: &[u8]) -> Result<(), WebhookError> {
        Err(WebhookError::PublicKey("this build has no `asymmetric`"))
    }
}

/// Secrets are shown with padding and without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn from_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    LENIENT.decode(text).ok().map(Zeroizing::new)
}
