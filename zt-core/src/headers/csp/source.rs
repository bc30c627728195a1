use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::grammar::{is_host, is_scheme};
use crate::headers::{SourceError, error::shown};

/// One source of a directive, as CSP3 section 2.3.1 has them.
///
/// ```
/// use zt_core::headers::csp::Source;
///
/// assert_eq!("'self'".parse(), Ok(Source::SelfOrigin));
/// assert_eq!("data:".parse(), Source::scheme("data"));
/// assert!("https://*.example.com:8443/js/".parse::<Source>().is_ok());
/// assert!("self".parse::<Source>().is_err());
/// assert!("https://a.example;script-src".parse::<Source>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// `'none'`: nothing at all; it stands alone.
    None,
    /// `'self'`: the page's own origin.
    SelfOrigin,
    /// `'unsafe-inline'`: scripts or styles in the page; ignored beside a nonce or a hash.
    UnsafeInline,
    /// `'unsafe-eval'`.
    UnsafeEval,
    /// `'unsafe-hashes'`: hashes also permit attributes.
    UnsafeHashes,
    /// `'wasm-unsafe-eval'`: WebAssembly may be compiled.
    WasmUnsafeEval,
    /// `'strict-dynamic'`: what a permitted script loads is permitted.
    StrictDynamic,
    /// `'report-sample'`: reports show the beginning of what was blocked.
    ReportSample,
    /// `'inline-speculation-rules'`.
    InlineSpeculationRules,
    /// The request's own nonce; written `'nonce'` in configuration and `'nonce-…'` on the wire.
    Nonce,
    /// `*`: everything that comes over the network.
    Any,
    /// `https:` and the like.
    Scheme(SourceText),
    /// A host, perhaps with scheme, port and path.
    Host(SourceText),
    /// The digest of what may stand in the page.
    Hash(SourceText),
}

/// Text that was checked when its source was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceText(Box<str>);

impl SourceText {
    /// The text, as it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For presets, whose texts are tested.
    pub(super) fn known(text: &'static str) -> Self {
        Self(text.into())
    }
}

const KEYWORDS: &[(&str, Source)] = &[
    ("'none'", Source::None),
    ("'self'", Source::SelfOrigin),
    ("'unsafe-inline'", Source::UnsafeInline),
    ("'unsafe-eval'", Source::UnsafeEval),
    ("'unsafe-hashes'", Source::UnsafeHashes),
    ("'wasm-unsafe-eval'", Source::WasmUnsafeEval),
    ("'strict-dynamic'", Source::StrictDynamic),
    ("'report-sample'", Source::ReportSample),
    ("'inline-speculation-rules'", Source::InlineSpeculationRules),
    ("'nonce'", Source::Nonce),
];

/// Prefix of a hash source and how many bytes its digest has.
const HASHES: &[(&str, usize)] = &[("sha256-", 32), ("sha384-", 48), ("sha512-", 64)];

impl Source {
    /// A scheme, without its colon.
    ///
    /// # Errors
    ///
    /// When it is not one.
    pub fn scheme(name: &str) -> Result<Self, SourceError> {
        one_token(name)?;
        if !is_scheme(name) {
            return Err(SourceError::Host(shown(name)));
        }
        Ok(Self::Scheme(SourceText(format!("{name}:").into())))
    }

    /// A host, perhaps with scheme, port and path: `cdn.example.com`, `https://*.example.com:*/js/`.
    ///
    /// # Errors
    ///
    /// When it is not one, or is a keyword without its quotes.
    pub fn host(text: &str) -> Result<Self, SourceError> {
        one_token(text)?;
        if is_unquoted_keyword(text) {
            return Err(SourceError::Unquoted(shown(text)));
        }
        if !is_host(text) {
            return Err(SourceError::Host(shown(text)));
        }
        Ok(Self::Host(SourceText(text.into())))
    }

    /// The SHA-256 of what may stand in the page.
    #[must_use]
    pub fn sha256(digest: [u8; 32]) -> Self {
        Self::digest("sha256-", &digest)
    }

    /// The SHA-384 of what may stand in the page.
    #[must_use]
    pub fn sha384(digest: [u8; 48]) -> Self {
        Self::digest("sha384-", &digest)
    }

    /// The SHA-512 of what may stand in the page.
    #[must_use]
    pub fn sha512(digest: [u8; 64]) -> Self {
        Self::digest("sha512-", &digest)
    }

    fn digest(prefix: &str, digest: &[u8]) -> Self {
        let encoded = general_purpose::STANDARD.encode(digest);
        Self::Hash(SourceText(format!("'{prefix}{encoded}'").into()))
    }

    /// The source as it stands in configuration, with `'nonce'` for the request's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Scheme(text) | Self::Host(text) | Self::Hash(text) => text.as_str(),
            keyword => KEYWORDS
                .iter()
                .find(|(_, source)| source == keyword)
                .map_or("'none'", |(text, _)| text),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        one_token(text)?;
        if text.starts_with('\'') || text.ends_with('\'') {
            return quoted(text);
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_suffix(':') {
            Some(name) if is_scheme(name) => Self::scheme(name),
            _ => Self::host(text),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Keywords, hashes and nonces; keywords are matched in any case (CSP3 section 2.3.1).
fn quoted(text: &str) -> Result<Source, SourceError> {
    let known = KEYWORDS
        .iter()
        .find(|(keyword, _)| keyword.eq_ignore_ascii_case(text));
    if let Some((_, source)) = known {
        return Ok(source.clone());
    }
    let inner = text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
        .ok_or_else(|| SourceError::UnknownKeyword(shown(text)))?;
    if strip_prefix(inner, "nonce-").is_some() {
        return Err(SourceError::FixedNonce);
    }
    for (prefix, length) in HASHES {
        if let Some(encoded) = strip_prefix(inner, prefix) {
            if digest_length(encoded) != Some(*length) {
                return Err(SourceError::Hash(shown(text)));
            }
            let normal = format!("'{prefix}{encoded}'");
            return Ok(Source::Hash(SourceText(normal.into())));
        }
    }
    Err(SourceError::UnknownKeyword(shown(text)))
}

/// Browsers read both alphabets of base64.
fn digest_length(encoded: &str) -> Option<usize> {
    let engine = if encoded.contains(['-', '_']) {
        general_purpose::URL_SAFE
    } else {
        general_purpose::STANDARD
    };
    engine.decode(encoded).ok().map(|digest| digest.len())
}

/// Visible ASCII that begins no other directive (`;`) and no other policy (`,`).
pub(super) fn one_token(text: &str) -> Result<(), SourceError> {
    if text.is_empty() {
        return Err(SourceError::Empty);
    }
    if text.contains([';', ',']) {
        return Err(SourceError::Separator(shown(text)));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SourceError::Character(shown(text)));
    }
    Ok(())
}

fn is_unquoted_keyword(text: &str) -> bool {
    let is_prefixed = |prefix: &str| strip_prefix(text, prefix).is_some();
    KEYWORDS
        .iter()
        .any(|(keyword, _)| keyword.trim_matches('\'').eq_ignore_ascii_case(text))
        || is_prefixed("nonce-")
        || HASHES.iter().any(|(prefix, _)| is_prefixed(prefix))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
