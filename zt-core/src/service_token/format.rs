//! The text of a token: `ztk_<environment>_<id12>_<secret43><checksum6>`, in base62.

use std::fmt;

use crate::random::{Entropy, EntropyError};

/// What every token begins with; secret scanners look for it.
pub const PREFIX: &str = "ztk_";

/// Characters of a token's id: 71 bits.
pub(super) const ID: usize = 12;
/// Characters of its secret: 256 bits.
pub(super) const SECRET: usize = 43;
/// Characters of its checksum: the 32 bits of a CRC.
const CHECKSUM: usize = 6;
/// The longest name of an environment.
pub(super) const MAX_ENVIRONMENT: usize = 16;
/// What follows the environment: `_`, id, `_`, secret, checksum.
const TAIL: usize = 1 + ID + 1 + SECRET + CHECKSUM;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why a text is no token. None of it says whether such a token exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It is too short or too long.
    #[error("the text has not the length of a service token")]
    Length,
    /// It has a character that no token has.
    #[error("the text has a character that no service token has")]
    Alphabet,
    /// Its parts do not stand where they should.
    #[error("the text has not the form of a service token")]
    Form,
    /// Its checksum is another one: a typing error.
    #[error("the checksum of the service token does not hold")]
    Checksum,
}

/// A text that has the form of a token. That says nothing about whether it is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParsedToken<'a> {
    environment: &'a str,
    id: TokenId,
    text: &'a [u8],
}

impl<'a> ParsedToken<'a> {
    /// Which environment it was made for.
    #[must_use]
    pub const fn environment(&self) -> &'a str {
        self.environment
    }

    /// Its id, which is not a secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    pub(super) const fn token_id(&self) -> TokenId {
        self.id
    }

    /// All of it, as it is hashed.
    pub(super) const fn text(&self) -> &'a [u8] {
        self.text
    }
}

/// Without the secret.
impl fmt::Debug for ParsedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedToken")
            .field("environment", &self.environment)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Reads the text of a token where it stands: no copy, no allocation, at most 83 bytes looked at.
///
/// ```
/// use zt_core::service_token::{ParseError, parse};
///
/// assert_eq!(parse(b"hunter2"), Err(ParseError::Length));
/// ```
///
/// # Errors
///
/// Where the length, the alphabet, the form or the checksum (looked at in this order) is not a
/// token's.
pub fn parse(text: &[u8]) -> Result<ParsedToken<'_>, ParseError> {
    let fixed = PREFIX.len() + TAIL;
    let environment = text.len().checked_sub(fixed).ok_or(ParseError::Length)?;
    if environment == 0 || environment > MAX_ENVIRONMENT {
        return Err(ParseError::Length);
    }
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if !text.iter().all(known) {
        return Err(ParseError::Alphabet);
    }
    parts(text, environment)
        .ok_or(ParseError::Form)
        .and_then(|(token, body, checksum)| {
            if checksum_of(body) == *checksum {
                Ok(token)
            } else {
                Err(ParseError::Checksum)
            }
        })
}

/// The parts of a text whose length and alphabet are right: token, what the checksum is over, the
/// checksum.
fn parts(text: &[u8], environment: usize) -> Option<(ParsedToken<'_>, &[u8], &[u8; CHECKSUM])> {
    let rest = text.strip_prefix(PREFIX.as_bytes())?;
    let (environment, rest) = rest.split_at_checked(environment)?;
    let environment = std::str::from_utf8(environment).ok()?;
    let (id, rest) = rest.strip_prefix(b"_")?.split_first_chunk::<ID>()?;
    let (secret, checksum) = rest.strip_prefix(b"_")?.split_first_chunk::<SECRET>()?;
    let checksum = <&[u8; CHECKSUM]>::try_from(checksum).ok()?;
    let base62 = |part: &[u8]| part.iter().all(u8::is_ascii_alphanumeric);
    if !is_environment(environment) || !base62(id) || !base62(secret) || !base62(checksum) {
        return None;
    }
    let body = text.get(..text.len() - CHECKSUM)?;
    let id = TokenId(*id);
    let token = ParsedToken {
        environment,
        id,
        text,
    };
    Some((token, body, checksum))
}

/// Whether `name` can stand in a token: 1 to 16 lower-case letters and digits.
pub(super) fn is_environment(name: &str) -> bool {
    (1..=MAX_ENVIRONMENT).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The text of a new token. The checksum is over everything before it.
pub(super) fn compose(environment: &str, id: TokenId, secret: &[u8; SECRET]) -> Vec<u8> {
    let mut text = Vec::with_capacity(PREFIX.len() + environment.len() + TAIL);
    text.extend_from_slice(PREFIX.as_bytes());
    text.extend_from_slice(environment.as_bytes());
    text.push(b'_');
    text.extend_from_slice(&id.0);
    text.push(b'_');
    text.extend_from_slice(secret);
    let checksum = checksum_of(&text);
    text.extend_from_slice(&checksum);
    text
}

fn checksum_of(body: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body);
    let mut out = [b'0'; CHECKSUM];
    for place in out.iter_mut().rev() {
        *place = digit(rest % 62);
        rest /= 62;
    }
    out
}

fn digit(value: u32) -> u8 {
    let index = usize::try_from(value).unwrap_or(usize::MAX);
    ALPHABET.get(index).copied().unwrap_or(b'0')
}

/// `N` characters of base62, each as likely as any other: log2(62) bits a character.
///
/// # Errors
///
/// Where the source fails, or gives nothing that can be used.
pub(super) fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut out = [0; N];
    let mut pool = zeroize::Zeroizing::new([0; 64]);
    let mut places = out.iter_mut();
    // One pool nearly always fills it; a source that is stuck must not hang us.
    for _ in 0..16 {
        entropy.fill(&mut *pool)?;
        // 248 is 4 × 62; a remainder of larger bytes would favour the first characters.
        for byte in pool.iter().filter(|byte| **byte < 248) {
            match places.next() {
                Some(place) => *place = digit(u32::from(byte % 62)),
                None => return Ok(out),
            }
        }
    }
    Err(EntropyError)
}

/// A token's id: 12 characters of base62.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TokenId([u8; ID]);

impl TokenId {
    pub(super) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        random(entropy).map(Self)
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let id = <[u8; ID]>::try_from(text.as_bytes()).ok()?;
        id.iter().all(u8::is_ascii_alphanumeric).then_some(Self(id))
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
