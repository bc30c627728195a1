//! Tokens in files, swapped as kubelet does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use zt_core::clock::Timestamp;

use super::{super::projected_file::end_of, *};

/// A directory that is gone when the test is.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zt-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// `token` -> `..data/token`, `..data` -> `..<edition>`, renamed into place.
    #[cfg(unix)]
    fn swap(&self, edition: &str, contents: &str) {
        use std::os::unix::fs::symlink;
        let data = self.0.join(format!("..{edition}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("token"), contents).unwrap();
        symlink(format!("..{edition}"), self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        if !self.token().exists() {
            symlink(Path::new("..data").join("token"), self.token()).unwrap();
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn jwt(payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2lnbmF0dXJl",
        encode(r#"{"alg":"RS256"}"#),
        encode(payload)
    )
}

fn ending(clock: &ManualClock, name: &str, after: Duration) -> String {
    let exp = (clock.now().unwrap() + after).as_secs();
    jwt(&format!(r#"{{"sub":"{name}","exp":{exp}}}"#))
}

/// Does what sends for a token, and waits until it has landed.
async fn renewed(tokens: &Tokens) -> Result<AttachableToken, Unavailable> {
    let mut landing = tokens.0.landed.subscribe();
    let _ = tokens.token().await;
    landing.changed().await.unwrap();
    tokens.token().await
}

#[cfg(unix)]
#[tokio::test]
async fn a_token_that_is_swapped_is_picked_up_within_a_minute() {
    let clock = ManualClock::default();
    let dir = Dir::new("swap");
    let first = ending(&clock, "first", 3_600 * SECOND);
    dir.swap("2030_1", &format!("{first}\n"));
    let tokens = tokens(ProjectedFile::new(dir.token()), &clock);
    assert_eq!(text(&tokens).await, first);

    let second = ending(&clock, "second", 7_200 * SECOND);
    dir.swap("2030_2", &second);
    clock.advance(59 * SECOND);
    assert_eq!(text(&tokens).await, first);
    clock.advance(SECOND);
    let token = renewed(&tokens).await.unwrap();
    assert_eq!(token.plain(), second);
    assert_eq!(token.expires_at(), end_of(second.as_bytes()));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_leaves_the_old_token_until_its_end() {
    let clock = ManualClock::default();
    let dir = Dir::new("gone");
    let first = ending(&clock, "first", 300 * SECOND);
    dir.swap("2030_1", &first);
    let tokens = tokens(ProjectedFile::new(dir.token()), &clock);
    assert_eq!(text(&tokens).await, first);
    fs::remove_file(dir.0.join("..data")).unwrap();
    for _ in 0..4 {
        clock.advance(60 * SECOND);
        assert_eq!(renewed(&tokens).await.unwrap().plain(), first);
    }
    assert!(tokens.status().failures >= 4);
    clock.advance(60 * SECOND);
    let error = tokens.token().await.unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let second = ending(&clock, "second", 300 * SECOND);
    dir.swap("2030_2", &second);
    clock.advance(60 * SECOND);
    assert_eq!(text(&tokens).await, second);
}

#[tokio::test]
async fn what_is_in_a_file_has_to_be_a_token_that_ends() {
    let clock = ManualClock::default();
    let dir = Dir::new("contents");
    let exp = (clock.now().unwrap() + 600 * SECOND).as_secs();
    let good = jwt(&format!(r#"{{"exp":{exp}}}"#));
    let long = "a".repeat(AttachableToken::MAX_LEN + 1);
    let past = jwt(r#"{"exp":1000}"#);
    let cases = [
        (good.clone(), true),
        (format!("{good}\n"), true),
        (format!("{good}\r\n"), true),
        (jwt(&format!(r#"{{"exp":{exp}.5}}"#)), true),
        (format!("{good}\n\n"), false),
        (format!(" {good}"), false),
        (format!("{good} x"), false),
        (String::new(), false),
        ("\n".to_owned(), false),
        ("opaque".to_owned(), false),
        (long.clone(), false),
        (past, false),
        (jwt("{}"), false),
        (jwt(&format!(r#"{{"exp":"{exp}"}}"#)), false),
        (jwt(&format!(r#"{{"exp":{exp},"exp":{exp}}}"#)), false),
        (jwt(r#"{"exp":-1}"#), false),
        (jwt(&format!("[{exp}]")), false),
        (format!("{good}.more"), false),
    ];
    for (contents, fine) in cases {
        fs::write(dir.token(), &contents).unwrap();
        let answer = ProjectedFile::new(dir.token()).fetch(&clock).await;
        let judged = super::tokens(ProjectedFile::new(dir.token()), &clock)
            .token()
            .await;
        assert_eq!(judged.is_ok(), fine, "{contents} {answer:?}");
    }

    let opaque = ProjectedFile::new(dir.token()).opaque_seconds(300);
    fs::write(dir.token(), "opaque\n").unwrap();
    let token = opaque.fetch(&clock).await.unwrap();
    assert_eq!(token.plain(), "opaque");
    assert_eq!(
        token.expires_at(),
        Some(clock.now().unwrap() + 300 * SECOND)
    );
    fs::write(dir.token(), long).unwrap();
    assert!(matches!(
        opaque.fetch(&clock).await,
        Err(SourceError::Unusable(_))
    ));

    let directory = ProjectedFile::new(&dir.0).fetch(&clock).await;
    assert!(matches!(directory, Err(SourceError::File { .. })));
}

#[cfg(target_os = "linux")]
fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_no_regular_file_is_not_read() {
    let clock = ManualClock::default();
    let dir = Dir::new("kinds");
    pipe(&dir.token());
    for path in [dir.token(), dir.0.clone(), "/dev/zero".into()] {
        let answer = ProjectedFile::new(&path).fetch(&clock).await;
        assert!(matches!(answer, Err(SourceError::File { .. })), "{path:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_in_place_of_the_file_holds_no_thread() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let clock = ManualClock::default();
        let dir = Dir::new("pipe");
        let token = ending(&clock, "a", 600 * SECOND);
        let [file, pipe_to, next] = ["file", "pipe", "next"].map(|name| dir.0.join(name));
        fs::write(&file, &token).unwrap();
        pipe(&pipe_to);
        let swap = |to: &Path| {
            fs::hard_link(to, &next).unwrap();
            fs::rename(&next, dir.token()).unwrap();
        };
        let stop = std::sync::atomic::AtomicBool::new(false);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        swap(&file);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    swap(&pipe_to);
                    swap(&file);
                }
            });
            let source = ProjectedFile::new(dir.token());
            for _ in 0..5_000 {
                match runtime.block_on(source.fetch(&clock)) {
                    Ok(read) => assert_eq!(read.plain(), token),
                    Err(SourceError::File { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
        done.send(()).unwrap();
    });
    // Waits for ever where a reading waits for a writer.
    ended.recv_timeout(120 * SECOND).unwrap();
}

#[tokio::test]
async fn clones_do_not_stand_in_each_others_way() {
    let clock = ManualClock::default();
    let dir = Dir::new("clones");
    fs::write(dir.token(), ending(&clock, "a", 600 * SECOND)).unwrap();
    let source = ProjectedFile::new(dir.token());
    for _ in 0..200 {
        let sources = [(); 8].map(|()| source.clone());
        let readings = sources.iter().map(|source| source.fetch(&clock));
        for answer in futures_util::future::join_all(readings).await {
            answer.unwrap();
        }
    }
}

#[test]
fn configuration_of_a_file_has_no_unknown_members() {
    let good = r#"{"path": "/t", "reread_seconds": 30, "opaque_seconds": 60}"#;
    serde_json::from_str::<ProjectedFile>(good).unwrap();
    for bad in [
        r#"{"path": "/t", "x": 1}"#,
        "{}",
        r#"{"path": "/t", "reading": null}"#,
    ] {
        assert!(serde_json::from_str::<ProjectedFile>(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_looked_at(token: Vec<u8>, payload: String) {
        let _ = end_of(&token);
        let _ = AttachableToken::new(&token);
        let _ = end_of(jwt(&payload).as_bytes());
    }

    #[test]
    fn the_end_is_what_exp_says(exp in 0..u64::from(u32::MAX)) {
        let token = jwt(&format!(r#"{{"exp":{exp}}}"#));
        prop_assert_eq!(end_of(token.as_bytes()), Some(Timestamp::from_secs(exp)));
    }
}
