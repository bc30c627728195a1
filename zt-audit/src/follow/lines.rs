//! Text into a writer, on a thread of its own.

use std::{
    io::{self, Write},
    ops::Range,
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

use super::{Record, SinkError};

/// Writes lines. A writer that hangs (a pipe that nobody reads) hangs its thread, and not the
/// runtime; what it was given is waited for when it is asked again, and not written twice.
pub(super) struct Lines {
    thread: Option<mpsc::Sender<Job>>,
    pending: Option<Pending>,
}

struct Job {
    text: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

struct Pending {
    which: Range<u64>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Lines {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        let (jobs, taken) = mpsc::channel();
        let thread = thread::Builder::new().name("zt-audit-lines".to_owned());
        let thread = thread.spawn(move || write_all(writer, &taken));
        Self {
            thread: thread.is_ok().then_some(jobs),
            pending: None,
        }
    }

    /// Writes the line of each record, with its newline, and flushes.
    pub(super) async fn write(
        &mut self,
        records: &[Record],
        mut line: impl FnMut(&Record, &mut Vec<u8>),
    ) -> Result<(), SinkError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(());
        };
        let which = first.index()..last.index().saturating_add(1);
        if let Some(before) = self.wait().await
            && before? == which
        {
            return Ok(());
        }
        let mut text = Vec::new();
        for record in records {
            line(record, &mut text);
            text.push(b'\n');
        }
        let (done, waiting) = oneshot::channel();
        let sent = self
            .thread
            .as_ref()
            .and_then(|thread| thread.send(Job { text, done }).ok());
        sent.ok_or_else(gone)?;
        self.pending = Some(Pending {
            which,
            done: waiting,
        });
        self.wait()
            .await
            .map_or(Ok(()), |written| written.map(drop))
    }

    /// What became of the last text, if it is not known yet.
    async fn wait(&mut self) -> Option<Result<Range<u64>, SinkError>> {
        let pending = self.pending.as_mut()?;
        // Given up in here, it is still pending.
        let done = (&mut pending.done).await;
        let which = self.pending.take()?.which;
        Some(match done {
            Ok(Ok(())) => Ok(which),
            Ok(Err(error)) => Err(SinkError::Unavailable(format!("cannot write: {error}"))),
            Err(_) => Err(gone()),
        })
    }
}

fn gone() -> SinkError {
    SinkError::Unavailable("there is no thread to write on".to_owned())
}

fn write_all(mut writer: impl Write, jobs: &mpsc::Receiver<Job>) {
    let mut torn = false;
    for job in jobs {
        // Half a line may be there after an error: the next one does not go on in it.
        let begun = if torn {
            writer.write_all(b"\n")
        } else {
            Ok(())
        };
        let written = begun
            .and_then(|()| writer.write_all(&job.text))
            .and_then(|()| writer.flush());
        torn = written.is_err();
        let _ = job.done.send(written);
    }
}
