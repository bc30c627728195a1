use std::sync::Arc;

use super::LimitsError;
use crate::{
    cost::Currency,
    counter::MAX_CLAIMS,
    limit::{Kind, Limit},
};

/// The limits of one level of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    name: Arc<str>,
    limits: Vec<Limit>,
}

impl Level {
    /// `name` is for people: `organisation`, `team`, `key`.
    pub fn new(name: impl Into<Arc<str>>, limits: impl IntoIterator<Item = Limit>) -> Self {
        Self {
            name: name.into(),
            limits: limits.into_iter().collect(),
        }
    }
}

/// Which limits hold: a tree of levels, and other limits for callers of other tiers. Every value
/// that exists is valid.
#[derive(Debug, Clone)]
pub struct Policy {
    levels: Arc<[Arc<str>]>,
    tiers: Vec<Arc<Tier>>,
    currency: Option<Currency>,
}

/// The limits of one tier, of all levels.
#[derive(Debug, PartialEq, Eq)]
pub struct Tier {
    name: Arc<str>,
    slots: Box<[Slot]>,
}

/// A limit in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) limit: Arc<Limit>,
    /// Counted from the outermost.
    pub(crate) level: usize,
}

impl Tier {
    /// Its name; the first one's is `default`.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

impl Policy {
    /// One tier, `default`; `levels` from the outermost to the innermost.
    ///
    /// # Errors
    ///
    /// When there are no limits or more than 16, two with one name, or budgets of several
    /// currencies.
    pub fn new(levels: impl IntoIterator<Item = Level>) -> Result<Self, LimitsError> {
        let levels: Vec<Level> = levels.into_iter().collect();
        let mut policy = Self {
            levels: levels.iter().map(|level| Arc::clone(&level.name)).collect(),
            tiers: Vec::new(),
            currency: None,
        };
        policy.add("default".into(), levels)?;
        Ok(policy)
    }

    /// Another tier, with limits of its own for each level. A limit that has the name of another
    /// tier's is the same one with another bound: what was spent there is spent here.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and when its levels are not those of the first tier.
    pub fn tier(
        mut self,
        name: impl Into<Arc<str>>,
        levels: impl IntoIterator<Item = Level>,
    ) -> Result<Self, LimitsError> {
        let (name, levels): (Arc<str>, Vec<Level>) = (name.into(), levels.into_iter().collect());
        if !levels
            .iter()
            .map(|level| &level.name)
            .eq(self.levels.iter())
        {
            return Err(LimitsError::Levels(name.to_string()));
        }
        if self.find(Some(&name)).is_some() {
            return Err(LimitsError::Twice(name.to_string()));
        }
        self.add(name, levels)?;
        Ok(self)
    }

    fn add(&mut self, name: Arc<str>, levels: Vec<Level>) -> Result<(), LimitsError> {
        let slots: Box<[Slot]> = levels
            .into_iter()
            .enumerate()
            .flat_map(|(level, Level { limits, .. })| {
                limits.into_iter().map(move |limit| Slot {
                    limit: Arc::new(limit),
                    level,
                })
            })
            .collect();
        if slots.is_empty() {
            return Err(LimitsError::Empty);
        }
        if slots.len() > MAX_CLAIMS {
            return Err(LimitsError::TooManyLimits(slots.len()));
        }
        for (place, slot) in slots.iter().enumerate() {
            let same = |other: &Slot| other.limit.name() == slot.limit.name();
            if slots.iter().skip(place + 1).any(same) {
                return Err(LimitsError::Twice(slot.limit.name().to_string()));
            }
            let Some(budget) = slot.limit.as_budget() else {
                continue;
            };
            let expected = *self.currency.get_or_insert(budget.currency());
            if expected != budget.currency() {
                return Err(LimitsError::Mismatch {
                    limit: slot.limit.name().to_string(),
                    found: budget.currency(),
                    expected,
                });
            }
        }
        self.tiers.push(Arc::new(Tier { name, slots }));
        Ok(())
    }

    /// The names of the levels, the outermost first.
    #[must_use]
    pub fn levels(&self) -> &[Arc<str>] {
        &self.levels
    }

    /// The currency of its budgets, where it has any.
    #[must_use]
    pub const fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// Its tiers; the first is the default.
    pub fn tiers(&self) -> impl Iterator<Item = &Arc<Tier>> {
        self.tiers.iter()
    }

    /// The tier of that name, the default where none is named.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<Tier>> {
        match name {
            None => self.tiers.first(),
            Some(name) => self.tiers.iter().find(|tier| &*tier.name == name),
        }
    }

    /// Whether any limit is a budget.
    #[must_use]
    pub const fn has_budgets(&self) -> bool {
        self.currency.is_some()
    }

    /// Whether any limit is held until the answer has ended.
    #[must_use]
    pub fn has_concurrency(&self) -> bool {
        let holds = |slot: &Slot| matches!(slot.limit.kind(), Kind::Concurrency(_));
        self.tiers.iter().any(|tier| tier.slots.iter().any(holds))
    }
}
