//! All files as they were at one moment.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Files, FilesError};
use crate::id::TrustDomain;

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Certificate,
    Key,
    Bundle(TrustDomain),
    Roots,
    List,
}

/// What all files held.
pub(super) struct Seen {
    pub(super) parts: Vec<Part>,
    pub(super) marks: Marks,
}

/// What one file held.
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) file: Arc<Path>,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Whether others than owner and group may read it.
    pub(super) open: bool,
}

/// What one reading of all files is told from another by.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Marks(Vec<Mark>);

#[derive(Clone, PartialEq, Eq)]
struct Mark {
    digest: [u8; 32],
    place: Place,
    modified: Option<SystemTime>,
}

/// Which file it was, whatever its name, and since when: the number of one that is gone is given to
/// another. `None` where the system does not say.
type Place = (Option<(u64, u64)>, Option<SystemTime>);

impl Files {
    fn all(&self) -> impl Iterator<Item = (Role, &Arc<Path>)> {
        let bundles = self.bundles.iter();
        [
            (Role::Certificate, &self.certificate),
            (Role::Key, &self.key),
        ]
        .into_iter()
        .chain(bundles.map(|(domain, path)| (Role::Bundle(domain.clone()), path)))
        .chain(self.roots.iter().map(|path| (Role::Roots, path)))
        .chain(self.lists.iter().map(|path| (Role::List, path)))
    }

    /// What all files held at one moment; or nothing, where that is what is `known`.
    ///
    /// Two readings that agree had that moment between them: each file held then what it held before
    /// and after.
    pub(super) fn read(&self, known: Option<&Marks>) -> Result<Option<Seen>, FilesError> {
        let mut before = self.read_once();
        if let (Ok(seen), Some(known)) = (&before, known)
            && seen.marks.same_content(known)
        {
            // The reading that `known` is of was the other one.
            return Ok(None);
        }
        for _ in 0..MOST_READINGS {
            let after = self.read_once();
            match (before, after) {
                (Ok(before), Ok(after)) if before.marks == after.marks => return Ok(Some(after)),
                (Err(before), Err(after)) if before == after => return Err(after),
                (_, after) => before = after,
            }
        }
        Err(FilesError::Changing)
    }

    fn read_once(&self) -> Result<Seen, FilesError> {
        let (mut parts, mut marks) = (Vec::new(), Vec::new());
        for (role, file) in self.all() {
            let (part, mark) = Part::read(role, file)?;
            parts.push(part);
            marks.push(mark);
        }
        Ok(Seen {
            parts,
            marks: Marks(marks),
        })
    }
}

impl Marks {
    pub(super) fn same_content(&self, other: &Self) -> bool {
        let digests = |marks: &Self| marks.0.iter().map(|mark| mark.digest).collect::<Vec<_>>();
        digests(self) == digests(other)
    }

    /// Whether a file holds something else than at `before` though it is the same file.
    pub(super) fn written_over_since(&self, before: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&before.0);
        pairs.any(|(now, then)| now.digest != then.digest && now.place == then.place)
    }
}

impl Part {
    fn read(role: Role, file: &Arc<Path>) -> Result<(Self, Mark), FilesError> {
        let unreadable = |error: io::Error| FilesError::Unreadable {
            file: Arc::clone(file),
            kind: error.kind(),
        };
        let most = role.most_bytes();
        let opened = open(file).map_err(unreadable)?;
        // Of what was opened, not of what stands there now.
        let about = opened.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(FilesError::NotAFile(Arc::clone(file)));
        }
        let too_large = || FilesError::TooLarge {
            file: Arc::clone(file),
            most,
        };
        let size = usize::try_from(about.len()).map_err(|_| too_large())?;
        if size > most {
            return Err(too_large());
        }
        // Room for all of it, so that no part of a key is left behind where a buffer grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(1)));
        let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        opened
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let (place, open) = (place(&about), open_to_others(&about));
        let mark = Mark {
            digest: Sha256::digest(&bytes).into(),
            place,
            modified: about.modified().ok(),
        };
        let file = Arc::clone(file);
        Ok((
            Self {
                role,
                file,
                bytes,
                open,
            },
            mark,
        ))
    }
}

impl Role {
    const fn most_bytes(&self) -> usize {
        match self {
            Self::Certificate | Self::Key => 256 << 10,
            Self::Bundle(_) | Self::Roots => 4 << 20,
            Self::List => 32 << 20,
        }
    }
}

/// After so many readings that differed, the next look tries again.
const MOST_READINGS: usize = 32;

/// Opening a pipe waits for a writer, on a thread that nobody can take back, unless it is told not
/// to; to a regular file that makes no difference.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
fn place(about: &Metadata) -> Place {
    use std::os::unix::fs::MetadataExt;

    (Some((about.dev(), about.ino())), about.created().ok())
}

#[cfg(not(unix))]
fn place(about: &Metadata) -> Place {
    (None, about.created().ok())
}

#[cfg(unix)]
fn open_to_others(about: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    about.mode() & 0o006 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &Metadata) -> bool {
    false
}
