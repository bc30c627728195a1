//! The thread that writes.

use std::{io, ops::ControlFlow, sync::Arc, time::Duration};

use zt_core::{clock::Timestamp, state::RecordError};

use super::{
    batch::{Batch, MOST},
    core::Core,
    outage::{Missing, Refused},
    segment::{Broken, Segment, Tampered},
};
use crate::{
    format::name,
    merkle::{Frontier, Hash},
    seal::VaultError,
};

/// Segments end at a multiple of it, where nothing goes wrong.
const ALIGNED: u64 = 256;
/// After how long it is tried again whether the disk is well, at first and at most.
const FIRST_TRY: Duration = Duration::from_millis(50);
const LAST_TRY: Duration = Duration::from_secs(5);

/// Takes what waits, writes it at once, makes it durable, says so, and begins again; see the
/// [module](super).
pub(super) struct Writer {
    core: Arc<Core>,
    segment: Option<Segment>,
    batch: Batch,
    halted: Option<Halt>,
    /// Its evidence is gone.
    gone: bool,
}

/// The log cannot write.
struct Halt {
    reason: &'static str,
    since: Timestamp,
    next_try: Duration,
}

/// Why a batch is not durable.
enum Failure {
    Broken(Broken),
    /// A personal field could not be sealed, or its key is not durable.
    Sealing(VaultError),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::Sealing(error)
    }
}

impl Writer {
    /// Goes on in `segment`, behind the tree `durable` whose last leaf is `last`.
    pub(super) fn new(core: Arc<Core>, segment: Segment, durable: Frontier, last: Hash) -> Self {
        Self {
            batch: Batch::new(Arc::clone(&core), durable, last),
            core,
            segment: Some(segment),
            halted: None,
            gone: false,
        }
    }

    /// Until the log is closed, or its evidence is gone.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.core));
        while self.turn().is_continue() {}
        self.write_last();
        if let Some(Err(error)) = self.segment.take().map(Segment::finish) {
            tracing::warn!(?error, "the audit log's last segment keeps its zeros");
        }
    }

    /// Nothing more comes. What was counted, or refused, should be told, where that can be; a disk
    /// that fails is tried once more.
    fn write_last(&mut self) {
        let mut tried = false;
        while !self.gone && (self.batch.take_last() || self.halted.is_some()) {
            let done = match self.halted {
                Some(_) if tried => break,
                Some(_) => {
                    tried = true;
                    self.heal()
                }
                None => self.write(),
            };
            if done.is_break() {
                break;
            }
        }
        if self.batch.has_untold() {
            self.core.shared.leave_untold();
        }
    }

    fn turn(&mut self) -> ControlFlow<()> {
        let core = Arc::clone(&self.core);
        if let Some(halt) = &self.halted {
            return match core.shared.pause(halt.next_try) {
                ControlFlow::Continue(()) => self.heal(),
                end => end,
            };
        }
        let waiting = if self.batch.is_empty() {
            core.shared.wait()
        } else {
            Some(core.shared.state())
        };
        let Some(mut state) = waiting else {
            return ControlFlow::Break(());
        };
        self.batch.take(&mut state);
        drop(state);
        self.write()
    }

    /// Writes a batch, into another segment where this one fails.
    fn write(&mut self) -> ControlFlow<()> {
        let mut result = self.attempt(false);
        if let Err(Failure::Broken(Broken::Disk(error))) = &result {
            self.give_up(error);
            result = self.attempt(false);
        }
        match result {
            Ok(zeros) => self.accept(zeros),
            Err(Failure::Broken(Broken::Evidence(tampered))) => return self.end(tampered),
            Err(Failure::Broken(Broken::Full(error))) => {
                self.halt("no-space", &error);
                self.say_it_last();
            }
            Err(Failure::Broken(Broken::Disk(error))) => {
                self.give_up(&error);
                self.halt("write-error", &error);
            }
            Err(Failure::Sealing(error)) => self.halt("sealing", &error),
        }
        ControlFlow::Continue(())
    }

    /// One batch into the live segment, or into a new one where there is none. Whether zeros are
    /// wanted ahead.
    fn attempt(&mut self, last: bool) -> Result<bool, Failure> {
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.begin()?,
        };
        let records = if segment.end() >= self.core.segment_bytes {
            ALIGNED - self.batch.durable() % ALIGNED
        } else {
            MOST
        };
        let segment = self.segment.insert(segment);
        self.batch.compose(records)?;
        Ok(segment.commit(self.batch.bytes(), last)?)
    }

    fn begin(&self) -> Result<Segment, Broken> {
        let (storage, ground) = (&*self.core.storage, &self.core.ground);
        Segment::create(storage, ground, self.batch.durable())
    }

    fn accept(&mut self, zeros: bool) {
        self.batch.accept(zeros);
        let full = |segment: &Segment| segment.end() >= self.core.segment_bytes;
        if self.batch.durable().is_multiple_of(ALIGNED) && self.segment.as_ref().is_some_and(full) {
            self.roll();
        }
    }

    /// Begins the next segment. Everything in this one is durable: what fails here fails again with
    /// the next batch, and is answered then.
    fn roll(&mut self) {
        if let Some(Err(error)) = self.segment.take().map(Segment::finish) {
            tracing::warn!(?error, "a segment of the audit log keeps its zeros");
        }
        self.segment = self.begin().ok();
        self.core.news.rolled();
    }

    /// The segment is never touched again: what a failed write or flush left in it cannot be known.
    fn give_up(&mut self, error: &io::Error) {
        self.core.ground.leave();
        let Some(segment) = self.segment.take() else {
            return;
        };
        let file = name::segment(segment.first());
        tracing::error!(%error, %file, "a segment of the audit log is given up");
        self.core.faults.count_given_up();
        self.batch.give_up(file, error);
    }

    /// Refuses from now on, and tries again later.
    fn halt(&mut self, reason: &'static str, error: &dyn std::error::Error) {
        let why = RecordError::Unavailable(format!("{reason}: {error}").into());
        tracing::error!(%why, "the audit log refuses until it can write again");
        self.batch.refuse(&why);
        self.halted = Some(Halt {
            reason,
            since: self.core.now(),
            next_try: FIRST_TRY,
        });
    }

    /// Says in the room that was kept for it that records are missing from here on.
    fn say_it_last(&mut self) {
        if self.segment.is_none() {
            return;
        }
        let told = self.core.shared.refused();
        self.miss(&told);
        match self.attempt(true) {
            Ok(zeros) => {
                self.core.shared.told(&told);
                self.accept(zeros);
            }
            Err(Failure::Broken(Broken::Disk(error))) => self.give_up(&error),
            // It is told when there is room again.
            Err(_) => {}
        }
    }

    /// Tries whether the disk is well again; then says what is missing, and takes events again.
    fn heal(&mut self) -> ControlFlow<()> {
        let told = self.core.shared.refused();
        self.miss(&told);
        match self.attempt(false) {
            Ok(zeros) => {
                let later = self.core.shared.resume(&told);
                self.accept(zeros);
                tracing::info!("the audit log can write again");
                if !later.is_empty() {
                    // Refused while the others were counted.
                    self.miss(&later);
                }
                self.halted = None;
            }
            Err(Failure::Broken(Broken::Evidence(tampered))) => return self.end(tampered),
            Err(failure) => {
                if let Failure::Broken(Broken::Disk(error)) = &failure {
                    self.give_up(error);
                }
                if let Some(halt) = &mut self.halted {
                    halt.next_try = (halt.next_try * 2).min(LAST_TRY);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn miss(&mut self, events: &Refused) {
        self.batch.gap = self.halted.as_ref().map(|halt| Missing {
            events: events.clone(),
            reason: halt.reason,
            since: halt.since,
        });
    }

    /// Nothing is written any more, whatever the disk says.
    fn end(&mut self, tampered: Tampered) -> ControlFlow<()> {
        self.gone = true;
        let file = name::segment(self.segment.take().map_or(0, |segment| segment.first()));
        let why = RecordError::Unavailable(format!("`{file}` {tampered}").into());
        tracing::error!(%why, "the audit log refuses from now on");
        self.core.ground.leave();
        self.batch.refuse(&why);
        self.core.shared.end(&why);
        ControlFlow::Break(())
    }
}

/// Lets nobody wait for a writer that is gone.
struct Watch(Arc<Core>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = RecordError::Unavailable("the writer panicked".into());
            self.0.shared.end(&why);
        }
        self.0.news.end();
    }
}
