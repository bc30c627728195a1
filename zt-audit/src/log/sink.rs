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

/// A locked file.
#[derive(Debug)]
pub(super) struct FileSink {
    file: File,
    end: u64,
}

impl FileSink {
    pub(super) const fn new(file: File, end: u64) -> Self {
        Self { file, end }
    }
}

impl Sink for FileSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is written into a deleted file is evidence for nobody, and a file that somebody
        // else cut or wrote to is no longer this log.
        let facts = self.file.metadata()?;
        if facts.nlink() == 0 {
            return Err(io::Error::other("the file was deleted"));
        }
        if facts.len() != self.end {
            return Err(io::Error::other("somebody else changed the file's length"));
        }
        let taken = self.file.write_at(bytes, self.end)?;
        self.end += taken as u64;
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
