use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

/// Where the bytes of a log go.
///
/// One thread calls it. After an error it is dropped and never asked again: what a failed write or
/// flush left behind cannot be known, and a second flush of the same file may answer "good" for
/// pages that were thrown away.
pub trait Sink: Send + 'static {
    /// Takes bytes at the end of the log, and answers how many it took; for fewer than all it is
    /// asked again with the rest.
    ///
    /// # Errors
    ///
    /// When it cannot take any. [`io::ErrorKind::Interrupted`] means: none, ask again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything that was taken durable.
    ///
    /// # Errors
    ///
    /// When anything may be lost.
    fn sync(&mut self) -> io::Result<()>;
}

/// Takes all of `bytes` and makes them durable.
pub(super) fn commit(sink: &mut dyn Sink, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match sink.append(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                let left = rest.get(taken..);
                rest = left.ok_or_else(|| io::Error::other("the sink took more than it got"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    sink.sync()
}

/// A file that this process alone has locked.
#[derive(Debug)]
pub(super) struct Locked(pub(super) File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked at this moment and has not yet called
        // `exec` holds the file open too, and the lock with it. Where it fails, closing is left.
        let _ = self.0.unlock();
    }
}

/// A log's file.
#[derive(Debug)]
pub(super) struct FileSink {
    file: Locked,
    end: u64,
}

impl FileSink {
    pub(super) const fn new(file: Locked, end: u64) -> Self {
        Self { file, end }
    }
}

impl Sink for FileSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is written into a deleted file is evidence for nobody, and a file that somebody
        // else cut or wrote to is no longer this log.
        let facts = self.file.0.metadata()?;
        if facts.nlink() == 0 {
            return Err(io::Error::other("the file was deleted"));
        }
        if facts.len() != self.end {
            return Err(io::Error::other("somebody else changed the file's length"));
        }
        let taken = self.file.0.write_at(bytes, self.end)?;
        self.end += taken as u64;
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.0.sync_data()
    }
}
