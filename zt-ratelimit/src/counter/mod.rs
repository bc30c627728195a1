//! One atomic step over any number of limits: reserve, extend, settle.
//!
//! A [`CounterStore`] counts what limits allow. [`reserve`](CounterStore::reserve) asks for all
//! [claims](Claim) of a request at once: money of every budget, units of every rate, a permit of
//! every concurrency limit. Either all are given, as one *hold*, or none is and nothing changed.
//! Later the hold is [settled](CounterStore::settle): what was really spent is charged, the rest
//! given back.
//!
//! # What holds at every instant
//!
//! 1. For each budget of each subject, `spent + held <= limit` after a `reserve` or an `extend` that
//!    was granted; held is what requests and [leases](Purpose::Lease) hold. Only the settlement of
//!    more than was held ([`Settle::Charge`]) can take `spent` above the limit, and a limit that was
//!    lowered; nothing is admitted then until usage is below it.
//! 2. A hold ends by itself after its time: its money is then **charged**, its permits come back. A
//!    settlement that comes late, within the store's grace period, corrects that.
//! 3. A settlement counts once, however often it comes.
//! 4. Money belongs to the window in which it was admitted, whenever it is settled.
//! 5. Units of a rate that were admitted do not come back, whatever becomes of the request. Where a
//!    request claims nothing else, a store may keep [no hold](HoldId::NONE) of it; that one is gone
//!    for whoever extends or settles it.
//! 6. A store that cannot count refuses ([`CounterError`]); it never guesses.
//! 7. A window that has begun stays: a wall clock that goes back opens no earlier one.
//!
//! A [shadow](Limit::shadow) limit counts the money and the permits of everybody and refuses
//! nobody, so rule 1 is not for it. Of a rate it counts what it would have admitted, and so tells
//! whom it would have refused.
//!
//! All claims of one reservation have one *root*, the subject of the outermost level (the
//! organisation): a store keeps everything under a root in one place (a shard, a hash slot), and so
//! can take one step over it.

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
pub mod fallback;
mod gcra;
pub mod lease;
mod memory;
#[cfg(feature = "redis")]
pub mod redis;

use std::{fmt, sync::Arc, time::Duration};

use smallvec::SmallVec;
use zt_core::{
    clock::{Clock, ClockError, Timestamp},
    gate::Settlement,
    store::BoxFuture,
};

pub use self::memory::{MemoryBounds, MemoryCounters, Snapshot, SnapshotError};
use crate::limit::{Limit, Span};

/// The time of a step, on both sides of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Calendar windows follow the wall clock.
    pub wall: Timestamp,
    /// Rates and the ends of holds follow this one.
    pub monotonic: Duration,
}

impl Moment {
    /// The time of `clock`.
    ///
    /// # Errors
    ///
    /// Where the clock cannot answer; callers refuse.
    pub fn of(clock: &dyn Clock) -> Result<Self, ClockError> {
        let (wall, monotonic) = clock.read();
        Ok(Self {
            wall: wall?,
            monotonic,
        })
    }

    /// The time at which a request was over, as far as its beginning tells.
    pub(crate) fn at_end(settlement: &Settlement<'_>) -> Self {
        let trail = settlement.trail;
        Self {
            wall: trail.opened_at() + settlement.elapsed,
            monotonic: trail.opened_monotonic().saturating_add(settlement.elapsed),
        }
    }
}

/// One limit of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The limit.
    pub limit: &'a Arc<Limit>,
    /// Whose: at most [`MAX_SUBJECT_BYTES`] of UTF-8 without control characters.
    pub subject: &'a str,
}

/// The longest name of a subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// The most claims of one reservation.
pub const MAX_CLAIMS: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Reserve<'a> {
    /// Under which root all of it is kept.
    pub root: &'a str,
    /// From what: at most [`MAX_CLAIMS`], each pair of limit and subject once. Answers name them by
    /// their place here.
    pub claims: &'a [Claim<'a>],
    /// How much of each budget, in nano-units, at most [`MAX_NANOS`](crate::limit::MAX_NANOS).
    pub cost: u64,
    /// How many units of each rate.
    pub weight: u64,
    /// How many permits of each concurrency limit.
    pub permits: u32,
    /// After which time the hold ends by itself.
    pub expires_in: Duration,
    /// What for.
    pub purpose: Purpose,
    /// When. A store with a clock of its own follows that one.
    pub now: Moment,
}

/// What a hold is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A request.
    Request,
    /// A stock from which an instance serves requests by itself.
    Lease,
}

/// Names a hold; the store that made it knows more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(pub u128);

impl HoldId {
    /// The name of none: what a reservation has that holds nothing.
    pub const NONE: Self = Self(0);
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldId({self})")
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The answer to a [`Reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// All of it is held.
    Held(Held),
    /// Nothing is.
    Refused(Refused),
}

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name. [`NONE`](HoldId::NONE) where a request claimed rates alone and the store keeps
    /// nothing to be settled: nothing of them would come back.
    pub hold: HoldId,
    /// Where each claim stands now, with this hold in it.
    pub standings: Standings,
    /// Which shadow limits would have refused.
    pub would_refuse: Marks,
}

/// Why nothing is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where each claim stands.
    pub standings: Standings,
    /// Which claims do not fit. Shadow limits are not among them.
    pub violated: Marks,
}

/// One for each claim, in their order. Up to five, as a rate, permits and the budgets of a key, its
/// team and its organisation make, are without an allocation.
pub type Standings = SmallVec<[Standing; 5]>;

/// Where a subject stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit that holds: nano-units, the burst, or permits. Overrides and grants are in it.
    pub limit: u64,
    /// What is left of it now.
    pub remaining: u64,
    /// For a claim that was violated, the time after which the same request may fit; else, after
    /// which more is left, zero where nothing of a rate, a rolling window or the permits is in use.
    /// `None` where no wait would help: the request is larger than the limit, or the money never
    /// comes back by itself.
    pub more_in: Option<Duration>,
}

/// A set of claims, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Marks(u16);

impl Marks {
    /// Adds the claim at `place`.
    pub const fn mark(&mut self, place: usize) {
        if place < MAX_CLAIMS {
            self.0 |= 1 << place;
        }
    }

    /// Whether the claim at `place` is in it.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        place < MAX_CLAIMS && self.0 & (1 << place) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..MAX_CLAIMS).filter(move |place| self.has(*place))
    }
}

/// The answer to [`CounterStore::extend`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Extended {
    /// The hold is larger now, and lives longer.
    Done {
        /// All that it holds, in nano-units.
        held: u64,
    },
    /// It does not fit; the hold is what it was.
    Refused(Refused),
    /// There is no such hold: it was settled, or it ended and its grace period did; or its window
    /// is too long ago to hold more in it, or to hold anew what has ended.
    Gone,
}

/// How a hold ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settle {
    /// Nothing was spent.
    Release,
    /// All that was held.
    ChargeHold,
    /// So many nano-units, be it more than was held.
    Charge(u64),
}

/// What a settlement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whether it counted: not when the hold was settled before, or is long gone. The other fields
    /// are empty then, or what the settlement that counted said.
    pub counted: bool,
    /// What was held, in nano-units.
    pub held: u64,
    /// What was charged, in nano-units.
    pub charged: u64,
    /// Where each budget among the claims stands after it, of those whose window still matters.
    pub budgets: SmallVec<[Charged; 4]>,
}

/// A budget after a settlement, in the window that the money belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charged {
    /// The claim's place in the reservation.
    pub claim: u8,
    /// The window. Of a rolling one, the slot.
    pub span: Span,
    /// What is spent in it; in a rolling window, in all its slots.
    pub spent: u64,
    /// The limit that holds.
    pub limit: u64,
    /// Which of the limit's thresholds were crossed just now, by their places.
    pub crossed: u8,
}

/// How a limit of one subject is changed by an administrator.
///
/// Limits of every kind can be set and granted more of, in their units. What is above the largest
/// that can be counted is [`CounterError::Invalid`], and so are one grant too many, and a charge to
/// anything but a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adjust {
    /// Another limit instead of the policy's, in its units.
    Override {
        /// The limit.
        limit: u64,
        /// Until when; for good where there is none.
        until: Option<Timestamp>,
    },
    /// The policy's limit again.
    ClearOverride,
    /// So much more, for a time.
    Grant {
        /// Names it; one of the same name is replaced. At most [`MAX_GRANTS`] at once.
        name: Arc<str>,
        /// How much.
        amount: u64,
        /// Until when.
        until: Timestamp,
    },
    /// Takes a grant back.
    Revoke {
        /// Its name.
        name: Arc<str>,
    },
    /// Nothing is spent any more in this window, and a rate is fresh. What is held stays.
    Reset,
    /// Adds to what is spent in this window: for what was spent outside, and for rebuilding.
    Charge {
        /// How much.
        nanos: u64,
    },
}

/// The most grants of one limit of one subject.
pub const MAX_GRANTS: usize = 8;

/// One limit of one subject, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellState {
    /// The limit that holds, overrides and grants included.
    pub limit: u64,
    /// The policy's.
    pub policy: u64,
    /// What is spent in this window; units of a rate that have not come back.
    pub spent: u64,
    /// What requests hold.
    pub held: u64,
    /// What leases hold.
    pub leased: u64,
    /// This window.
    pub span: Option<Span>,
    /// The limit that an administrator has set, and until when.
    pub set: Option<(u64, Option<Timestamp>)>,
    /// Grants: name, amount, end.
    pub grants: Vec<(Arc<str>, u64, Timestamp)>,
}

/// One hold, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldState {
    /// Its name.
    pub hold: HoldId,
    /// What for.
    pub purpose: Purpose,
    /// How much money it holds, in nano-units.
    pub nanos: u64,
    /// The time left until it ends by itself; zero where it has ended and can still be corrected.
    pub expires_in: Duration,
}

/// A hold that ended by itself and was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its name.
    pub hold: HoldId,
    /// Under which root it was kept.
    pub root: Arc<str>,
    /// What was charged, in nano-units.
    pub nanos: u64,
    /// From which budgets: name of the limit, subject, window.
    pub budgets: Vec<(Arc<str>, Arc<str>, Span)>,
}

/// The store cannot count; what asked refuses with `store-unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// It cannot be reached, or failed.
    #[error("the counters are unavailable: {0}")]
    Unavailable(Arc<str>),
    /// It has no place for another subject or hold, and forgets nothing that counts.
    #[error("the counters are full")]
    Full,
    /// What was counted is lost; somebody has to rebuild it from the ledger.
    #[error("the counters have lost their memory: {0}")]
    Uninitialised(Arc<str>),
    /// The reservation breaks a rule of the trait, or its limit is of another kind or currency than
    /// the one of the same name that was counted before.
    #[error("the reservation cannot be counted: {0}")]
    Invalid(&'static str),
}

/// An answer at once, or later. Dropping the future changes nothing about what the store does.
#[must_use]
pub enum Answer<T> {
    /// The answer.
    Now(Result<T, CounterError>),
    /// The answer has to be waited for.
    Later(BoxFuture<'static, Result<T, CounterError>>),
}

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn wait(self) -> Result<T, CounterError> {
        match self {
            Self::Now(result) => result,
            Self::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Counts what limits allow; see the [module](self) for what every store keeps.
///
/// Each call is one atomic step. A store in this process answers [`Answer::Now`] and allocates
/// nothing on the way.
pub trait CounterStore: fmt::Debug + Send + Sync + 'static {
    /// Holds all that is asked for, or nothing.
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict>;

    /// Holds `more` nano-units besides, of each budget of the hold, in the window that admitted it;
    /// the hold then ends after `expires_in` from now. With zero it only lives longer, whatever became
    /// of its window and of the limit.
    ///
    /// A hold that has ended and can still be corrected is taken up again: what was charged is held,
    /// and its permits are in use, be it beyond the limit.
    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended>;

    /// Ends a hold. It is taken down at once, also where the answer comes later: whoever settles
    /// in a destructor drops the answer.
    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled>;

    /// Where each claim stands, all at one instant.
    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>>;

    /// Changes one limit of one subject.
    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState>;

    /// At most `at_most` holds that have a part of `claim`, the oldest first.
    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>>;

    /// Charges at most `at_most` holds that have ended by themselves and says which; what they
    /// held counts against the limits before this as after it. Each is told of once, also where
    /// another step has charged it, unless it was settled or taken up again before.
    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>>;
}

impl<C: CounterStore + ?Sized> CounterStore for Arc<C> {
    fn reserve(&self, ask: &Reserve<'_>) -> Answer<Verdict> {
        (**self).reserve(ask)
    }

    fn extend(
        &self,
        hold: HoldId,
        more: u64,
        expires_in: Duration,
        now: Moment,
    ) -> Answer<Extended> {
        (**self).extend(hold, more, expires_in, now)
    }

    fn settle(&self, hold: HoldId, how: Settle, now: Moment) -> Answer<Settled> {
        (**self).settle(hold, how, now)
    }

    fn read(&self, root: &str, claims: &[Claim<'_>], now: Moment) -> Answer<Vec<CellState>> {
        (**self).read(root, claims, now)
    }

    fn adjust(&self, root: &str, claim: Claim<'_>, how: &Adjust, now: Moment) -> Answer<CellState> {
        (**self).adjust(root, claim, how, now)
    }

    fn holds(
        &self,
        root: &str,
        claim: Claim<'_>,
        at_most: usize,
        now: Moment,
    ) -> Answer<Vec<HoldState>> {
        (**self).holds(root, claim, at_most, now)
    }

    fn expire(&self, at_most: usize, now: Moment) -> Answer<Vec<Expired>> {
        (**self).expire(at_most, now)
    }
}

/// Whether a reservation keeps the rules of [`Reserve`]; every store asks this first.
///
/// # Errors
///
/// [`CounterError::Invalid`] where it has no or too many claims, one of them twice, a subject that
/// cannot be a name, or costs more than can be counted.
pub fn check(ask: &Reserve<'_>) -> Result<(), CounterError> {
    if ask.claims.is_empty() || ask.claims.len() > MAX_CLAIMS {
        return Err(CounterError::Invalid("it has no claims, or too many"));
    }
    if ask.cost > crate::limit::MAX_NANOS {
        return Err(CounterError::Invalid("it costs more than can be counted"));
    }
    check_subject(ask.root)?;
    let mut checked = ask.root;
    for (place, claim) in ask.claims.iter().enumerate() {
        if !std::ptr::eq(claim.subject, checked) {
            check_subject(claim.subject)?;
            checked = claim.subject;
        }
        let twice = ask.claims.iter().skip(place + 1).any(|other| {
            // Names of limits that differ mostly have other digests.
            claim.limit.digest() == other.limit.digest()
                && claim.subject == other.subject
                && claim.limit.name() == other.limit.name()
        });
        if twice {
            return Err(CounterError::Invalid("it claims the same twice"));
        }
    }
    Ok(())
}

/// Whether `subject` can be a subject's name.
///
/// # Errors
///
/// [`CounterError::Invalid`] where it is empty, too long, or has control characters.
pub fn check_subject(subject: &str) -> Result<(), CounterError> {
    let long = subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES;
    // Without a way out half-way, so that the loop is one over vectors.
    let control = |found, byte: u8| found | byte.is_ascii_control();
    if long || subject.bytes().fold(false, control) {
        return Err(CounterError::Invalid("a subject cannot be named so"));
    }
    Ok(())
}
