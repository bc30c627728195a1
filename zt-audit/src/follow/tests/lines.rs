use std::io::{self, Write};

use serde_json::{Value, json};

use super::*;
use crate::follow::record::escaped;

/// A writer that does as it is told; clones share it.
#[derive(Clone, Default)]
struct Pipe(Arc<(Mutex<Written>, std::sync::Condvar)>);

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    held: bool,
    /// Takes so many bytes, and fails once.
    fails_after: Option<usize>,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, Written> {
        self.0.0.lock().unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        while state.held {
            state = self.0.1.wait(state).unwrap();
        }
        let taken = match state.fails_after {
            Some(0) => {
                state.fails_after = None;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Some(left) => {
                let taken = left.min(bytes.len());
                state.fails_after = Some(left - taken);
                taken
            }
            None => bytes.len(),
        };
        state.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines(pipe: &Pipe) -> Vec<Value> {
    let state = pipe.state();
    let text = std::str::from_utf8(&state.bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn records(log: &TestLog) -> Vec<Record> {
    let stand = Stand::new();
    let follower = stand.follow(&log.disk);
    follower.delivered(log.tree.size()).await.unwrap();
    stand.sink.state().taken.clone()
}

#[tokio::test]
async fn writes_the_stored_bytes_a_line_each() {
    let log = log_of(3);
    let pipe = Pipe::default();
    let mut sink = JsonSink::new(pipe.clone());
    let records = records(&log).await;
    sink.deliver(&records[..2]).await.unwrap();
    sink.deliver(&records[2..]).await.unwrap();
    let stored: Vec<u8> = records
        .iter()
        .flat_map(|record| [record.stored(), b"\n"].concat())
        .collect();
    assert_eq!(pipe.state().bytes, stored);
}

#[tokio::test]
async fn a_writer_that_hung_is_waited_for_and_nothing_is_written_twice() {
    let log = log_of(3);
    let pipe = Pipe::default();
    pipe.state().held = true;
    let mut sink = JsonSink::new(pipe.clone());
    let records = records(&log).await;
    // Given up, as a follower does at its deadline, and asked again.
    for _ in 0..2 {
        tokio::select! {
            biased;
            _ = sink.deliver(&records) => panic!("nobody wrote"),
            () = tokio::task::yield_now() => {}
        }
    }
    pipe.state().held = false;
    pipe.0.1.notify_all();
    sink.deliver(&records).await.unwrap();
    assert_eq!(lines(&pipe).len(), 3);
}

#[tokio::test]
async fn half_a_line_is_ended_before_the_batch_comes_again() {
    let log = log_of(2);
    let pipe = Pipe::default();
    pipe.state().fails_after = Some(70);
    let mut sink = JsonSink::new(pipe.clone());
    let records = records(&log).await;
    let failed = sink.deliver(&records).await;
    assert!(matches!(failed, Err(SinkError::Unavailable(_))));
    sink.deliver(&records).await.unwrap();
    let written = pipe.state().bytes.clone();
    let text = String::from_utf8(written).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0].len(), 70);
    assert!(
        lines[1..]
            .iter()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
}

#[test]
fn what_is_printed_anew_has_nothing_that_a_terminal_obeys() {
    let deceitful = "\n\r\t\u{0}\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}";
    let value = json!({"subject": format!("al{deceitful}ice \"é\" 🦀")});
    let text = escaped(&value);
    assert!(!text.contains(|it: char| deceitful.contains(it)), "{text}");
    assert!(text.contains("🦀"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
}

/// Who can write into the log's files writes what a terminal obeys.
#[tokio::test]
async fn what_somebody_put_into_a_record_commands_no_terminal() {
    let log = log_of(1);
    let mut record = records(&log).await.remove(0);
    for put in [
        "\u{1b}[2J",
        "\r",
        "\u{9b}2J",
        "\u{202e}",
        "\u{200b}",
        "\u{e0041}",
    ] {
        let end = record.entry.bytes.len() - 1;
        let mut bytes = record.entry.bytes[..end].to_vec();
        bytes.extend_from_slice(format!(",\"x\":\"{put}\"}}").as_bytes());
        bytes.extend_from_slice(b"\xff");
        record.entry.bytes = bytes;
        let line = record.line();
        let text = std::str::from_utf8(&line).unwrap();
        assert!(!text.contains(crate::shown::can_deceive), "{text}");
    }
}
