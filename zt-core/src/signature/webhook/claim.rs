//! What a webhook's headers say, read before anything is proved. Pure functions of the headers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use super::format::{WEBHOOK_ID, WEBHOOK_TIMESTAMP, WebhookFormat};

/// The most bytes of a signature header.
const MAX_SIGNATURE_HEADER: usize = 2048;
/// The most entries of one, whatever they are, and the most signatures of one kind. Each costs
/// time before anybody is known; a sender in rotation has two.
const MAX_ENTRIES: usize = 16;
const MAX_SIGNATURES: usize = 4;
/// The longest `webhook-id`.
const MAX_ID: usize = 256;
/// Seconds since the epoch have ten digits until the year 2286.
const MAX_DIGITS: usize = 11;

/// What a webhook says of itself: nothing of it is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookClaim {
    /// What is signed before the body.
    before_body: Vec<u8>,
    timestamp: Option<u64>,
    macs: Vec<[u8; 32]>,
    ed25519: Vec<[u8; 64]>,
}

/// Why a webhook's headers cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A header has several lines: which of them a reader takes is anybody's guess.
    #[error("`{0}` is there more than once")]
    Several(&'static str),
    /// A header is not there.
    #[error("`{0}` is not there")]
    Absent(&'static str),
    /// A header cannot be read.
    #[error("`{header}`: {reason}")]
    Malformed {
        /// Which.
        header: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl WebhookClaim {
    /// What `headers` say in `format`. Reads no more than 2 KiB of a header.
    ///
    /// # Errors
    ///
    /// Where a header is absent, there several times, or cannot be read.
    pub fn read(format: WebhookFormat, headers: &HeaderMap) -> Result<Self, ClaimError> {
        let name = format.signature_header();
        let value = line(headers, name)?;
        let wrong = |reason| ClaimError::Malformed {
            header: format.signature_header().as_str(),
            reason,
        };
        if value.len() > MAX_SIGNATURE_HEADER {
            return Err(wrong("it is too long"));
        }
        match format {
            WebhookFormat::Standard => {
                let id = line(headers, &WEBHOOK_ID)?;
                let timestamp = line(headers, &WEBHOOK_TIMESTAMP)?;
                let mut claim = read_standard(value).map_err(wrong)?;
                check_id(id).map_err(|reason| ClaimError::Malformed {
                    header: "webhook-id",
                    reason,
                })?;
                let seconds = read_seconds(timestamp).ok_or(ClaimError::Malformed {
                    header: "webhook-timestamp",
                    reason: NOT_SECONDS,
                })?;
                claim.timestamp = Some(seconds);
                claim.before_body = [id, b".", timestamp, b"."].concat();
                Ok(claim)
            }
            WebhookFormat::GitHub => read_github(value).map_err(wrong),
            WebhookFormat::Stripe => read_stripe(value).map_err(wrong),
        }
    }

    /// When it says that it was sent, in seconds since the epoch.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    pub(super) fn before_body(&self) -> &[u8] {
        &self.before_body
    }

    /// What are claimed to be HMACs with SHA-256.
    pub(super) fn macs(&self) -> &[[u8; 32]] {
        &self.macs
    }

    /// What are claimed to be signatures with Ed25519.
    #[cfg(any(test, feature = "asymmetric"))]
    pub(super) fn ed25519(&self) -> &[[u8; 64]] {
        &self.ed25519
    }

    /// The hash of everything that is signed. Not of a signature: one message may have several,
    /// and which of them holds depends on the secrets at hand.
    pub(super) fn fingerprint(&self, body: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.before_body)
            .chain_update(body)
            .finalize()
            .into()
    }

    const fn empty() -> Self {
        Self {
            before_body: Vec::new(),
            timestamp: None,
            macs: Vec::new(),
            ed25519: Vec::new(),
        }
    }
}

const NOT_SECONDS: &str = "the timestamp is not a whole number of seconds";
const TOO_MANY: &str = "there are too many signatures";
const NOT_HEX: &str = "a signature is not 64 lower-case hexadecimal digits";

/// The one line of `name`.
fn line<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> Result<&'a [u8], ClaimError> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(ClaimError::Absent(name.as_str())),
        (Some(_), Some(_)) => Err(ClaimError::Several(name.as_str())),
    }
}

/// A list of `version,base64`, one blank between. Versions that are not known are skipped, since
/// a sender may add one.
fn read_standard(value: &[u8]) -> Result<WebhookClaim, &'static str> {
    let mut claim = WebhookClaim::empty();
    for (count, entry) in value.split(|byte| *byte == b' ').enumerate() {
        if count == MAX_ENTRIES {
            return Err(TOO_MANY);
        }
        let (version, text) =
            split_once(entry, b',').ok_or("an entry is not a version and a signature")?;
        match version {
            b"v1" => push(&mut claim.macs, from_base64(text)?)?,
            b"v1a" => push(&mut claim.ed25519, from_base64(text)?)?,
            _ => {}
        }
    }
    Ok(claim)
}

/// The id stands in front of a full stop in what is signed: with one of its own, a body that
/// begins with digits could be taken for a timestamp.
fn check_id(id: &[u8]) -> Result<(), &'static str> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err("it is not 1 to 256 bytes long");
    }
    if !id
        .iter()
        .all(|byte| byte.is_ascii_graphic() && *byte != b'.')
    {
        return Err("it has a full stop, a blank or a byte that is not ASCII");
    }
    Ok(())
}

/// `sha256=` and the HMAC.
fn read_github(value: &[u8]) -> Result<WebhookClaim, &'static str> {
    let text = value
        .strip_prefix(b"sha256=")
        .ok_or("it does not begin with `sha256=`")?;
    let mut claim = WebhookClaim::empty();
    push(&mut claim.macs, from_hex(text).ok_or(NOT_HEX)?)?;
    Ok(claim)
}

/// A list of `key=value`, a comma between: one `t`, any number of `v1`; others, such as the `v0`
/// of test events, are skipped.
fn read_stripe(value: &[u8]) -> Result<WebhookClaim, &'static str> {
    let mut claim = WebhookClaim::empty();
    for (count, entry) in value.split(|byte| *byte == b',').enumerate() {
        if count == MAX_ENTRIES {
            return Err(TOO_MANY);
        }
        let (key, text) = split_once(entry, b'=').ok_or("an entry is not a key and a value")?;
        match key {
            b"t" if claim.timestamp.is_some() => return Err("there is more than one timestamp"),
            b"t" => {
                claim.timestamp = Some(read_seconds(text).ok_or(NOT_SECONDS)?);
                claim.before_body = [text, b"."].concat();
            }
            b"v1" => push(&mut claim.macs, from_hex(text).ok_or(NOT_HEX)?)?,
            _ => {}
        }
    }
    claim.timestamp.ok_or("there is no timestamp")?;
    Ok(claim)
}

fn push<T>(list: &mut Vec<T>, one: T) -> Result<(), &'static str> {
    if list.len() == MAX_SIGNATURES {
        return Err(TOO_MANY);
    }
    list.push(one);
    Ok(())
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Digits alone: what is signed is the text, so there is one way to write a moment.
fn read_seconds(text: &[u8]) -> Option<u64> {
    let canonical = text.len() <= MAX_DIGITS
        && text.iter().all(u8::is_ascii_digit)
        && text.first().is_some_and(|first| *first != b'0');
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// With its padding, and no bit over: one way to write a signature (RFC 4648 section 3.5).
fn from_base64<const N: usize>(text: &[u8]) -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    // Exactly as long as it must be, so nothing longer is ever decoded.
    if text.len() != N.div_ceil(3) * 4 {
        return Err("a signature has another length");
    }
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err("a signature is not base64"),
    }
}

/// Lower case alone, as senders write it.
fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
