use std::io;

use sha2::{Digest as _, Sha256};

use crate::{
    format::{Line, name},
    merkle::Hash,
    read::{Lines, Raw, chunks, first_set, last_set},
    storage::{Storage, StorageFile},
};

/// What was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    /// Under which name it is now.
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: Hash,
    /// How many whole records were in it; none was acknowledged.
    pub(crate) records: u64,
}

/// Copies what stands from `end` on in the segment `first` to a file under `torn/`, makes that
/// durable, and cuts it off the segment. `None` where there is nothing.
pub(crate) fn set_aside(storage: &dyn Storage, first: u64, end: u64) -> io::Result<Option<Torn>> {
    let mut segment = storage.open(&name::segment(first), false)?;
    let bytes = last_set(&*segment, end)? - end;
    if bytes == 0 {
        return Ok(None);
    }
    let torn = Torn {
        records: count(&*segment, end)?,
        ..copy(
            storage,
            &*segment,
            end,
            bytes,
            &format!("{first:020}-{end}"),
        )?
    };
    segment.set_length(end)?;
    segment.sync()?;
    Ok(Some(torn))
}

/// Copies `bytes` bytes from `begin` on to a new file `torn/<name>`, durably.
pub(crate) fn copy(
    storage: &dyn Storage,
    from: &dyn StorageFile,
    begin: u64,
    bytes: u64,
    name: &str,
) -> io::Result<Torn> {
    let (file, mut to) = create(storage, name)?;
    let mut digest = Sha256::new();
    let mut written = Ok(());
    chunks(from, begin, |offset, chunk| {
        let left = (begin + bytes).saturating_sub(offset);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let chunk = chunk.get(..left).unwrap_or(chunk);
        digest.update(chunk);
        written = write_all(&mut *to, chunk, offset - begin);
        written.is_ok() && !chunk.is_empty()
    })?;
    written?;
    to.sync()?;
    storage.sync_folder(name::TORN)?;
    Ok(Torn {
        file,
        bytes,
        sha256: Hash::from_bytes(digest.finalize().into()),
        records: 0,
    })
}

pub(crate) fn write_all(
    file: &mut dyn StorageFile,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                bytes = bytes.get(taken..).unwrap_or_default();
                offset += taken as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `torn/<name>`, or `torn/<name>.1` and so on where that is there from an earlier time.
fn create(storage: &dyn Storage, name: &str) -> io::Result<(String, Box<dyn StorageFile>)> {
    for number in 0..MOST {
        let file = match number {
            0 => format!("{}/{name}", name::TORN),
            _ => format!("{}/{name}.{number}", name::TORN),
        };
        match storage.open(&file, true) {
            Ok(opened) => return Ok((file, opened)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "`{}/{name}` was set aside {MOST} times",
        name::TORN
    )))
}

/// How many whole records there are from `offset` on.
fn count(file: &dyn StorageFile, offset: u64) -> io::Result<u64> {
    let mut records = 0;
    let mut lines = Lines::new(file, offset);
    loop {
        match lines.next()? {
            Raw::Line(line) => {
                if let Ok(Line::Record(_)) = Line::read(line) {
                    records += 1;
                }
            }
            Raw::Blank => match first_set(file, lines.offset())? {
                Some(next) => lines = Lines::new(file, next),
                None => return Ok(records),
            },
            // What is longer than a line has no record in it that could be told.
            Raw::TooLong { .. } | Raw::Open | Raw::End => return Ok(records),
        }
    }
}

const MOST: u32 = 1000;
