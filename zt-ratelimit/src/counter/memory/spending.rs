//! What one budget of one subject has spent, window by window.

use std::time::Duration;

use zt_core::clock::Timestamp;

use crate::{
    counter::{CounterError, Purpose},
    limit::{ROLLING_SLOTS, Span, Window, rolling_slot},
};

/// The windows of a budget that still matter.
///
/// Windows have numbers that rise, and a hold remembers the one that admitted it. Numbers wrap, so
/// they are compared by their distance from the latest.
#[derive(Debug, Clone)]
pub(super) struct Spending {
    /// The current window; of a rolling one, the current slot.
    pub(super) span: Span,
    /// In the window; of a rolling one, in all its slots.
    pub(super) spent: u64,
    pub(super) held: u64,
    pub(super) leased: u64,
    past: Past,
    /// The number of the current window or slot.
    number: u32,
    /// From this number on, holds are counted in `held` and `leased`.
    first: u32,
    /// From this number on, what was charged is in `spent`.
    fresh: u32,
    /// Which thresholds were told of.
    pub(super) crossed: u8,
}

#[derive(Debug, Clone)]
enum Past {
    Nothing,
    /// The calendar window before, for what is settled late.
    Before(Box<Before>),
    /// The slots of a rolling window.
    Slots(Box<Slots>),
}

#[derive(Debug, Clone, Copy)]
struct Before {
    span: Span,
    spent: u64,
    held: u64,
    leased: u64,
    first: u32,
    fresh: u32,
    crossed: u8,
}

#[derive(Debug, Clone, Copy)]
struct Slots {
    spent: [u64; SLOTS],
    /// The current one.
    head: usize,
}

/// One more than a window has, since the oldest has only begun to leave.
pub(super) const SLOTS: usize = ALL_SLOTS as usize;
const ALL_SLOTS: u32 = ROLLING_SLOTS + 1;

/// The bytes of a rolling window's slots.
pub(super) const SLOTS_BYTES: usize = size_of::<Slots>();

/// Where the money of a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the current window.
    Now,
    /// In the slot of a rolling window that was current so many slots ago.
    Slot(usize),
    /// Held in a rolling window, and admitted in a slot that has left it.
    Left,
    /// In the calendar window before.
    Before,
    /// It was charged, and that was taken back by a reset.
    Erased,
    /// In a window before that.
    Gone,
}

/// What a settlement left of a window.
pub(super) struct Settlement {
    pub(super) span: Span,
    pub(super) spent: u64,
    pub(super) before: bool,
}

/// The current window, for a snapshot.
pub(super) struct Kept {
    pub(super) span: Span,
    pub(super) spent: u64,
    pub(super) held: u64,
    /// Of a rolling window, the current slot first.
    pub(super) slots: Vec<u64>,
    pub(super) crossed: u8,
}

/// What an extension has to fit into.
pub(super) struct Room {
    pub(super) used: u64,
    /// What was charged when the hold ended is part of `used`.
    pub(super) charged: bool,
}

impl Spending {
    pub(super) fn new(window: &Window, wall: Timestamp) -> Result<Self, CounterError> {
        Ok(Self {
            span: span_at(window, wall)?,
            spent: 0,
            held: 0,
            leased: 0,
            past: Past::Nothing,
            number: 0,
            first: 0,
            fresh: 0,
            crossed: 0,
        }
        .shaped(window))
    }

    pub(super) fn keep(&self) -> Kept {
        let slots = if self.is_rolling() { SLOTS } else { 0 };
        Kept {
            span: self.span,
            spent: self.spent,
            held: self.held.saturating_add(self.leased),
            slots: (0..slots).map(|age| self.slot(age)).collect(),
            crossed: self.crossed,
        }
    }

    /// What was held is spent. `None` where it does not add up.
    pub(super) fn restore(kept: &Kept) -> Option<Self> {
        let past = match kept.slots.len() {
            0 => Past::Nothing,
            SLOTS => {
                let mut slots = Slots {
                    spent: [0; SLOTS],
                    head: 0,
                };
                for (age, spent) in kept.slots.iter().enumerate() {
                    let at = slots.at(age);
                    *slots.spent.get_mut(at)? = *spent;
                }
                Past::Slots(Box::new(slots))
            }
            _ => return None,
        };
        let sum = |sum: u64, slot: &u64| sum.checked_add(*slot);
        let slots = kept.slots.iter().try_fold(0, sum)?;
        if kept.span.start >= kept.span.end || (!kept.slots.is_empty() && slots != kept.spent) {
            return None;
        }
        let mut spending = Self {
            span: kept.span,
            spent: kept.spent,
            held: 0,
            leased: 0,
            past,
            number: 0,
            first: 0,
            fresh: 0,
            crossed: kept.crossed,
        };
        spending.spend(kept.held);
        Some(spending)
    }

    fn shaped(mut self, window: &Window) -> Self {
        self.past = match window.rolls_over() {
            None => Past::Nothing,
            Some(_) => {
                let mut slots = Slots {
                    spent: [0; SLOTS],
                    head: 0,
                };
                slots.spent[0] = self.spent;
                Past::Slots(Box::new(slots))
            }
        };
        self
    }

    /// All that counts against the limit.
    pub(super) const fn used(&self) -> u64 {
        self.spent
            .saturating_add(self.held)
            .saturating_add(self.leased)
    }

    pub(super) const fn is_rolling(&self) -> bool {
        matches!(self.past, Past::Slots(_))
    }

    /// The number that a hold of now remembers.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Goes on to the window of `wall`; never back to an earlier one.
    /// Where holds remember the one that ends, it is kept.
    #[inline]
    pub(super) fn turn(
        &mut self,
        window: &Window,
        wall: Timestamp,
        pinned: bool,
    ) -> Result<(), CounterError> {
        if !self.is_over(wall) {
            return Ok(());
        }
        let span = span_at(window, wall)?;
        if self.is_rolling() {
            self.roll(wall);
            self.span = span;
        } else {
            self.begin(span, pinned);
        }
        self.forget_ancient();
        Ok(())
    }

    /// Whether the window, or the slot, has ended. One without an end does not, whatever a clock says.
    fn is_over(&self, wall: Timestamp) -> bool {
        wall >= self.span.end && self.span.end < Timestamp::MAX
    }

    /// Takes the slots out that have left a rolling window.
    fn roll(&mut self, wall: Timestamp) {
        let length = self.span.end.since(self.span.start).as_micros().max(1);
        let steps = wall.since(self.span.start).as_micros() / length;
        // After so many nothing is left; numbers that went further might come around to a hold's.
        let steps = u32::try_from(steps).map_or(ALL_SLOTS, |steps| steps.min(ALL_SLOTS));
        let Past::Slots(slots) = &mut self.past else {
            return;
        };
        for _ in 0..steps {
            slots.head = (slots.head + 1) % SLOTS;
            if let Some(slot) = slots.spent.get_mut(slots.head) {
                self.spent = self.spent.saturating_sub(*slot);
                *slot = 0;
            }
        }
        self.number = self.number.wrapping_add(steps);
    }

    fn begin(&mut self, span: Span, pinned: bool) {
        let before = Before {
            span: self.span,
            spent: self.spent,
            held: self.held,
            leased: self.leased,
            first: self.first,
            fresh: self.fresh,
            crossed: self.crossed,
        };
        match &mut self.past {
            _ if !pinned => self.past = Past::Nothing,
            Past::Before(past) => **past = before,
            past => *past = Past::Before(Box::new(before)),
        }
        self.next_number();
        self.first = self.number;
        self.fresh = self.number;
        self.span = span;
        (self.spent, self.held, self.leased, self.crossed) = (0, 0, 0, 0);
    }

    /// So that numbers may wrap: no hold is that old.
    fn forget_ancient(&mut self) {
        let oldest = self.number.wrapping_sub(u32::MAX / 2);
        for number in [&mut self.first, &mut self.fresh] {
            if self.number.wrapping_sub(*number) > u32::MAX / 2 {
                *number = oldest;
            }
        }
    }

    const fn next_number(&mut self) {
        self.number = self.number.wrapping_add(1);
    }

    /// No hold remembers a window any more.
    pub(super) fn unpin(&mut self) {
        if matches!(self.past, Past::Before(_)) {
            self.past = Past::Nothing;
        }
    }

    /// The policy has another window by the same name. What was spent and is held in the current
    /// one goes along, so that a change of policy gives nobody a second budget.
    pub(super) fn reshape(&mut self, to: &Window, wall: Timestamp) -> Result<(), CounterError> {
        let same = match to.rolls_over() {
            Some(length) => {
                let slot = u128::from(rolling_slot(length));
                self.is_rolling() && self.span.end.since(self.span.start).as_micros() == slot
            }
            None => !self.is_rolling() && span_at(to, self.span.start)? == self.span,
        };
        if same {
            return Ok(());
        }
        let span = span_at(to, wall.max(self.span.start))?;
        self.roll(wall);
        if let Past::Before(before) = &self.past {
            self.held = self.held.saturating_add(before.held);
            self.leased = self.leased.saturating_add(before.leased);
            self.first = before.first;
        }
        if !self.is_rolling() && self.is_over(wall) {
            (self.spent, self.crossed) = (0, 0);
        }
        self.next_number();
        self.fresh = self.number;
        self.span = span;
        self.past = Past::Nothing;
        *self = self.clone().shaped(to);
        Ok(())
    }

    /// Nothing is spent any more.
    pub(super) fn reset(&mut self) {
        self.spent = 0;
        self.crossed = 0;
        self.next_number();
        self.fresh = self.number;
        if let Past::Slots(slots) = &mut self.past {
            slots.spent = [0; SLOTS];
        }
    }

    /// Adds to what is spent in the current window.
    pub(super) fn spend(&mut self, nanos: u64) {
        self.add(Place::Now, nanos);
    }

    pub(super) const fn hold(&mut self, nanos: u64, purpose: Purpose) {
        let side = match purpose {
            Purpose::Request => &mut self.held,
            Purpose::Lease => &mut self.leased,
        };
        *side = side.saturating_add(nanos);
    }

    /// Charges `actual` instead of the `held` that window `number` holds, or, where the hold has
    /// ended, of what was charged then. `None` where that window no longer matters.
    #[inline]
    pub(super) fn settle(
        &mut self,
        number: u32,
        open: bool,
        held: u64,
        actual: u64,
        purpose: Purpose,
    ) -> Option<Settlement> {
        let place = self.place(number, open);
        if open {
            self.let_go(place, held, purpose);
            self.add(place, actual);
        } else if place == Place::Erased {
            self.add(Place::Now, actual.saturating_sub(held));
        } else {
            self.take_back(place, held);
            self.add(place, actual);
        }
        match (place, &self.past) {
            (Place::Gone | Place::Left, _) => None,
            (Place::Before, Past::Before(before)) => Some(Settlement {
                span: before.span,
                spent: before.spent,
                before: true,
            }),
            _ => Some(Settlement {
                span: self.slot_span(place),
                spent: self.spent,
                before: false,
            }),
        }
    }

    /// The number that a hold of window `number` remembers once it is charged: from before a reset
    /// it has come to after it.
    pub(super) fn charged_as(&self, number: u32) -> u32 {
        let age = self.number.wrapping_sub(number);
        let fresh = match (self.place(number, true), &self.past) {
            (Place::Gone, _) => return number,
            (Place::Before, Past::Before(before)) => before.fresh,
            _ => self.fresh,
        };
        if age > self.number.wrapping_sub(fresh) {
            fresh
        } else {
            number
        }
    }

    /// The window of a hold that has ended, if it still matters.
    pub(super) fn span_of(&self, number: u32) -> Option<Span> {
        match (self.place(number, true), &self.past) {
            (Place::Gone | Place::Left, _) => None,
            (Place::Before, Past::Before(before)) => Some(before.span),
            (place, _) => Some(self.slot_span(place)),
        }
    }

    /// The slot of a rolling window, or the window.
    fn slot_span(&self, place: Place) -> Span {
        let Place::Slot(age) = place else {
            return self.span;
        };
        let slot = self.span.end.since(self.span.start);
        let back = slot.saturating_mul(u32::try_from(age).unwrap_or(u32::MAX));
        let start = self.span.start.saturating_sub(back);
        Span {
            start,
            end: start + slot,
        }
    }

    /// What more money of a hold of window `number` has to fit into; `None` where that window is
    /// too long ago.
    pub(super) fn room(&self, number: u32, open: bool) -> Option<Room> {
        let place = self.place(number, open);
        let used = match (place, &self.past) {
            (Place::Gone | Place::Left, _) => return None,
            (Place::Before, Past::Before(before)) => before
                .spent
                .saturating_add(before.held)
                .saturating_add(before.leased),
            _ => self.used(),
        };
        Some(Room {
            used,
            charged: !open && place != Place::Erased,
        })
    }

    /// Holds `more` besides `held` in window `number`; where the hold had ended, `held` as well.
    pub(super) fn extend(
        &mut self,
        number: u32,
        open: bool,
        held: u64,
        more: u64,
        purpose: Purpose,
    ) {
        let place = self.place(number, open);
        let mut sum = more;
        if !open {
            self.take_back(place, held);
            sum = sum.saturating_add(held);
        }
        match (place, &mut self.past) {
            (Place::Before, Past::Before(before)) => {
                let side = match purpose {
                    Purpose::Request => &mut before.held,
                    Purpose::Lease => &mut before.leased,
                };
                *side = side.saturating_add(sum);
            }
            _ => self.hold(sum, purpose),
        }
    }

    /// Which thresholds of `limit` were crossed and not told of, in the window before or this one.
    #[inline]
    pub(super) fn cross(&mut self, thresholds: &[u8], limit: u64, before: bool) -> u8 {
        let rolling = self.is_rolling();
        let (spent, told) = match &mut self.past {
            Past::Before(past) if before => (past.spent, &mut past.crossed),
            _ => (self.spent, &mut self.crossed),
        };
        let reached = reached(thresholds, limit, spent);
        if rolling {
            // A rolling window has no beginning: a threshold is crossed again after it was left.
            *told &= reached;
        }
        let crossed = reached & !*told;
        *told |= crossed;
        crossed
    }

    /// Whether it says nothing that a window made anew at `wall` would not say.
    pub(super) fn is_fresh(&self, wall: Timestamp) -> bool {
        let over = match self.past {
            Past::Slots(_) => {
                let slot = self.span.end.since(self.span.start);
                let slots = slot.saturating_mul(ROLLING_SLOTS);
                let last = self.span.end + slots;
                self.held == 0 && self.leased == 0 && wall >= last && last < Timestamp::MAX
            }
            _ => self.is_over(wall),
        };
        over || self.used() == 0
    }

    /// The time after which `need` may fit into `limit`, or, with none, after which more is left.
    /// For windows that end.
    #[inline]
    pub(super) fn more_in(&self, wall: Timestamp, limit: u64, need: Option<u64>) -> Duration {
        if !self.is_rolling() {
            return self.span.end.since(wall);
        }
        let used = self.used();
        match need {
            Some(need) => self.slots_leave(wall, limit.saturating_sub(need)),
            None if used == 0 => Duration::ZERO,
            None => self.slots_leave(wall, used.saturating_sub(1)),
        }
    }

    /// The time after which at most `used` is in use in a rolling window, as slots leave it.
    fn slots_leave(&self, wall: Timestamp, most: u64) -> Duration {
        let slot = self.span.end.since(self.span.start);
        let mut at = self.span.start;
        let mut used = self.used();
        for age in (0..SLOTS).rev() {
            at = at + slot;
            used = used.saturating_sub(self.slot(age));
            if used <= most {
                break;
            }
        }
        // Where holds alone are in the way, nobody knows; by then they may have been settled.
        at.since(wall)
    }

    /// The spending of the slot that was current `age` slots ago.
    fn slot(&self, age: usize) -> u64 {
        match &self.past {
            Past::Slots(slots) => slots.spent.get(slots.at(age)).copied().unwrap_or(0),
            _ => 0,
        }
    }

    #[inline]
    fn place(&self, number: u32, open: bool) -> Place {
        let age = self.number.wrapping_sub(number);
        let mut age = match &self.past {
            _ if age <= self.number.wrapping_sub(self.fresh) => age,
            _ if age <= self.number.wrapping_sub(self.first) => {
                if !open {
                    return Place::Erased;
                }
                self.number.wrapping_sub(self.fresh)
            }
            Past::Before(before) if age <= self.number.wrapping_sub(before.first) => {
                let erased = !open && age > self.number.wrapping_sub(before.fresh);
                return if erased { Place::Gone } else { Place::Before };
            }
            _ => return Place::Gone,
        };
        if !self.is_rolling() {
            age = 0;
        }
        match usize::try_from(age) {
            Ok(0) => Place::Now,
            Ok(age) if age < SLOTS => Place::Slot(age),
            _ => Place::Left,
        }
    }

    fn add(&mut self, place: Place, nanos: u64) {
        self.change(place, |spent| spent.saturating_add(nanos));
    }

    fn take_back(&mut self, place: Place, nanos: u64) {
        self.change(place, |spent| spent.saturating_sub(nanos));
    }

    #[inline]
    fn change(&mut self, place: Place, to: impl Fn(u64) -> u64) {
        match (place, &mut self.past) {
            (Place::Gone | Place::Left | Place::Erased, _) => {}
            (Place::Before, Past::Before(before)) => before.spent = to(before.spent),
            (Place::Before, _) => {}
            (place, Past::Slots(slots)) => {
                let age = match place {
                    Place::Slot(age) => age,
                    _ => 0,
                };
                let at = slots.at(age);
                if let Some(slot) = slots.spent.get_mut(at) {
                    let was = *slot;
                    // So that the sum of all slots fits.
                    *slot = to(was).min(u64::MAX / 32);
                    self.spent = self.spent.saturating_sub(was).saturating_add(*slot);
                }
            }
            _ => self.spent = to(self.spent),
        }
    }

    #[inline]
    fn let_go(&mut self, place: Place, nanos: u64, purpose: Purpose) {
        let (held, leased) = match (place, &mut self.past) {
            (Place::Gone, _) => return,
            (Place::Before, Past::Before(before)) => (&mut before.held, &mut before.leased),
            _ => (&mut self.held, &mut self.leased),
        };
        let side = match purpose {
            Purpose::Request => held,
            Purpose::Lease => leased,
        };
        *side = side.saturating_sub(nanos);
    }
}

impl Slots {
    const fn at(&self, age: usize) -> usize {
        (self.head + SLOTS - age % SLOTS) % SLOTS
    }
}

fn reached(thresholds: &[u8], limit: u64, spent: u64) -> u8 {
    let mut reached = 0;
    for (place, percent) in thresholds.iter().enumerate().take(8) {
        let share = u128::from(limit) * u128::from(*percent);
        if spent > 0 && u128::from(spent) * 100 >= share {
            reached |= 1 << place;
        }
    }
    reached
}

fn span_at(window: &Window, wall: Timestamp) -> Result<Span, CounterError> {
    window
        .span_at(wall)
        .map_err(|_| CounterError::Invalid("the calendar does not reach that far"))
}
