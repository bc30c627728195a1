use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Values by text. A handful is compared one by one, which takes less than a hash.
///
/// The names are those of the policy, and strangers only ask for them: a hash that is quick will do.
#[derive(Debug)]
pub(super) enum Names<T> {
    Few(Box<[(Box<str>, T)]>),
    Many(HashMap<Box<str>, T, RandomState>),
}

const FEW: usize = 6;

impl<T> Names<T> {
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        match self {
            Self::Few(few) => few
                .iter()
                .find(|(own, _)| **own == *name)
                .map(|(_, value)| value),
            Self::Many(many) => many.get(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }
}

impl<T> FromIterator<(Box<str>, T)> for Names<T> {
    /// Each name is there once.
    fn from_iter<I: IntoIterator<Item = (Box<str>, T)>>(values: I) -> Self {
        let many: HashMap<Box<str>, T, RandomState> = values.into_iter().collect();
        if many.len() <= FEW {
            Self::Few(many.into_iter().collect())
        } else {
            Self::Many(many)
        }
    }
}
