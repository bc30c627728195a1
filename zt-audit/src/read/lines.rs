use std::io::{self, BufRead as _};

use crate::{format::MAX_RECORD, storage::StorageFile};

/// The lines of a segment, in constant memory and without copying them.
#[derive(Debug)]
pub(crate) struct Lines<'f> {
    file: &'f dyn StorageFile,
    buffer: Vec<u8>,
    /// What of the buffer was not handed out yet.
    begin: usize,
    filled: usize,
    /// Where `begin` is in the file.
    offset: u64,
    /// Nothing follows what is in the buffer.
    ended: bool,
}

/// What stands next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw<'b> {
    /// A line, without its newline; it may have NULs in it, or be too long by as much as a buffer.
    Line(&'b [u8]),
    /// More bytes than a line has, without a newline; whether one of them is a NUL.
    TooLong { holed: bool },
    /// A NUL in the place of a line's beginning.
    Blank,
    /// The file ends within a line.
    Open,
    /// The file ends.
    End,
}

impl<'f> Lines<'f> {
    /// Lines from `offset` on.
    pub(crate) fn new(file: &'f dyn StorageFile, offset: u64) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            begin: 0,
            filled: 0,
            offset,
            ended: false,
        }
    }

    /// Where the next line begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line. After anything else the same is answered again.
    pub(crate) fn next(&mut self) -> io::Result<Raw<'_>> {
        loop {
            let rest = self.rest();
            if rest.first() == Some(&0) {
                return Ok(Raw::Blank);
            }
            // The standard library's search for a byte.
            let mut search = rest;
            let length = search.skip_until(b'\n')?;
            if length > 0 && rest.get(length - 1) == Some(&b'\n') {
                let begin = self.begin;
                self.begin += length;
                self.offset += length as u64;
                let line = self.buffer.get(begin..begin + length - 1);
                return Ok(Raw::Line(line.unwrap_or_default()));
            }
            if length > MAX_RECORD {
                let holed = rest.contains(&0);
                return Ok(Raw::TooLong { holed });
            }
            if self.ended {
                return Ok(if length == 0 { Raw::End } else { Raw::Open });
            }
            self.fill()?;
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.begin..self.filled).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        // Little is asked for at first: a follower looks often, and mostly finds nothing.
        let size = if self.buffer.is_empty() {
            FIRST
        } else {
            BUFFER
        };
        self.buffer.resize(size, 0);
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.begin = 0;
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let asked = space.len();
        let read = self
            .file
            .read_at(space, self.offset + self.filled as u64)?
            .min(asked);
        self.filled += read;
        self.ended = read < asked;
        Ok(())
    }
}

/// Where the first byte that is not NUL stands, from `offset` on.
pub(crate) fn first_set(file: &dyn StorageFile, offset: u64) -> io::Result<Option<u64>> {
    let mut first = None;
    chunks(file, offset, |at, chunk| {
        // Most are all NUL, and that is decided fastest without stopping.
        if chunk.iter().fold(0, |all, byte| all | byte) == 0 {
            return true;
        }
        first = chunk
            .iter()
            .position(|byte| *byte != 0)
            .map(|place| at + place as u64);
        false
    })?;
    Ok(first)
}

/// Where the last byte that is not NUL ends, from `offset` on; `offset` where there is none.
pub(crate) fn last_set(file: &dyn StorageFile, offset: u64) -> io::Result<u64> {
    let mut end = offset;
    chunks(file, offset, |at, chunk| {
        if let Some(place) = chunk.iter().rposition(|byte| *byte != 0) {
            end = at + place as u64 + 1;
        }
        true
    })?;
    Ok(end)
}

/// Hands the file from `offset` on out in pieces, until `take` answers `false`.
pub(crate) fn chunks(
    file: &dyn StorageFile,
    mut offset: u64,
    mut take: impl FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() || !take(offset, chunk) {
            return Ok(());
        }
        offset += chunk.len() as u64;
    }
}

/// The whole of a small file; `None` where there is none, and no more than `most` bytes of it.
pub(crate) fn small(
    storage: &dyn crate::storage::Storage,
    name: &str,
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(name, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; most];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

const FIRST: usize = 8 * 1024;
const BUFFER: usize = 256 * 1024;
