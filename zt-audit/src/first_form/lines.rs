use std::io::{self, BufRead, BufReader, Read};

use crate::record::MAX_RECORD;

/// A line, without its newline.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Bytes at the end of the file, without a newline.
    Torn(&'a [u8]),
    /// It was not read to its end.
    TooLong,
    End,
}

/// Lines of bounded length.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 18, reader),
            line: Vec::with_capacity(4096),
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Line<'_>> {
        self.line.clear();
        // The newline comes on top.
        let most = MAX_RECORD as u64 + 1;
        (&mut self.reader)
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        Ok(match self.line.split_last() {
            None => Line::End,
            Some((b'\n', line)) => Line::Whole(line),
            Some(_) if self.line.len() > MAX_RECORD => Line::TooLong,
            Some(_) => Line::Torn(&self.line),
        })
    }
}
