//! The zeros ahead of the live segment's end.
//!
//! A flush that does not change a file's length costs about two thirds of one that does, so records
//! are written into bytes that were zeroed before. The keeper zeroes in pieces that are small
//! enough not to hold up the writer's flush of the same file; where the keeper is late, the writer
//! zeroes what it needs, and its own flush makes both durable.
//!
//! 1. What is zeroed lies after [`ready`](Ground::ready) and never under records: only one of the
//!    two zeroes at a time, and the writer writes nothing beyond what is ready.
//! 2. How far is looked ahead grows with the log, from 256 KiB to 8 MiB: small logs stay small.
//! 3. Zeros are written by a handle of their own: a disk that is full fails that one, and the
//!    records' own is never touched by the failure.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    format::name,
    storage::{Storage, StorageFile},
};

/// How far is zeroed at first.
pub(super) const FIRST: u64 = 256 << 10;
/// What the keeper zeroes at once.
const PIECE: u64 = 256 << 10;
/// How far is zeroed ahead at most.
const FARTHEST: u64 = 8 << 20;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

#[derive(Debug)]
pub(super) struct Ground {
    storage: Arc<dyn Storage>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The live segment, where there is one.
    segment: Option<u64>,
    /// Zeroed, or written, up to here.
    ready: u64,
    /// What is being zeroed ends here.
    under_way: Option<u64>,
    /// The records' end.
    end: u64,
    /// Records' bytes since the log was opened.
    grown: u64,
    handle: Option<Box<dyn StorageFile>>,
    /// The keeper is about it.
    filling: bool,
}

impl Ground {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The live segment is `first`, and its records end at `end`, which is its length.
    pub(super) fn begin(&self, first: u64, end: u64) {
        let mut state = self.settled();
        state.segment = Some(first);
        state.ready = end;
        state.end = end;
        state.handle = None;
        state.filling = false;
    }

    /// There is no live segment; nothing is being zeroed any more.
    pub(super) fn leave(&self) {
        let mut state = self.settled();
        state.segment = None;
        state.handle = None;
    }

    /// Between which lengths the live file is, from before to after `look`.
    pub(super) fn bounds<T>(&self, look: impl FnOnce() -> T) -> (u64, T, u64) {
        let least = self.lock().ready;
        let seen = look();
        let state = self.lock();
        (least, seen, state.under_way.unwrap_or(state.ready))
    }

    /// For the writer: zeros up to `end`, made now where they are missing.
    pub(super) fn reach(&self, end: u64) -> io::Result<()> {
        loop {
            let state = self.settled();
            let Some(missing) = end.checked_sub(state.ready).filter(|missing| *missing > 0) else {
                return Ok(());
            };
            self.zero(state, missing, false)?;
        }
    }

    /// For the writer: records end at `end` now. Whether the keeper should zero.
    pub(super) fn advance(&self, end: u64) -> bool {
        let mut state = self.lock();
        state.grown = state.grown.saturating_add(end.saturating_sub(state.end));
        state.end = end;
        state.wants(2)
    }

    /// For the keeper: zeroes a piece, durably; whether there is more to do.
    pub(super) fn work(&self) -> io::Result<bool> {
        let mut state = self.settled();
        // Once it is half used up, all of it.
        let part = if state.filling { 1 } else { 2 };
        state.filling = state.wants(part);
        if !state.filling {
            return Ok(false);
        }
        self.zero(state, PIECE, true)?;
        Ok(self.lock().wants(1))
    }

    /// Zeroes `length` bytes after what is ready; as many as there is room for are kept.
    fn zero(&self, mut state: MutexGuard<'_, State>, length: u64, durably: bool) -> io::Result<()> {
        let Some(first) = state.segment else {
            return Ok(());
        };
        let from = state.ready;
        let handle = state.handle.take();
        state.under_way = Some(from.saturating_add(length));
        drop(state);

        let mut reached = from;
        let written = self.write(first, handle, &mut reached, length, durably);

        let mut state = self.lock();
        state.under_way = None;
        state.ready = reached;
        let result = match written {
            Ok(handle) => {
                state.handle = Some(handle);
                Ok(())
            }
            Err(error) => {
                state.filling = false;
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    fn write(
        &self,
        first: u64,
        handle: Option<Box<dyn StorageFile>>,
        reached: &mut u64,
        length: u64,
        durably: bool,
    ) -> io::Result<Box<dyn StorageFile>> {
        let mut handle = match handle {
            Some(handle) => handle,
            None => self.storage.open(&name::segment(first), false)?,
        };
        let end = reached.saturating_add(length);
        while *reached < end {
            let most = usize::try_from(end - *reached).unwrap_or(usize::MAX);
            let piece = ZEROS.get(..most).unwrap_or(&ZEROS);
            match handle.write_at(piece, *reached) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => *reached = reached.saturating_add(taken as u64).min(end),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if durably {
            handle.sync()?;
        }
        Ok(handle)
    }

    /// The state, while nothing is being zeroed.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.under_way.is_some() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether less than one `part`th of what should be zeroed ahead is.
    fn wants(&self, part: u64) -> bool {
        let ahead = self.grown.clamp(FIRST, FARTHEST);
        self.segment.is_some() && self.ready.saturating_sub(self.end) < ahead / part
    }
}
