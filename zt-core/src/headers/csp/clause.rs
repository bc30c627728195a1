use super::{Directive, Source, directive::Kind, source::one_token};
use crate::headers::{CspError, SourceError, error::shown};

/// One directive with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) directive: Directive,
    pub(super) values: Vec<Value>,
}

/// A source, or a word of a directive that has no sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Source(Source),
    Word(Box<str>),
}

impl Value {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Source(source) => source.as_str(),
            Self::Word(word) => word,
        }
    }

    pub(super) fn is(&self, source: &Source) -> bool {
        matches!(self, Self::Source(own) if own == source)
    }
}

impl Clause {
    /// A directive of sources.
    pub(super) fn new(
        directive: Directive,
        sources: impl IntoIterator<Item = Source>,
    ) -> Result<Self, CspError> {
        let values = sources.into_iter().map(Value::Source).collect();
        Self { directive, values }.checked()
    }

    /// Any directive, from the words of its value.
    pub(super) fn parse<'a>(
        directive: Directive,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, CspError> {
        let value = |word: &'a str| -> Result<Value, SourceError> {
            one_token(word)?;
            match directive.kind() {
                Kind::Sources | Kind::Ancestors => word.parse().map(Value::Source),
                _ => Ok(Value::Word(word.into())),
            }
        };
        let values = words
            .into_iter()
            .map(value)
            .collect::<Result<_, _>>()
            .map_err(|error| CspError::Source { directive, error })?;
        Self { directive, values }.checked()
    }

    fn checked(mut self) -> Result<Self, CspError> {
        let directive = self.directive;
        for value in &self.values {
            if !takes(directive, value) {
                let value = shown(value.as_str());
                return Err(CspError::Misplaced { directive, value });
            }
        }
        let one_at_most = matches!(directive.kind(), Kind::Endpoint | Kind::Sinks);
        if let Some(second) = self.values.get(1).filter(|_| one_at_most) {
            let value = shown(second.as_str());
            return Err(CspError::Misplaced { directive, value });
        }
        let may_be_empty = matches!(
            directive.kind(),
            Kind::Flag | Kind::Sandbox | Kind::TrustedTypes
        );
        if self.values.is_empty() && !may_be_empty {
            return Err(CspError::NoValue(directive));
        }
        let mut seen: Vec<Value> = Vec::with_capacity(self.values.len());
        for value in self.values {
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        self.values = seen;
        if self.values.len() > 1 && self.values.iter().any(is_none) {
            return Err(CspError::NoneWithOthers(directive));
        }
        Ok(self)
    }

    /// Writes the directive. Without a `nonce` the nonce source is left out, and with it
    /// `'unsafe-inline'`, which a browser ignores beside a nonce (CSP3 section 6.7.3.2) and would
    /// otherwise begin to obey.
    pub(super) fn write(&self, out: &mut Vec<u8>, nonce: Option<&str>) {
        out.extend_from_slice(self.directive.as_str().as_bytes());
        let strict = nonce.is_none() && self.values.iter().any(|value| value.is(&Source::Nonce));
        let mut written = false;
        for value in &self.values {
            match (value, nonce) {
                (Value::Source(Source::Nonce), Some(nonce)) => {
                    out.extend_from_slice(b" 'nonce-");
                    out.extend_from_slice(nonce.as_bytes());
                    out.push(b'\'');
                }
                (Value::Source(Source::Nonce | Source::UnsafeInline), None) if strict => continue,
                _ => {
                    out.push(b' ');
                    out.extend_from_slice(value.as_str().as_bytes());
                }
            }
            written = true;
        }
        if strict && !written {
            out.extend_from_slice(b" 'none'");
        }
    }
}

/// `'none'` of a source list, and of trusted types.
pub(super) fn is_none(value: &Value) -> bool {
    value.as_str() == "'none'"
}

fn takes(directive: Directive, value: &Value) -> bool {
    match (directive.kind(), value) {
        (Kind::Sources, Value::Source(Source::Nonce)) => directive.takes_nonce(),
        (Kind::Sources, Value::Source(_)) => true,
        (Kind::Ancestors, Value::Source(source)) => matches!(
            source,
            Source::None | Source::SelfOrigin | Source::Any | Source::Scheme(_) | Source::Host(_)
        ),
        (Kind::Sandbox, Value::Word(word)) => SANDBOX.contains(&&**word),
        (Kind::Endpoint, Value::Word(word)) => word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')),
        (Kind::Uris, Value::Word(word)) => !word.contains(['"', '\'', '<', '>', '\\']),
        (Kind::TrustedTypes, Value::Word(word)) => is_policy_name(word),
        (Kind::Sinks, Value::Word(word)) => &**word == "'script'",
        _ => false,
    }
}

/// Trusted Types section 4.2.3, tt-policy-name and keywords.
fn is_policy_name(word: &str) -> bool {
    matches!(word, "*" | "'none'" | "'allow-duplicates'")
        || word.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'#' | b'=' | b'_' | b'/' | b'@' | b'.' | b'%')
        })
}

/// HTML section 7.1.5.
const SANDBOX: &[&str] = &[
    "allow-downloads",
    "allow-forms",
    "allow-modals",
    "allow-orientation-lock",
    "allow-pointer-lock",
    "allow-popups",
    "allow-popups-to-escape-sandbox",
    "allow-presentation",
    "allow-same-origin",
    "allow-scripts",
    "allow-storage-access-by-user-activation",
    "allow-top-navigation",
    "allow-top-navigation-by-user-activation",
    "allow-top-navigation-to-custom-protocols",
];
