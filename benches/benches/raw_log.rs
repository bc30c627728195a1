//! The floor under a durable log: a queue, one thread, one write and one `fdatasync` a batch.
//! Nothing is hashed, formatted or chained.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread::JoinHandle,
};

const ZEROS: u64 = 64 << 20;

pub(crate) struct RawLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    taken: u64,
    durable: u64,
    waiting: Vec<Waker>,
    ends: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where there are `zeros` ahead, it begins again at their end.
    fn run(&self, mut file: File, zeros: u64) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut written = 0;
        loop {
            let mut state = self.state();
            while state.bytes.is_empty() {
                if state.ends {
                    return Ok(());
                }
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut state.bytes, &mut batch);
            let taken = state.taken;
            drop(state);
            if zeros > 0 && written + batch.len() as u64 > zeros {
                file.rewind()?;
                written = 0;
            }
            written += batch.len() as u64;
            file.write_all(&batch)?;
            file.sync_data()?;
            batch.clear();
            let mut state = self.state();
            state.durable = taken;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl RawLog {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::over(File::create(path)?, 0)
    }

    /// Into a file that is as long as it becomes: a flush changes no length.
    pub(crate) fn open_zeroed(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        for _ in 0..ZEROS >> 16 {
            file.write_all(&[0; 1 << 16])?;
        }
        file.sync_all()?;
        file.rewind()?;
        Self::over(file, ZEROS)
    }

    fn over(file: File, zeros: u64) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().spawn(move || writer.run(file, zeros))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn append(&self, line: &[u8]) -> Appended {
        let mut state = self.shared.state();
        state.bytes.extend_from_slice(line);
        state.taken += 1;
        let ticket = state.taken;
        drop(state);
        self.shared.work.notify_one();
        Appended {
            shared: Arc::clone(&self.shared),
            ticket,
        }
    }
}

impl Drop for RawLog {
    fn drop(&mut self) {
        self.shared.state().ends = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ready when the line is on the disk.
pub(crate) struct Appended {
    shared: Arc<Shared>,
    ticket: u64,
}

impl Future for Appended {
    type Output = Result<(), std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.state();
        if state.durable >= self.ticket {
            return Poll::Ready(Ok(()));
        }
        state.waiting.push(task.waker().clone());
        Poll::Pending
    }
}
