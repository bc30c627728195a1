//! The local holds of one path: a slab whose places are used again, and serial numbers which are
//! not.

use std::time::Duration;

/// A request's part of a lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) serial: u64,
    /// The number of the lease.
    pub(super) lease: u32,
    pub(super) nanos: u64,
    pub(super) permits: u32,
    /// When it ends; once it has been charged, when it is forgotten.
    pub(super) until: Duration,
    /// Its time was over: the money is charged, and can still be corrected.
    pub(super) charged: bool,
}

#[derive(Debug)]
pub(super) struct Holds {
    slots: Vec<Option<Hold>>,
    free: Vec<u32>,
    serial: u64,
    /// No hold ends before this.
    soonest: Duration,
}

/// More requests are not served from one path at a time: the places that a name has room for.
pub(super) const MAX_HOLDS: usize = 1 << 20;

impl Holds {
    pub(super) const fn new(serial: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            serial,
            soonest: Duration::MAX,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= MAX_HOLDS
    }

    /// Its place and serial number.
    pub(super) fn put(
        &mut self,
        lease: u32,
        nanos: u64,
        permits: u32,
        until: Duration,
    ) -> (u32, u64) {
        self.serial = self.serial.wrapping_add(1) & super::id::MAX_SERIAL;
        self.look_at(until);
        let hold = Some(Hold {
            serial: self.serial,
            lease,
            nanos,
            permits,
            until,
            charged: false,
        });
        while let Some(slot) = self.free.pop() {
            if let Some(place) = place(slot).and_then(|at| self.slots.get_mut(at)) {
                *place = hold;
                return (slot, self.serial);
            }
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(hold);
        (slot, self.serial)
    }

    pub(super) fn at(&mut self, slot: u32, serial: u64) -> Option<&mut Hold> {
        let hold = self.slots.get_mut(place(slot)?)?.as_mut()?;
        (hold.serial == serial).then_some(hold)
    }

    pub(super) fn remove(&mut self, slot: u32, serial: u64) -> Option<Hold> {
        let hold = *self.at(slot, serial)?;
        *self.slots.get_mut(place(slot)?)? = None;
        self.free.push(slot);
        Some(hold)
    }

    /// A hold ends at `until`.
    pub(super) fn look_at(&mut self, until: Duration) {
        self.soonest = self.soonest.min(until);
    }

    /// Tells `each` which holds are over at `now`: charged from now on, or (`true`) forgotten.
    pub(super) fn expire(
        &mut self,
        now: Duration,
        grace: Duration,
        mut each: impl FnMut(u32, &Hold, bool),
    ) {
        if now < self.soonest {
            return;
        }
        self.soonest = Duration::MAX;
        for (slot, place) in (0_u32..).zip(&mut self.slots) {
            let Some(hold) = place else { continue };
            if hold.until <= now && hold.charged {
                each(slot, hold, true);
                *place = None;
                self.free.push(slot);
                continue;
            }
            if hold.until <= now {
                each(slot, hold, false);
                hold.charged = true;
                hold.until = now.saturating_add(grace);
            }
            self.soonest = self.soonest.min(hold.until);
        }
    }

    pub(super) const fn serial(&self) -> u64 {
        self.serial
    }
}

fn place(slot: u32) -> Option<usize> {
    usize::try_from(slot).ok()
}
