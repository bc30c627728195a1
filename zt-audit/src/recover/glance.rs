use std::io;

use super::{Judged, Looked, bad_file};
use crate::{
    format::{Head, Line, name},
    read::{Lines, MAX_TAIL, Raw, Segments},
    storage::{Storage, StorageFile},
    verify::{BadRecord, Reason},
};

/// Looks at the first and the last line of each segment before the one at `place`.
pub(super) fn at_all(
    storage: &dyn Storage,
    segments: &Segments,
    place: usize,
    looked: &Looked,
) -> io::Result<Judged<()>> {
    let origin = looked.state.origin.as_deref().unwrap_or_default();
    for (first, next) in segments
        .firsts
        .iter()
        .zip(segments.firsts.iter().skip(1))
        .take(place)
    {
        let file = storage.open(&name::segment(*first), false)?;
        let fits = begins(&*file, |head| head.index == *first && head.origin == origin)?;
        if !fits {
            let file = name::segment(*first);
            return Ok(Err(bad_file(
                &file,
                *first,
                Reason::Index { found: *first },
            )));
        }
        let (size, end) = last_commit(&*file)?;
        if size != Some(*next) && !says_given_up(storage, *next)? {
            return Ok(Err(BadRecord {
                index: size.unwrap_or(*first),
                file: name::segment(*first),
                offset: end,
                reason: Reason::Missing,
            }));
        }
    }
    Ok(Ok(()))
}

fn says_given_up(storage: &dyn Storage, first: u64) -> io::Result<bool> {
    let file = storage.open(&name::segment(first), false)?;
    begins(&*file, |head| head.kind == "recovered")
}

fn begins(file: &dyn StorageFile, so: impl FnOnce(&Head<'_>) -> bool) -> io::Result<bool> {
    let mut lines = Lines::new(file, 0);
    Ok(match lines.next()? {
        Raw::Line(line) => matches!(Line::read(line), Ok(Line::Record(head)) if so(&head)),
        _ => false,
    })
}

/// The size that the last line says, where it is a commit line, and where the line ends.
fn last_commit(file: &dyn StorageFile) -> io::Result<(Option<u64>, u64)> {
    let mut end = file.length()?;
    let least = end.saturating_sub(MAX_TAIL);
    let mut block = vec![0; BLOCK];
    loop {
        let begin = end.saturating_sub(BLOCK as u64);
        let length = usize::try_from(end - begin).unwrap_or(BLOCK);
        let block = block.get_mut(..length).unwrap_or_default();
        let read = file.read_at(block, begin)?;
        let block = block.get(..read).unwrap_or_default();
        if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
            let text = block.get(..=last).unwrap_or_default();
            let line = text
                .strip_suffix(b"\n")
                .and_then(|text| text.rsplit(|byte| *byte == b'\n').next())
                .map(Line::read);
            let size = match line {
                Some(Ok(Line::Commit { size, .. })) => Some(size),
                _ => None,
            };
            return Ok((size, begin + text.len() as u64));
        }
        if begin <= least {
            return Ok((None, begin));
        }
        end = begin;
    }
}

const BLOCK: usize = 64 * 1024;
