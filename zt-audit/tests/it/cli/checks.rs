//! `verify`, `status`, `keys`.

use std::{
    fs,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{NOTHING, run};
use crate::logs::{Scratch, copy, outcome, permit, record, trail};

/// A log of a few records.
fn log() -> Scratch {
    let scratch = Scratch::new();
    scratch.write((0..5).map(|number| permit("alice", &format!("/orders/{number}"))));
    scratch
}

/// Where line `number` of the first segment begins.
fn line(scratch: &Scratch, number: usize) -> usize {
    let bytes = fs::read(scratch.segment()).unwrap();
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(number)
        .map(<[u8]>::len)
        .sum()
}

fn poke(scratch: &Scratch, offset: usize, byte: u8) {
    let file = fs::File::options().write(true).open(scratch.segment());
    file.unwrap().write_all_at(&[byte], offset as u64).unwrap();
}

/// No word that means "good".
fn praises(said: &str) -> bool {
    let said = said.to_lowercase();
    said.split(|letter: char| !letter.is_alphabetic())
        .any(|word| ["ok", "sound", "good", "intact"].contains(&word))
}

#[test]
fn without_a_key_it_is_2_and_never_called_sound() {
    let scratch = log();
    fs::remove_dir_all(scratch.keys()).unwrap();
    let ran = run("verify", &scratch.log(), NOTHING).is(2);
    assert!(!praises(&ran.out) && !praises(&ran.err), "{ran:?}");
    let ran = run("verify", &scratch.log(), ["--json"]).is(2);
    assert_eq!(ran.json()[0]["verdict"], "unsigned");
    assert_eq!(ran.json()[0]["exit"], 2);
}

#[test]
fn a_key_that_did_not_sign_it_is_1() {
    let (scratch, other) = (log(), log());
    let ran = run("verify", &scratch.log(), ["--key", &other.vkey()]).is(1);
    assert!(!praises(&ran.out), "{ran:?}");
}

#[test]
fn a_changed_record_is_1_and_named_by_index_and_byte() {
    let scratch = log();
    // `started`, its commit line, `key` .. : the line of the first decision.
    let bytes = fs::read(scratch.segment()).unwrap();
    let at = bytes
        .windows(10)
        .position(|window| window == b"\"decision\"")
        .unwrap();
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let index = bytes[..start]
        .windows(7)
        .filter(|window| window == b"{\"v\":2,")
        .count();
    poke(&scratch, at + 1, b'D');
    let ran = run("verify", &scratch.log(), ["--key", &scratch.vkey()]).is(1);
    let says = format!("record {index} at byte {start} ");
    assert!(ran.out.contains(&says), "{says}: {ran:?}");
    let ran = run(
        "verify",
        &scratch.log(),
        ["--key", &scratch.vkey(), "--json"],
    )
    .is(1);
    let report = &ran.json()[0];
    assert_eq!(report["verdict"], "tampered");
    assert_eq!(report["bad"]["index"], index);
    assert_eq!(report["bad"]["offset"], start);
}

#[test]
fn a_cut_log_is_1_while_its_checkpoint_is_there() {
    let scratch = log();
    let start = line(&scratch, 4);
    let file = fs::File::options().write(true).open(scratch.segment());
    file.unwrap().set_len(start as u64).unwrap();
    run("verify", &scratch.log(), ["--key", &scratch.vkey()]).is(1);
}

#[test]
fn a_torn_end_is_2_and_its_place_is_named() {
    let scratch = log();
    let bytes = fs::read(scratch.segment()).unwrap();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for (place, byte) in b"{\"v\":2,\"idx\":".iter().enumerate() {
        poke(&scratch, end + place, *byte);
    }
    let ran = run("verify", &scratch.log(), ["--key", &scratch.vkey()]).is(2);
    assert!(ran.out.contains(&end.to_string()), "{end}: {ran:?}");
    assert!(!praises(&ran.out), "{ran:?}");
    let ran = run(
        "verify",
        &scratch.log(),
        ["--key", &scratch.vkey(), "--json"],
    )
    .is(2);
    assert_eq!(ran.json()[0]["verdict"], "torn");
    assert_eq!(ran.json()[0]["torn"]["offset"], end);
}

#[test]
fn a_log_that_was_rolled_back_is_1_against_a_checkpoint_kept_elsewhere() {
    let scratch = log();
    copy(&scratch.log(), &scratch.path("old"));
    scratch.write([permit("bob", "/orders")]);
    let kept = scratch.path("kept");
    fs::copy(scratch.log().join("checkpoint"), &kept).unwrap();
    let key = scratch.vkey();
    let kept = kept.to_str().unwrap();
    let old = scratch.path("old");

    run("verify", &old, ["--key", &key]).is(0);
    run("verify", &old, ["--key", &key, "--checkpoint", kept]).is(1);
    run(
        "verify",
        &scratch.log(),
        ["--key", &key, "--checkpoint", kept],
    )
    .is(0);
}

#[test]
fn a_checkpoint_that_is_too_old_is_2() {
    let scratch = log();
    let key = scratch.vkey();
    run("verify", &scratch.log(), ["--key", &key, "--max-age", "1h"]).is(0);
    let ran = run("verify", &scratch.log(), ["--key", &key, "--max-age", "0s"]).is(2);
    assert!(!praises(&ran.out), "{ran:?}");
}

#[test]
fn what_cannot_be_read_or_understood_is_3() {
    let scratch = log();
    let file = scratch.path("file");
    fs::write(&file, "no key in it").unwrap();
    let file = file.to_str().unwrap();
    for (log, arguments) in [
        (scratch.path("absent"), vec![]),
        (scratch.segment(), vec![]),
        (scratch.log(), vec!["--key", "absent"]),
        (scratch.log(), vec!["--key", file]),
        (scratch.log(), vec!["--checkpoint", "absent"]),
        (scratch.log(), vec!["--checkpoint", file]),
        (scratch.log(), vec!["--max-age", "old"]),
        (scratch.log(), vec!["--threads", "0"]),
        (scratch.log(), vec!["--frob"]),
    ] {
        let ran = run("verify", &log, &arguments).is(3);
        assert_eq!(ran.out, "", "{arguments:?}");
        assert!(ran.err.starts_with("zt-audit: "), "{ran:?}");
    }
}

#[test]
fn a_sound_log_is_0_with_a_key_as_text_or_file_and_with_the_one_beside_it() {
    let scratch = log();
    let file = scratch.path("keys");
    fs::write(&file, format!("# the shop's\n\n{}\n", scratch.vkey())).unwrap();
    for key in [scratch.vkey(), file.to_str().unwrap().to_owned()] {
        let ran = run("verify", &scratch.log(), ["--key", &key, "--threads", "2"]).is(0);
        assert!(!ran.out.contains("beside the log"), "{ran:?}");
    }
    run("verify", &scratch.log(), NOTHING)
        .is(0)
        .says("audit.keys/vkey");
    let ran = run("verify", &scratch.log(), ["--json"]).is(0);
    let report = &ran.json()[0];
    assert_eq!(report["verdict"], "sound");
    assert_eq!(report["origin"], "shop/1");
    assert_eq!(report["signed"]["size"], report["records"]);
    assert_eq!(report["signed"]["key"], scratch.vkey());
    assert!(report["key_from"].as_str().unwrap().ends_with("vkey"));
}

#[test]
fn a_checkpoint_comes_through_standard_input() {
    let scratch = log();
    let checkpoint = fs::File::open(scratch.log().join("checkpoint")).unwrap();
    let mut program = super::program();
    program
        .arg("verify")
        .arg(scratch.log())
        .args(["--checkpoint", "-"])
        .stdin(checkpoint);
    super::Ran::of(program.output().unwrap()).is(0);
}

/// Ends the writer.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_log_that_is_being_written_is_never_1_or_3() {
    let scratch = log();
    let log = scratch.open();
    let done = AtomicBool::new(false);
    let mut seen = [0_u32; 4];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let trail = trail("/orders", "curl/8.5");
                record(&log, outcome(&trail));
            }
        });
        // Also where a check below fails.
        let _done = Stop(&done);
        for _ in 0..40 {
            let ran = run("verify", &scratch.log(), NOTHING);
            seen[usize::try_from(ran.code).unwrap()] += 1;
            assert!([0, 2].contains(&ran.code), "{ran:?}");
            let ran = run("status", &scratch.log(), NOTHING);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    });
    log.close().unwrap();
    run("verify", &scratch.log(), NOTHING).is(0);
    assert!(seen[2] > 0, "nothing was written meanwhile: {seen:?}");
}

#[test]
fn status_says_how_far_it_is_signed() {
    let scratch = log();
    let ran = run("status", &scratch.log(), ["--json"]).is(0);
    let status = &ran.json()[0];
    assert_eq!(status["origin"], "shop/1");
    assert_eq!(status["lag"], 0);
    assert_eq!(status["checkpoint"]["size"], status["records"]);
    assert_eq!(status["checkpoint"]["by"], scratch.vkey());
    run("status", &scratch.log(), NOTHING)
        .is(0)
        .says("shop/1")
        .says("0 records are not signed yet");
    let other = log();
    let ran = run("status", &scratch.log(), ["--key", &other.vkey()]).is(1);
    assert!(ran.out.contains("NOT signed by the key"), "{ran:?}");
    run("status", &scratch.path("absent"), NOTHING).is(3);
}

#[test]
fn keys_shows_where_a_key_was_rotated_and_refuses_one_that_nobody_endorsed() {
    let scratch = log();
    let first = scratch.vkey();
    let log = scratch.open();
    let key =
        zt_audit::note::SigningKey::generate(crate::logs::ORIGIN, &zt_core::random::OsEntropy)
            .unwrap();
    let second = key.verifier().to_string();
    log.rotate_key(key).unwrap();
    log.close().unwrap();
    let ran = run("keys", &scratch.log(), ["--json"]).is(0);
    let keys = ran.json();
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0]["vkey"], &keys[0]["standing"]),
        (&first.into(), &"first".into())
    );
    assert_eq!(
        (&keys[1]["vkey"], &keys[1]["standing"]),
        (&second.as_str().into(), &"endorsed".into())
    );
    run("keys", &scratch.log(), NOTHING)
        .is(0)
        .says(&second)
        .says("endorsed by the key before it");
    run("keys", &scratch.path("absent"), NOTHING).is(3);
}

/// Opening a pipe to which nobody writes waits for ever.
#[test]
fn a_pipe_in_place_of_a_file_of_the_log_is_refused_and_not_waited_for() {
    let scratch = Scratch::new();
    scratch.write([permit("alice", "/")]);
    let files = [
        scratch.log().join("checkpoint"),
        scratch.log().join("pruned"),
        scratch.keys().join("vkey"),
        scratch.segment(),
    ];
    for file in files {
        let kept = std::fs::read(&file).ok();
        let _ = std::fs::remove_file(&file);
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        for command in ["verify", "status", "tail", "keys"] {
            let ran = run(command, &scratch.log(), super::NOTHING);
            assert!(ran.code <= 3, "{command}: {ran:?}");
            assert!(!ran.out.contains("sound"), "{command}: {ran:?}");
        }
        std::fs::remove_file(&file).unwrap();
        if let Some(kept) = kept {
            std::fs::write(&file, kept).unwrap();
        }
    }
}
