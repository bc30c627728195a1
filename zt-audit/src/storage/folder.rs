//! The file system.
//!
//! 1. What is made is its owner's alone: files 0600, folders 0700. What is there keeps its mode.
//! 2. A name leads to a regular file within the folder: a symbolic link, a device, a pipe, a `..`
//!    is refused, also where a link stands in the place of a folder within it. The folder itself
//!    may be reached by a link: that is the choice of whoever names it.
//! 3. A folder that was opened to read makes nothing and changes nothing.
//! 4. A lock is a lock of the system (`flock`): it ends with the process, however that ends.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{Place, Storage, StorageFile, facts::Facts};

/// A folder of the file system. Files are readable and writable for their owner alone.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Folder {
    /// The folder at `path`, made where there is none (its parent must be there).
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_parent(path)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                is_folder(path)?;
                made_before(path)?;
            }
            Err(error) => return Err(error),
        }
        Ok(Self {
            path: path.to_owned(),
            access: Access::Write,
        })
    }

    /// The folder at `path`, to read from only: nothing is made, locked or changed.
    ///
    /// # Errors
    ///
    /// Where there is none, and what the file system says.
    pub fn read_only(path: impl AsRef<Path>) -> io::Result<Self> {
        is_folder(path.as_ref())?;
        Ok(Self {
            path: path.as_ref().to_owned(),
            access: Access::Read,
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn to_write(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder was opened to read",
            )),
        }
    }

    /// Where `name` is; no link stands in the place of a folder on the way.
    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |part| matches!(part, Component::Normal(_));
        if name.is_empty() || !Path::new(name).components().all(plain) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` is not a name within a log"),
            ));
        }
        let path = self.path.join(name);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.path) {
            match fs::symlink_metadata(folder) {
                Ok(found) if !found.is_dir() => return Err(not_regular(folder)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }

    /// Makes the folder that `path` stands in, where there is none.
    fn make_parent(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|parent| *parent != self.path) else {
            return Ok(());
        };
        match DirBuilder::new().mode(0o700).create(parent) {
            Ok(()) => sync_parent(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => made_before(parent),
            Err(error) => Err(error),
        }
    }

    /// The one way in which a file is opened to write.
    fn open_to_write(&self, path: &Path, how: Make) -> io::Result<File> {
        self.to_write()?;
        if how != Make::Nothing {
            self.make_parent(path)?;
        }
        let file = plain_options()
            .write(true)
            .create(how == Make::IfMissing)
            .create_new(how == Make::New)
            .mode(0o600)
            .open(path)?;
        regular(file, path)
    }
}

/// A file that this process alone has locked.
struct Locked(OpenFile);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked at this moment and has not yet called
        // `exec` holds the file open too, and the lock with it. Where it fails, closing is left.
        let _ = self.0.file.unlock();
    }
}

/// What an opening may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    Nothing,
    IfMissing,
    New,
}

impl Storage for Folder {
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        let path = self.path_of(name)?;
        let file = self.open_to_write(&path, Make::IfMissing)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever removes the file while another holds it would let two in.
        let file = Locked(OpenFile::new(file, path)?);
        match file.0.is_in_place()? {
            Place::Named | Place::Linked => Ok(Box::new(file)),
            Place::Gone | Place::Replaced => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path_of(name)?;
        let file = match (self.access, create) {
            (Access::Read, false) => regular(plain_options().open(&path)?, &path)?,
            (_, true) => self.open_to_write(&path, Make::New)?,
            (_, false) => self.open_to_write(&path, Make::Nothing)?,
        };
        Ok(Box::new(OpenFile::new(file, path)?))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path_of(name)?;
        let beside = self.path_of(&format!("{name}.new"))?;
        self.to_write()?;
        // One that a crash left behind.
        match fs::remove_file(&beside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let written = self.open_to_write(&beside, Make::New).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        });
        if written.is_err() {
            // It may not be there at all; the error that counts is the first.
            let _ = fs::remove_file(&beside);
        }
        written?;
        sync_parent(&path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = match folder {
            "" => self.path.clone(),
            folder => self.path_of(folder)?,
        };
        if !folder.is_empty() {
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(not_regular(&path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue;
            }
            // Nothing of a log's own has a name that is not text.
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.to_write()?;
        fs::remove_file(self.path_of(name)?)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.to_write()?;
        let path = match folder {
            "" => self.path.clone(),
            folder => self.path_of(folder)?,
        };
        File::open(path)?.sync_all()
    }
}

/// A file of a folder. Dropping it gives up a lock that it holds.
#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl OpenFile {
    fn new(file: File, path: PathBuf) -> io::Result<Self> {
        let id = Facts::of(&file)?.id;
        Ok(Self { file, path, id })
    }
}

impl StorageFile for OpenFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done = done.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(Facts::of(&self.file)?.length)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn is_in_place(&self) -> io::Result<Place> {
        let named = match Facts::at(&self.path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::Gone),
            Err(error) => return Err(error),
        };
        if named.id != self.id {
            return Ok(Place::Replaced);
        }
        Ok(match named.names {
            1 => Place::Named,
            _ => Place::Linked,
        })
    }
}

/// To read; follows no link in the last place, and does not wait for the other end of a pipe.
fn plain_options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    options
}

fn regular(file: File, path: &Path) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular(path))
    }
}

fn is_folder(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

fn not_regular(path: &Path) -> io::Error {
    io::Error::other(format!(
        "`{}` is not a regular file or folder",
        path.display()
    ))
}

/// Makes the name of a folder durable that was there already: who made it may have been killed before
/// they came to it. One whose parent is not ours to read was made by somebody else.
fn made_before(path: &Path) -> io::Result<()> {
    match sync_parent(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Makes the name of `path` durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}
