use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::PublishError;
use crate::{merkle::tile::Tile, note::MAX_NOTE};

/// The folder that is published; locked while this lives.
#[derive(Debug)]
pub(super) struct Out {
    path: PathBuf,
    folder: File,
    pub(super) written: u64,
    pub(super) unchanged: u64,
}

/// Whether what is there already has to be what is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// A published checkpoint covers it.
    Published,
    /// At most a run that was cut short left something there.
    Nothing,
}

impl Drop for Out {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked at this moment holds the lock too, until it
        // calls `exec`. Where it fails, closing is left.
        let _ = self.folder.unlock();
    }
}

impl Out {
    pub(super) fn open(path: &Path) -> Result<Self, PublishError> {
        fs::create_dir_all(path).map_err(PublishError::file("make", path))?;
        let folder = File::open(path).map_err(PublishError::file("open", path))?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PublishError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => {
                return Err(PublishError::file("lock", path)(source));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            written: 0,
            unchanged: 0,
        })
    }

    /// The checkpoint that is published.
    pub(super) fn checkpoint(&self) -> Result<Option<Vec<u8>>, PublishError> {
        let path = self.path.join(CHECKPOINT);
        read(&path, MAX_NOTE).map_err(PublishError::file("read", &path))
    }

    /// Makes the file `name` have these bytes. It never has a part of them.
    pub(super) fn put(
        &mut self,
        name: &str,
        bytes: &[u8],
        before: Before,
    ) -> Result<(), PublishError> {
        let path = self.path.join(name);
        let there = read(&path, bytes.len()).map_err(PublishError::file("read", &path))?;
        match there {
            Some(there) if there == bytes => {
                self.unchanged += 1;
                return Ok(());
            }
            Some(_) if before == Before::Published => return Err(PublishError::Differs(path)),
            _ => {}
        }
        self.written += 1;
        // One that is published and gone must not be half there after a crash, since then it
        // would have been changed. All others are made durable at once before the checkpoint.
        exchange(&path, bytes, before == Before::Published)
            .map_err(PublishError::file("write", &path))
    }

    /// Makes durable what was written, and then exchanges the checkpoint.
    pub(super) fn finish(&mut self, note: &[u8]) -> Result<(), PublishError> {
        self.flush()
            .map_err(PublishError::file("flush", &self.path))?;
        let path = self.path.join(CHECKPOINT);
        let there = read(&path, note.len()).map_err(PublishError::file("read", &path))?;
        if there.as_deref() != Some(note) {
            exchange(&path, note, true).map_err(PublishError::file("write", &path))?;
            self.flush()
                .map_err(PublishError::file("flush", &self.path))?;
        }
        Ok(())
    }

    /// Removes the partial tiles in the place of one that is full and published.
    pub(super) fn remove_partial(&self, name: &str) -> Result<(), PublishError> {
        let path = self.path.join(format!("{name}.p"));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PublishError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// One flush of the file system, where there is such a thing, in place of one a file.
    #[cfg(target_os = "linux")]
    fn flush(&self) -> io::Result<()> {
        rustix::fs::syncfs(&self.folder)?;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn flush(&self) -> io::Result<()> {
        rustix::fs::sync();
        self.folder.sync_all()
    }
}

/// The file's bytes, of which `most` are expected: of a longer one, one more. `None` where there is
/// none.
fn read(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes beside it and renames.
fn exchange(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // What a run that was cut short left; never a link to somewhere else.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&beside)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&beside, path)
}

/// Whether the checkpoint over `size` records covers this tile, as wide as it is.
pub(super) fn covered(tile: &Tile, size: u64) -> Before {
    let hashes = size.checked_shr(8 * u32::from(tile.level)).unwrap_or(0);
    let (full, rest) = (hashes >> 8, hashes & 255);
    let whole = tile.index < full && tile.width == 256;
    let last = tile.index == full && u64::from(tile.width) == rest;
    match whole || last {
        true => Before::Published,
        false => Before::Nothing,
    }
}

const CHECKPOINT: &str = "checkpoint";
