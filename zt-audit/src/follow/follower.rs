use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};
use zt_core::clock::Clock;

use super::{
    FollowOptions, FollowerHealth, Halt, Sink, Stage,
    alarm::Alarms,
    cursor::CursorFile,
    source::{LogFiles, Reading, Source},
    task::Task,
};
use crate::storage::Folder;

/// Copies a log into a [`Sink`]; see the [module](super).
///
/// Dropping it asks it to stop, without waiting; [`shutdown`](Self::shutdown) waits.
pub struct Follower {
    health: watch::Receiver<FollowerHealth>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the log in `folder`, on the tokio runtime that this is called on. The log may not be
    /// there yet.
    ///
    /// # Errors
    ///
    /// When the name cannot be one, another follower of this name goes on from the same cursor, or
    /// the folder of cursors cannot be used. What comes later stands in [`health`](Self::health).
    pub fn spawn(
        folder: impl AsRef<Path>,
        sink: impl Sink,
        options: FollowOptions,
    ) -> Result<Self, FollowError> {
        let folder = folder.as_ref();
        let cursors = match &options.cursors {
            Some(cursors) => cursors.clone(),
            None => beside(folder)?,
        };
        if is_within(&cursors, folder) {
            return Err(FollowError::Within(cursors));
        }
        Self::follow(
            Box::new(LogFiles::new(folder.to_owned())),
            sink,
            options,
            &cursors,
        )
    }

    pub(super) fn follow(
        source: Box<dyn Source>,
        sink: impl Sink,
        options: FollowOptions,
        cursors: &Path,
    ) -> Result<Self, FollowError> {
        if !options.has_good_name() {
            return Err(FollowError::Name(options.name));
        }
        let cursors = Folder::open(cursors)
            .map_err(|error| FollowError::file("open the folder of cursors", cursors, error))?;
        let cursor = CursorFile::lock(cursors, &options.name)?;
        let (tell, health) = watch::channel(FollowerHealth::new());
        let (stop, asked) = watch::channel(false);
        let reading = Reading::new(source, options.opened.clone());
        let alarms = Alarms::new(&options);
        let task = Task::new(sink, reading, cursor, options, alarms, tell, Stop(asked));
        Ok(Self {
            health,
            stop,
            task: Some(tokio::spawn(task.run())),
        })
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> FollowerHealth {
        self.health.borrow().clone()
    }

    /// The same, to wait for changes of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<FollowerHealth> {
        self.health.clone()
    }

    /// Ready when the sink has taken all records before `position`.
    ///
    /// # Errors
    ///
    /// When the follower stops before that.
    pub async fn delivered(&self, position: u64) -> Result<(), Halt> {
        let found = self.until(|health| health.position >= position).await;
        match (found.position >= position, found.stage) {
            (true, _) => Ok(()),
            (false, Stage::Stopped(halt)) => Err(halt),
            (false, _) => Err(Halt::Panicked),
        }
    }

    /// Ready when it has stopped; why.
    pub async fn stopped(&self) -> Halt {
        match self.until(|_| false).await.stage {
            Stage::Stopped(halt) => halt,
            _ => Halt::Panicked,
        }
    }

    /// How it is doing once `is` says so, or it has stopped.
    pub(super) async fn until(
        &self,
        mut is: impl FnMut(&FollowerHealth) -> bool,
    ) -> FollowerHealth {
        let mut health = self.health.clone();
        let found = health
            .wait_for(|health| is(health) || matches!(health.stage, Stage::Stopped(_)))
            .await;
        // Where its task is gone, it has said so before.
        found.map_or_else(|_| self.health(), |health| health.clone())
    }

    /// Waits for the delivery in progress, at most for its deadline, writes the cursor and stops.
    /// How it was doing in the end.
    pub async fn shutdown(mut self) -> FollowerHealth {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // A panic is told by the health.
            let _ = task.await;
        }
        self.health()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Follower").field(&self.health()).finish()
    }
}

/// A follower that cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// A name that cannot be one.
    #[error("`{0}` cannot be a follower's name: up to 64 of `a-z`, `0-9`, `-` and `_`")]
    Name(String),
    /// Cursors are no part of a log.
    #[error("the folder of cursors `{0}` is within the log")]
    Within(PathBuf),
    /// Two followers would write one cursor.
    #[error("another follower named `{0}` goes on from the same cursor")]
    InUse(String),
    /// The disk.
    #[error("{action} `{path}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FollowError {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// `<log>.cursors`.
fn beside(log: &Path) -> Result<PathBuf, FollowError> {
    let name = log.file_name().ok_or_else(|| {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it has no name");
        FollowError::file("follow", log, error)
    })?;
    let mut name = name.to_owned();
    name.push(".cursors");
    Ok(log.with_file_name(name))
}

/// Whether `inner` is `outer` or below it, as far as both can be resolved.
fn is_within(inner: &Path, outer: &Path) -> bool {
    let resolved = |path: &Path| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match (whole.canonicalize(), whole.parent(), whole.file_name()) {
            (Ok(found), ..) => found,
            (Err(_), Some(parent), Some(name)) => parent
                .canonicalize()
                .map_or_else(|_| whole.clone(), |parent| parent.join(name)),
            _ => whole,
        }
    };
    resolved(inner).starts_with(resolved(outer))
}

/// What comes of waiting for `span` or being asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Through,
    Stopped,
}

/// Whether a follower was asked to stop.
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn was_asked(&self) -> bool {
        // Whoever could ask is gone: that is asking too.
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for `span` of `clock`.
    pub(super) async fn or_after(&mut self, clock: &dyn Clock, span: Duration) -> Waited {
        tokio::select! {
            biased;
            _ = self.0.wait_for(|asked| *asked) => Waited::Stopped,
            () = clock.sleep(span) => Waited::Through,
        }
    }
}
