//! Personal fields, sealed so that they can be forgotten.
//!
//! What is personal in a record (subject, addresses, user agent, path, detail) stands in it sealed by
//! AES-256-GCM under a key of the person that it is about, and beside it a pseudonym of that person:
//! HMAC-SHA-256 under a key of the log's vault, so that all records of a person are found again by
//! whoever has the vault, and by nobody else. To erase a person is to destroy their key: the records
//! stay as they are, and the log still verifies.
//!
//! The vault is a folder of its own, never inside the log: who carries the log away carries no key.
//! Records of callers without a name are sealed under a key of the day, so that strangers cannot
//! make keys grow; to forget them is to destroy the key of that day.

mod pseudonym;
#[cfg(test)]
mod tests;
mod vault;

pub use self::{
    pseudonym::{DataSubject, Pseudonym},
    vault::{Sealed, Vault, VaultError, VaultOptions},
};
