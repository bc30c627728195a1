//! The names of everything in the server.
//!
//! ```text
//! {zt-07}:gen                                  generation
//! {zt-07}:due, {zt-07}:ended, {zt-07}:news     holds by their ends; ended ones; what to tell of them
//! {zt-07}:h:<hold>                             a hold, later its tombstone
//! {zt-07}:c:<kind>:<bytes>:<root><window>"<limit>"<subject>           record of a cell
//! {zt-07}:c:<kind>:<bytes>:<root><window>"<limit>"<subject>:<start>   one window of it
//! ```
//!
//! The tag in braces comes first, so braces in the names of subjects mean nothing. No name has
//! control characters, and no limit's or window's has quotes, so no two cells share a key.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    counter::{Claim, CounterError, HoldId},
    limit::Kind,
};

/// Into so many places all roots are spread. Part of the generation: another number finds nothing.
pub(super) const BUCKETS: u8 = 64;

/// The tags of one set of counters.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<str>);

impl Names {
    pub(super) fn new(namespace: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = (1..=32).contains(&namespace.len()) && namespace.bytes().all(plain);
        fits.then(|| Self(namespace.into()))
    }

    /// With what the keys of a bucket begin.
    pub(super) fn tag(&self, bucket: u8) -> String {
        format!("{{{}-{bucket:02}}}:", self.0)
    }

    pub(super) fn generation(&self, bucket: u8) -> String {
        self.tag(bucket) + "gen"
    }

    /// What finds every key of every bucket.
    pub(super) fn pattern(&self) -> String {
        format!("{{{}-[0-9][0-9]}}:*", self.0)
    }

    /// The record of what `claim` counts.
    pub(super) fn cell(&self, root: &str, claim: Claim<'_>) -> String {
        let mut key = self.tag(bucket(root));
        let kind = kind(claim.limit.kind());
        // Writing to a string does not fail.
        let _ = write!(key, "c:{kind}:{}:{root}", root.len());
        if let Kind::Budget(budget) = claim.limit.kind() {
            // A budget in another currency or over other stretches of time is another budget.
            let _ = write!(key, "{} {:?}", budget.currency(), budget.window());
        }
        let _ = write!(key, "\"{}\"{}", claim.limit.name(), claim.subject);
        key
    }
}

/// The letter of a kind, as scripts know it.
pub(super) fn kind(kind: &Kind) -> char {
    match kind {
        Kind::Budget(budget) if budget.window().rolls_over().is_some() => 'o',
        Kind::Budget(_) => 'b',
        Kind::Rate(_) => 'r',
        Kind::Concurrency(_) => 'c',
    }
}

/// Where everything under `root` is: the same in every process, for ever.
pub(super) fn bucket(root: &str) -> u8 {
    let mixed = fnv(root.as_bytes());
    let folded = (mixed ^ (mixed >> 32)) % u64::from(BUCKETS);
    u8::try_from(folded).unwrap_or_default()
}

/// FNV-1a.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A name for a hold in `bucket`: 119 random bits, and the bucket. The highest bit is not set.
pub(super) fn hold(bucket: u8, random: [u8; 16]) -> HoldId {
    let random = u128::from_be_bytes(random) & !(1 << 127) & !0xff;
    HoldId(random | u128::from(bucket))
}

/// The bucket of a hold.
///
/// # Errors
///
/// Where this store did not make the hold.
pub(super) fn bucket_of(hold: HoldId) -> Result<u8, CounterError> {
    match u8::try_from(hold.0 & 0xff) {
        Ok(bucket) if bucket < BUCKETS && hold.0 >> 127 == 0 => Ok(bucket),
        _ => Err(CounterError::Invalid("no such hold was made here")),
    }
}

/// Limit and subject, from the key of a cell.
pub(super) fn limit_and_subject(key: &str) -> Option<(Arc<str>, Arc<str>)> {
    let mut parts = key.splitn(5, ':');
    let (_tag, _c, _kind) = (parts.next()?, parts.next()?, parts.next()?);
    let root: usize = parts.next()?.parse().ok()?;
    let (_root, rest) = parts.next()?.split_at_checked(root)?;
    let mut parts = rest.splitn(3, '"');
    let (_window, limit, subject) = (parts.next()?, parts.next()?, parts.next()?);
    Some((limit.into(), subject.into()))
}
