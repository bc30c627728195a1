//! `prove`, `consistency`, `publish`.

use std::fs;

use super::{NOTHING, program, run};
use crate::logs::{Scratch, permit};

fn log() -> Scratch {
    let scratch = Scratch::new();
    scratch.write((0..20).map(|number| permit("alice", &format!("/orders/{number}"))));
    scratch
}

/// `prove --check` with these further arguments.
fn check(proof: &std::path::Path, arguments: &[&str]) -> super::Ran {
    let mut program = program();
    program
        .args(["prove", "--check"])
        .arg(proof)
        .args(arguments);
    super::Ran::of(program.output().unwrap())
}

/// The stored line of a record.
fn record(scratch: &Scratch, index: usize) -> Vec<u8> {
    let out = run("export", &scratch.log(), ["--json"]).is(0).out;
    out.lines().nth(index).unwrap().as_bytes().to_vec()
}

#[test]
fn a_proof_of_another_record_or_by_another_key_is_1() {
    let (scratch, other) = (log(), log());
    let proof = scratch.path("proof");
    run(
        "prove",
        &scratch.log(),
        ["7", "--out", proof.to_str().unwrap()],
    )
    .is(0);
    let key = scratch.vkey();
    let right = scratch.path("right");
    fs::write(&right, record(&scratch, 7)).unwrap();
    let wrong = scratch.path("wrong");
    fs::write(&wrong, record(&scratch, 8)).unwrap();
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());

    check(&proof, &["--key", &key, "--record", wrong]).is(1);
    check(&proof, &["--key", &other.vkey(), "--record", right]).is(1);
    check(&proof, &["--key", &key, "--record", right])
        .is(0)
        .says("7");

    let text = fs::read_to_string(&proof).unwrap();
    fs::write(&proof, text.replace("index 7", "index 6")).unwrap();
    check(&proof, &["--key", &key, "--record", right]).is(1);
    fs::write(&proof, "no proof").unwrap();
    check(&proof, &["--key", &key, "--record", right]).is(3);
}

#[test]
fn a_checked_proof_needs_a_key() {
    let scratch = log();
    let proof = scratch.path("proof");
    run(
        "prove",
        &scratch.log(),
        ["7", "--out", proof.to_str().unwrap()],
    )
    .is(0);
    check(&proof, &[]).is(3).says("--key");
}

#[test]
fn a_proof_comes_to_standard_output_too() {
    let scratch = log();
    let ran = run("prove", &scratch.log(), ["0"]).is(0);
    assert!(ran.out.starts_with("c2sp.org/tlog-proof@v1\n"), "{ran:?}");
    let proof = scratch.path("proof");
    fs::write(&proof, &ran.out).unwrap();
    let record_file = scratch.path("record");
    // With the newline that an editor, or a shell, puts behind it.
    let mut bytes = record(&scratch, 0);
    bytes.push(b'\n');
    fs::write(&record_file, bytes).unwrap();
    let record_file = record_file.to_str().unwrap();
    check(&proof, &["--key", &scratch.vkey(), "--record", record_file]).is(0);
}

#[test]
fn a_record_that_is_not_there_is_3() {
    let scratch = log();
    run("prove", &scratch.log(), ["1000"]).is(3);
    run("prove", &scratch.log(), ["-1"]).is(3);
    run("prove", &scratch.log(), ["seven"])
        .is(3)
        .says("`seven`");
    run("prove", &scratch.path("absent"), ["0"]).is(3);
    run("prove", &scratch.log(), NOTHING).is(3);
}

#[test]
fn a_proof_is_not_written_over_a_file() {
    let scratch = log();
    let proof = scratch.path("proof");
    fs::write(&proof, "precious").unwrap();
    run(
        "prove",
        &scratch.log(),
        ["0", "--out", proof.to_str().unwrap()],
    )
    .is(3);
    assert_eq!(fs::read_to_string(&proof).unwrap(), "precious");
}

#[test]
fn a_log_that_does_not_go_on_from_a_checkpoint_is_1() {
    let (scratch, other) = (log(), log());
    let kept = scratch.path("kept");
    fs::copy(other.log().join("checkpoint"), &kept).unwrap();
    run("consistency", &scratch.log(), [kept.to_str().unwrap()]).is(1);

    fs::copy(scratch.log().join("checkpoint"), &kept).unwrap();
    scratch.write([permit("bob", "/")]);
    let ran = run(
        "consistency",
        &scratch.log(),
        [kept.to_str().unwrap(), "--json"],
    )
    .is(0);
    let answer = &ran.json()[0];
    assert!(answer["old"]["size"].as_u64() < answer["new"]["size"].as_u64());
    run("consistency", &scratch.log(), ["3", "20"]).is(0);
    run("consistency", &scratch.log(), ["20", "3"]).is(3);
    run("consistency", &scratch.log(), ["0"]).is(3);
    run("consistency", &scratch.log(), ["3", "1000"]).is(3);
    run("consistency", &scratch.log(), ["nowhere"])
        .is(3)
        .says("`nowhere`");
}

#[test]
fn a_published_log_has_its_checkpoint_tiles_and_entries() {
    let scratch = log();
    let folder = scratch.path("out");
    let mut program = program();
    program
        .args(["publish", "--log"])
        .arg(scratch.log())
        .arg("--out")
        .arg(&folder);
    super::Ran::of(program.output().unwrap()).is(0);
    let published = fs::read(folder.join("checkpoint")).unwrap();
    assert_eq!(
        published,
        fs::read(scratch.log().join("checkpoint")).unwrap()
    );
    for (folder, level) in [(folder.join("tile/0"), 0), (folder.join("tile/entries"), 1)] {
        assert!(fs::read_dir(folder).unwrap().count() > 0, "{level}");
    }
    // Again, and after it has grown; and in the short form.
    scratch.write((0..300).map(|number| permit("bob", &format!("/{number}"))));
    run("publish", &scratch.log(), [folder.to_str().unwrap()]).is(0);
    assert!(folder.join("tile/0/000").exists());
    assert!(folder.join("tile/entries/000").exists());
}

#[test]
fn publish_says_what_it_needs() {
    let scratch = log();
    run("publish", &scratch.log(), NOTHING).is(3);
    let out = scratch.path("out");
    run("publish", &scratch.path("absent"), [out.to_str().unwrap()]).is(3);
    // What is inside the log is the writer's.
    let inside = scratch.log().join("published");
    run("publish", &scratch.log(), [inside.to_str().unwrap()]).is(3);
    assert!(!inside.exists());
}
