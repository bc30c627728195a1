use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;
use zt_core::random::{Entropy, bytes};

use super::is_name;

/// A signature algorithm of C2SP signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// 0x01, Ed25519.
    Ed25519,
    /// 0x04, a timestamped cosignature (cosignature/v1) by Ed25519.
    CosignatureV1,
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    const fn of(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::CosignatureV1),
            _ => Err(KeyError::Algorithm(byte)),
        }
    }
}

/// What a log signs its checkpoints with: an Ed25519 key and the name it signs under.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    verifier: VerifierKey,
}

impl SigningKey {
    /// A new key for `name`, which is a log's origin.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a key's name (see the [module](super)), or there is no randomness.
    pub fn generate(name: &str, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        Self::from_seed(name, Zeroizing::new(bytes(entropy)?))
    }

    /// Of the form in which Go's `sumdb/note` keeps keys:
    /// `PRIVATE+KEY+<name>+<id>+<base64 of 0x01 and the seed>`, without a newline.
    ///
    /// # Errors
    ///
    /// When it is not of that form, or has an id that is not that of its key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Form("signing key");
        let (name, id, encoded) = text.strip_prefix(PRIVATE).and_then(parts).ok_or(FORM)?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| FORM)?);
        let (algorithm, seed) = decoded.split_first().ok_or(FORM)?;
        if Algorithm::of(*algorithm)? != Algorithm::Ed25519 {
            return Err(KeyError::Algorithm(*algorithm));
        }
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| FORM)?);
        let key = Self::from_seed(name, seed)?;
        if key.verifier.id != id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Form("signing key");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| FORM)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| FORM)?;
        let verifier = VerifierKey::new(name, Algorithm::Ed25519, public)?;
        Ok(Self {
            pair,
            seed,
            verifier,
        })
    }

    /// The form that [`parse`](Self::parse) reads. It is a secret.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        let VerifierKey { name, id, .. } = &self.verifier;
        let mut decoded = Zeroizing::new([0; 33]);
        let (algorithm, seed) = decoded.split_at_mut(1);
        algorithm.fill(Algorithm::Ed25519.byte());
        seed.copy_from_slice(self.seed.as_slice());
        // With all the room it needs, so that no part of it is left behind in moving.
        let mut text = Zeroizing::new(String::with_capacity(PRIVATE.len() + name.len() + 64));
        text.push_str(PRIVATE);
        text.push_str(&format!("{name}+{id:08x}+"));
        STANDARD.encode_string(decoded.as_slice(), &mut text);
        text
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.verifier.name
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// An Ed25519 signature (64 bytes) over `message`, with algorithm 0x01's meaning: `message` is
    /// a note's text. It must not begin with a line that means something else to others
    /// (`cosignature/v1`).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        let signed = self.pair.sign(message);
        for (to, from) in signature.iter_mut().zip(signed.as_ref()) {
            *to = *from;
        }
        signature
    }

    /// A timestamped signature over the text of a checkpoint: eight bytes of time, 64 of signature
    /// (C2SP tlog-cosignature, "Format").
    pub(super) fn cosign(&self, text: &str, seconds: u64) -> [u8; 72] {
        let signed = self.sign(cosigned(text, seconds).as_bytes());
        let mut signature = [0; 72];
        let (time, rest) = signature.split_at_mut(8);
        time.copy_from_slice(&seconds.to_be_bytes());
        rest.copy_from_slice(&signed);
        signature
    }
}

/// The name and the key id; never the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("name", &self.verifier.name)
            .field("id", &format_args!("{:08x}", self.verifier.id))
            .finish_non_exhaustive()
    }
}

/// What verifies a log's signatures: a "vkey" of C2SP signed-note.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public: [u8; 32],
    id: u32,
}

impl VerifierKey {
    /// Of the form `<name>+<8 hex digits>+<base64 of the algorithm and the key>`.
    ///
    /// # Errors
    ///
    /// When it is not of that form, has an algorithm that is not known, or an id that is not that
    /// of its key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Form("verifier key");
        let (name, id, encoded) = parts(text).ok_or(FORM)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| FORM)?;
        let (algorithm, public) = decoded.split_first().ok_or(FORM)?;
        let algorithm = Algorithm::of(*algorithm)?;
        let key = Self::new(name, algorithm, public.try_into().map_err(|_| FORM)?)?;
        if key.id != id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    fn new(name: &str, algorithm: Algorithm, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Form("key name"));
        }
        // C2SP signed-note, "Signatures": the first four bytes of this hash.
        let [a, b, c, d, ..]: [u8; 32] = Sha256::new()
            .chain_update(name)
            .chain_update(b"\n")
            .chain_update([algorithm.byte()])
            .chain_update(public)
            .finalize()
            .into();
        Ok(Self {
            name: name.to_owned(),
            algorithm,
            public,
            id: u32::from_be_bytes([a, b, c, d]),
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the SHA-256 that names it.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What kind of signatures it verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The same key under the same name, for timestamped signatures.
    ///
    /// # Errors
    ///
    /// None for a key that is there: its name was looked at.
    pub(super) fn cosigner(&self) -> Result<Self, KeyError> {
        Self::new(&self.name, Algorithm::CosignatureV1, self.public)
    }

    /// Whether `signature` is one over `message`, a note's text. For a timestamped signature this
    /// takes its time as it stands.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => self.verifies_ed25519(message, signature),
            Algorithm::CosignatureV1 => std::str::from_utf8(message)
                .is_ok_and(|text| self.cosigned(text, signature).is_some()),
        }
    }

    /// When `text` was signed, in seconds, where this is a timestamped signature over it.
    pub(super) fn cosigned(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*time);
        // C2SP tlog-cosignature, "Format": a time must not exceed 2^63 - 1.
        let named = i64::try_from(seconds).is_ok();
        (named && self.verifies_ed25519(cosigned(text, seconds).as_bytes(), signature))
            .then_some(seconds)
    }

    fn verifies_ed25519(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(message, signature)
            .is_ok()
    }
}

/// As [`parse`](VerifierKey::parse) reads it.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut decoded = [self.algorithm.byte(); 33];
        let (_, public) = decoded.split_at_mut(1);
        public.copy_from_slice(&self.public);
        let encoded = STANDARD.encode(decoded);
        write!(f, "{}+{:08x}+{encoded}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// A key that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not of the form that it should have.
    #[error("it is not a {0}")]
    Form(&'static str),
    /// It has an algorithm that is not known.
    #[error("it has algorithm {0:#04x}, which is not known")]
    Algorithm(u8),
    /// Its id is not that of its key.
    #[error("its id is not that of its key")]
    Id,
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] zt_core::random::EntropyError),
}

/// Name, id and base64: the name has no `+`, the base64 may.
fn parts(text: &str) -> Option<(&str, u32, &str)> {
    let (name, rest) = text.split_once('+')?;
    let (id, encoded) = rest.split_once('+')?;
    let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if id.len() != 8 || !id.bytes().all(digits) {
        return None;
    }
    Some((name, u32::from_str_radix(id, 16).ok()?, encoded))
}

/// What a timestamped signature is over (C2SP tlog-cosignature, "Ed25519 signed message").
fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

const PRIVATE: &str = "PRIVATE+KEY+";
