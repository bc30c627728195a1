//! The files of a log, as few operations as it needs, so that a test can be the disk.
//!
//! [`Folder`] is the real one. After an error of `write_at` or `sync` a file is dropped and never asked
//! again: what a failed write or flush left behind cannot be known, and a second flush of the same
//! file may answer "good" for pages that were thrown away.

mod facts;
mod folder;
#[cfg(any(test, feature = "test-util"))]
pub mod simulated;
#[cfg(test)]
mod tests;

use std::{fmt, io};

pub use self::folder::Folder;

/// A folder with files in it, one level of folders deep. Names are relative, with `/`.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Keeps every other process out until the guard is dropped.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another has it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>>;

    /// Opens a file to read and write; `create` makes a new one and fails where there is one.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, or what the disk says.
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>>;

    /// Makes `name` be these bytes, durably, and never anything between: written beside it, flushed,
    /// renamed, and the folder flushed.
    ///
    /// # Errors
    ///
    /// What the disk says; the old file is then there.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// The names of files in `folder` (empty for the top), in order; none where there is no such
    /// folder.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// An open file.
pub trait StorageFile: fmt::Debug + Send + Sync + 'static {
    /// Reads at `offset`; fewer bytes only at the end.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset`, and answers how many bytes it took.
    ///
    /// # Errors
    ///
    /// What the disk says. [`io::ErrorKind::Interrupted`] means: none, ask again.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes what was written durable (`fdatasync`).
    ///
    /// # Errors
    ///
    /// When anything may be lost.
    fn sync(&mut self) -> io::Result<()>;

    /// Its length.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn length(&self) -> io::Result<u64>;

    /// Makes it so long; new bytes are NUL.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn set_length(&mut self, length: u64) -> io::Result<()>;

    /// Whether it still is the one file of its name: not deleted, not exchanged, with one link.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn is_in_place(&self) -> io::Result<Place>;
}

/// Where an open file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Under its name, with no other link.
    Named,
    /// Nothing has its name.
    Gone,
    /// Another file has its name.
    Replaced,
    /// It has another name as well.
    Linked,
}
