//! Content security policies, typed: what would not mean what it seems to say does not build.
//!
//! ```
//! use zt_core::headers::csp::{Csp, Directive, Source};
//!
//! let csp = Csp::builder()
//!     .set(Directive::DefaultSrc, [Source::SelfOrigin])
//!     .set(Directive::ScriptSrc, [Source::Nonce, Source::StrictDynamic])
//!     .parse(Directive::ImgSrc, "'self' data: https://images.example.com")
//!     .set(Directive::FrameAncestors, [Source::None])
//!     .build()?;
//! assert!(csp.has_nonce());
//!
//! // Without its quotes, `self` is a host of that name.
//! assert!("default-src self".parse::<Csp>().is_err());
//! # Ok::<(), zt_core::headers::CspError>(())
//! ```

mod clause;
mod config;
mod directive;
mod grammar;
mod merge;
mod presets;

mod source;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::HeaderValue;

use self::clause::Clause;
pub use self::{
    directive::Directive,
    merge::{CspOverride, CspOverrideBuilder},
    source::{Source, SourceText},
};
use super::CspError;

/// A content security policy, checked and serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Csp {
    clauses: Vec<Clause>,
    /// The header of a response whose nonce nobody asked for.
    plain: HeaderValue,
    has_nonce: bool,
}

impl Csp {
    /// Starts a policy.
    pub fn builder() -> CspBuilder {
        CspBuilder {
            clauses: Ok(Vec::new()),
        }
    }

    /// Whether any directive has [`Source::Nonce`].
    #[must_use]
    pub const fn has_nonce(&self) -> bool {
        self.has_nonce
    }

    /// The directives, in their order.
    pub fn directives(&self) -> impl Iterator<Item = Directive> {
        self.clauses.iter().map(|clause| clause.directive)
    }

    /// This policy with `change` applied.
    ///
    /// # Errors
    ///
    /// When `change` leaves no directive.
    pub fn with(&self, change: &CspOverride) -> Result<Self, CspError> {
        Self::from_clauses(change.apply(&self.clauses))
    }

    fn from_clauses(clauses: Vec<Clause>) -> Result<Self, CspError> {
        Ok(Self {
            plain: serialize(&clauses, None).ok_or(CspError::Empty)?,
            has_nonce: has_nonce(&clauses),
            clauses,
        })
    }

    /// The header of a response whose nonce nobody asked for: the nonce sources are left out.
    pub(super) const fn plain(&self) -> &HeaderValue {
        &self.plain
    }

    /// The header of one response; `None` where `change` took every directive away.
    pub(super) fn header(
        &self,
        nonce: Option<&str>,
        change: Option<&CspOverride>,
    ) -> Option<HeaderValue> {
        match change {
            Some(change) => serialize(&change.apply(&self.clauses), nonce),
            None if nonce.is_some() && self.has_nonce => serialize(&self.clauses, nonce),
            None => Some(self.plain.clone()),
        }
    }
}

fn has_nonce(clauses: &[Clause]) -> bool {
    clauses
        .iter()
        .flat_map(|clause| &clause.values)
        .any(|value| value.is(&Source::Nonce))
}

/// `None` where there is nothing to say.
fn serialize(clauses: &[Clause], nonce: Option<&str>) -> Option<HeaderValue> {
    let mut out = Vec::with_capacity(512);
    for clause in clauses {
        if !out.is_empty() {
            out.push(b';');
        }
        clause.write(&mut out, nonce);
    }
    if out.is_empty() {
        return None;
    }
    // Clauses are visible ASCII and spaces, so this does not fail.
    HeaderValue::from_maybe_shared(Bytes::from(out)).ok()
}

impl FromStr for Csp {
    type Err = CspError;

    /// Reads a policy as it stands in a header, with `'nonce'` for the request's own nonce.
    fn from_str(text: &str) -> Result<Self, CspError> {
        text.split(';')
            .map(|clause| clause.trim_matches(' '))
            .filter(|clause| !clause.is_empty())
            .fold(Self::builder(), |builder, clause| {
                let (name, value) = clause.split_once(' ').unwrap_or((clause, ""));
                builder.parse_named(name, value)
            })
            .build()
    }
}

/// As in a header, with `'nonce'` for the request's own.
impl fmt::Display for Csp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.clauses.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ";" })?;
            f.write_str(clause.directive.as_str())?;
            for value in &clause.values {
                write!(f, " {}", value.as_str())?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Csp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Csp({self})")
    }
}

/// Collects the directives of a [`Csp`]; the first error is told by [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct CspBuilder {
    clauses: Result<Vec<Clause>, CspError>,
}

impl CspBuilder {
    /// Adds a directive of sources.
    pub fn set(self, directive: Directive, sources: impl IntoIterator<Item = Source>) -> Self {
        self.push(|| Clause::new(directive, sources))
    }

    /// Adds a directive from the text of its value, words with spaces between.
    pub fn parse(self, directive: Directive, value: &str) -> Self {
        self.push(|| Clause::parse(directive, words(value)))
    }

    /// Reports go to this endpoint of the response's `Reporting-Endpoints`.
    pub fn report_to(self, endpoint: &str) -> Self {
        self.push(|| Clause::parse(Directive::ReportTo, [endpoint]))
    }

    /// `http:` addresses in the page are loaded by `https:`.
    pub fn upgrade_insecure_requests(self) -> Self {
        self.parse(Directive::UpgradeInsecureRequests, "")
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// When there is no directive, one is there twice, or a value is not what it seems.
    pub fn build(self) -> Result<Csp, CspError> {
        Csp::from_clauses(self.clauses?)
    }

    fn parse_named(self, name: &str, value: &str) -> Self {
        self.push(|| Clause::parse(name.parse()?, words(value)))
    }

    fn push(mut self, clause: impl FnOnce() -> Result<Clause, CspError>) -> Self {
        self.clauses = self.clauses.and_then(|mut clauses| {
            add(&mut clauses, clause()?)?;
            Ok(clauses)
        });
        self
    }
}

fn add(clauses: &mut Vec<Clause>, clause: Clause) -> Result<(), CspError> {
    // CSP3 section 2.2.1: a browser ignores the second of two.
    if clauses.iter().any(|own| own.directive == clause.directive) {
        return Err(CspError::Duplicate(clause.directive));
    }
    clauses.push(clause);
    Ok(())
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(' ').filter(|word| !word.is_empty())
}
