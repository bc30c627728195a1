mod delivery;
mod halts;
mod lines;
mod live;
mod registry;
mod traced;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use zt_core::clock::{Clock, ManualClock};

use super::{source::LogFiles, *};
use crate::{
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    read::testing::{Memory, ORIGIN, TestLog},
    storage::Storage as _,
};

/// A folder that is removed in the end.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-audit-follow-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn signing_key(origin: &str) -> SigningKey {
    SigningKey::generate(origin, &zt_core::random::SeededEntropy::new(7)).unwrap()
}

/// A checkpoint over all that `log` has.
pub(super) fn checkpoint(log: &TestLog) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: log.origin.clone(),
        size: log.tree.size(),
        root: log.tree.root(),
    };
    let at = zt_core::clock::Timestamp::from_micros(log.micros);
    SignedCheckpoint::sign(checkpoint, &signing_key(&log.origin), at)
}

/// Signs for all that `log` has.
pub(super) fn sign(log: &TestLog) {
    let note = checkpoint(log).encode();
    log.disk.replace("checkpoint", note.as_bytes()).unwrap();
}

/// A log of `count` records, signed.
pub(super) fn log_of(count: u64) -> TestLog {
    let mut log = TestLog::new();
    log.batch(count);
    sign(&log);
    log
}

/// What a sink does when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mood {
    Takes,
    Refuses,
    Hangs,
    Conflicts(u64),
    Panics,
}

/// A sink that does as it is told; clones share it.
#[derive(Clone)]
struct Told(Arc<Mutex<State>>);

struct State {
    mood: Mood,
    taken: Vec<Record>,
    /// When it was asked, by the clock, and for which records.
    asked: Vec<(Duration, u64, usize)>,
    clock: ManualClock,
}

impl Told {
    fn new(clock: &ManualClock) -> Self {
        Self(Arc::new(Mutex::new(State {
            mood: Mood::Takes,
            taken: Vec::new(),
            asked: Vec::new(),
            clock: clock.clone(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn is(&self, mood: Mood) -> &Self {
        self.state().mood = mood;
        self
    }

    fn indexes(&self) -> Vec<u64> {
        self.state().taken.iter().map(Record::index).collect()
    }
}

impl Sink for Told {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let mood = {
            let mut state = self.state();
            let now = state.clock.monotonic();
            state.asked.push((now, records[0].index(), records.len()));
            if state.mood == Mood::Takes {
                state.taken.extend_from_slice(records);
            }
            state.mood.clone()
        };
        match mood {
            Mood::Takes => Ok(()),
            Mood::Refuses => Err(SinkError::Unavailable("not now".to_owned())),
            Mood::Hangs => std::future::pending().await,
            Mood::Conflicts(index) => Err(SinkError::Conflict {
                origin: ORIGIN.to_owned(),
                index,
            }),
            Mood::Panics => panic!("the sink panics"),
        }
    }
}

/// A follower of a log in memory, its sink, its clock and its cursors.
struct Stand {
    clock: ManualClock,
    sink: Told,
    cursors: Scratch,
}

impl Stand {
    fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            sink: Told::new(&clock),
            clock,
            cursors: Scratch::new(),
        }
    }

    fn options(&self) -> FollowOptions {
        FollowOptions::new("copy")
            .clock(self.clock.clone())
            .save_every(Duration::ZERO)
    }

    fn follow(&self, disk: &Memory) -> Follower {
        self.follow_with(disk, self.options())
    }

    fn follow_with(&self, disk: &Memory, options: FollowOptions) -> Follower {
        let source = Box::new(LogFiles::over(disk.clone()));
        Follower::follow(source, self.sink.clone(), options, &self.cursors.0).unwrap()
    }

    /// Moves the clock until `is` says so, or it has stopped.
    async fn until(&self, follower: &Follower, is: impl Fn(&FollowerHealth) -> bool) {
        loop {
            let health = follower.health();
            if is(&health) || matches!(health.stage, Stage::Stopped(_)) {
                return;
            }
            tokio::task::yield_now().await;
            self.clock.advance(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
    }
}
