use std::sync::Arc;

/// A policy's name and its version. Shared as one: they go from the policy to the permit of every
/// request, and each count that processors share costs as much as a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyName(Arc<(Arc<str>, Arc<str>)>);

impl PolicyName {
    pub(crate) fn new(name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Self(Arc::new((name.into(), version.into())))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.0.0
    }

    pub(crate) fn version(&self) -> &Arc<str> {
        &self.0.1
    }
}

impl From<(Arc<str>, Arc<str>)> for PolicyName {
    fn from((name, version): (Arc<str>, Arc<str>)) -> Self {
        Self::new(name, version)
    }
}
