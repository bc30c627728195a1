//! Personal fields, sealed so that they can be forgotten.
//!
//! What is personal in a record (subject, addresses, user agent, path, detail) stands in it sealed by
//! AES-256-GCM under a key of the person that it is about, and beside it a pseudonym of that person:
//! HMAC-SHA-256 under a key of the log's vault, so that all records of a person are found again by
//! whoever has the vault, and by nobody else. To erase a person is to destroy their key: the records
//! stay as they are, and the log still verifies.
//!
//! The vault is a folder of its own, never inside the log: who carries the log away carries no key.
//!
//! # What holds
//!
//! 1. Every person has a random key, wrapped (AES-256-GCM) under a key that comes, by HKDF, from the
//!    sealing key: 32 random bytes in the file `sealing.key`, or given by the application. The
//!    pseudonyms' key comes from it likewise.
//! 2. A key is durable before a record that it seals is written. A loss of power in between leaves a
//!    key that nothing uses, never a record that nobody can open.
//! 3. What is sealed is bound to the origin and the index of its record, and its key to its
//!    pseudonym: nothing that was moved or altered opens.
//! 4. Who came without a name is sealed under a key of that day, and so is, once there are as many
//!    persons as the vault may have (1,000,000 by default), every further one. So strangers make no
//!    keys. The keys of days are destroyed when they are older than the vault keeps them (a year by
//!    default); before that such a caller is forgotten by nobody but with their whole day.
//! 5. A key that was destroyed is overwritten where it stood, and flushed. A destruction that was
//!    begun is finished at the next opening, if the machine stopped in it. What the person does
//!    later is sealed under another key.
//! 6. A slot that was being written when the machine stopped is dropped at opening. Any other damage
//!    refuses, and is named, and so does a file that is missing beside the other: a key is never
//!    quietly taken for one that was never there.
//! 7. One process at a time makes and destroys keys (`LOCK`); any number read beside it, and see what
//!    it does at once.
//!
//! # Refusals
//!
//! [`VaultError`]. A writer of the log that cannot seal does not write: its records fail with
//! `audit-unavailable`.
//!
//! # What is weaker than it looks
//!
//! - Overwriting in place destroys a key on a disk that writes in place. File systems that copy on
//!   write (btrfs, ZFS, snapshots) and SSDs, which move what is written, may keep the older block
//!   for a while. It is of use only with `sealing.key`: keep that elsewhere (a secret store, an
//!   encrypted volume), and what a disk remembers is worth nothing without it.
//! - A copy of the vault from before an erasure opens what was erased. Backups of the vault have to
//!   expire as soon as the law wants people forgotten. Backups of the log need not.
//! - A vault that is put back to an older copy has lost the keys made since. New keys go into the
//!   places of those, and what the lost ones sealed does not open: it is reported as altered.
//! - Damage to the slots written last, before anything else was written after them, looks like a
//!   slot that was half written. The vault opens; what such a slot sealed is reported as damage.
//! - Where the application keeps the sealing key, a vault without its file `subjects` looks new.
//! - A pseudonym links the records of one person for everybody who reads the log. That is the price
//!   of finding them. What stands in the clear beside it (route, tenant, times) is not erased.
//! - Two issuers' users of the same name share what is sealed under the name alone (budgets, grants,
//!   authors): erasing one erases that of both.
//! - A key may seal 2^32 records (NIST SP 800-38D section 8.3: nonces of 96 random bits). Nonces are
//!   not counted up from the index: an index is used again after a torn tail. The key of a day gets
//!   there with 49,710 anonymous records a second.
//! - The log's own memory: sealed fields pass through it in the clear, and keys that are in use stay
//!   in it, at most 4,096. The bytes of keys are wiped; what the cipher expands them to is freed
//!   without.
//!
//! # Fleets
//!
//! Each log has a vault of its own, and an erasure is to be done at each. Where all of them are given
//! one sealing key, a person has one pseudonym in all of them.
//!
//! # Standards
//!
//! NIST SP 800-38D (GCM); RFC 5869 (HKDF with SHA-256); RFC 2104 (HMAC).

mod cache;
mod error;
mod master;
mod options;
mod pseudonym;
mod slot;
mod subjects;
#[cfg(test)]
mod tests;
mod vault;

pub use self::{
    error::VaultError,
    options::VaultOptions,
    pseudonym::{DataSubject, Pseudonym},
    vault::{Forgotten, Sealed, Vault},
};
