//! How a key stands in the file `subjects`.
//!
//! ```text
//! offset  bytes
//!      0      8  what it is: `zt-vault`, `zt-key-1`, `zt-day-1`, `zt-gone1`, `zt-void1`
//!      8     16  pseudonym
//!     24      8  the day of a day's key, since 1970-01-01, little-endian
//!     32      8  how many slots were durable before it was written, little-endian
//!     40     60  the wrapped key: nonce, ciphertext, tag
//!    100      4  zero
//!    104     24  of SHA-256 of all that
//! ```
//!
//! A slot divides a sector of 512 bytes evenly, so that none lies in two. Slot 0 is the vault's own:
//! the key in it is used for nothing but to tell whether the sealing key is the right one. Slots are
//! found by their number, which stands with everything that was sealed under them, and never move.

use sha2::{Digest, Sha256};

use super::{Pseudonym, master::WRAPPED};

pub(super) const SLOT: usize = 128;
const CHECKED: usize = 104;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The vault's own.
    Vault,
    /// The key of a person.
    Person,
    /// The key of a day.
    Day,
    /// A key that was destroyed.
    Gone,
    /// A slot that is not used: it was half written, or marks an opening.
    Void,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Vault, Self::Person, Self::Day, Self::Gone, Self::Void];

    const fn mark(self) -> [u8; 8] {
        match self {
            Self::Vault => *b"zt-vault",
            Self::Person => *b"zt-key-1",
            Self::Day => *b"zt-day-1",
            Self::Gone => *b"zt-gone1",
            Self::Void => *b"zt-void1",
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) who: Pseudonym,
    pub(super) day: u64,
    /// How many slots were durable before it was written.
    pub(super) after: u64,
    pub(super) wrapped: [u8; WRAPPED],
}

impl Slot {
    /// One without a key.
    pub(super) const fn empty(kind: Kind, who: Pseudonym) -> Self {
        Self {
            kind,
            who,
            day: 0,
            after: 0,
            wrapped: [0; WRAPPED],
        }
    }

    /// What is bound to the wrapped key.
    pub(super) fn about(kind: Kind, who: Pseudonym, day: u64) -> [u8; 32] {
        let mut about = [0; 32];
        let parts = kind.mark().into_iter().chain(*who.as_bytes());
        for (to, from) in about.iter_mut().zip(parts.chain(day.to_le_bytes())) {
            *to = from;
        }
        about
    }

    pub(super) fn write(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        let fields = Self::about(self.kind, self.who, self.day)
            .into_iter()
            .chain(self.after.to_le_bytes())
            .chain(self.wrapped);
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        let (checked, sum) = bytes.split_at_mut(CHECKED);
        for (to, from) in sum.iter_mut().zip(Sha256::digest(checked)) {
            *to = from;
        }
        bytes
    }

    /// `None` where it is not as it was written.
    pub(super) fn read(bytes: &[u8; SLOT]) -> Option<Self> {
        let (checked, sum) = bytes.split_at(CHECKED);
        if !Sha256::digest(checked).starts_with(sum) {
            return None;
        }
        let (mark, rest) = checked.split_first_chunk()?;
        let (who, rest) = rest.split_first_chunk()?;
        let (day, rest) = rest.split_first_chunk()?;
        let (after, rest) = rest.split_first_chunk()?;
        let (wrapped, _) = rest.split_first_chunk()?;
        Some(Self {
            kind: Kind::ALL.into_iter().find(|kind| kind.mark() == *mark)?,
            who: Pseudonym::from_bytes(*who),
            day: u64::from_le_bytes(*day),
            after: u64::from_le_bytes(*after),
            wrapped: *wrapped,
        })
    }
}
