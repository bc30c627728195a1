//! What a file is, asked without its times.
//!
//! Linux with fine-grained times (6.13) gives a file whose times were asked for new ones with the next
//! write, and has to write these with the next flush: that takes half as long again. So a log that
//! looks at its live file before each batch asks for nothing that it does not need.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Which file it is, how long, and how many names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Device and inode.
    pub(super) id: (u64, u64),
    pub(super) names: u64,
    pub(super) length: u64,
}

impl Facts {
    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        match without_times::of(file) {
            Some(facts) => facts,
            None => file.metadata().map(Self::from),
        }
    }

    /// Of what `path` names; a link is itself.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        match without_times::at(path) {
            Some(facts) => facts,
            None => fs::symlink_metadata(path).map(Self::from),
        }
    }
}

impl From<Metadata> for Facts {
    fn from(found: Metadata) -> Self {
        Self {
            id: (found.dev(), found.ino()),
            names: found.nlink(),
            length: found.len(),
        }
    }
}

#[cfg(target_os = "linux")]
mod without_times {
    use std::{fs::File, io, path::Path};

    use rustix::{
        fs::{AtFlags, CWD, Statx, StatxFlags, makedev, statx},
        io::Errno,
    };

    use super::Facts;

    const WANTED: StatxFlags = StatxFlags::INO
        .union(StatxFlags::NLINK)
        .union(StatxFlags::SIZE);

    /// `None` where the system cannot say.
    pub(super) fn of(file: &File) -> Option<io::Result<Facts>> {
        facts(statx(file, c"", AtFlags::EMPTY_PATH, WANTED))
    }

    pub(super) fn at(path: &Path) -> Option<io::Result<Facts>> {
        facts(statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, WANTED))
    }

    fn facts(found: Result<Statx, Errno>) -> Option<io::Result<Facts>> {
        match found {
            Ok(found) if found.stx_mask & WANTED.bits() == WANTED.bits() => Some(Ok(Facts {
                id: (
                    makedev(found.stx_dev_major, found.stx_dev_minor),
                    found.stx_ino,
                ),
                names: found.stx_nlink.into(),
                length: found.stx_size,
            })),
            // An old system, or a sandbox that does not know the call.
            Ok(_) | Err(Errno::NOSYS | Errno::PERM) => None,
            Err(error) => Some(Err(error.into())),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod without_times {
    use std::{fs::File, io, path::Path};

    use super::Facts;

    pub(super) fn of(_: &File) -> Option<io::Result<Facts>> {
        None
    }

    pub(super) fn at(_: &Path) -> Option<io::Result<Facts>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_that_the_standard_library_finds() {
        let path = std::env::temp_dir().join(format!("zt-audit-facts-{}", std::process::id()));
        fs::write(&path, [0; 4097]).unwrap();
        let file = File::open(&path).unwrap();
        let expected = Facts::from(file.metadata().unwrap());
        assert_eq!(Facts::of(&file).unwrap(), expected);
        assert_eq!(Facts::at(&path).unwrap(), expected);
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let found = Facts::at(&link).unwrap();
        assert_eq!(found, fs::symlink_metadata(&link).unwrap().into());
        assert_ne!(found.id, expected.id);
        fs::remove_file(link).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(
            Facts::at(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(Facts::of(&file).unwrap().names, 0);
    }
}
