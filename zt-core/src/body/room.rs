//! How many bytes of bodies are in memory at once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::CollectedBody;

/// How many bytes of requests' bodies are in memory at once, for whoever reads them whole before the
/// handler. Clones share it.
///
/// A body that begins to be read takes as much as it says it has, or else the most that it may have.
/// Once it is there it takes what it has, and until the last of its bytes is dropped: by whoever
/// denies, or by the handler. Where there is no room a body is not read and not waited for; the request
/// is refused.
#[derive(Clone)]
pub struct BodyRoom(Arc<Inner>);

struct Inner {
    bytes: usize,
    free: AtomicUsize,
}

/// 64 MiB: a thousand bodies of 64 KiB each.
const USUAL: usize = 64 * 1024 * 1024;
/// What a body takes that is still read, however small it is.
const LEAST: usize = 1024;

impl BodyRoom {
    /// Room for so many bytes, and 1 KiB at least. A body that may be larger than all of it is read when
    /// it is alone.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.max(LEAST);
        Self(Arc::new(Inner {
            bytes,
            free: AtomicUsize::new(bytes),
        }))
    }

    /// How many bytes are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.free.load(Ordering::Relaxed)
    }

    /// Room for a body of at most `bytes`, where there is some.
    pub(crate) fn take(&self, bytes: usize) -> Option<TakenRoom> {
        let bytes = bytes.max(LEAST).min(self.0.bytes);
        let free = &self.0.free;
        let left = |free: usize| free.checked_sub(bytes);
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .ok()?;
        Some(TakenRoom {
            room: self.clone(),
            bytes,
        })
    }
}

impl Default for BodyRoom {
    /// Room for 64 MiB.
    fn default() -> Self {
        Self::new(USUAL)
    }
}

impl fmt::Debug for BodyRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyRoom")
            .field("bytes", &self.0.bytes)
            .field("free", &self.free())
            .finish()
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct TakenRoom {
    room: BodyRoom,
    bytes: usize,
}

impl TakenRoom {
    /// The body that was read into it, which holds what it needs until its bytes are gone.
    pub(crate) fn hold(mut self, body: CollectedBody) -> CollectedBody {
        let rest = self.bytes.saturating_sub(body.bytes().len());
        self.room.0.free.fetch_add(rest, Ordering::Relaxed);
        self.bytes -= rest;
        body.map_bytes(|bytes| match bytes.is_empty() {
            true => bytes,
            false => Bytes::from_owner(Held { bytes, _room: self }),
        })
    }
}

impl Drop for TakenRoom {
    fn drop(&mut self) {
        self.room.0.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

struct Held {
    bytes: Bytes,
    _room: TakenRoom,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &'static [u8]) -> CollectedBody {
        CollectedBody::new(Bytes::from_static(bytes), None)
    }

    #[test]
    fn a_body_holds_its_room_until_the_last_of_its_bytes_is_dropped() {
        let room = BodyRoom::new(10_000);
        let taken = room.take(8_000).unwrap();
        assert_eq!(room.free(), 2_000);
        assert!(room.take(2_001).is_none());
        let body = taken.hold(body(b"seven b"));
        assert_eq!((room.free(), &body.bytes()[..]), (9_993, &b"seven b"[..]));
        let end = body.bytes().slice(6..);
        drop(body);
        assert_eq!(room.free(), 9_993);
        drop(end);
        assert_eq!(room.free(), 10_000);
    }

    #[test]
    fn what_is_not_read_to_its_end_gives_its_room_back() {
        let room = BodyRoom::new(10_000);
        let all: Vec<_> = std::iter::from_fn(|| room.take(0)).collect();
        assert_eq!((all.len(), room.free()), (9, 10_000 - 9 * LEAST));
        drop(all);
        assert_eq!(room.free(), 10_000);
        let none = room.take(500).unwrap().hold(body(b""));
        assert_eq!((room.free(), none.bytes().len()), (10_000, 0));
    }

    #[test]
    fn a_body_that_may_be_larger_than_all_of_it_is_read_alone() {
        let room = BodyRoom::new(10_000);
        let small = room.take(1).unwrap();
        assert!(room.take(usize::MAX).is_none());
        drop(small);
        let large = room.take(usize::MAX).unwrap();
        assert!(room.take(1).is_none());
        drop(large);
        assert_eq!(room.free(), 10_000);
        let room = BodyRoom::new(0);
        let one = room.take(7).unwrap();
        assert!(room.take(7).is_none(), "{one:?}");
    }
}
