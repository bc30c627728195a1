//! The names of everything in the server.
//!
//! ```text
//! {zt-07}:gen                                      generation
//! {zt-07}:due  :ended  :untold  :news              holds by their ends; those that have ended, and
//!                                                  of which nobody was told; what to tell of them
//! {zt-07}:h:<hold>                                 a hold, later its tombstone
//! {zt-07}:a:<token>                                a change that an administrator made
//! {zt-07}:c:<bytes>:<root><limit>"<subject>        record of a cell
//! {zt-07}:w:<start>"<window>"<bytes>:<root>...     one window of it, all slots of a rolling one
//! ```
//!
//! The tag in braces comes first, so braces in the names of subjects mean nothing. No name has
//! control characters, and no limit's or window's has quotes, so no two things share a key.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    counter::{Claim, HoldId},
    limit::{Kind, Window},
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
        // Writing to a string does not fail.
        let _ = write!(key, "c:{}:{root}", root.len());
        let _ = write!(key, "{}\"{}", claim.limit.name(), claim.subject);
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

/// What limits of one name have to agree in.
pub(super) fn family(kind: &Kind) -> String {
    match kind {
        Kind::Budget(budget) => format!("b {}", budget.currency()),
        Kind::Rate(_) => "r".to_owned(),
        Kind::Concurrency(_) => "c".to_owned(),
    }
}

/// Names a kind of window: where it changes, the next one begins with what was used in the last.
pub(super) fn label(window: &Window) -> String {
    format!("{window:?}")
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

/// The bucket of a hold; none where this store cannot have made it.
pub(super) fn bucket_of(hold: HoldId) -> Option<u8> {
    let bucket = u8::try_from(hold.0 & 0xff).ok()?;
    (bucket < BUCKETS && hold.0 >> 127 == 0).then_some(bucket)
}

/// Root, limit and subject, from the key of a cell.
pub(super) fn parse_cell(key: &str) -> Option<(Arc<str>, Arc<str>, Arc<str>)> {
    let (_tag, rest) = key.split_once("}:c:")?;
    let (root, rest) = rest.split_once(':')?;
    let (root, rest) = rest.split_at_checked(root.parse().ok()?)?;
    let (limit, subject) = rest.split_once('"')?;
    Some((root.into(), limit.into(), subject.into()))
}
