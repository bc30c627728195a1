//! `tail`, `query`, `export`.

use serde_json::Value;

use super::{NOTHING, run};
use crate::logs::{ISSUER, Scratch, admin, denial, outcome, permit, permit_to, record, trail};

/// Who asks with these characters wants to write on a terminal, or to fake a record.
const EVIL: &str = "/evil\u{9b}2J\u{202e}";
const AGENT: &str = "x\u{9b}2J\u{202e}\u{200b} decision=permit \"q\"";

/// Two persons, a stranger, an administrator, and a request with an outcome.
fn log() -> (Scratch, String) {
    let scratch = Scratch::new();
    let request = trail("/orders/7?secret=1", "curl/8.5");
    let id = String::from_utf8(request.request_id().hex().to_vec()).unwrap();
    scratch.write([
        permit_to("alice", &request),
        outcome(&request),
        permit("bob", "/orders/8"),
        denial(&trail("/admin", "scanner/1")),
        admin("root", 1_893_456_000),
    ]);
    (scratch, id)
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["kind"].as_str().unwrap())
        .collect()
}

fn query(scratch: &Scratch, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--json"]].concat();
    run("query", &scratch.log(), arguments).is(0).json()
}

#[test]
fn nothing_personal_is_shown_without_the_vault() {
    let (scratch, _) = log();
    for (command, arguments) in [
        ("tail", &["-n", "100"][..]),
        ("tail", &["-n", "100", "--json"]),
        ("query", &[]),
        ("query", &["--json"]),
        ("query", &["--subject", "alice", "--json"]),
        ("export", &["--json"]),
        ("export", &["--ocsf"]),
        ("keys", &[]),
        ("status", &[]),
    ] {
        let ran = run(command, &scratch.log(), arguments).is(0);
        for personal in [
            "alice", "bob", "curl", "/orders", "/admin", "scanner", "token-7",
        ] {
            assert!(!ran.out.contains(personal), "{command} {personal}: {ran:?}");
        }
    }
    run("tail", &scratch.log(), NOTHING)
        .is(0)
        .says("GET sealed");
}

#[test]
fn the_vault_opens_them_and_a_query_string_is_nowhere() {
    let (scratch, _) = log();
    let keys = scratch.keys();
    let keys = keys.to_str().unwrap();
    for (command, arguments) in [
        ("tail", &["--open", keys][..]),
        ("tail", &["--json", "--open", keys]),
        ("query", &["--open", keys]),
        ("export", &["--json", "--open", keys]),
        ("export", &["--ocsf", "--open", keys]),
    ] {
        let ran = run(command, &scratch.log(), arguments).is(0);
        for personal in ["alice", "bob", "/orders/7", "scanner/1"] {
            assert!(ran.out.contains(personal), "{command} {personal}: {ran:?}");
        }
        assert!(!ran.out.contains("secret"), "{command}: {ran:?}");
    }
}

#[test]
fn another_log_s_vault_is_not_theirs() {
    let (scratch, _) = log();
    let (other, _) = log();
    let keys = other.keys();
    let keys = keys.to_str().unwrap();
    let ran = run("tail", &scratch.log(), ["--open", keys]);
    assert!(!ran.out.contains("alice"), "{ran:?}");
    assert!(query(&scratch, &["--subject", "alice", "--open", keys]).is_empty());
    run("tail", &scratch.log(), ["--open", "absent"])
        .is(3)
        .says("absent");
    std::fs::remove_dir_all(scratch.keys()).unwrap();
    run("query", &scratch.log(), ["--subject", "alice"])
        .is(3)
        .says("--open");
}

#[test]
fn stored_bytes_come_out_as_they_are() {
    let (scratch, _) = log();
    let stored = std::fs::read(scratch.segment()).unwrap();
    let stored: Vec<&[u8]> = stored
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"{\"v\""))
        .collect();
    for arguments in [("export", "--json"), ("query", "--json")] {
        let ran = run(arguments.0, &scratch.log(), [arguments.1]).is(0);
        let lines: Vec<&[u8]> = ran.out.lines().map(str::as_bytes).collect();
        assert_eq!(lines, stored);
    }
}

#[test]
fn a_query_finds_what_every_option_matches() {
    let (scratch, id) = log();
    assert_eq!(kinds(&query(&scratch, &["--kind", "outcome"])), ["outcome"]);
    assert_eq!(
        kinds(&query(&scratch, &["--kind", "outcome", "--kind", "admin"])),
        ["outcome", "admin"]
    );
    assert_eq!(query(&scratch, &["--decision", "deny"]).len(), 1);
    assert_eq!(query(&scratch, &["--decision", "permit"]).len(), 2);
    assert_eq!(query(&scratch, &["--code", "policy-denied"]).len(), 1);
    assert_eq!(query(&scratch, &["--code", "rate-limited"]).len(), 0);
    assert_eq!(
        kinds(&query(&scratch, &["--request", &id])),
        ["decision", "outcome"]
    );
    assert_eq!(query(&scratch, &["--limit", "2"]).len(), 2);
    assert_eq!(query(&scratch, &["--limit", "0"]).len(), 0);
    assert_eq!(query(&scratch, &["--origin", "other"]).len(), 0);
    let all = query(&scratch, &["--origin", "shop/1"]).len();
    assert_eq!(all, query(&scratch, &[]).len());
    // Only the administrator's record is of that second.
    let (from, to) = ("2030-01-01T00:00:00Z", "2030-01-01T00:00:01Z");
    assert_eq!(
        kinds(&query(&scratch, &["--from", from, "--to", to])),
        ["admin"]
    );
    assert_eq!(
        query(&scratch, &["--from", to, "--to", "2031-01-01"]).len(),
        0
    );
    assert_eq!(
        query(&scratch, &["--from", "1h", "--kind", "decision"]).len(),
        3
    );
    assert_eq!(query(&scratch, &["--to", "1h"]).len(), 0);
}

#[test]
fn a_person_is_found_by_name_and_issuer() {
    let (scratch, _) = log();
    let keys = scratch.keys();
    let keys = keys.to_str().unwrap();
    let found = query(
        &scratch,
        &["--subject", "alice", "--issuer", ISSUER, "--open", keys],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["subject"], "alice");
    assert_eq!(query(&scratch, &["--subject", "alice"]).len(), 1);
    assert_eq!(query(&scratch, &["--subject", "root"]).len(), 1);
    assert_eq!(
        query(&scratch, &["--subject", "alice", "--issuer", "other"]).len(),
        0
    );
    assert_eq!(query(&scratch, &["--subject", "Alice"]).len(), 0);
}

#[test]
fn nobody_commands_the_terminal_through_a_path_or_an_agent() {
    let scratch = Scratch::new();
    let path: String = EVIL
        .bytes()
        .map(|byte| match byte {
            b'/' | b'a'..=b'z' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let log = scratch.open();
    record(&log, denial(&trail(&path, AGENT)));
    record(
        &log,
        admin("r\u{1b}]0;owned\u{7}\u{202e}\ncode=ok", 1_893_456_000),
    );
    log.close().unwrap();
    let keys = scratch.keys();
    let keys = keys.to_str().unwrap();
    for (command, arguments) in [
        ("tail", &["--open", keys][..]),
        ("tail", &["--open", keys, "--json"]),
        ("query", &["--open", keys]),
        ("query", &["--open", keys, "--json"]),
        ("export", &["--open", keys, "--json"]),
        ("export", &["--open", keys, "--ocsf"]),
    ] {
        let ran = run(command, &scratch.log(), arguments).is(0);
        assert!(ran.out.contains("owned") || command == "export", "{ran:?}");
        let hidden = ran.out.chars().find(|shown| {
            (shown.is_control() && *shown != '\n') || ['\u{202e}', '\u{200b}'].contains(shown)
        });
        assert_eq!(hidden, None, "{command} {arguments:?}: {ran:?}");
        assert!(
            !ran.out.lines().any(|line| line.starts_with("code=ok")),
            "{ran:?}"
        );
    }
}

#[test]
fn tail_shows_the_last_ones() {
    let (scratch, _) = log();
    let all = run("tail", &scratch.log(), ["-n", "100", "--json"])
        .is(0)
        .json();
    let last = run("tail", &scratch.log(), ["-n", "2", "--json"])
        .is(0)
        .json();
    assert_eq!(last, all[all.len() - 2..]);
    assert_eq!(run("tail", &scratch.log(), ["-n", "0"]).is(0).out, "");
    run("tail", &scratch.path("absent"), NOTHING).is(3);
}

#[test]
fn tail_goes_back_over_segments() {
    let scratch = Scratch::new();
    scratch.write_many(900);
    assert!(scratch.segments() > 1);
    let all = run("export", &scratch.log(), ["--json"]).is(0).json();
    let last = run("tail", &scratch.log(), ["-n", "700", "--json"])
        .is(0)
        .json();
    assert_eq!(last, all[all.len() - 700..]);
    let later = run("export", &scratch.log(), ["--json", "--from-index", "600"]);
    assert_eq!(later.is(0).json(), all[600..]);
}

#[test]
fn a_damaged_record_is_1_and_named() {
    let (scratch, _) = log();
    let mut bytes = std::fs::read(scratch.segment()).unwrap();
    let at = bytes
        .windows(10)
        .position(|window| window == b"\"decision\"")
        .unwrap();
    bytes[at + 1] = b'D';
    std::fs::write(scratch.segment(), bytes).unwrap();
    for (command, arguments) in [
        ("tail", &[][..]),
        ("query", &[]),
        ("export", &["--json"]),
        ("keys", &[]),
        ("status", &[]),
    ] {
        run(command, &scratch.log(), arguments)
            .is(1)
            .says("record ");
    }
}

#[test]
fn ocsf_events_have_their_class() {
    let (scratch, _) = log();
    let events = run("export", &scratch.log(), ["--ocsf"]).is(0).json();
    assert!(!events.is_empty());
    for event in &events {
        assert!(event["class_uid"].is_u64(), "{event}");
    }
    let classes: Vec<_> = events
        .iter()
        .map(|event| event["class_uid"].as_u64())
        .collect();
    assert!(classes.contains(&Some(6003)), "{classes:?}");
}
