#![expect(
    clippy::cast_possible_truncation,
    reason = "the trees of tests are small"
)]

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zt_core::{clock::Timestamp, random::SeededEntropy};

use crate::{
    format::Pruned,
    merkle::{Frontier, ProofError, leaf_hash, verify_consistency, verify_inclusion},
    note::{Checkpoint, NoteError, SignedCheckpoint, SigningKey},
    read::{
        LogReader, ReadError,
        testing::{Memory, ORIGIN, TestLog},
    },
    storage::Storage as _,
    tree::{Inclusion, ProveError, Prover, TlogProofError, TreeFiles},
};

const AT: Timestamp = Timestamp::from_secs(1_893_456_000);

fn key() -> SigningKey {
    SigningKey::generate(ORIGIN, &SeededEntropy::new(1)).unwrap()
}

fn sign(disk: &Memory, tree: &Frontier) {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: tree.size(),
        root: tree.root(),
    };
    let note = SignedCheckpoint::sign(checkpoint, &key(), AT).encode();
    disk.replace("checkpoint", note.as_bytes()).unwrap();
}

/// A signed log of three segments and 600 records, with the hashes of its tree.
fn log() -> TestLog {
    let mut log = TestLog::new();
    log.batch(100).batch(156).roll().batch(256).roll().batch(88);
    log.tree_files();
    sign(&log.disk, &log.tree);
    log
}

fn prover(disk: &Memory) -> Prover {
    Prover::over(Arc::new(disk.clone())).unwrap()
}

fn records(disk: &Memory, from: u64) -> Vec<Vec<u8>> {
    let mut reader = LogReader::over(Arc::new(disk.clone()), from).unwrap();
    std::iter::from_fn(|| reader.next().unwrap())
        .map(|entry| entry.bytes)
        .collect()
}

/// The log without its first `before` records.
fn pruned(log: &TestLog, before: u64) -> Memory {
    let disk = log.disk.copy();
    let mut tree = Frontier::new();
    for record in &records(&disk, 0)[..before as usize] {
        tree.append(leaf_hash(record));
    }
    disk.replace("pruned", &Pruned { tree }.encode()).unwrap();
    for name in disk.list("log").unwrap() {
        if crate::format::name::first_of(&name).unwrap() < before {
            disk.remove(&format!("log/{name}")).unwrap();
        }
    }
    disk
}

#[test]
fn every_record_is_proved_to_be_in_the_log() {
    let log = log();
    let prover = prover(&log.disk).trusting(&key().verifier()).unwrap();
    let signed = prover.checkpoint().checkpoint();
    assert_eq!((signed.size, signed.root), (600, log.tree.root()));
    for (index, record) in (0..).zip(records(&log.disk, 0)) {
        let proof = prover.inclusion(index).unwrap();
        assert_eq!(proof.leaf, leaf_hash(&record));
        assert_eq!(proof.verify(&key().verifier()), Ok(Some(AT)));
        let again = verify_inclusion(index, 600, &proof.leaf, &proof.hashes, &log.tree.root());
        assert_eq!(again, Ok(()));
        // As a text, for who has the record and the key.
        let text = proof.encode();
        assert_eq!(Inclusion::parse(text.as_bytes(), &record), Ok(proof));
        let other = Inclusion::parse(text.as_bytes(), b"another record").unwrap();
        let refused = TlogProofError::Proof(ProofError::Root);
        assert_eq!(other.verify(&key().verifier()), Err(refused));
    }
    assert_eq!(
        prover.record(300).unwrap().bytes,
        records(&log.disk, 300)[0]
    );
}

#[test]
fn every_tree_is_proved_to_go_on_from_every_smaller_one() {
    let log = log();
    let prover = prover(&log.disk);
    let records = records(&log.disk, 0);
    let mut tree = Frontier::new();
    let mut roots = vec![tree.root()];
    for record in &records {
        tree.append(leaf_hash(record));
        roots.push(tree.root());
    }
    for (old, new) in [
        (1, 1),
        (1, 600),
        (255, 256),
        (256, 257),
        (300, 511),
        (512, 600),
        (600, 600),
    ] {
        let proof = prover.consistency(old, new).unwrap();
        assert_eq!(proof.old_root, roots[old as usize]);
        assert_eq!(proof.new_root, roots[new as usize]);
        assert_eq!(proof.verify(), Ok(()));
        let again = verify_consistency(
            old,
            new,
            &roots[old as usize],
            &roots[new as usize],
            &proof.hashes,
        );
        assert_eq!(again, Ok(()));
    }
}

#[test]
fn a_proof_has_the_form_of_the_specification() {
    let log = log();
    let text = prover(&log.disk).inclusion(599).unwrap().encode();
    let (proof, checkpoint) = text.split_once("\n\n").unwrap();
    let mut lines = proof.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    assert_eq!(lines.next(), Some("index 599"));
    assert!(lines.all(|line| STANDARD.decode(line).unwrap().len() == 32));
    assert_eq!(checkpoint.as_bytes(), log.disk.bytes("checkpoint"));
}

#[test]
fn without_stored_hashes_the_records_are_read() {
    let log = log();
    let good = prover(&log.disk).inclusion(300).unwrap();
    let growth = prover(&log.disk).consistency(300, 590).unwrap();
    for change in [
        |disk: &Memory| disk.remove("tree/0").unwrap(),
        |disk: &Memory| disk.edit("tree/0", |bytes| bytes.truncate(8_192)),
        |disk: &Memory| disk.edit("tree/0", |bytes| bytes[9_000] ^= 1),
        |disk: &Memory| disk.edit("tree/0", |bytes| bytes[8_192..9_000].fill(0)),
        |disk: &Memory| disk.edit("tree/1", |bytes| bytes.fill(7)),
        |disk: &Memory| {
            for level in 0..3 {
                disk.remove(&format!("tree/{level}")).unwrap();
            }
        },
    ] {
        let disk = log.disk.copy();
        change(&disk);
        let before = disk.names();
        assert_eq!(prover(&disk).inclusion(300).unwrap(), good);
        assert_eq!(prover(&disk).consistency(300, 590).unwrap(), growth);
        assert_eq!(disk.names(), before);
    }
}

#[test]
fn a_log_that_grows_is_proved_as_of_its_checkpoint() {
    let mut log = log();
    let prover = prover(&log.disk);
    log.batch(100);
    assert!(prover.inclusion(599).is_ok());
    let refused = prover.inclusion(600).unwrap_err();
    assert!(matches!(refused, ProveError::OutOfRange { size: 600 }));
    // The hashes may be ahead of the checkpoint, or behind it.
    log.tree_files();
    assert!(self::prover(&log.disk).inclusion(599).is_ok());
    log.batch(100);
    sign(&log.disk, &log.tree);
    assert!(self::prover(&log.disk).inclusion(799).is_ok());
}

#[test]
fn refuses_questions_that_the_checkpoint_does_not_answer() {
    let prover = prover(&log().disk);
    for index in [600, 601, u64::MAX] {
        let refused = prover.inclusion(index).unwrap_err();
        assert!(matches!(refused, ProveError::OutOfRange { size: 600 }));
        let refused = prover.record(index).unwrap_err();
        assert!(matches!(refused, ProveError::OutOfRange { size: 600 }));
    }
    for (old, new) in [(0, 0), (0, 600), (2, 1), (1, 601), (601, 601)] {
        let refused = prover.consistency(old, new).unwrap_err();
        assert!(matches!(refused, ProveError::OutOfRange { size: 600 }));
    }
}

#[test]
fn refuses_a_log_without_a_checkpoint_and_one_by_another_key() {
    let log = log();
    let other = SigningKey::generate(ORIGIN, &SeededEntropy::new(2)).unwrap();
    let refused = prover(&log.disk).trusting(&other.verifier()).unwrap_err();
    assert!(matches!(
        refused,
        ProveError::Checkpoint(NoteError::Unsigned)
    ));

    let disk = log.disk.copy();
    disk.edit("checkpoint", |bytes| bytes[0] ^= 1);
    let refused = prover(&disk).trusting(&key().verifier()).unwrap_err();
    assert!(matches!(refused, ProveError::Checkpoint(NoteError::Origin)));

    disk.edit("checkpoint", |bytes| bytes.truncate(100));
    let refused = Prover::over(Arc::new(disk.clone())).unwrap_err();
    assert!(matches!(refused, ProveError::Checkpoint(NoteError::Form)));

    disk.remove("checkpoint").unwrap();
    let refused = Prover::over(Arc::new(disk)).unwrap_err();
    assert!(matches!(refused, ProveError::Unsigned));

    let refused = Prover::open("/no/such/folder").unwrap_err();
    assert!(matches!(refused, ProveError::Read(ReadError::Absent(_))));
}

#[test]
fn hands_out_no_proof_of_a_log_that_is_not_what_its_checkpoint_says() {
    let log = log();
    // Another root, or more records than there are: signed, and yet not this log's.
    for (size, root) in [
        (600, leaf_hash(b"other")),
        (601, log.tree.root()),
        (u64::MAX, log.tree.root()),
    ] {
        let disk = log.disk.copy();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root,
        };
        let note = SignedCheckpoint::sign(checkpoint, &key(), AT).encode();
        disk.replace("checkpoint", note.as_bytes()).unwrap();
        let prover = prover(&disk);
        for index in [0, 300, 599] {
            assert!(matches!(
                prover.inclusion(index).unwrap_err(),
                ProveError::Damaged
            ));
        }
        assert!(matches!(
            prover.consistency(1, 600).unwrap_err(),
            ProveError::Damaged
        ));
    }
}

#[test]
fn a_record_that_was_changed_is_not_proved() {
    let log = log();
    let disk = log.disk.copy();
    disk.edit("log/00000000000000000256.jsonl", |bytes| {
        let place = bytes.windows(6).position(|word| word == b"permit").unwrap();
        bytes[place] = b'P';
    });
    // With the stored hashes, it is proved that another record was there.
    let proof = prover(&disk).inclusion(256).unwrap();
    assert_eq!(proof.leaf, leaf_hash(&records(&log.disk, 256)[0]));
    assert!(prover(&disk).record(256).is_err());
    for level in 0..3 {
        disk.remove(&format!("tree/{level}")).unwrap();
    }
    assert!(matches!(
        prover(&disk).inclusion(256).unwrap_err(),
        ProveError::Read(_)
    ));
}

#[test]
fn a_pruned_log_proves_what_is_left() {
    let log = log();
    let expected = prover(&log.disk);
    for before in [256, 512] {
        let disk = pruned(&log, before);
        // Also what was pruned, while its hash is there.
        assert_eq!(
            prover(&disk).inclusion(3).unwrap(),
            expected.inclusion(3).unwrap()
        );
        let refused = prover(&disk).record(3).unwrap_err();
        assert!(
            matches!(refused, ProveError::Read(ReadError::Pruned { first }) if first == before)
        );

        for level in 0..3 {
            disk.remove(&format!("tree/{level}")).unwrap();
        }
        for index in [before, before + 1, 599] {
            let proof = prover(&disk).inclusion(index).unwrap();
            assert_eq!(proof, expected.inclusion(index).unwrap());
        }
        for old in [before, before + 1, 600] {
            let proof = prover(&disk).consistency(old, 600).unwrap();
            assert_eq!(proof, expected.consistency(old, 600).unwrap());
        }
        let refused = prover(&disk).inclusion(3).unwrap_err();
        assert!(matches!(refused, ProveError::Pruned { first } if first == before));
        let refused = prover(&disk).consistency(3, 600).unwrap_err();
        assert!(matches!(refused, ProveError::Pruned { first } if first == before));
    }
    let disk = pruned(&log, 256);
    disk.edit("pruned", |bytes| bytes.truncate(20));
    let refused = Prover::over(Arc::new(disk)).unwrap_err();
    assert!(matches!(refused, ProveError::Damaged));
}

#[test]
fn the_hashes_are_made_anew_from_a_log_that_a_reader_reads() {
    let log = log();
    let disk = log.disk.copy();
    for level in 0..3 {
        disk.remove(&format!("tree/{level}")).unwrap();
    }
    let storage: Arc<dyn crate::storage::Storage> = Arc::new(disk.clone());
    TreeFiles::open(
        Arc::clone(&storage),
        &log.tree,
        Frontier::new(),
        &mut |from, take| {
            let mut reader = LogReader::over(Arc::clone(&storage), from).unwrap();
            while let Some(entry) = reader.next().unwrap() {
                take(entry.leaf)?;
            }
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(disk.bytes("tree/0"), log.disk.bytes("tree/0"));
    assert_eq!(disk.bytes("tree/1"), log.disk.bytes("tree/1"));
}

#[test]
fn refuses_what_is_no_tlog_proof() {
    let log = log();
    let proof = prover(&log.disk).inclusion(7).unwrap();
    let record = records(&log.disk, 7).swap_remove(0);
    let text = proof.encode();
    let form = |text: &str| {
        let refused = Inclusion::parse(text.as_bytes(), &record).unwrap_err();
        assert_eq!(refused, TlogProofError::Form, "{text}");
    };
    form("");
    form(&text.replace("@v1", "@v2"));
    form(&text.replace("@v1\n", "@v1\r\n"));
    form(&text.replace("index 7", "index 07"));
    form(&text.replace("index 7", "index +7"));
    form(&text.replace("index 7", "index"));
    form(&text.replace("index 7\n", ""));
    form(&text.replace("index 7", "index 7\nindex 7"));
    form(&text.replace("index 7", "extra !\nindex 7"));
    form(&text.replace("index 7", "extra YQ==\nextra YQ==\nindex 7"));
    form(&text.replace("index 7", "index 7\nextra YQ=="));
    form(&text.replace("index 7", "index 7\nYQ=="));
    form(text.split_once("\n\n").unwrap().0);
    form(&text.replace("index 7", &format!("index 7\n{}", "a".repeat(300_000))));

    // An empty line ends the proof: then no checkpoint follows.
    let early = text.replace("index 7", "index 7\n");
    let refused = TlogProofError::Checkpoint(NoteError::Checkpoint);
    assert_eq!(Inclusion::parse(early.as_bytes(), &record), Err(refused));

    let extra = text.replace("index 7", "extra YQ==\nindex 7");
    assert_eq!(Inclusion::parse(extra.as_bytes(), &record), Ok(proof));

    let vkey = key().verifier();
    let refused = |text: &str, error: ProofError| {
        let read = Inclusion::parse(text.as_bytes(), &record).unwrap();
        assert_eq!(read.verify(&vkey), Err(TlogProofError::Proof(error)));
    };
    refused(&text.replace("index 7", "index 8"), ProofError::Root);
    refused(
        &text.replace("index 7", "index 600"),
        ProofError::OutOfRange,
    );
    let line = text.lines().nth(2).unwrap();
    let found = text.lines().take_while(|line| !line.is_empty()).count() - 2;
    refused(
        &text.replacen(&format!("{line}\n"), "", 1),
        ProofError::Length {
            expected: found,
            found: found - 1,
        },
    );
    let checkpoint = text.replacen("\n600\n", "\n601\n", 1);
    let read = Inclusion::parse(checkpoint.as_bytes(), &record).unwrap();
    let refused = TlogProofError::Checkpoint(NoteError::Signature);
    assert_eq!(read.verify(&vkey), Err(refused));
}
