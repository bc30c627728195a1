//! Opening a file: locking it, reading what is in it, putting half a record aside.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    OpenError,
    sink::{FileSink, Locked},
};
use crate::{
    first_form::{Finding, verify},
    merkle::Hash,
    record::Chain,
};

/// A log that can be continued.
pub(super) struct Opened {
    pub(super) sink: FileSink,
    pub(super) chain: Chain,
    pub(super) torn: Option<Torn>,
}

/// Half a record that was moved aside.
pub(super) struct Torn {
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: Hash,
}

pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let fails = |action| move |source| file_error(action, path, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(fails("open"))?;
    let mut file = lock(file, path)?;
    sync_folder(path).map_err(fails("create"))?;

    let report = verify(&file.0).map_err(fails("read"))?;
    let torn = match report.finding {
        Finding::Intact | Finding::Empty => None,
        Finding::Bad(record) => {
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                record,
            });
        }
        Finding::Torn {
            offset,
            bytes,
            sha256,
        } => {
            let aside = move_aside(&mut file.0, path, offset)?;
            Some(Torn {
                file: aside,
                bytes,
                sha256: Hash::from_bytes(sha256),
            })
        }
    };
    Ok(Opened {
        sink: FileSink::new(file, report.bytes),
        chain: Chain::new(
            "log".into(),
            report.records,
            Hash::from_bytes(report.last_hash),
            None,
        ),
        torn,
    })
}

/// One writer a file; and the file is still the one that has the name.
fn lock(file: File, path: &Path) -> Result<Locked, OpenError> {
    let fails = |source| file_error("lock", path, source);
    let file = match file.try_lock() {
        Ok(()) => Locked(file),
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => return Err(fails(source)),
    };
    let named = fs::metadata(path).map_err(fails)?;
    let held = file.0.metadata().map_err(fails)?;
    if !held.is_file() {
        return Err(fails(io::Error::other("it is not a regular file")));
    }
    if (named.dev(), named.ino()) != (held.dev(), held.ino()) {
        return Err(fails(io::Error::other("it was exchanged just now")));
    }
    Ok(file)
}

/// Copies what begins at `offset` into a file of its own, makes that durable, and only then cuts
/// it off the log.
fn move_aside(log: &mut File, path: &Path, offset: u64) -> Result<PathBuf, OpenError> {
    let mut torn = Vec::new();
    log.seek(SeekFrom::Start(offset))
        .and_then(|_| log.read_to_end(&mut torn))
        .map_err(|source| file_error("read", path, source))?;

    let (aside, mut file) = create_aside(path)?;
    file.write_all(&torn)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path))
        .map_err(|source| file_error("write", &aside, source))?;
    log.set_len(offset)
        .and_then(|()| log.sync_all())
        .map_err(|source| file_error("shorten", path, source))?;
    Ok(aside)
}

/// `<log>.torn`, or `<log>.torn.1` and so on where that is there from an earlier time.
fn create_aside(path: &Path) -> Result<(PathBuf, File), OpenError> {
    let mut number = 0_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(".torn");
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let aside = PathBuf::from(name);
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside);
        match created {
            Ok(file) => return Ok((aside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {
                number += 1;
            }
            Err(source) => return Err(file_error("create", &aside, source)),
        }
    }
}

/// Makes the name of `path` durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
