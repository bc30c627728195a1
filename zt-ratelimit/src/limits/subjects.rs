use std::borrow::Cow;

use smallvec::SmallVec;

/// Who spends: a name for each level of the tree, the outermost first, and the tier that holds.
///
/// Names are what stores and records keep; give stable ones that are no secrets (an id or a hash
/// of an API key, not the key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects<'a> {
    names: SmallVec<[Cow<'a, str>; 4]>,
    tier: Option<Cow<'a, str>>,
}

impl<'a> Subjects<'a> {
    /// The outermost first: organisation, team, key.
    pub fn new<N: Into<Cow<'a, str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            tier: None,
        }
    }

    /// Whose limits hold: those of this tier instead of the first one's. A tier that does not exist
    /// is a refusal.
    #[must_use]
    pub fn tier(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.tier = Some(name.into());
        self
    }

    /// The names, the outermost first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The name at a level.
    #[must_use]
    pub fn name(&self, level: usize) -> Option<&str> {
        self.names.get(level).map(AsRef::as_ref)
    }

    /// The tier that was named.
    #[must_use]
    pub fn named_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }
}
