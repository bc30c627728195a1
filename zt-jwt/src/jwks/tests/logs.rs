//! What an operator reads.

use std::fmt::{self, Write as _};

use tracing::{
    field::{Field, Visit},
    subscriber::DefaultGuard,
};

use super::{super::HttpKeys, server::Server, *};

/// Keeps every event of this crate as one line.
#[derive(Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn listen(&self) -> DefaultGuard {
        let lines = Arc::clone(&self.0);
        crate::test_log::listen(move |event| {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            lines.lock().unwrap().push(line.0);
        })
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

#[tokio::test]
async fn keys_that_are_left_out_are_told_once_for_each_change() {
    let lines = Lines::default();
    let _here = lines.listen();
    let bad =
        |kid: &str| format!(r#"{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"AA","y":"AA"}}"#);
    let good = jwk("a");
    let source = Scripted::default();
    let clock = ManualClock::default();
    let keys = remote(source.clone(), RefreshSettings::default(), &clock);
    for (name, text, told) in [
        ("a first bad key", set([good.clone(), bad("x")]), 1),
        ("the same", set([good.clone(), bad("x")]), 0),
        ("another", set([good.clone(), bad("x"), bad("y")]), 1),
        ("none", set([good.clone()]), 0),
        ("the first one again", set([good.clone(), bad("x")]), 1),
    ] {
        source.says(Answer::Set(text, None));
        clock.advance(10 * SECOND);
        miss(&keys, &clock).await;
        let lines = lines.take();
        let warnings = lines.iter().filter(|line| line.starts_with("WARN"));
        let warnings = warnings.filter(|line| line.contains("some keys cannot be used"));
        assert_eq!(warnings.count(), told, "{name}: {lines:?}");
    }
}

#[tokio::test]
async fn failures_and_changes_are_told_without_secrets() {
    let lines = Lines::default();
    let _here = lines.listen();
    let server = Server::start().await;
    let path = "/keys?code=s3cret";
    let source = HttpKeys::jwks(&server.url(path), http()).unwrap();
    let clock = ManualClock::default();
    let keys = remote(source, RefreshSettings::default(), &clock);
    let mut all = Vec::new();
    let mut told = |text: &str| {
        let new = lines.take();
        assert_eq!(new.len(), 1, "{new:?}");
        assert!(new[0].contains(text) && new[0].contains("/keys"), "{new:?}");
        all.extend(new);
    };

    miss(&keys, &clock).await;
    told("the answer is 404");
    let first = set([jwk("a")]);
    for (text, line) in [
        (&first, "keys=1 keeps_all=true"),
        (&set([jwk("b")]), "keys=1 keeps_all=false"),
    ] {
        server.ok(path, "", text);
        clock.advance(10 * SECOND);
        miss(&keys, &clock).await;
        told(line);
    }
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    assert!(lines.take().is_empty());
    server.stop().await;
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    told("failures=1");
    assert!(!all.concat().contains("s3cret"), "{all:?}");
}
