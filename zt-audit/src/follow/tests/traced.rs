//! What `tracing` gets.

use std::fmt::{self, Write as _};

use ::tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;

/// Keeps what is logged, as a subscriber that escapes nothing prints it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Level, String, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, "{}={value} ", field.name()).unwrap();
    }
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let metadata = event.metadata();
        let entry = (*metadata.level(), metadata.target().to_owned(), line.0);
        self.0.lock().unwrap().push(entry);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn records_are_events_of_their_level_and_fake_no_line() {
    let mut log = TestLog::new();
    let forged = "a\\nb\\u001b[2J\\u202ec";
    for (kind, fields) in [
        (
            "decision",
            r#","decision":"permit","rule":"orders.read""#.to_owned(),
        ),
        (
            "decision",
            r#","decision":"deny","code":"policy-denied","status":403"#.to_owned(),
        ),
        (
            "outcome",
            r#","handler":"panicked","code":"handler-panicked""#.to_owned(),
        ),
        ("outcome", r#","handler":"reached","status":200"#.to_owned()),
        ("alert", format!(r#","subject":"{forged}""#)),
        ("started", String::new()),
    ] {
        log.record(kind, &fields);
    }
    log.commit();
    sign(&log);
    let stand = Stand::new();
    let follower = stand.follow(&log.disk);
    follower.delivered(6).await.unwrap();
    let records = stand.sink.state().taken.clone();
    let kept = Kept::default();
    // Dropped at the end of the test, which runs on this thread alone.
    let _default = ::tracing::subscriber::set_default(kept.clone());
    TracingSink.deliver(&records).await.unwrap();
    let kept = kept.0.lock().unwrap();
    let levels: Vec<_> = kept.iter().map(|(level, ..)| *level).collect();
    let (error, warn, info) = (Level::ERROR, Level::WARN, Level::INFO);
    assert_eq!(levels, [info, warn, error, info, error, info]);
    assert!(kept.iter().all(|(_, target, _)| target == "zt_audit"));
    let (_, _, denied) = &kept[1];
    assert!(denied.contains(r#"code="policy-denied""#), "{denied}");
    assert!(
        denied.contains("index=1") && denied.contains("status=403"),
        "{denied}"
    );
    let (_, _, alert) = &kept[4];
    assert!(!alert.contains(['\n', '\u{1b}', '\u{202e}']), "{alert:?}");
    assert!(alert.contains(r"\u{202e}c"), "{alert}");
}
