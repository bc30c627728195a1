//! `erase`, `prune`, `repair`: the commands that write, and refuse to beside another writer.

use std::fs;

use super::{NOTHING, Ran, run};
use crate::logs::{ISSUER, Scratch, admin, copy, denial, permit, trail};

const ALICE: [&str; 4] = ["--subject", "alice", "--issuer", ISSUER];
const ORDER: [&str; 4] = ["--author", "dpo", "--reason", "request 17"];

fn log() -> Scratch {
    let scratch = Scratch::new();
    scratch.write([
        permit("alice", "/orders/7"),
        permit("bob", "/orders/8"),
        denial(&trail("/admin", "scanner/1")),
    ]);
    scratch
}

fn opened(scratch: &Scratch) -> String {
    let keys = scratch.keys();
    let keys = keys.to_str().unwrap();
    run("export", &scratch.log(), ["--json", "--open", keys])
        .is(0)
        .out
}

fn erase(scratch: &Scratch, whom: &[&str]) -> Ran {
    run("erase", &scratch.log(), [whom, &ORDER].concat())
}

/// Some segments.
fn long() -> Scratch {
    let scratch = Scratch::new();
    scratch.write_many(1200);
    assert!(scratch.segments() > 3);
    scratch
}

#[test]
fn who_is_erased_cannot_be_read_or_found_and_the_log_is_sound() {
    let scratch = log();
    assert!(opened(&scratch).contains("alice"));
    erase(&scratch, &ALICE).is(0).says("erased");
    let left = opened(&scratch);
    assert!(
        !left.contains("alice") && !left.contains("/orders/7"),
        "{left}"
    );
    assert!(left.contains("bob") && left.contains("scanner"), "{left}");
    assert_eq!(run("query", &scratch.log(), ALICE).is(0).out, "");
    assert!(
        !run("query", &scratch.log(), ["--subject", "bob"])
            .is(0)
            .out
            .is_empty()
    );
    run("verify", &scratch.log(), NOTHING).is(0);
    let told = run("query", &scratch.log(), ["--kind", "erased", "--json"]).is(0);
    let said = told.json();
    let said: Vec<_> = said
        .iter()
        .map(|record| record["action"].as_str())
        .collect();
    assert_eq!(said, [Some("begun"), Some("done")]);
    assert!(!told.out.contains("alice"), "{told:?}");
}

#[test]
fn erasing_again_does_no_harm() {
    let scratch = log();
    erase(&scratch, &ALICE).is(0);
    let ran = erase(&scratch, &[&ALICE[..], &["--json"]].concat()).is(0);
    assert_eq!(ran.json()[0]["erased"], false);
    run("verify", &scratch.log(), NOTHING).is(0);
}

#[test]
fn a_day_s_strangers_are_erased_together() {
    let scratch = log();
    let today = jiff::Timestamp::now().to_string();
    erase(&scratch, &["--day", &today[..10]])
        .is(0)
        .says("erased");
    let left = opened(&scratch);
    assert!(!left.contains("scanner"), "{left}");
    assert!(left.contains("alice"), "{left}");
}

#[test]
fn a_name_without_its_issuer_is_refused_and_the_issuer_named() {
    let scratch = log();
    erase(&scratch, &["--subject", "alice"]).is(3).says(ISSUER);
    assert!(opened(&scratch).contains("alice"));
    // A name that stands alone.
    scratch.write([admin("root", 1_893_456_000)]);
    erase(&scratch, &["--subject", "root"]).is(0).says("erased");
    assert!(!opened(&scratch).contains("token-7"));
}

#[test]
fn nothing_is_made_where_there_is_no_log_or_no_key() {
    let scratch = log();
    let absent = scratch.path("absent");
    for command in ["erase", "prune", "repair"] {
        let more = match command {
            "erase" => vec!["--day", "2030-01-01", "--reason", "r"],
            "prune" => vec!["--before", "256"],
            _ => vec!["--acknowledge", "--reason", "r"],
        };
        run(command, &absent, [&more[..], &["--author", "a"]].concat()).is(3);
        assert!(!absent.exists() && !scratch.path("absent.keys").exists());
        let keys = scratch.path("elsewhere");
        let keys = ["--keys", keys.to_str().unwrap(), "--author", "a"];
        run(command, &scratch.log(), [&more[..], &keys].concat()).is(3);
        assert!(!scratch.path("elsewhere").exists());
    }
}

#[test]
fn they_refuse_while_somebody_has_the_log_open_and_say_what_to_do() {
    let scratch = log();
    let open = scratch.open();
    erase(&scratch, &ALICE).is(3).says("AuditLog::erase");
    run(
        "prune",
        &scratch.log(),
        ["--before", "256", "--author", "a"],
    )
    .is(3)
    .says("AuditLog::prune");
    run(
        "repair",
        &scratch.log(),
        [&["--acknowledge"][..], &ORDER].concat(),
    )
    .is(3)
    .says("stop it");
    open.close().unwrap();
    assert!(opened(&scratch).contains("alice"));
    run("verify", &scratch.log(), NOTHING).is(0);
}

#[test]
fn what_they_do_not_understand_is_3() {
    let scratch = log();
    for (command, arguments) in [
        ("erase", &["--subject", "alice", "--reason", "r"][..]),
        ("erase", &["--subject", "alice", "--author", "a"]),
        ("erase", &["--author", "a", "--reason", "r"]),
        (
            "erase",
            &["--day", "today", "--author", "a", "--reason", "r"],
        ),
        (
            "erase",
            &[
                "--day",
                "2030-01-01",
                "--subject",
                "s",
                "--author",
                "a",
                "--reason",
                "r",
            ],
        ),
        (
            "erase",
            &[
                "--day",
                "2030-01-01",
                "--issuer",
                "i",
                "--author",
                "a",
                "--reason",
                "r",
            ],
        ),
        ("prune", &["--before", "256"]),
        ("prune", &["--author", "a"]),
        (
            "prune",
            &["--before", "1", "--older-than", "1d", "--author", "a"],
        ),
        ("prune", &["--older-than", "long", "--author", "a"]),
        ("repair", &["--author", "a", "--reason", "r"]),
        ("repair", &["--acknowledge", "--reason", "r"]),
        ("repair", &["--acknowledge", "--author", "a"]),
    ] {
        let ran = run(command, &scratch.log(), arguments).is(3);
        assert!(ran.err.contains("--help`"), "{ran:?}");
    }
    assert!(opened(&scratch).contains("alice"));
}

#[test]
fn prune_drops_whole_segments_and_what_is_left_is_sound() {
    let scratch = long();
    let before = scratch.segments();
    run(
        "prune",
        &scratch.log(),
        ["--before", "100", "--author", "ops"],
    )
    .is(0)
    .says("nothing");
    assert_eq!(scratch.segments(), before);
    run(
        "prune",
        &scratch.log(),
        ["--older-than", "1d", "--author", "ops"],
    )
    .is(0)
    .says("nothing");
    let ran = run(
        "prune",
        &scratch.log(),
        ["--before", "1000", "--author", "ops", "--json"],
    )
    .is(0);
    let first = ran.json()[0]["pruned"]["before"].as_u64().unwrap();
    assert!(
        first > 0 && first <= 1000 && first.is_multiple_of(256),
        "{ran:?}"
    );
    let gone = ran.json()[0]["pruned"]["segments"].as_u64().unwrap();
    assert!(gone > 0, "{ran:?}");
    run("verify", &scratch.log(), NOTHING).is(0);
    let left = run("query", &scratch.log(), ["--json"]).is(0).json();
    assert_eq!(left[0]["idx"], first);
    assert!(left.iter().any(|record| record["kind"] == "prune"));
    run("status", &scratch.log(), NOTHING)
        .is(0)
        .says("were pruned");
    run("export", &scratch.log(), ["--json", "--from-index", "0"])
        .is(3)
        .says("pruned");
}

#[test]
fn older_than_drops_what_is_old() {
    let scratch = long();
    let ran = run(
        "prune",
        &scratch.log(),
        ["--older-than", "0s", "--author", "ops", "--json"],
    );
    assert!(ran.is(0).json()[0]["pruned"]["before"].as_u64().unwrap() > 0);
    run("verify", &scratch.log(), NOTHING).is(0);
}

#[test]
fn a_damaged_log_is_repaired_only_when_it_is_acknowledged() {
    let scratch = log();
    let mut bytes = fs::read(scratch.segment()).unwrap();
    let at = bytes
        .windows(10)
        .rposition(|window| window == b"\"decision\"")
        .unwrap();
    bytes[at + 1] = b'D';
    fs::write(scratch.segment(), &bytes).unwrap();

    erase(&scratch, &ALICE).is(1).says("repair");
    run("repair", &scratch.log(), ORDER).is(3);
    assert_eq!(fs::read(scratch.segment()).unwrap(), bytes);
    let ran = run(
        "repair",
        &scratch.log(),
        [&["--acknowledge", "--json"][..], &ORDER].concat(),
    );
    assert!(ran.is(0).json()[0].is_object());
    // The log goes on, and nothing hides that it was damaged.
    scratch.write([permit("carol", "/orders/9")]);
    let told = run("query", &scratch.log(), ["--kind", "recovered", "--json"])
        .is(0)
        .json();
    assert!(told.iter().any(|record| record["kind"] == "recovered"));
    run(
        "repair",
        &scratch.log(),
        [&["--acknowledge"][..], &ORDER].concat(),
    )
    .is(0)
    .says("nothing");
}

/// Its disk is not mounted, or it may not be read: what is written then would stand in clear.
#[test]
fn nothing_is_written_into_a_sealed_log_whose_vault_is_gone() {
    let scratch = long();
    for file in ["subjects", "sealing.key"] {
        std::fs::remove_file(scratch.keys().join(file)).unwrap();
    }
    let mut bytes = std::fs::read(scratch.segment()).unwrap();
    // Also where the log is damaged before its first sealed part.
    for _ in 0..2 {
        for (command, more) in [
            ("prune", &["--before", "256"][..]),
            (
                "repair",
                &["--acknowledge", "--reason", "damaged-by-mallory"],
            ),
        ] {
            let author = ["--author", "alice@example"];
            let ran = run(command, &scratch.log(), author.iter().chain(more));
            ran.is(3).says("its vault is not in");
        }
        bytes[10] ^= 1;
        std::fs::write(scratch.segment(), &bytes).unwrap();
    }
    for entry in std::fs::read_dir(scratch.log().join("log")).unwrap() {
        let text =
            String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("alice@example") && !text.contains("mallory"));
    }
}

#[test]
fn a_log_from_a_backup_is_refused_until_somebody_takes_note_of_it() {
    let scratch = log();
    let backup = scratch.log().with_extension("backup");
    copy(&scratch.log(), &backup);
    scratch.write([permit("carol", "/orders/9")]);
    fs::remove_dir_all(scratch.log()).unwrap();
    fs::rename(&backup, scratch.log()).unwrap();
    erase(&scratch, &ALICE)
        .is(1)
        .says("rolled back")
        .says("repair");
    let order = [&["--acknowledge"][..], &ORDER].concat();
    run("repair", &scratch.log(), &order)
        .is(0)
        .says("that were signed");
    run("repair", &scratch.log(), &order).is(0).says("nothing");
    erase(&scratch, &ALICE).is(0);
    run("verify", &scratch.log(), NOTHING).is(0);
}
