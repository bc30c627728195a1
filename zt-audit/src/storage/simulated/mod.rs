//! A disk in memory that fails and loses power as it is told, for tests.
//!
//! What it promises is what POSIX promises, and no more:
//!
//! 1. What was written is read back at once, and is durable only when [`sync`](StorageFile::sync) said
//!    so. Until then each page of 4 KiB, and in a torn one each sector of 512 bytes, stands on the disk
//!    as it was after any of the writes since, or before all of them: writes are dropped, reordered and
//!    torn. The length is on the disk or not, whatever the pages are.
//! 2. A name that was made, exchanged or removed is durable only when its folder was synced; until then
//!    each change is there or is not, in any combination. One rename is there wholly or not at all. The
//!    folders themselves were always there.
//! 3. A flush that failed may have written some pages. The others are gone: they are still read, they
//!    count as clean, and the next flush says "done" without them, as Linux does. Each other handle that
//!    was open then is told once, at its next flush; one that is opened later is not.
//! 4. Once the power is off, every operation fails; [`power_loss`](SimulatedDisk::power_loss) gives the
//!    disk that is found afterwards. [`Loss::Nothing`] is the end of a process on a machine that goes on.
//! 5. Bytes that are written ahead hold their place: writing over them needs no room. A length that was
//!    set without writing holds none.
//!
//! Every call is an operation with a number, from 1; [`replace`](Storage::replace) is those that the
//! real one makes. A fault belongs to a number, so that a test can make each operation fail in turn.
//! What is left to chance comes from a seed: the same seed and the same operations end alike. Threads
//! that run beside each other number their operations as they come; [`trace`](SimulatedDisk::trace) says
//! which was which.
//!
//! ```
//! use zt_audit::storage::{Storage, StorageFile, simulated::{Loss, SimulatedDisk}};
//!
//! let disk = SimulatedDisk::new(7);
//! let mut file = disk.open("log/a", true)?;
//! file.write_at(b"durable", 0)?;
//! file.sync()?;
//! disk.sync_folder("log")?;
//! file.write_at(b"perhaps", 7)?;
//!
//! let found = disk.power_loss(Loss::Everything);
//! assert_eq!(found.read("log/a").unwrap(), b"durable");
//! assert!(file.sync().is_err());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It does not simulate bytes that change by themselves, blocks of other files that show up in new ones,
//! or a disk that lies about a flush that it was asked for.

mod chance;
mod disk;
mod inode;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::disk::{Disk, Hook, Id};
use super::{Place, Storage, StorageFile};

/// A disk in memory; clones share it. See the [module](self).
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    disk: Arc<Mutex<Disk>>,
    /// Where on it names begin; empty, or with a `/` at its end.
    within: String,
}

/// What an operation does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `EIO`. Of a write, a part may have been taken; after a flush, pages are gone.
    Io,
    /// `ENOSPC`, in the same way.
    NoSpace,
    /// A write takes some of the bytes and says how many; other operations do as they should.
    Short,
    /// `EINTR`: nothing was done.
    Interrupted,
    /// The power goes off while it is under way.
    PowerOff,
}

/// What a loss of power leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is lost: the process ended, the machine went on.
    Nothing,
    /// Nothing of it is left.
    Everything,
    /// Whatever this seed says.
    Random(u64),
}

/// An operation that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its number, from 1.
    pub number: u64,
    /// What it was.
    pub kind: Kind,
    /// Of which file or folder.
    pub name: String,
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named for what it does")]
#[non_exhaustive]
pub enum Kind {
    Lock,
    Open,
    Create,
    Read,
    Write,
    Sync,
    Length,
    SetLength,
    Place,
    List,
    Rename,
    Remove,
    SyncFolder,
}

impl Kind {
    /// Whether it can change what is on the disk.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Write
                | Self::Sync
                | Self::SetLength
                | Self::Rename
                | Self::Remove
                | Self::SyncFolder
        )
    }
}

impl SimulatedDisk {
    /// An empty disk without bounds.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Disk::new(seed))
    }

    /// A folder of the same disk, to be used like a disk of its own: a log and its keys lose their power
    /// together, and their operations are numbered together.
    #[must_use]
    pub fn within(&self, folder: &str) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            within: format!("{}{folder}/", self.within),
        }
    }

    /// Makes the operation with this number fail. Numbers go on over the disk's life.
    pub fn fail(&self, number: u64, fault: Fault) {
        self.disk().fail(number, fault);
    }

    /// Makes every operation that can change something fail from this number on, until
    /// [`heal`](Self::heal): a disk that broke, or that is full for good.
    pub fn fail_from(&self, number: u64, fault: Fault) {
        self.disk().fail_from(number, fault);
    }

    /// Takes back what [`fail`](Self::fail) and [`fail_from`](Self::fail_from) announced. What was lost
    /// stays lost.
    pub fn heal(&self) {
        self.disk().heal();
    }

    /// Has whoever flushes a file call `hook` first, with the file's name on the whole disk; no operation.
    /// The disk is not locked meanwhile: a hook that waits holds up this flush and nothing else. A disk
    /// that is found after a loss of power has none.
    pub fn before_sync(&self, hook: impl Fn(&str) + Send + Sync + 'static) {
        self.disk().before_sync = Some(Hook(Arc::new(hook)));
    }

    /// How many bytes files may hold, in pages of 4 KiB.
    pub fn limit(&self, bytes: Option<u64>) {
        self.disk().limit(bytes);
    }

    /// How many operations were made.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations()
    }

    /// How many faults happened.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.disk().faults()
    }

    /// Every operation that was made.
    #[must_use]
    pub fn trace(&self) -> Vec<Operation> {
        self.disk().trace().to_vec()
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk().is_off()
    }

    /// Turns the power off, for good, and answers the disk that is found when it is on again. Asked
    /// more than once, it answers what else could have been found.
    #[must_use]
    pub fn power_loss(&self, loss: Loss) -> Self {
        let mut disk = self.disk();
        disk.power_off();
        self.same_place(disk.after(loss))
    }

    /// What would be found if the power went off now; it stays on.
    #[must_use]
    pub fn after(&self, loss: Loss) -> Self {
        self.same_place(self.disk().after(loss))
    }

    /// The bytes of a file as a reader sees them now; no operation.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.disk().content(&self.full(name))
    }

    /// The names of all files; no operation.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.disk().names();
        let within = |name: String| name.strip_prefix(&self.within).map(str::to_owned);
        names.into_iter().filter_map(within).collect()
    }

    /// Gives a file another name as well, behind the back of whoever has it open; no operation.
    ///
    /// # Errors
    ///
    /// Where there is no such file.
    pub fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk().link(&self.full(from), &self.full(to))
    }

    /// Puts a file with these bytes under a name, durably, behind the back of whoever has it open; no
    /// operation.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.disk().put(&self.full(name), bytes);
    }

    /// Takes a name away, behind the back of whoever has it open; no operation.
    pub fn unlink(&self, name: &str) {
        self.disk().unlink(&self.full(name));
    }

    /// Copies the files as they are now into a folder of the file system.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn copy_to(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for name in self.names() {
            let bytes = self.read(&name).unwrap_or_default();
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// A new file with these bytes, durable but for its name.
    fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let id = self.disk().open(name, true)?;
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let offset = u64::try_from(taken).map_err(io::Error::other)?;
            match self.disk().write(id, name, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => taken += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.disk().sync(id, name, &mut 0)
    }

    fn of(disk: Disk) -> Self {
        Self {
            disk: Arc::new(Mutex::new(disk)),
            within: String::new(),
        }
    }

    fn same_place(&self, disk: Disk) -> Self {
        Self {
            within: self.within.clone(),
            ..Self::of(disk)
        }
    }

    /// The name on the whole disk; of a folder without the `/` at its end.
    fn full(&self, name: &str) -> String {
        let full = format!("{}{name}", self.within);
        match full.strip_suffix('/') {
            Some(folder) => folder.to_owned(),
            None => full,
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SimulatedDisk {
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        let name = self.full(name);
        self.disk().lock(&name)?;
        Ok(Box::new(Lock {
            disk: self.clone(),
            name,
        }))
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let name = self.full(name);
        let mut disk = self.disk();
        let id = disk.open(&name, create)?;
        Ok(Box::new(File {
            disk: self.clone(),
            name,
            id,
            seen: disk.errors(id),
        }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // One lock for all of it would hide what another thread can see between.
        let name = self.full(name);
        let beside = format!("{name}.new");
        if self.disk().names().contains(&beside) {
            self.disk().remove(&beside)?;
        }
        let written = self
            .write_whole(&beside, bytes)
            .and_then(|()| self.disk().rename(&beside, &name));
        if written.is_err() {
            // As the real one: the error that counts is the first.
            let _ = self.disk().remove(&beside);
        }
        written?;
        self.disk().sync_folder(disk::folder_of(&name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.disk().list(&self.full(folder))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk().remove(&self.full(name))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk().sync_folder(&self.full(folder))
    }
}

struct Lock {
    disk: SimulatedDisk,
    name: String,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.disk().unlock(&self.name);
    }
}

#[derive(Debug)]
struct File {
    disk: SimulatedDisk,
    name: String,
    id: Id,
    /// How many failed flushes of the file it was told of.
    seen: u64,
}

impl StorageFile for File {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.disk().read(self.id, &self.name, out, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.disk().write(self.id, &self.name, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        let hook = self.disk.disk().before_sync.clone();
        if let Some(Hook(hook)) = hook {
            hook(&self.name);
        }
        self.disk.disk().sync(self.id, &self.name, &mut self.seen)
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.disk().length(self.id, &self.name)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.disk.disk().set_length(self.id, &self.name, length)
    }

    fn is_in_place(&self) -> io::Result<Place> {
        self.disk.disk().place(self.id, &self.name)
    }
}
