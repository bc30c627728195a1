//! The live segment: one positioned write and one flush a batch.

use std::{fmt, io, sync::Arc};

use super::ground::{FIRST, Ground};
use crate::{
    format::name,
    storage::{Place, Storage, StorageFile},
};

/// Zeroed bytes that only the last record before a full disk may use: a `gap` and its commit line.
pub(super) const RESERVE: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct Segment {
    first: u64,
    file: Box<dyn StorageFile>,
    end: u64,
    ground: Arc<Ground>,
}

/// Why a batch is not durable.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file is not what stands under its name any more, or was cut or written to.
    Evidence(Tampered),
    /// There is no room; the file itself was not touched.
    Full(io::Error),
    /// What the file has on the disk cannot be known.
    Disk(io::Error),
}

/// What somebody did to the live file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tampered {
    Place(Place),
    Length,
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Place(Place::Gone) => "was deleted",
            Self::Place(Place::Replaced) => "was replaced by another",
            Self::Place(_) => "has a second name (hard link)",
            Self::Length => "had its length changed by somebody else",
        })
    }
}

impl Segment {
    /// A new segment from record `first` on, with zeros ahead.
    pub(super) fn create(
        storage: &dyn Storage,
        ground: &Arc<Ground>,
        first: u64,
    ) -> Result<Self, Broken> {
        let file = name::segment(first);
        let opened = match storage.open(&file, true) {
            // One that had to be given up before any of it was acknowledged.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => storage
                .remove(&file)
                .and_then(|()| storage.open(&file, true)),
            opened => opened,
        };
        let segment = Self::at(opened.map_err(of_disk)?, first, 0, ground);
        let made = segment.prepare().and_then(|mut segment| {
            segment.file.sync().map_err(of_disk)?;
            storage.sync_folder(name::LOG).map_err(of_disk)?;
            Ok(segment)
        });
        if made.is_err() {
            ground.leave();
            // Whatever is left of it is removed when the same segment is begun again.
            let _ = storage.remove(&file);
        }
        made
    }

    /// The segment from record `first` on, whose lines end at `end`.
    pub(super) fn resume(
        storage: &dyn Storage,
        ground: &Arc<Ground>,
        first: u64,
        end: u64,
    ) -> Result<Self, Broken> {
        let mut file = storage
            .open(&name::segment(first), false)
            .map_err(of_disk)?;
        // What is behind the last line is zeros of an earlier time, or less.
        file.set_length(end).map_err(of_disk)?;
        Self::at(file, first, end, ground).prepare()
    }

    fn at(file: Box<dyn StorageFile>, first: u64, end: u64, ground: &Arc<Ground>) -> Self {
        ground.begin(first, end);
        Self {
            first,
            file,
            end,
            ground: Arc::clone(ground),
        }
    }

    /// Zeroes ahead as far as there is room, and at least for a last record.
    fn prepare(self) -> Result<Self, Broken> {
        match self.ground.reach(self.end.saturating_add(FIRST)) {
            Ok(()) => Ok(self),
            Err(error) if is_full(&error) => self
                .ground
                .reach(self.end.saturating_add(2 * RESERVE))
                .map(|()| self)
                .map_err(of_disk),
            Err(error) => Err(Broken::Disk(error)),
        }
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether it still is the one file of its name, as long as it was left.
    pub(super) fn check(&self) -> Result<(), Broken> {
        match self.file.is_in_place().map_err(Broken::Disk)? {
            Place::Named => {}
            elsewhere => return Err(Broken::Evidence(Tampered::Place(elsewhere))),
        }
        let (least, length, most) = self.ground.bounds(|| self.file.length());
        if (least..=most).contains(&length.map_err(Broken::Disk)?) {
            Ok(())
        } else {
            Err(Broken::Evidence(Tampered::Length))
        }
    }

    /// Makes `bytes` durable behind the last line; the `last` ones before a full disk may use the
    /// reserve. Whether the keeper should zero ahead.
    pub(super) fn commit(&mut self, bytes: &[u8], last: bool) -> Result<bool, Broken> {
        self.check()?;
        let end = self.end.saturating_add(bytes.len() as u64);
        let needed = if last {
            end
        } else {
            end.saturating_add(RESERVE)
        };
        self.ground.reach(needed).map_err(of_disk)?;
        self.write(bytes).map_err(Broken::Disk)?;
        self.file.sync().map_err(Broken::Disk)?;
        self.end = end;
        Ok(self.ground.advance(end))
    }

    /// One write; a short one is continued.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        let mut offset = self.end;
        while !rest.is_empty() {
            match self.file.write_at(rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    let left = rest.get(taken..);
                    rest = left.ok_or_else(|| io::Error::other("more was taken than given"))?;
                    offset = offset.saturating_add(taken as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Cuts off what was zeroed ahead; no more is written to it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Err(error) = self.check() {
            return Err(match error {
                Broken::Evidence(tampered) => io::Error::other(tampered.to_string()),
                Broken::Full(error) | Broken::Disk(error) => error,
            });
        }
        self.ground.leave();
        self.file.set_length(self.end)?;
        self.file.sync()
    }
}

/// No room: the disk, or the owner's share of it, is full, or the file may not grow.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::WriteZero
    )
}

fn of_disk(error: io::Error) -> Broken {
    if is_full(&error) {
        Broken::Full(error)
    } else {
        Broken::Disk(error)
    }
}
