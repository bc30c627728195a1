use std::sync::Arc;

use arc_swap::ArcSwapOption;
use zt_core::{clock::Timestamp, identity::Principal};

use super::{LimitsError, Members};
use crate::{
    cost::Currency,
    counter::MAX_CLAIMS,
    limit::{Kind, Limit, Span},
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

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }
}

/// Which limits hold: a tree of levels, and other limits for callers of other tiers. Every value
/// that exists is valid.
#[derive(Debug, Clone)]
pub struct Policy {
    levels: Arc<[Arc<str>]>,
    first: Arc<Tier>,
    further: Vec<Arc<Tier>>,
    currency: Option<Currency>,
}

/// The limits of one tier, of all levels.
#[derive(Debug)]
pub struct Tier {
    name: Arc<str>,
    members: Members,
    slots: Box<[Slot]>,
    /// Of its budgets, and its code as it stands in records.
    currency: Option<(Currency, Arc<str>)>,
}

/// A limit in its place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) limit: Arc<Limit>,
    /// Counted from the outermost.
    pub(crate) level: usize,
    /// Whether that is the caller's own, with nothing further in.
    pub(crate) innermost: bool,
    /// The last window that was asked for: the calendar is slow.
    span: ArcSwapOption<Span>,
}

impl Slot {
    fn new(limit: Limit, level: usize, innermost: bool) -> Self {
        Self {
            limit: Arc::new(limit),
            level,
            innermost,
            span: ArcSwapOption::empty(),
        }
    }

    /// Whether both are the same limit with different bounds.
    fn is_same(&self, other: &Self) -> bool {
        let window = |slot: &Self| slot.limit.as_budget().map(|it| it.window().clone());
        self.counts_like(other) && window(self) == window(other)
    }

    /// Whether what one has counted can go on under the other.
    fn counts_like(&self, other: &Self) -> bool {
        let kind = |slot: &Self| std::mem::discriminant(slot.limit.kind());
        self.level == other.level && kind(self) == kind(other)
    }

    /// The window of a budget at `now`.
    pub(crate) fn span_at(&self, now: Timestamp) -> Option<Span> {
        let budget = self.limit.as_budget()?;
        if let Some(span) = &*self.span.load()
            && span.contains(now)
        {
            return Some(**span);
        }
        let span = budget.window().span_at(now).ok()?;
        self.span.store(Some(Arc::new(span)));
        Some(span)
    }
}

impl Tier {
    fn new(name: Arc<str>, members: Members, levels: Vec<Level>) -> Result<Self, LimitsError> {
        for (place, level) in levels.iter().enumerate() {
            let same = |other: &Level| other.name == level.name;
            if levels.iter().skip(place + 1).any(same) {
                return Err(LimitsError::Twice(level.name.to_string()));
            }
        }
        let last = levels.len();
        let slots: Box<[Slot]> = levels
            .into_iter()
            .enumerate()
            .flat_map(|(level, Level { limits, .. })| {
                let innermost = level + 1 == last;
                let slot = move |limit| Slot::new(limit, level, innermost);
                limits.into_iter().map(slot)
            })
            .collect();
        if slots.is_empty() {
            return Err(LimitsError::Empty);
        }
        if slots.len() > MAX_CLAIMS {
            return Err(LimitsError::TooManyLimits(slots.len()));
        }
        let mut currency = None;
        for (place, slot) in slots.iter().enumerate() {
            let same = |other: &Slot| other.limit.name() == slot.limit.name();
            if slots.iter().skip(place + 1).any(same) {
                return Err(LimitsError::Twice(slot.limit.name().to_string()));
            }
            let Some(budget) = slot.limit.as_budget() else {
                continue;
            };
            let expected = *currency.get_or_insert(budget.currency());
            if expected != budget.currency() {
                return Err(LimitsError::Mismatch {
                    limit: slot.limit.name().to_string(),
                    found: budget.currency(),
                    expected,
                });
            }
        }
        Ok(Self {
            name,
            members,
            slots,
            currency: currency.map(|currency| (currency, currency.as_str().into())),
        })
    }

    /// Its name; the first one's is `default`.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Who is in it, where nobody names it.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// Its limits, each with the place of its level, the outermost first.
    pub fn limits(&self) -> impl Iterator<Item = (&Arc<Limit>, usize)> {
        self.slots.iter().map(|slot| (&slot.limit, slot.level))
    }

    /// The currency of its budgets, where it has any.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.currency.as_ref().map(|(currency, _)| *currency)
    }

    pub(crate) fn code(&self) -> Option<&Arc<str>> {
        self.currency.as_ref().map(|(_, code)| code)
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn find(&self, limit: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| &**slot.limit.name() == limit)
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
        let names = levels.iter().map(|level| Arc::clone(&level.name)).collect();
        let first = Tier::new("default".into(), Members::none(), levels)?;
        Ok(Self {
            levels: names,
            currency: first.currency(),
            first: Arc::new(first),
            further: Vec::new(),
        })
    }

    /// Another tier, with limits of its own for each level, for requests that
    /// [name](super::Subjects::tier) it. A limit that has the name of another tier's is the same one
    /// with another bound: what was spent there is spent here.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), when its levels are not those of the first tier, and when a limit
    /// of another tier has the same name but another level, kind or window.
    pub fn tier(
        self,
        name: impl Into<Arc<str>>,
        levels: impl IntoIterator<Item = Level>,
    ) -> Result<Self, LimitsError> {
        self.tier_for(name, Members::none(), levels)
    }

    /// As [`tier`](Self::tier), for `members`: [`tier_of`](Self::tier_of) finds it.
    ///
    /// # Errors
    ///
    /// As for [`tier`](Self::tier).
    pub fn tier_for(
        mut self,
        name: impl Into<Arc<str>>,
        members: Members,
        levels: impl IntoIterator<Item = Level>,
    ) -> Result<Self, LimitsError> {
        let (name, levels): (Arc<str>, Vec<Level>) = (name.into(), levels.into_iter().collect());
        let same = levels.iter().map(|level| &level.name);
        if !same.eq(self.levels.iter()) {
            return Err(LimitsError::Levels(name.to_string()));
        }
        if self.find(Some(&name)).is_some() {
            return Err(LimitsError::Twice(name.to_string()));
        }
        let tier = Tier::new(name, members, levels)?;
        let mut slots = tier.slots().iter();
        slots.try_for_each(|slot| self.check_known(slot, Slot::is_same))?;
        if let (Some(expected), Some(found)) = (self.currency, tier.currency())
            && expected != found
        {
            let budget = tier
                .slots()
                .iter()
                .find(|slot| slot.limit.as_budget().is_some());
            return Err(LimitsError::Mismatch {
                limit: budget.map_or(String::new(), |slot| slot.limit.name().to_string()),
                found,
                expected,
            });
        }
        self.currency = self.currency.or(tier.currency());
        self.further.push(Arc::new(tier));
        Ok(self)
    }

    /// Whether `slot` is what the tiers so far mean by its name: stores count by name.
    fn check_known(&self, slot: &Slot, same: fn(&Slot, &Slot) -> bool) -> Result<(), LimitsError> {
        let name = slot.limit.name();
        let mut known = self.tiers().filter_map(|tier| tier.find(name));
        match known.all(|known| same(known, slot)) {
            true => Ok(()),
            false => Err(LimitsError::Changed(name.to_string())),
        }
    }

    /// Whether `next` can take this one's place: what was counted under a name stays what it was.
    pub(super) fn check_next(&self, next: &Self) -> Result<(), LimitsError> {
        if self.levels != next.levels {
            return Err(LimitsError::Levels(next.first.name.to_string()));
        }
        let mut slots = next.tiers().flat_map(|tier| tier.slots());
        slots.try_for_each(|slot| self.check_known(slot, Slot::counts_like))
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
        std::iter::once(&self.first).chain(&self.further)
    }

    /// The tier of that name, the default where none is named.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<Tier>> {
        match name {
            None => Some(&self.first),
            Some(name) => self.tiers().find(|tier| &*tier.name == name),
        }
    }

    /// The limit of that name, of the first tier that has one.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<&Arc<Limit>> {
        let mut tiers = self.tiers();
        tiers.find_map(|tier| tier.find(name).map(|slot| &slot.limit))
    }

    /// The tier of `principal`: the first one that it is a member of, else the default. Claims that
    /// cannot be read make nobody a member, so let the default be the tightest.
    #[must_use]
    pub fn tier_of(&self, principal: &Principal) -> &Arc<Tier> {
        let mut claims = None;
        let mut further = self.further.iter();
        further
            .find(|tier| tier.members.has(principal, &mut claims))
            .unwrap_or(&self.first)
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
        self.tiers().any(|tier| tier.slots.iter().any(holds))
    }
}
