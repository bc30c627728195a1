use std::{io, sync::Arc, time::Duration};

use zt_core::clock::ManualClock;

use crate::cli::{Io, Surroundings, paint::Paint, progress::Meter};

/// What a long work writes to standard error.
fn work(terminal: bool) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let clock = ManualClock::default();
    let mut io = Io {
        paint: Paint::PLAIN,
        around: &mut Surroundings {
            input: &mut io::empty(),
            out: &mut out,
            err: &mut err,
            colours: false,
            shows_progress: terminal,
            clock: Arc::new(clock.clone()),
            wait: &mut |_| false,
        },
    };
    let mut meter = Meter::new("reading", &io);
    for index in 0..10_000 {
        clock.advance(Duration::from_micros(200));
        meter.at(index, &mut io);
    }
    meter.clear(&mut io);
    assert!(out.is_empty());
    String::from_utf8(err).unwrap()
}

#[test]
fn nothing_is_shown_where_there_is_no_terminal() {
    assert_eq!(work(false), "");
}

#[test]
fn a_terminal_is_told_now_and_then_and_left_clean() {
    let shown = work(true);
    let lines: Vec<&str> = shown.split('\r').collect();
    // Two seconds, of which the first half passes in silence.
    assert!((3..=9).contains(&lines.len()), "{shown:?}");
    assert!(lines[1].starts_with("reading record "), "{shown:?}");
    assert!(shown.ends_with("\r\u{1b}[K"), "{shown:?}");
}
