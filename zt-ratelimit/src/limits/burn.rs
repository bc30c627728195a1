use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    counter::{Charged, Moment},
    limit::Span,
};

/// How fast budgets are spent. Both of two rates, over five minutes and over an hour, have to say
/// that a budget will be used up before its window ends: the short one forgets a burst soon after it
/// is over, the long one does not take fright at one request.
///
/// It keeps [`SETS`] · [`WAYS`] budgets; of a set that is full the one goes that was not used for
/// the longest time.
pub(super) struct Burn {
    sets: Box<[Mutex<Vec<Watched>>]>,
    hasher: RandomState,
}

pub(super) const SETS: usize = 512;
pub(super) const WAYS: usize = 8;

struct Watched {
    names: [Arc<str>; 3],
    span: Span,
    /// What was spent in this window when it was last heard of.
    spent: u64,
    /// What was spent since it is watched, whatever the window.
    total: u64,
    short: Marks<10>,
    long: Marks<12>,
    told: bool,
    used: Duration,
}

impl Default for Burn {
    fn default() -> Self {
        Self {
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Burn {
    /// A budget stands at `charged` after `nanos` were charged. Where it will be used up before its
    /// window ends, and this window has not heard so yet, how many per cent of the limit will be
    /// spent then.
    pub(super) fn note(
        &self,
        names: [&Arc<str>; 3],
        charged: &Charged,
        nanos: u64,
        now: Moment,
    ) -> Option<u32> {
        let hash = self.hasher.hash_one(names);
        let place = usize::try_from(hash % SETS as u64).unwrap_or_default();
        let mut set = self
            .sets
            .get(place)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = set
            .iter()
            .position(|watched| watched.names.each_ref() == names);
        let at = found.unwrap_or_else(|| {
            let new = Watched::new(names.map(Arc::clone), charged, nanos, now);
            let oldest = || {
                let used = set.iter().enumerate().map(|(at, it)| (it.used, at));
                used.min().map_or(0, |(_, at)| at)
            };
            let at = if set.len() < WAYS {
                set.len()
            } else {
                oldest()
            };
            match set.get_mut(at) {
                Some(old) => *old = new,
                None => set.push(new),
            }
            at
        });
        set.get_mut(at)?.note(charged, now)
    }
}

impl Watched {
    fn new(names: [Arc<str>; 3], charged: &Charged, nanos: u64, now: Moment) -> Self {
        Self {
            names,
            span: charged.span,
            // Who spent the rest, and when, was not seen.
            spent: charged.spent.saturating_sub(nanos),
            total: 0,
            short: Marks::new(Duration::from_secs(30), now),
            long: Marks::new(Duration::from_secs(300), now),
            told: false,
            used: now.monotonic,
        }
    }

    fn note(&mut self, charged: &Charged, now: Moment) -> Option<u32> {
        self.used = now.monotonic;
        if charged.span.start < self.span.start {
            return None;
        }
        if charged.span.start > self.span.start {
            self.span = charged.span;
            self.spent = 0;
            self.told = false;
        }
        self.short.advance(self.total, now);
        self.long.advance(self.total, now);
        if charged.spent < self.spent {
            // A correction, or a reset.
            self.total = self.total.saturating_sub(self.spent - charged.spent);
            self.short.cap(self.total);
            self.long.cap(self.total);
        } else {
            let more = charged.spent - self.spent;
            self.total = self.total.saturating_add(more);
        }
        self.spent = charged.spent;
        let end = [
            self.short.projected(self.total, charged, now)?,
            self.long.projected(self.total, charged, now)?,
        ];
        if self.told {
            return None;
        }
        self.told = true;
        let end = end.into_iter().min()?;
        let percent = end.saturating_mul(100) / u128::from(charged.limit.max(1));
        Some(u32::try_from(percent).unwrap_or(u32::MAX))
    }
}

/// What was spent in all at the beginning of each of the last `N` stretches of time.
struct Marks<const N: usize> {
    step: u128,
    latest: u128,
    totals: [u64; N],
}

impl<const N: usize> Marks<N> {
    fn new(step: Duration, now: Moment) -> Self {
        let step = step.as_nanos();
        Self {
            step,
            latest: now.monotonic.as_nanos() / step,
            totals: [0; N],
        }
    }

    fn advance(&mut self, total: u64, now: Moment) {
        let current = now.monotonic.as_nanos() / self.step;
        let passed = usize::try_from(current.saturating_sub(self.latest)).unwrap_or(N);
        for step in 1..=passed.min(N) {
            // Those that are skipped are older than what is looked at.
            let stretch = current - (passed.min(N) - step) as u128;
            if let Some(mark) = self.totals.get_mut(Self::place(stretch)) {
                *mark = total;
            }
        }
        self.latest = self.latest.max(current);
    }

    fn cap(&mut self, total: u64) {
        for mark in &mut self.totals {
            *mark = (*mark).min(total);
        }
    }

    /// What will be spent at the window's end, where that is the limit or more.
    fn projected(&self, total: u64, charged: &Charged, now: Moment) -> Option<u128> {
        let remaining = charged.limit.checked_sub(charged.spent)?;
        let left = charged.span.end.since(now.wall).as_nanos();
        if remaining == 0 || left == 0 {
            // It is used up already, which its threshold says, or over.
            return None;
        }
        // The oldest of the stretches; it begins N - 1 steps before the current one.
        let oldest = self.totals.get(Self::place(self.latest + 1))?;
        let spent = u128::from(total.saturating_sub(*oldest));
        let begin = (self.latest + 1).saturating_sub(N as u128) * self.step;
        let elapsed = now.monotonic.as_nanos().saturating_sub(begin).max(1);
        let more = spent.saturating_mul(left) / elapsed;
        (more >= u128::from(remaining)).then(|| u128::from(charged.spent).saturating_add(more))
    }

    fn place(stretch: u128) -> usize {
        usize::try_from(stretch % N as u128).unwrap_or_default()
    }
}

#[cfg(test)]
impl Burn {
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(|set| set.lock().unwrap().len()).sum()
    }

    pub(super) fn watches(&self, names: [&Arc<str>; 3]) -> bool {
        let sets = self.sets.iter();
        sets.flat_map(|set| {
            set.lock()
                .unwrap()
                .iter()
                .map(|it| it.names.clone())
                .collect::<Vec<_>>()
        })
        .any(|known| known.each_ref() == names)
    }
}
