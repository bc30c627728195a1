//! What a follower does, step by step.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::watch, task};

use super::{
    FollowOptions, FollowerHealth, Halt, Record, Sink, SinkError, Stage,
    alarm::Alarms,
    cursor::{Cursor, CursorFile},
    follower::{Stop, Waited},
    source::{Batch, ReadFailure, Reading},
};
use crate::read::ReadError;

pub(super) struct Task<S> {
    sink: S,
    /// What blocks. It is on a blocking thread while it works.
    files: Option<Files>,
    options: FollowOptions,
    alarms: Arc<Alarms>,
    tell: Tell,
    stop: Stop,
    position: u64,
    last: Option<Cursor>,
    unsaved: bool,
    saved_at: Duration,
    pause: Duration,
}

struct Files {
    reading: Reading,
    cursor: CursorFile,
}

/// Tells how it is going; also when it ends by a panic.
struct Tell(watch::Sender<FollowerHealth>, Arc<Alarms>);

/// What a look at the log led to.
enum Step {
    /// There is something to deliver.
    Deliver(Batch),
    /// There is nothing new.
    Idle,
    /// Something cannot be read now.
    Failed(String),
    /// Records were pruned before they were delivered; it goes on with this one.
    Missed(u64),
}

impl<S: Sink> Task<S> {
    pub(super) fn new(
        sink: S,
        reading: Reading,
        cursor: CursorFile,
        options: FollowOptions,
        alarms: Alarms,
        tell: watch::Sender<FollowerHealth>,
        stop: Stop,
    ) -> Self {
        let alarms = Arc::new(alarms);
        Self {
            sink,
            files: Some(Files { reading, cursor }),
            pause: options.retry_first,
            saved_at: options.clock.monotonic(),
            options,
            tell: Tell(tell, Arc::clone(&alarms)),
            alarms,
            stop,
            position: 0,
            last: None,
            unsaved: false,
        }
    }

    pub(super) async fn run(mut self) {
        let halt = match self.start().await {
            Ok(()) => self.follow().await,
            Err(halt) => halt,
        };
        // Also after an alarm: what was delivered before it need not come again.
        if let Err(error) = self.save().await {
            self.tell.failed(&error.to_string());
        }
        if halt.is_alarm() {
            let origin = self.last.as_ref().map(|last| last.origin.as_str());
            self.alarms.raise(origin, &halt.to_string());
        }
        // The sink, the files and the lock first: who sees the end may begin anew.
        let Self {
            tell, sink, files, ..
        } = self;
        drop((sink, files));
        tell.stage(Stage::Stopped(halt));
    }

    /// Compares the cursor with the log.
    async fn start(&mut self) -> Result<(), Halt> {
        loop {
            let checked = self.blocking(check_cursor).await?;
            match checked {
                Ok(None) => break,
                Ok(Some(cursor)) => {
                    self.position = cursor.index.saturating_add(1);
                    self.last = Some(cursor);
                    break;
                }
                Err(Checked::Halt(halt)) => return Err(halt),
                Err(Checked::Later(error)) => self.retry(error).await?,
            }
        }
        self.tell.reached(self.position, 0, 0);
        self.tell.stage(Stage::Following);
        Ok(())
    }

    async fn follow(&mut self) -> Halt {
        while !self.stop.was_asked() {
            if let Err(halt) = self.round().await {
                return halt;
            }
        }
        Halt::Shutdown
    }

    async fn round(&mut self) -> Result<(), Halt> {
        match self.look().await? {
            Step::Deliver(batch) => self.deliver(batch).await,
            Step::Idle => {
                self.save_in_time().await;
                self.wait(self.options.poll).await
            }
            Step::Failed(error) => self.retry(error).await,
            Step::Missed(first) => {
                let from = self.position;
                let what =
                    format!("records {from} to {first} were pruned before they were delivered");
                let origin = self.last.as_ref().map(|last| last.origin.as_str());
                self.alarms.raise(origin, &what);
                self.tell.missed(first - from);
                self.position = first;
                Ok(())
            }
        }
    }

    async fn look(&mut self) -> Result<Step, Halt> {
        let (from, most, bytes) = (self.position, self.options.batch, self.options.batch_bytes);
        let found = self
            .blocking(move |files| files.reading.batch(from, most, bytes))
            .await?;
        match found {
            Ok(batch) if batch.records.is_empty() => {
                self.tell.lag(batch.signed.saturating_sub(from));
                self.went_well();
                Ok(Step::Idle)
            }
            Ok(batch) => Ok(Step::Deliver(batch)),
            Err(ReadFailure::Log(ReadError::Pruned { first })) if first > from => {
                Ok(Step::Missed(first))
            }
            Err(ReadFailure::Log(error @ ReadError::Damaged { .. })) => {
                Err(Halt::Damaged(error.to_string()))
            }
            Err(ReadFailure::Log(error)) => Ok(Step::Failed(error.to_string())),
            Err(ReadFailure::Vault(error)) => Ok(Step::Failed(error)),
            Err(ReadFailure::WentBack { signed }) => Err(Halt::WentBack {
                delivered: from,
                signed,
            }),
            Err(ReadFailure::Origin { found }) => Err(Halt::OtherLog {
                expected: self.origin(),
                found,
            }),
            Err(ReadFailure::Unreadable { index, why }) => {
                Err(Halt::Damaged(format!("record {index}: {why}")))
            }
        }
    }

    /// Delivers `batch`, as often as it takes.
    async fn deliver(&mut self, batch: Batch) -> Result<(), Halt> {
        let Some(last) = batch.records.last().map(cursor_of) else {
            return Ok(());
        };
        self.tell.lag(batch.signed.saturating_sub(self.position));
        loop {
            match self.hand_over(&batch.records).await {
                Ok(()) => break,
                Err(SinkError::Unavailable(error)) => self.retry(error).await?,
                Err(SinkError::Conflict { origin, index }) => {
                    self.tell.conflict();
                    return Err(Halt::Conflict { origin, index });
                }
            }
        }
        self.position = last.index.saturating_add(1);
        self.last = Some(last);
        self.unsaved = true;
        let lag = batch.signed.saturating_sub(self.position);
        self.tell
            .reached(self.position, lag, batch.records.len() as u64);
        self.went_well();
        self.save_in_time().await;
        Ok(())
    }

    async fn hand_over(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let deadline = self.options.deadline;
        tokio::select! {
            biased;
            answer = self.sink.deliver(records) => answer,
            () = self.options.clock.sleep(deadline) => {
                Err(SinkError::Unavailable(format!("the sink did not answer within {deadline:?}")))
            }
        }
    }

    /// Waits, longer each time; `Err` where it was asked to stop.
    async fn retry(&mut self, error: String) -> Result<(), Halt> {
        let name = &self.options.name;
        if self.tell.failed(&error) == 1 {
            // Once for an outage, and not each time that it is asked.
            tracing::warn!(target: "zt_audit", follower = %name, "a copy of the log waits: {error}");
        }
        self.save_in_time().await;
        let pause = self.pause;
        self.pause = (pause * 2).min(self.options.retry_most);
        self.wait(pause).await
    }

    fn went_well(&mut self) {
        self.pause = self.options.retry_first;
        self.tell.went_well();
    }

    async fn wait(&mut self, span: Duration) -> Result<(), Halt> {
        match self.stop.or_after(&*self.options.clock, span).await {
            Waited::Through => Ok(()),
            Waited::Stopped => Err(Halt::Shutdown),
        }
    }

    async fn save_in_time(&mut self) {
        let since = self.options.clock.monotonic().saturating_sub(self.saved_at);
        if self.unsaved && since >= self.options.save_every {
            // Where it fails, more comes again; it is tried again a span later.
            if let Err(error) = self.save().await {
                let name = &self.options.name;
                tracing::warn!(target: "zt_audit", follower = %name, "its cursor cannot be written: {error}");
            }
        }
    }

    async fn save(&mut self) -> io::Result<()> {
        self.saved_at = self.options.clock.monotonic();
        let Some(cursor) = self.last.clone().filter(|_| self.unsaved) else {
            return Ok(());
        };
        let saved = self.blocking(move |files| files.cursor.save(&cursor)).await;
        saved.unwrap_or_else(|halt| Err(io::Error::other(halt.to_string())))?;
        self.unsaved = false;
        Ok(())
    }

    fn origin(&self) -> String {
        let last = self.last.as_ref().map(|last| last.origin.clone());
        last.unwrap_or_default()
    }

    /// Does what blocks, where it may.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Files) -> T + Send + 'static,
    ) -> Result<T, Halt> {
        let mut files = self.files.take().ok_or(Halt::Panicked)?;
        let done = task::spawn_blocking(move || {
            let answer = work(&mut files);
            (files, answer)
        });
        let (files, answer) = done.await.map_err(|_| Halt::Panicked)?;
        self.files = Some(files);
        Ok(answer)
    }
}

enum Checked {
    Halt(Halt),
    Later(String),
}

/// The cursor, which the log agrees with.
fn check_cursor(files: &mut Files) -> Result<Option<Cursor>, Checked> {
    let saved = files.cursor.load();
    let saved = saved.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Checked::Halt(Halt::Cursor(error.to_string())),
        _ => Checked::Later(format!("its cursor cannot be read: {error}")),
    })?;
    let Some(cursor) = saved else {
        return Ok(None);
    };
    files.reading.expect_origin(&cursor.origin);
    let index = cursor.index;
    match files.reading.look(index) {
        Ok(Some(entry)) => agree(&cursor, &entry).map_err(Checked::Halt)?,
        Ok(None) => {
            return Err(Checked::Halt(Halt::WentBack {
                delivered: index.saturating_add(1),
                signed: files.reading.signed().unwrap_or(0),
            }));
        }
        // The record itself was pruned; the next one will say which log it is.
        Err(ReadError::Pruned { .. }) => {}
        Err(error @ ReadError::Damaged { .. }) => {
            return Err(Checked::Halt(Halt::Damaged(error.to_string())));
        }
        Err(error) => return Err(Checked::Later(error.to_string())),
    }
    Ok(Some(cursor))
}

fn agree(cursor: &Cursor, entry: &crate::read::Entry) -> Result<(), Halt> {
    let found = match crate::format::Line::read(&entry.bytes) {
        Ok(crate::format::Line::Record(head)) => head.origin,
        _ => return Err(Halt::Damaged(format!("record {} is none", entry.index))),
    };
    if found != cursor.origin {
        return Err(Halt::OtherLog {
            expected: cursor.origin.clone(),
            found: found.to_owned(),
        });
    }
    if entry.leaf != cursor.leaf {
        return Err(Halt::OtherRecord { index: entry.index });
    }
    Ok(())
}

fn cursor_of(record: &Record) -> Cursor {
    Cursor {
        origin: record.origin().to_owned(),
        index: record.index(),
        leaf: *record.leaf(),
    }
}

impl Tell {
    fn stage(&self, stage: Stage) {
        self.0.send_modify(|health| health.stage = stage);
    }

    fn lag(&self, lag: u64) {
        self.0.send_if_modified(|health| {
            let changed = health.lag != lag;
            health.lag = lag;
            changed
        });
    }

    fn reached(&self, position: u64, lag: u64, delivered: u64) {
        self.0.send_modify(|health| {
            health.position = position;
            health.lag = lag;
            health.delivered += delivered;
        });
    }

    fn missed(&self, missed: u64) {
        self.0.send_modify(|health| {
            health.missed += missed;
            health.position += missed;
        });
    }

    fn conflict(&self) {
        self.0.send_modify(|health| health.conflicts += 1);
    }

    /// How often in a row.
    fn failed(&self, error: &str) -> u32 {
        self.0.send_modify(|health| {
            health.stage = Stage::Retrying;
            health.failures = health.failures.saturating_add(1);
            health.last_error = Some(error.to_owned());
        });
        self.0.borrow().failures
    }

    fn went_well(&self) {
        self.0.send_if_modified(|health| {
            let changed = health.failures > 0;
            if changed {
                health.failures = 0;
                health.stage = Stage::Following;
            }
            changed
        });
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        let ended = self.0.send_if_modified(|health| {
            let running = !matches!(health.stage, Stage::Stopped(_));
            if running {
                health.stage = Stage::Stopped(Halt::Panicked);
            }
            running
        });
        // Else its runtime ended before it, which nobody has to look at.
        if ended && std::thread::panicking() {
            self.1.raise(None, &Halt::Panicked.to_string());
        }
    }
}
