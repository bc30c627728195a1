//! One file, its reads, and its writes in groups.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, TableDefinition,
    WriteTransaction,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, oneshot},
};

/// A file that cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedbError {
    /// Another process has it open, or another handle of this one.
    #[error("the file of the store is in use")]
    InUse,
    /// It is damaged, or it is not a store.
    #[error("the file of the store cannot be read: {0}")]
    Damaged(String),
    /// It cannot be opened, read or written.
    #[error("the file of the store cannot be used")]
    Io(#[source] io::Error),
}

/// Why nothing was done, or nobody knows whether it was.
pub(super) type Unanswered = Arc<str>;

/// Handles share the file; it is closed with the last one.
#[derive(Clone)]
pub(super) struct File(Arc<Inner>);

struct Inner {
    database: Database,
    queue: Mutex<Queue>,
    readers: Arc<Semaphore>,
    news: Notify,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    /// Whether somebody works on them.
    is_served: bool,
}

/// What a job may do within the transaction of its group.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a WriteTransaction,
    /// Whether there is something to be written; a group of conflicts costs no `fsync`.
    pub(super) changed: bool,
    /// Whether whoever waits for [`File::news`] is to be woken then.
    pub(super) announced: bool,
}

/// Which layout the file has, in [`META`].
const FORMAT: u64 = 1;
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("zt.meta");
/// More is refused: callers that gave up must not fill the memory.
const LONGEST_QUEUE: usize = 4096;
/// The most calls that share a transaction.
const GROUP: usize = 256;
const READERS: usize = 64;
const CACHE: usize = 64 * 1024 * 1024;

impl File {
    /// Opens `path`, or creates it; `prepare` makes the tables.
    pub(super) async fn open(
        path: &Path,
        prepare: fn(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<Self, RedbError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&path, prepare)).await;
        // A damaged file may also make the engine panic.
        opened.unwrap_or_else(|_| Err(RedbError::Damaged("the engine gave up".to_owned())))
    }

    /// Runs `act` on what is written now.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let runtime = runtime()?;
        let permit = Arc::clone(&self.0.readers).acquire_owned().await;
        let inner = Arc::clone(&self.0);
        let read = runtime.spawn_blocking(move || {
            let _permit = permit;
            act(&inner.database.begin_read()?)
        });
        match read.await {
            Ok(read) => read.map_err(|error| failed(&error)),
            Err(_) => Err("the engine gave up".into()),
        }
    }

    /// Runs `act` in a transaction; ready when it is on the disk. It may happen although the
    /// future is dropped.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.queue(Box::new(Task {
            act: Some(act),
            done: None,
            reply,
        }))?;
        answer
            .await
            .unwrap_or_else(|_| Err("the engine gave up".into()))
    }

    /// Woken after each transaction that announced something.
    pub(super) fn news(&self) -> &Notify {
        &self.0.news
    }

    fn queue(&self, job: Box<dyn Job>) -> Result<(), Unanswered> {
        let runtime = runtime()?;
        let mut queue = self.0.queue();
        if queue.jobs.len() >= LONGEST_QUEUE {
            return Err("too many writes wait".into());
        }
        queue.jobs.push(job);
        if !queue.is_served {
            queue.is_served = true;
            drop(queue);
            let service = Service {
                inner: Arc::downgrade(&self.0),
                is_over: false,
            };
            runtime.spawn_blocking(move || service.run());
        }
        Ok(())
    }
}

/// Works on the queue until it is empty; only one does.
struct Service {
    inner: Weak<Inner>,
    is_over: bool,
}

impl Service {
    fn run(mut self) {
        while let Some(inner) = self.inner.upgrade() {
            let Some(group) = inner.take() else {
                self.is_over = true;
                return;
            };
            let (group, failed) = inner.commit(group);
            // The file is let go of before anybody is answered who may open it again.
            self.is_over = inner.is_done();
            drop(inner);
            for job in group {
                job.answer(failed.as_ref());
            }
            if self.is_over {
                return;
            }
        }
    }
}

/// Where it ends otherwise, by a panic of the engine or with its runtime, whoever waits is told,
/// and the next call begins anew.
impl Drop for Service {
    fn drop(&mut self) {
        if let (false, Some(inner)) = (self.is_over, self.inner.upgrade()) {
            let mut queue = inner.queue();
            queue.is_served = false;
            queue.jobs.clear();
        }
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut queue = self.queue();
        let count = queue.jobs.len().min(GROUP);
        queue.is_served = count > 0;
        (count > 0).then(|| queue.jobs.drain(..count).collect())
    }

    fn is_done(&self) -> bool {
        let mut queue = self.queue();
        queue.is_served = !queue.jobs.is_empty();
        !queue.is_served
    }

    /// One transaction with all of `group`, or none.
    fn commit(&self, mut group: Vec<Box<dyn Job>>) -> (Vec<Box<dyn Job>>, Option<Unanswered>) {
        group.retain(|job| job.is_wanted());
        let failed = self.try_commit(&mut group).err();
        (group, failed.map(|error| self::failed(&error)))
    }

    fn try_commit(&self, group: &mut [Box<dyn Job>]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut writing = Writing {
            transaction: &transaction,
            changed: false,
            announced: false,
        };
        for job in group {
            job.run(&mut writing)?;
        }
        let Writing {
            changed, announced, ..
        } = writing;
        if !changed {
            return Ok(transaction.abort()?);
        }
        // Durable at once unless told otherwise.
        transaction.commit()?;
        if announced {
            self.news.notify_waiters();
        }
        Ok(())
    }
}

trait Job: Send {
    fn is_wanted(&self) -> bool;
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), redb::Error>;
    fn answer(self: Box<Self>, failed: Option<&Unanswered>);
}

struct Task<F, T> {
    act: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Unanswered>>,
}

impl<F, T: Send> Job for Task<F, T>
where
    F: FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), redb::Error> {
        if let Some(act) = self.act.take() {
            self.done = Some(act(writing)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<&Unanswered>) {
        let answer = match (failed, self.done) {
            (None, Some(done)) => Ok(done),
            (Some(failed), _) => Err(Arc::clone(failed)),
            (None, None) => Err("it was not done".into()),
        };
        // Whoever gave up does not hear it.
        let _ = self.reply.send(answer);
    }
}

fn open(
    path: &Path,
    prepare: fn(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<File, RedbError> {
    create(path).map_err(RedbError::Io)?;
    let database = Database::builder()
        .set_cache_size(CACHE)
        // Without it what was damaged is found when it is read, or never.
        .set_check_integrity_on_open(true)
        .create(path)
        .map_err(refused)?;
    begin(&database, prepare)
        .map_err(|error| RedbError::Damaged(error.to_string()))?
        .then_some(())
        .ok_or_else(|| RedbError::Damaged("its format is another version's".to_owned()))?;
    Ok(File(Arc::new(Inner {
        database,
        queue: Mutex::default(),
        readers: Arc::new(Semaphore::new(READERS)),
        news: Notify::new(),
    })))
}

/// Makes an empty file, where there is none, that is its owner's alone and survives a crash.
fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let here = Path::new(".");
        let folder = if folder.as_os_str().is_empty() {
            here
        } else {
            folder
        };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Makes the tables; `false` where the file is of another format.
fn begin(
    database: &Database,
    prepare: fn(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<bool, redb::Error> {
    use redb::ReadableTable as _;
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|format| format.value());
        if found.is_none() {
            meta.insert("format", FORMAT)?;
        }
        found.unwrap_or(FORMAT)
    };
    if found != FORMAT {
        transaction.abort()?;
        return Ok(false);
    }
    prepare(&transaction)?;
    transaction.commit()?;
    Ok(true)
}

fn refused(error: DatabaseError) -> RedbError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            RedbError::InUse
        }
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != io::ErrorKind::InvalidData
                && error.kind() != io::ErrorKind::UnexpectedEof =>
        {
            RedbError::Io(error)
        }
        error => RedbError::Damaged(error.to_string()),
    }
}

fn failed(error: &redb::Error) -> Unanswered {
    tracing::warn!(%error, "the file of the store failed");
    "the file of the store failed".into()
}

fn runtime() -> Result<Handle, Unanswered> {
    Handle::try_current().map_err(|_| "there is no runtime".into())
}
