use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use super::{
    BadRecord, Reason,
    keys::KeyHistory,
    segment::{Read, guess, read},
};
use crate::{
    format::name,
    merkle::Hash,
    read::{PrunedFile, Rest, Segments, State, last_set},
    storage::Storage,
};

/// What all segments together are.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) segments: Segments,
    pub(super) state: State,
    /// The roots at the sizes that were asked for.
    pub(super) roots: BTreeMap<u64, Hash>,
    pub(super) keys: KeyHistory,
    /// What the last `prune` record says of those before the first.
    pub(super) pruned: Option<(u64, Hash)>,
    /// Bytes of good lines.
    pub(super) bytes: u64,
    /// The last segment, and where its last good commit line ends.
    pub(super) last: (u64, u64),
    /// So many bytes follow it that no commit line covers.
    pub(super) torn: u64,
    /// The first thing that is not as it was written.
    pub(super) bad: Option<BadRecord>,
}

impl Walked {
    fn new(segments: Segments) -> Self {
        let state = match &segments.pruned {
            PrunedFile::At(pruned) => State::at(pruned.tree.clone()),
            PrunedFile::None | PrunedFile::Bad => State::beginning(),
        };
        Self {
            roots: BTreeMap::from([(state.tree.size(), state.tree.root())]),
            state,
            segments,
            keys: KeyHistory::default(),
            pruned: None,
            bytes: 0,
            last: (0, 0),
            torn: 0,
            bad: None,
        }
    }

    /// Takes the segment at `place`; whether to go on.
    fn take(&mut self, place: usize, read: Read, given_up: &mut Option<(u64, u64)>) -> bool {
        let first = self.segments.firsts.get(place).copied().unwrap_or_default();
        let size = self.state.tree.size();
        let bad = |index, offset, reason| BadRecord {
            index,
            file: name::segment(first),
            offset,
            reason,
        };
        // One that was just begun does not say yet what the one before is.
        let begun = read.state.tree.size() > size;
        if begun && std::mem::take(given_up).is_some() && !read.seen.begins_recovered {
            self.bad = Some(bad(size, 0, Reason::Trailing));
            return false;
        }
        for (offset, change) in read.seen.keys {
            let index = change.index;
            let origin = read.state.origin.as_deref().unwrap_or_default();
            if self.keys.push(change, origin).is_err() {
                self.bad = Some(bad(index, offset, Reason::Key));
                return false;
            }
        }
        // Whoever began to read there knew less.
        if begun {
            self.state = read.state;
        }
        self.roots.extend(read.seen.roots);
        self.pruned = read.seen.pruned.or(self.pruned);
        self.bytes += read.end;
        self.last = (first, read.end);
        match read.rest {
            Rest::Nothing => {}
            Rest::GivenUp => *given_up = Some(self.last),
            Rest::Torn(bytes) => self.torn = bytes,
            Rest::Bad(bad) => {
                self.bad = Some(bad);
                return false;
            }
        }
        true
    }
}

/// Reads all segments.
pub(super) fn walk(
    storage: &dyn Storage,
    segments: Segments,
    sizes: &[u64],
    threads: usize,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Walked> {
    let mut walked = Walked::new(segments.clone());
    if segments.pruned == PrunedFile::Bad {
        walked.bad = Some(BadRecord {
            index: 0,
            file: name::PRUNED.to_owned(),
            offset: 0,
            reason: Reason::Pruned,
        });
        return Ok(walked);
    }
    if let Some(first) = segments.firsts.first()
        && *first != segments.begin()
    {
        walked.bad = Some(BadRecord {
            index: segments.begin(),
            file: name::segment(segments.begin()),
            offset: 0,
            reason: Reason::Missing,
        });
        return Ok(walked);
    }
    let mut given_up = None;
    if threads > 1 && segments.firsts.len() > 1 {
        let progress = &mut *progress;
        in_parallel(
            storage,
            &segments,
            sizes,
            threads,
            progress,
            &mut walked,
            &mut given_up,
        )?;
    } else {
        for place in 0..segments.firsts.len() {
            let mut tell = |bytes| {
                progress(bytes);
                ControlFlow::Continue(())
            };
            let from = walked.state.clone();
            let read = read(storage, &segments, place, from, sizes, &mut tell)?;
            if !walked.take(place, read, &mut given_up) {
                break;
            }
        }
    }
    if let Some((first, end)) = given_up
        && walked.bad.is_none()
        && walked.torn == 0
    {
        // The next segment has no record that says so.
        let file = storage.open(&name::segment(first), false)?;
        walked.torn = last_set(&*file, end)? - end;
        walked.last = (first, end);
    }
    Ok(walked)
}

enum News {
    Bytes(u64),
    Read(usize, Box<io::Result<Option<Read>>>),
}

/// The same by several threads. A thread begins a segment with the tree that `tree/` has for its
/// beginning; where that is not what the segments before it lead to, the segment is read again with
/// what they lead to. So `tree/` makes it faster, and is believed in nothing.
fn in_parallel(
    storage: &dyn Storage,
    segments: &Segments,
    sizes: &[u64],
    threads: usize,
    progress: &mut dyn FnMut(u64),
    walked: &mut Walked,
    given_up: &mut Option<(u64, u64)>,
) -> io::Result<()> {
    let count = segments.firsts.len();
    let next = AtomicUsize::new(0);
    let window = Window::default();
    let begin = walked.state.clone();
    let (tell, told) = mpsc::sync_channel(threads.min(count) * 4);
    thread::scope(|scope| {
        // It goes where `progress` panics, and then nobody waits for it to be read.
        let told = told;
        let _over = OverAtPanic(&window);
        for _ in 0..threads.min(count) {
            let tell = tell.clone();
            let (next, begin, window) = (&next, &begin, &window);
            scope.spawn(move || {
                let _over = OverAtPanic(window);
                while !window.is_over() {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count || !window.wait(place) {
                        break;
                    }
                    let from = match place {
                        0 => Some(begin.clone()),
                        _ => guess(storage, segments, place).map(State::at),
                    };
                    let read = from.map(|from| {
                        let mut progress = |bytes| match tell.send(News::Bytes(bytes)) {
                            Ok(()) if !window.is_over() => ControlFlow::Continue(()),
                            _ => ControlFlow::Break(()),
                        };
                        read(storage, segments, place, from, sizes, &mut progress)
                    });
                    // Too much to keep until its turn comes; it is read again then.
                    let read = read.filter(
                        |read| !matches!(read, Ok(read) if read.seen.keys.len() > FEW_KEYS),
                    );
                    let news = News::Read(place, Box::new(read.transpose()));
                    if tell.send(news).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        let mut early = BTreeMap::new();
        let mut place = 0;
        let mut failed = None;
        for news in told {
            match news {
                News::Bytes(bytes) => progress(bytes),
                News::Read(at, found) => {
                    early.insert(at, *found);
                }
            }
            while failed.is_none()
                && walked.bad.is_none()
                && let Some(found) = early.remove(&place)
            {
                let taken = take_next(storage, walked, place, found, sizes, given_up);
                failed = taken.err();
                place += 1;
                window.go_on(place);
            }
            if failed.is_some() || walked.bad.is_some() {
                window.end();
                early.clear();
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

/// How far ahead of the first segment that is not taken yet others are read, so that what is kept of
/// them is bounded.
#[derive(Default)]
struct Window {
    taken: Mutex<usize>,
    changed: Condvar,
    over: AtomicBool,
}

impl Window {
    /// Waits until the segment at `place` is near enough; whether to read it.
    fn wait(&self, place: usize) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let far = |taken: &mut usize| place > taken.saturating_add(AHEAD) && !self.is_over();
        let waited = self.changed.wait_while(taken, far);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        !self.is_over()
    }

    fn go_on(&self, place: usize) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.changed.notify_all();
    }

    /// Nobody reads any more.
    fn end(&self) {
        // With the lock, so that nobody looks before and waits after.
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.over.store(true, Ordering::Relaxed);
        drop(taken);
        self.changed.notify_all();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Where one thread panics the others end as well, so that nobody waits for what never comes.
struct OverAtPanic<'a>(&'a Window);

impl Drop for OverAtPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

const AHEAD: usize = 256;
/// More changes of keys in one segment than any log has.
const FEW_KEYS: usize = 64;

fn take_next(
    storage: &dyn Storage,
    walked: &mut Walked,
    place: usize,
    found: io::Result<Option<Read>>,
    sizes: &[u64],
    given_up: &mut Option<(u64, u64)>,
) -> io::Result<()> {
    let found = match found? {
        Some(found) if found.follows(&walked.state) => found,
        _ => {
            let segments = walked.segments.clone();
            let from = walked.state.clone();
            let mut on = |_| ControlFlow::Continue(());
            read(storage, &segments, place, from, sizes, &mut on)?
        }
    };
    walked.take(place, found, given_up);
    Ok(())
}
