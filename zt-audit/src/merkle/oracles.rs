//! Trees and proofs of other people beside ours.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the trees of tests are small"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;
use tlog_tiles::{check_record, check_tree};

use super::{tile::Tile, *};

fn records(count: u32) -> Vec<[u8; 4]> {
    (0..count).map(u32::to_be_bytes).collect()
}

fn flat(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[test]
fn roots_and_proofs_are_those_of_ct_merkle() {
    let mut theirs = MemoryBackedTree::<Sha256, [u8; 4]>::new();
    let mut leaves = Vec::new();
    for (size, record) in (1..).zip(records(130)) {
        theirs.push(record);
        leaves.push(leaf_hash(&record));
        let ours = root(size, &leaves[..]).unwrap();
        assert_eq!(theirs.root().as_bytes()[..], ours.as_bytes()[..]);
        for index in (0..size).step_by(5) {
            let proof = inclusion_proof(index, size, &leaves[..]).unwrap();
            assert_eq!(
                theirs.prove_inclusion(index as usize).as_bytes(),
                flat(&proof)
            );
        }
        for old in (1..size).step_by(5) {
            let proof = consistency_proof(old, size, &leaves[..]).unwrap();
            let added = (size - old) as usize;
            assert_eq!(theirs.prove_consistency(added).as_bytes(), flat(&proof));
        }
    }
}

#[test]
fn tlog_tiles_accepts_and_refuses_what_is_accepted_and_refused_here() {
    let hash = |hash: &Hash| tlog_tiles::Hash(*hash.as_bytes());
    let leaves: Vec<_> = records(70).iter().map(|record| leaf_hash(record)).collect();
    assert_eq!(tlog_tiles::record_hash(&[0; 4]), hash(&leaves[0]));
    let size = 70;
    let root = root(size, &leaves[..]).unwrap();
    for index in 0..size {
        let leaf = &leaves[index as usize];
        let proof = inclusion_proof(index, size, &leaves[..]).unwrap();
        let theirs: Vec<_> = proof.iter().map(hash).collect();
        for other in 0..size {
            let accepted = verify_inclusion(other, size, leaf, &proof, &root).is_ok();
            let there = check_record(&theirs, size, hash(&root), other, hash(leaf)).is_ok();
            assert_eq!((accepted, there), (other == index, other == index));
        }
        let old = index + 1;
        let old_root = super::root(old, &leaves[..]).unwrap();
        let proof = consistency_proof(old, size, &leaves[..]).unwrap();
        let theirs: Vec<_> = proof.iter().map(hash).collect();
        check_tree(&theirs, size, hash(&root), old, hash(&old_root)).unwrap();
        assert!(
            check_tree(&theirs, size, hash(&old_root), old, hash(&root)).is_err() || old == size
        );
    }
}

#[test]
fn names_of_tiles_are_those_of_tlog_tiles() {
    for index in [
        0,
        1,
        999,
        1_000,
        123_456,
        1_234_067,
        999_999_999,
        u64::from(u32::MAX),
    ] {
        for width in [1, 255, 256] {
            let tile = Tile {
                level: 2,
                index,
                width,
            };
            let theirs = tlog_tiles::Tile::new(8, 2, index, width.into(), false);
            assert_eq!(theirs.path().replacen("tile/8/", "tile/", 1), tile.path());
        }
    }
}
