//! Looking again.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use rustls::crypto::CryptoProvider;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::AbortHandle,
};
use zt_core::clock::Clock;

use super::{
    Files, FilesError,
    read::{Marks, Role, Seen},
};
use crate::{
    apart::apart,
    credentials::{Age, Credentials, Inner, Material},
};

/// Looks at the files for as long as it is kept: when it is dropped, the material in force stays.
#[must_use = "files are read again only while it is kept"]
pub struct Reloader {
    watch: Arc<Watch>,
    task: Option<AbortHandle>,
}

/// What one look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// They hold what is in force.
    Unchanged,
    /// They hold something else, which is in force from now on, as this generation.
    Replaced(u64),
    /// A file was written over in its place. What it holds now is taken by the next look, if that
    /// finds the same.
    Settling,
}

struct Watch {
    files: Files,
    credentials: Weak<Inner>,
    clock: Arc<dyn Clock>,
    /// Held while somebody looks, on one thread even where the file system hangs.
    state: Arc<Mutex<State>>,
    /// Nothing that is read from now on comes into force.
    stopped: AtomicBool,
}

/// What earlier looks found.
pub(super) struct State {
    /// What is in force.
    known: Marks,
    /// What is taken if it is found again.
    settling: Option<Marks>,
    /// What the log was told last.
    told: Option<Arc<str>>,
    told_of_open_key: bool,
    /// The generation of which the log was told that it is to be replaced soon.
    told_of_age: u64,
}

/// A look that takes longer is reported as failed, though its result still counts.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn start(
    files: Files,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
) -> Result<(Credentials, Reloader), FilesError> {
    let first = pin!(apart({
        let (files, clock) = (files.clone(), Arc::clone(&clock));
        move || first(&files, provider, clock)
    }));
    let late = clock.sleep(DEADLINE);
    let first = match select(first, late).await {
        Either::Left((first, _)) => first.ok_or(FilesError::Died)?,
        Either::Right(_) => Err(FilesError::Slow(DEADLINE.as_secs())),
    };
    let (credentials, state) = first?;
    let watch = Arc::new(Watch {
        files,
        credentials: Arc::downgrade(&credentials.0),
        clock,
        state: Arc::new(Mutex::new(state)),
        stopped: AtomicBool::new(false),
    });
    let task = Some(tokio::spawn(Arc::clone(&watch).go_on()).abort_handle());
    Ok((credentials, Reloader { watch, task }))
}

pub(super) fn first(
    files: &Files,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
) -> Result<(Credentials, State), FilesError> {
    let seen = files.read(None)?.ok_or(FilesError::Changing)?;
    let now = clock.now().map_err(|_| FilesError::Clock)?;
    let material = files.material(&seen, &provider, now)?;
    let credentials = Credentials::with(material, provider, clock);
    let mut state = State {
        known: seen.marks.clone(),
        settling: None,
        told: None,
        told_of_open_key: false,
        told_of_age: 0,
    };
    state.tell(&credentials, &seen);
    Ok((credentials, state))
}

impl Reloader {
    /// Looks now, as on a signal.
    ///
    /// # Errors
    ///
    /// When what the files hold cannot be put in force; what was in force stays.
    pub async fn reload(&self) -> Result<Reload, FilesError> {
        Arc::clone(&self.watch).look().await
    }

    /// A look on this thread, whose log a test hears.
    #[cfg(test)]
    pub(super) fn look_here(&self) -> Result<Reload, FilesError> {
        let state = Arc::clone(&self.watch.state).try_lock_owned();
        self.watch.look_now(state.expect("nobody looks"))
    }

    /// Goes on looking without being kept, until nobody uses the credentials any more.
    pub fn detach(mut self) {
        self.task = None;
    }
}

/// Stops looking.
impl Drop for Reloader {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            // A look that has begun goes on, on its thread.
            self.watch.stopped.store(true, Ordering::SeqCst);
            task.abort();
        }
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("files", &self.watch.files)
            .finish_non_exhaustive()
    }
}

impl Watch {
    async fn go_on(self: Arc<Self>) {
        loop {
            self.clock.sleep(self.files.every).await;
            let found = Arc::clone(&self).look().await;
            if self.credentials.strong_count() == 0 || found == Err(FilesError::Stopped) {
                return;
            }
        }
    }

    async fn look(self: Arc<Self>) -> Result<Reload, FilesError> {
        let watch = Arc::clone(&self);
        let looking = Box::pin(async move {
            let state = Arc::clone(&watch.state).lock_owned().await;
            apart(move || watch.look_now(state)).await
        });
        match select(looking, self.clock.sleep(DEADLINE)).await {
            Either::Left((Some(found), _)) => found,
            Either::Left((None, _)) => self.unread(FilesError::Died),
            Either::Right(_) => self.unread(FilesError::Slow(DEADLINE.as_secs())),
        }
    }

    /// A look that came to no end; there is another.
    fn unread(&self, why: FilesError) -> Result<Reload, FilesError> {
        self.credentials()?.live().failed(&why);
        tracing::warn!(error = %why, "credentials cannot be read again");
        Err(why)
    }

    fn credentials(&self) -> Result<Credentials, FilesError> {
        let inner = self.credentials.upgrade().ok_or(FilesError::Stopped)?;
        Ok(Credentials(inner))
    }

    fn look_now(&self, mut state: OwnedMutexGuard<State>) -> Result<Reload, FilesError> {
        let credentials = self.credentials()?;
        let found = self.compare(&mut state, &credentials);
        match &found {
            Ok(_) => state.told = None,
            Err(error) => {
                credentials.live().failed(error);
                let error: Arc<str> = error.to_string().into();
                if state.told.as_ref() != Some(&error) {
                    tracing::warn!(%error, "credentials cannot be replaced; the last good ones stay");
                    state.told = Some(error);
                }
            }
        }
        state.tell_of_age(&credentials);
        found
    }

    fn compare(&self, state: &mut State, credentials: &Credentials) -> Result<Reload, FilesError> {
        let seen = self.files.read(Some(&state.known))?;
        if self.stopped.load(Ordering::SeqCst) {
            return Err(FilesError::Stopped);
        }
        let Some(seen) = seen else {
            state.settling = None;
            credentials.live().confirm();
            return Ok(Reload::Unchanged);
        };
        if seen.marks.written_over_since(&state.known)
            && !state
                .settling
                .as_ref()
                .is_some_and(|marks| marks.same_content(&seen.marks))
        {
            state.settling = Some(seen.marks);
            return Ok(Reload::Settling);
        }
        let now = credentials.clock().now().map_err(|_| FilesError::Clock)?;
        let material = self.files.material(&seen, credentials.provider(), now)?;
        let generation = credentials.replace(material);
        tracing::info!(generation, "credentials were replaced");
        state.tell(credentials, &seen);
        state.known = seen.marks;
        state.settling = None;
        Ok(Reload::Replaced(generation))
    }
}

impl State {
    /// What is no error and should not stay so.
    fn tell(&mut self, credentials: &Credentials, seen: &Seen) {
        let key = seen.parts.iter().find(|part| part.role == Role::Key);
        if let Some(key) = key.filter(|key| key.open && !self.told_of_open_key) {
            self.told_of_open_key = true;
            tracing::warn!(file = %key.file.display(), "others may read the private key");
        }
        let Ok(now) = credentials.clock().now() else {
            return;
        };
        let material: &Material = &credentials.load();
        if let Err(error) = material.by_own_trust(credentials.provider(), now) {
            tracing::warn!(%error, "our own trust refuses our own certificate; is it of another domain?");
        }
    }

    fn tell_of_age(&mut self, credentials: &Credentials) {
        let standing = credentials.standing();
        if standing.certificate >= Age::LastThird && self.told_of_age != standing.live.generation {
            self.told_of_age = standing.live.generation;
            let left = standing.certificate_left.as_secs();
            tracing::warn!(
                left,
                "our own certificate is not replaced though it should be"
            );
        }
    }
}
