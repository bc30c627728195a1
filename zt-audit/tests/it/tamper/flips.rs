//! Each bit of each byte of a small log.

use std::{collections::BTreeMap, sync::Mutex};

use zt_audit::verify::{Trust, verify};
use zt_core::state::{Acknowledgement, Recorder as _};

use super::{
    files::{Files, is_commit},
    naive, word,
    world::{World, checkpoint, open},
};
use crate::crash::events::{ORIGIN, Scratch, admin, each, permit, signing_key, wait};

/// A log of few records in three batches, closed.
fn small() -> (Scratch, Files, Trust) {
    let scratch = Scratch::new();
    let log = open(&scratch.path("log"), ORIGIN, signing_key(1));
    wait(log.record(admin("alice", "tokens/7"))).unwrap();
    wait(log.record(permit(Acknowledgement::Sync).1)).unwrap();
    let trust = Trust::key(log.verifier_key());
    log.close().unwrap();
    drop(log);
    let files = Files::load(&scratch.path("log"));
    (scratch, files, trust)
}

/// What a byte belongs to.
fn part(files: &Files, name: &str, place: usize) -> &'static str {
    if name == "checkpoint" {
        return "checkpoint";
    }
    let mut end = 0;
    for line in files.lines(name) {
        end += line.len();
        if place < end {
            return if is_commit(&line) {
                "commit line"
            } else {
                "record"
            };
        }
    }
    "written ahead"
}

#[test]
fn each_bit_of_each_byte_of_records_commit_lines_and_checkpoint_is_found_when_it_is_flipped() {
    let (_scratch, files, trust) = small();
    let copy = checkpoint(&files);
    let with_copy = trust.clone().at_least(copy);
    let found: Mutex<BTreeMap<(&str, String), u64>> = Mutex::default();
    let missed = Mutex::new(Vec::new());
    let mut bits = Vec::new();
    for name in [files.segment(0), "checkpoint".to_owned()] {
        let lines: usize = match name.as_str() {
            "checkpoint" => files.0[&name].len(),
            segment => files.lines(segment).iter().map(Vec::len).sum(),
        };
        // And a few bytes of what was written ahead.
        let length = files.0[&name].len().min(lines + 16);
        for place in 0..length {
            bits.extend((0..8).map(|bit| (name.clone(), place, bit)));
        }
    }
    each((0..bits.len() as u64).step_by(256).collect(), |begin| {
        let begin = usize::try_from(begin).unwrap();
        let scratch = Scratch::new();
        let folder = scratch.path("log");
        files.store(&folder);
        for (name, place, bit) in &bits[begin..(begin + 256).min(bits.len())] {
            let mut bytes = files.0[name].clone();
            bytes[*place] ^= 1 << bit;
            std::fs::write(folder.join(name), &bytes).unwrap();
            let of = part(&files, name, *place);
            for (trust, reader) in [(&trust, ""), (&with_copy, " and copy")] {
                let report = verify(&folder, trust).unwrap();
                let said = word(&report.finding);
                if said == "sound" {
                    missed
                        .lock()
                        .unwrap()
                        .push(format!("{name} byte {place} bit {bit} ({of}){reader}"));
                }
                let said = said.split([' ', ':']).next().unwrap().to_owned();
                *found
                    .lock()
                    .unwrap()
                    .entry((of, format!("{said}{reader}")))
                    .or_default() += 1;
            }
            std::fs::write(folder.join(name), &files.0[name]).unwrap();
        }
    });
    println!("{} bits: {:?}", bits.len(), found.into_inner().unwrap());
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} missed: {missed:#?}", missed.len());
}

#[test]
fn the_naive_chain_finds_each_flip_too() {
    // The control: what a chain is for, it does. What it misses stands in the table.
    let world = World::chain_only();
    let mut missed = 0_u32;
    for place in 0..world.len() {
        for bit in 0..8 {
            let mut chain = world.clone();
            chain[place] ^= 1 << bit;
            missed += u32::from(naive::verify(&chain) == naive::Verdict::Sound);
        }
    }
    assert_eq!(missed, 0);
}
