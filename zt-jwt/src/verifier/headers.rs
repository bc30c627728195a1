//! Headers that were read before.

use std::{fmt, sync::Arc};

use quick_cache::sync::Cache;

use crate::jose::Header;

/// An issuer writes the same header over and over, and what a header says depends on its text
/// alone: one whose token was good need not be read again.
///
/// Nothing that a stranger writes stays here, since his tokens are not good; and there is no more
/// than a few of an issuer's headers, of the length that most have.
pub(super) struct Headers(Cache<Box<str>, Arc<Header>>);

const ENTRIES: usize = 64;
const LONGEST: usize = 256;

impl Headers {
    pub(super) fn new() -> Self {
        Self(Cache::new(ENTRIES))
    }

    /// The header of this text, if it was read before.
    pub(super) fn find(&self, text: &str) -> Option<Arc<Header>> {
        if text.len() > LONGEST {
            return None;
        }
        self.0.get(text)
    }

    /// Notes the header of a good token.
    pub(super) fn note(&self, text: &str, header: Arc<Header>) {
        if text.len() <= LONGEST {
            self.0.insert(text.into(), header);
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({})", self.0.len())
    }
}
