//! Ten million records. It takes a minute and is not run by itself:
//!
//! `cargo test --release -p zt-audit --lib ten_million -- --ignored --nocapture`

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use zt_core::{clock::Timestamp, random::SeededEntropy};

use crate::{
    merkle::{Frontier, Hash, leaf_hash},
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    storage::{Folder, Storage},
    tree::{Prover, TreeFiles},
};

const RECORDS: u64 = 10_000_000;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let made = what();
    (made, begin.elapsed())
}

#[test]
#[ignore = "a measurement: ten million hashes, 320 MB on the disk"]
fn a_proof_about_ten_million_records_takes_less_than_a_millisecond() {
    let path = std::env::temp_dir().join(format!("zt-audit-large-{}", std::process::id()));
    let scratch = Scratch(path);
    let storage: Arc<dyn Storage> = Arc::new(Folder::open(&scratch.0).unwrap());
    let mut tree = Frontier::new();
    (0..RECORDS).for_each(|index| tree.append(leaf(index)));

    let (files, made) = timed(|| {
        TreeFiles::open(
            Arc::clone(&storage),
            &tree,
            Frontier::new(),
            &mut |from, take| (from..RECORDS).try_for_each(|index| take(leaf(index))),
        )
    });
    assert_eq!(files.unwrap().size(), RECORDS);
    let (files, checked) = timed(|| {
        TreeFiles::open(Arc::clone(&storage), &tree, Frontier::new(), &mut |_, _| {
            panic!("they are there")
        })
    });
    drop(files.unwrap());
    println!("tree/ of {RECORDS} records: made in {made:.2?}, checked on opening in {checked:.2?}");

    let key = SigningKey::generate("large", &SeededEntropy::new(1)).unwrap();
    let checkpoint = Checkpoint {
        origin: String::new(),
        size: RECORDS,
        root: tree.root(),
    };
    let note = SignedCheckpoint::sign(checkpoint, &key, Timestamp::from_secs(1));
    storage
        .replace("checkpoint", note.encode().as_bytes())
        .unwrap();
    let (prover, opened) = timed(|| Prover::open(&scratch.0));
    let prover = prover.unwrap();

    let places = (0..2_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % RECORDS);
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for place in places {
        let (proof, took) = timed(|| prover.inclusion(place));
        assert_eq!(proof.unwrap().leaf, leaf(place));
        inclusion.push(took);
        let (proof, took) = timed(|| prover.consistency(place + 1, RECORDS));
        assert_eq!(proof.unwrap().new_root, tree.root());
        consistency.push(took);
    }
    for (name, times) in [
        ("inclusion", &mut inclusion),
        ("consistency", &mut consistency),
    ] {
        times.sort_unstable();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("{name} proof, verified: p50 {p50:.1?}, p99 {p99:.1?}");
    }
    println!("opening the prover: {opened:.1?}");
    assert!(inclusion[inclusion.len() / 2] < Duration::from_millis(1));
}
