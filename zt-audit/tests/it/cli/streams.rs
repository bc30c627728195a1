//! Pipes, terminals, and a log that grows.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use super::{Ran, program, run};
use crate::logs::{Scratch, permit, record};

/// Long enough that a pipe does not hold it.
fn long() -> Scratch {
    let scratch = Scratch::new();
    scratch.write_many(1000);
    scratch
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let scratch = long();
    for arguments in [
        &["export", "--json"][..],
        &["query"],
        &["tail", "-n", "1000"],
    ] {
        let mut child = program()
            .arg(arguments[0])
            .arg(scratch.log())
            .args(&arguments[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        assert!(!line.is_empty());
    }
}

#[test]
fn a_full_disk_is_no_success_and_a_verdict_stays() {
    let scratch = long();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for (command, arguments, code) in [
        ("export", &["--json"][..], 3),
        ("verify", &[], 3),
        ("verify", &["--max-age", "0s"], 2),
    ] {
        let mut program = program();
        program
            .arg(command)
            .arg(scratch.log())
            .args(arguments)
            .stdout(full());
        assert_eq!(program.status().unwrap().code(), Some(code), "{command}");
    }
}

#[test]
fn tail_follows_a_log_that_grows() {
    let scratch = Scratch::new();
    scratch.write([permit("alice", "/first")]);
    let log = scratch.open();
    let mut child = program()
        .arg("tail")
        .arg(scratch.log())
        .args(["-n", "1", "-f", "--json", "--open"])
        .arg(scratch.keys())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It runs, and has read to the end.
    lines.next().unwrap().unwrap();
    record(&log, permit("bob", "/second"));
    let found = lines.find(|line| line.as_ref().unwrap().contains("/second"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found.unwrap().unwrap().contains("\"bob\""));
    log.close().unwrap();
}

#[test]
fn colours_are_for_terminals_and_whoever_asks() {
    let scratch = Scratch::new();
    scratch.write([permit("alice", "/")]);
    for command in ["tail", "verify", "status", "keys"] {
        let plain = run(command, &scratch.log(), ["--color", "never"]).is(0);
        assert!(!plain.out.contains('\u{1b}'), "{plain:?}");
        let piped = run(command, &scratch.log(), super::NOTHING).is(0);
        assert!(!piped.out.contains('\u{1b}'), "{piped:?}");
        let coloured = run(command, &scratch.log(), ["--color=always"]).is(0);
        assert!(coloured.out.contains('\u{1b}'), "{command}: {coloured:?}");
    }
    // Progress and remarks are not for pipes either.
    let mut err = String::new();
    let mut child = program()
        .arg("verify")
        .arg(scratch.log())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(err, "");
}
