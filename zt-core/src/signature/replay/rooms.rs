//! How much room is taken, in all and by each key id.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::memory::ReplayLimits;

/// Exact counts of what two generations hold. A fixed table that is never made larger: a key id
/// is 8 bytes in it, however long it is. Key ids that find no place share one account.
///
/// Whoever counts holds the lock of a shard, and [`turn`](Self::turn) is called under all of them,
/// so the counts of the previous generation stand still meanwhile.
#[derive(Debug)]
pub(super) struct Rooms {
    limits: ReplayLimits,
    seed: RandomState,
    accounts: Box<[Account]>,
    /// How many of them have an owner; changed under `claiming`.
    used: AtomicUsize,
    claiming: Mutex<()>,
    /// Of the key ids for which there was no account of their own.
    others: Account,
    total: Account,
}

#[derive(Debug, Default)]
struct Account {
    /// The hash of the key id; 0 where it has no owner.
    owner: AtomicU64,
    current: AtomicU32,
    previous: AtomicU32,
}

impl Rooms {
    pub(super) fn new(limits: ReplayLimits) -> Self {
        Self {
            limits,
            seed: RandomState::new(),
            accounts: (0..accounts(&limits)).map(|_| Account::default()).collect(),
            used: AtomicUsize::new(0),
            claiming: Mutex::default(),
            others: Account::default(),
            total: Account::default(),
        }
    }

    /// Takes room for one entry of `keyid`, or says why there is none.
    pub(super) fn take(&self, keyid: &str) -> Result<(), &'static str> {
        let account = self.account(keyid);
        if !account.take(self.limits.entries_per_key) {
            return Err(KEY_FULL);
        }
        // The total last and never given back: it counts no entry that does not come to be.
        if !self.total.take(self.limits.entries) {
            account.give_back();
            return Err(ALL_FULL);
        }
        Ok(())
    }

    /// The current generation becomes the previous one, or, with `both`, is gone as well.
    /// The caller holds every shard.
    pub(super) fn turn(&self, both: bool) {
        self.total.turn(both);
        self.others.turn(both);
        let mut living = Vec::new();
        for account in &self.accounts {
            account.turn(both);
            let previous = account.previous.load(Ordering::Relaxed);
            let owner = account.owner.swap(0, Ordering::Relaxed);
            account.previous.store(0, Ordering::Relaxed);
            if previous > 0 {
                living.push((owner, previous));
            }
        }
        self.used.store(living.len(), Ordering::Relaxed);
        for (owner, previous) in living {
            if let Some(account) = self.find(owner) {
                account.owner.store(owner, Ordering::Release);
                account.previous.store(previous, Ordering::Relaxed);
            }
        }
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> usize {
        self.total.taken() as usize
    }

    /// How many key ids have an account of their own.
    pub(super) fn key_ids(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn account(&self, keyid: &str) -> &Account {
        // Two key ids of one hash would share their room; the hash is seeded, so nobody can aim.
        let owner = self.seed.hash_one(keyid).max(1);
        match self.find(owner) {
            Some(account) if account.owner.load(Ordering::Acquire) == owner => account,
            _ if self.key_ids() >= self.limits.key_ids => &self.others,
            _ => self.claim(owner),
        }
    }

    fn claim(&self, owner: u64) -> &Account {
        let _claiming = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        match self.find(owner) {
            Some(account) if account.owner.load(Ordering::Acquire) == owner => account,
            Some(account) if self.key_ids() < self.limits.key_ids => {
                account.owner.store(owner, Ordering::Release);
                self.used.fetch_add(1, Ordering::Relaxed);
                account
            }
            _ => &self.others,
        }
    }

    /// The account of `owner`, or the free one that it would get. The table is never more than
    /// half full, so there is one.
    fn find(&self, owner: u64) -> Option<&Account> {
        let len = self.accounts.len();
        let first = usize::try_from(owner % u64::try_from(len).ok()?).ok()?;
        (first..len)
            .chain(0..first)
            .filter_map(|at| self.accounts.get(at))
            .find(|account| {
                let found = account.owner.load(Ordering::Acquire);
                found == owner || found == 0
            })
    }
}

impl Account {
    fn take(&self, most: u32) -> bool {
        let previous = self.previous.load(Ordering::Relaxed);
        self.current
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |current| {
                (current.saturating_add(previous) < most).then_some(current + 1)
            })
            .is_ok()
    }

    fn give_back(&self) {
        self.current.fetch_sub(1, Ordering::Relaxed);
    }

    fn turn(&self, both: bool) {
        let current = self.current.swap(0, Ordering::Relaxed);
        let kept = if both { 0 } else { current };
        self.previous.store(kept, Ordering::Relaxed);
    }

    fn taken(&self) -> u32 {
        let previous = self.previous.load(Ordering::Relaxed);
        self.current
            .load(Ordering::Relaxed)
            .saturating_add(previous)
    }
}

/// How many accounts the table has, so that it is at most half full.
const fn accounts(limits: &ReplayLimits) -> usize {
    limits.key_ids.saturating_mul(2).saturating_add(1)
}

/// What the table takes, in bytes.
pub(super) const fn bytes(limits: &ReplayLimits) -> usize {
    accounts(limits).saturating_mul(size_of::<Account>())
}

pub(super) const KEY_FULL: &str = "the key id has used up its room in the replay memory";
pub(super) const ALL_FULL: &str = "the replay memory is full";
