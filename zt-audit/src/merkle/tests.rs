#![expect(
    clippy::cast_possible_truncation,
    reason = "the trees of tests are small"
)]
#![expect(clippy::string_slice, reason = "they are ASCII")]

use std::{collections::BTreeSet, fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::Value;

use super::{tile::Tile, *};

/// What others made; `None`, said aloud, where it is not there.
fn vectors(name: &str) -> Option<Value> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/merkle"
    ))
    .join(name);
    let Ok(text) = fs::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

/// A hash of a vector; some are not 32 bytes long, and so no hash at all.
fn hash(value: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    bytes.try_into().ok().map(Hash::from_bytes)
}

fn hashes(value: &Value) -> Option<Vec<Hash>> {
    match value {
        Value::Null => Some(Vec::new()),
        list => list.as_array().unwrap().iter().map(hash).collect(),
    }
}

#[test]
fn the_published_inclusion_proofs_come_out_as_they_should() {
    let Some(vectors) = vectors("inclusion.json") else {
        return;
    };
    let mut proved = 0;
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        let verified = (|| {
            verify_inclusion(
                case["leafIdx"].as_u64().unwrap(),
                case["treeSize"].as_u64().unwrap(),
                &hash(&case["leafHash"])?,
                &hashes(&case["proof"])?,
                &hash(&case["root"])?,
            )
            .ok()
        })();
        assert_eq!(verified.is_none(), case["wantErr"], "{case}");
        proved += usize::from(verified.is_some());
    }
    assert_eq!((cases.len(), proved), (98, 6));
}

#[test]
fn the_published_consistency_proofs_come_out_as_they_should() {
    let Some(vectors) = vectors("consistency.json") else {
        return;
    };
    // Two roots that are no hashes, "don't care 2" twice, and yet it is to be accepted: only that
    // they are equal matters. The types here have no place for such roots; two equal ones stand in.
    let stand_in = "additional/sizes-are-equal-one-and-proof-is-empty.json";
    let mut proved = 0;
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        let root = |value: &Value| match hash(value) {
            None if case["file"] == stand_in => Some(leaf_hash(value.to_string().as_bytes())),
            hash => hash,
        };
        let verified = (|| {
            verify_consistency(
                case["size1"].as_u64().unwrap(),
                case["size2"].as_u64().unwrap(),
                &root(&case["root1"])?,
                &root(&case["root2"])?,
                &hashes(&case["proof"])?,
            )
            .ok()
        })();
        assert_eq!(verified.is_none(), case["wantErr"], "{case}");
        proved += usize::from(verified.is_some());
    }
    assert_eq!((cases.len(), proved), (98, 6));
}

#[test]
fn the_published_tree_has_these_hashes() {
    let Some(vectors) = vectors("tree.json") else {
        return;
    };
    let hex = |value: &Value| Hash::from_hex(value.as_str().unwrap().as_bytes()).unwrap();
    let leaves: Vec<_> = vectors["leafInputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| leaf_hash(&unhex(input.as_str().unwrap())))
        .collect();
    for (level, row) in (0..).zip(vectors["nodeHashes"].as_array().unwrap()) {
        for (index, expected) in (0..).zip(row.as_array().unwrap()) {
            assert_eq!(leaves.subtree(level, index).unwrap(), hex(expected));
        }
    }
    let roots = vectors["rootHashes"].as_array().unwrap();
    assert_eq!(roots.len(), 9);
    let mut tree = Frontier::new();
    for (size, expected) in (0_u64..).zip(roots) {
        assert_eq!(tree.root(), hex(expected));
        assert_eq!(root(size, &leaves[..]).unwrap(), hex(expected));
        if let Some(leaf) = leaves.get(size as usize) {
            tree.append(*leaf);
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// RFC 6962 section 2.1, word by word: MTH(D[n]).
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_TREE,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// "The largest power of two smaller than n".
fn naive_split(count: usize) -> usize {
    let mut k = 1;
    while k * 2 < count {
        k *= 2;
    }
    k
}

/// RFC 6962 section 2.1.1: PATH(m, D[n]).
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if index < k {
        let mut path = naive_path(index, left);
        path.push(naive_root(right));
        path
    } else {
        let mut path = naive_path(index - k, right);
        path.push(naive_root(left));
        path
    }
}

/// RFC 6962 section 2.1.2: SUBPROOF(m, D[n], b).
fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![naive_root(leaves)]
        };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if old <= k {
        let mut proof = naive_subproof(old, left, whole);
        proof.push(naive_root(right));
        proof
    } else {
        let mut proof = naive_subproof(old - k, right, false);
        proof.push(naive_root(left));
        proof
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

const SIZES: usize = 70;
/// Of these, every proof is also held against every other question.
const CROSSED: usize = 18;

#[test]
fn roots_are_those_of_the_definition() {
    let leaves = leaves(SIZES);
    let mut tree = Frontier::new();
    for size in 0..=SIZES {
        let expected = naive_root(&leaves[..size]);
        assert_eq!(root(size as u64, &leaves[..]).unwrap(), expected);
        assert_eq!(tree.root(), expected);
        assert_eq!(tree.size(), size as u64);
        assert_eq!(Frontier::read(size as u64, &leaves[..]).unwrap(), tree);
        let parts = Frontier::from_parts(size as u64, tree.hashes().to_vec()).unwrap();
        assert_eq!(parts, tree);
        if size < SIZES {
            tree.append(leaves[size]);
        }
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_definition_and_prove() {
    let leaves = leaves(SIZES);
    for size in 1..=SIZES {
        let root = naive_root(&leaves[..size]);
        for index in 0..size {
            let proof = inclusion_proof(index as u64, size as u64, &leaves[..]).unwrap();
            assert_eq!(proof, naive_path(index, &leaves[..size]));
            let verify = |index, leaf, proof: &[Hash]| {
                verify_inclusion(index, size as u64, leaf, proof, &root)
            };
            assert_eq!(verify(index as u64, &leaves[index], &proof), Ok(()));
            // At no other place, and no other leaf in its place.
            for other in (0..size.min(CROSSED)).filter(|other| *other != index) {
                assert!(verify(other as u64, &leaves[index], &proof).is_err());
                assert!(verify(index as u64, &leaves[other], &proof).is_err());
            }
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_the_definition_and_prove() {
    let leaves = leaves(SIZES);
    let roots: Vec<_> = (0..=SIZES)
        .map(|size| naive_root(&leaves[..size]))
        .collect();
    for new in 1..=SIZES {
        for old in 1..=new {
            let proof = consistency_proof(old as u64, new as u64, &leaves[..]).unwrap();
            assert_eq!(proof, naive_subproof(old, &leaves[..new], true));
            let verify = |old: usize, old_root, new_root| {
                verify_consistency(
                    old as u64,
                    new as u64,
                    &roots[old_root],
                    &roots[new_root],
                    &proof,
                )
            };
            assert_eq!(verify(old, old, new), Ok(()), "{old} {new}");
            if new > CROSSED {
                continue;
            }
            for other in (0..=SIZES).filter(|other| *other != old) {
                assert!(verify(old, other, new).is_err());
            }
            for other in (0..=SIZES).filter(|other| *other != new) {
                assert!(verify(old, old, other).is_err());
            }
            for other in (0..=new).filter(|other| *other != old) {
                assert!(
                    verify(other, other, new).is_err() || proof_is_of(other, new, &leaves, &proof)
                );
            }
        }
    }
}

/// Two pairs of sizes may have the same proof: then both are proved.
fn proof_is_of(old: usize, new: usize, leaves: &[Hash], proof: &[Hash]) -> bool {
    naive_subproof(old, &leaves[..new], true) == proof
}

#[test]
fn refuses_a_proof_with_a_hash_too_few_or_too_many() {
    let leaves = leaves(SIZES);
    let size = SIZES as u64;
    let root = naive_root(&leaves);
    for index in 0..size {
        let mut proof = inclusion_proof(index, size, &leaves[..]).unwrap();
        let leaf = &leaves[index as usize];
        let expected = proof.len();
        proof.push(root);
        assert_eq!(
            verify_inclusion(index, size, leaf, &proof, &root),
            Err(ProofError::Length {
                expected,
                found: expected + 1
            })
        );
        proof.truncate(expected - 1);
        assert_eq!(
            verify_inclusion(index, size, leaf, &proof, &root),
            Err(ProofError::Length {
                expected,
                found: expected - 1
            })
        );
        assert!(verify_inclusion(index, size, leaf, &[], &root).is_err());
    }
    for old in 1..=size {
        let old_root = naive_root(&leaves[..old as usize]);
        let mut proof = consistency_proof(old, size, &leaves[..]).unwrap();
        let expected = proof.len();
        proof.push(root);
        assert_eq!(
            verify_consistency(old, size, &old_root, &root, &proof),
            Err(ProofError::Length {
                expected,
                found: expected + 1
            })
        );
        for length in 0..expected {
            assert_eq!(
                verify_consistency(old, size, &old_root, &root, &proof[..length]),
                Err(ProofError::Length {
                    expected,
                    found: length
                })
            );
        }
    }
}

#[test]
fn refuses_a_proof_with_any_bit_changed() {
    let leaves = leaves(21);
    let root = naive_root(&leaves);
    let proof = inclusion_proof(13, 21, &leaves[..]).unwrap();
    let old_root = naive_root(&leaves[..13]);
    let growth = consistency_proof(13, 21, &leaves[..]).unwrap();
    let flipped = |proof: &[Hash], place: usize, bit: usize| {
        let mut proof = proof.to_vec();
        let mut bytes = *proof[place].as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        proof[place] = Hash::from_bytes(bytes);
        proof
    };
    for bit in 0..256 {
        for place in 0..proof.len() {
            let proof = flipped(&proof, place, bit);
            assert_eq!(
                verify_inclusion(13, 21, &leaves[13], &proof, &root),
                Err(ProofError::Root)
            );
        }
        for place in 0..growth.len() {
            let growth = flipped(&growth, place, bit);
            assert_eq!(
                verify_consistency(13, 21, &old_root, &root, &growth),
                Err(ProofError::Root)
            );
        }
    }
}

#[test]
fn refuses_questions_about_nothing_within_the_tree() {
    let leaves = leaves(8);
    let root = naive_root(&leaves);
    let leaf = leaves[0];
    for (index, size) in [(0, 0), (8, 8), (u64::MAX, 8), (u64::MAX, u64::MAX)] {
        assert_eq!(
            verify_inclusion(index, size, &leaf, &[], &root),
            Err(ProofError::OutOfRange)
        );
        let kind = inclusion_proof(index, size, &leaves[..])
            .unwrap_err()
            .kind();
        assert_eq!(kind, io::ErrorKind::InvalidInput);
    }
    for (old, new) in [(0, 0), (0, 8), (9, 8), (u64::MAX, 8)] {
        assert_eq!(
            verify_consistency(old, new, &root, &root, &[]),
            Err(ProofError::OutOfRange)
        );
        let kind = consistency_proof(old, new, &leaves[..]).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::InvalidInput);
    }
}

#[test]
fn the_largest_sizes_neither_overflow_nor_pass() {
    let some = leaf_hash(b"some");
    for size in [1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        for index in [0, 1, size / 2, size - 1] {
            for length in [0, 1, 63, 64, 65, 200] {
                assert!(verify_inclusion(index, size, &some, &vec![some; length], &some).is_err());
            }
        }
        for old in [1, 2, 1 << 62, size / 2, size - 1] {
            for length in [0, 1, 63, 64, 65, 200] {
                let proof = vec![some; length];
                assert!(verify_consistency(old, size, &some, &some, &proof).is_err());
            }
        }
    }
}

#[test]
fn a_node_does_not_pass_for_a_record() {
    let leaves = leaves(4);
    let root = naive_root(&leaves);
    // The tree of two nodes has the same root, if nodes were leaves.
    let left = naive_root(&leaves[..2]);
    let right = naive_root(&leaves[2..]);
    assert_eq!(verify_inclusion(0, 2, &left, &[right], &root), Ok(()));
    // But no record has a node's hash: its bytes are hashed with another prefix.
    let forged = [leaves[0].as_bytes().as_slice(), leaves[1].as_bytes()].concat();
    assert_ne!(leaf_hash(&forged), left);
    assert_ne!(leaf_hash(&[&[1], &forged[..]].concat()), left);
}

#[test]
fn refuses_parts_that_are_not_a_trees() {
    let some = leaf_hash(b"some");
    assert_eq!(Frontier::from_parts(0, vec![some]), None);
    assert_eq!(Frontier::from_parts(7, vec![some; 2]), None);
    assert_eq!(Frontier::from_parts(7, vec![some; 4]), None);
    assert_eq!(Frontier::from_parts(u64::MAX, vec![some; 64]), None);
    assert_eq!(Frontier::from_parts(0, Vec::new()), Some(Frontier::new()));
    let mut large = Frontier::from_parts(i64::MAX as u64, vec![some; 63]).unwrap();
    large.append(some);
    assert_eq!((large.size(), large.hashes().len()), (1 << 63, 1));
}

#[test]
fn an_error_of_reading_is_handed_on() {
    let leaves = leaves(8);
    for size in [9, 64, 1 << 40, u64::MAX >> 1] {
        assert_eq!(
            root(size, &leaves[..]).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(inclusion_proof(0, size, &leaves[..]).is_err());
        assert!(consistency_proof(3, size, &leaves[..]).is_err());
    }
    assert!(root(u64::MAX, &leaves[..]).is_err());
    assert!(leaves.subtree(63, 1).is_err());
    assert!(leaves.subtree(64, 0).is_err());
    assert!(leaves.subtree(3, u64::MAX).is_err());
}

#[test]
fn hexadecimal_digits_are_read_strictly() {
    let hash = leaf_hash(b"");
    let text = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(hash.to_string(), text);
    assert_eq!(format!("{hash:?}"), text);
    assert_eq!(hash.hex(), text.as_bytes());
    assert_eq!(Hash::from_hex(text.as_bytes()), Some(hash));
    for wrong in [
        "",
        &text[1..],
        &text[2..],
        &format!("{text}00"),
        &text.to_uppercase(),
        &text.replace('6', "g"),
        &text.replace("6e", " e"),
        &text.replace("6e", "+e"),
    ] {
        assert_eq!(Hash::from_hex(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn tiles_have_the_names_of_the_specification() {
    for (level, index, width, path) in [
        (0, 0, 256, "tile/0/000"),
        (0, 999, 256, "tile/0/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (1, 0, 1, "tile/1/000.p/1"),
        (5, 273, 112, "tile/5/273.p/112"),
        (3, 1_000_000, 255, "tile/3/x001/x000/000.p/255"),
        (0, u64::MAX, 256, "tile/0/x018/x446/x744/x073/x709/x551/615"),
    ] {
        let tile = Tile {
            level,
            index,
            width,
        };
        assert_eq!(tile.path(), path);
        assert_eq!(Tile::parse(path), Some(tile));
        let entries = path.replace(&format!("tile/{level}/"), "tile/entries/");
        assert_eq!(tile.entries_path(), entries);
        assert_eq!(
            Tile::parse_entries(&entries),
            Some(Tile { level: 0, ..tile })
        );
    }
}

#[test]
fn refuses_names_that_no_tile_has() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/6/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/entries/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/0/x000/001",
        "tile/0/x000/x001/001",
        "tile/0/X001/000",
        "tile/0/x001//000",
        "tile/0/+01",
        "tile/0/ 01",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1000",
        "tile/0/000.p/-1",
        "tile/0/000.p/+1",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/1/",
        "tile/0/../000",
        "tile/0/\u{661}00",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
    ] {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
    assert_eq!(Tile::parse_entries("tile/0/000"), None);
}

#[test]
fn the_tiles_of_a_level_cover_it() {
    let widths = |level, first, size| {
        Tile::of_level(level, first, size)
            .map(|tile| (tile.index, tile.width))
            .collect::<Vec<_>>()
    };
    assert_eq!(widths(0, 0, 0), []);
    assert_eq!(widths(0, 0, 1), [(0, 1)]);
    assert_eq!(widths(0, 0, 256), [(0, 256)]);
    assert_eq!(widths(0, 0, 513), [(0, 256), (1, 256), (2, 1)]);
    assert_eq!(widths(0, 1, 513), [(1, 256), (2, 1)]);
    assert_eq!(widths(0, 3, 513), []);
    assert_eq!(widths(1, 0, 513), [(0, 2)]);
    assert_eq!(widths(2, 0, 513), []);
    assert_eq!(widths(1, 0, 65_536), [(0, 256)]);
    assert_eq!(widths(2, 0, 65_536), [(0, 1)]);
    assert_eq!(widths(8, 0, u64::MAX), []);
    let tile = |level, index| Tile {
        level,
        index,
        width: 256,
    };
    assert_eq!(tile(0, 3).begin(), Some(768));
    assert_eq!(tile(1, 3).begin(), Some(196_608));
    assert_eq!(tile(5, 1 << 16).begin(), None);
}

proptest! {
    #[test]
    fn large_trees_are_proved_as_well(
        size in 1_u64..2_000,
        index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(size as usize);
        let root = root(size, &leaves[..]).unwrap();
        let index = index.index(size as usize);
        let proof = inclusion_proof(index as u64, size, &leaves[..]).unwrap();
        prop_assert_eq!(verify_inclusion(index as u64, size, &leaves[index], &proof, &root), Ok(()));

        let old = 1 + old.index(size as usize);
        let proof = consistency_proof(old as u64, size, &leaves[..]).unwrap();
        let old_root = naive_root(&leaves[..old]);
        prop_assert_eq!(verify_consistency(old as u64, size, &old_root, &root, &proof), Ok(()));
    }

    #[test]
    fn names_of_tiles_are_read_as_written(level in 0_u8..=5, index: u64, width in 1_u16..=256) {
        let tile = Tile { level, index, width };
        prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
    }

    #[test]
    fn what_is_read_as_a_tile_is_written_so(path in "tile/[0-9]/(x?[0-9]{1,4}/){0,3}[0-9]{1,4}(\\.p/[0-9]{0,4})?") {
        if let Some(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.path(), path);
        }
    }

    #[test]
    fn proofs_of_any_kind_never_panic(index: u64, size: u64, count in 0_usize..80) {
        let some = leaf_hash(b"some");
        let proof = vec![some; count];
        let _ = verify_inclusion(index, size, &some, &proof, &some);
        let _ = verify_consistency(index, size, &some, &some, &proof);
    }
}

#[test]
fn every_size_has_its_own_root() {
    let leaves = leaves(SIZES);
    let roots: BTreeSet<_> = (0..=SIZES)
        .map(|size| root(size as u64, &leaves[..]).unwrap())
        .collect();
    assert_eq!(roots.len(), SIZES + 1);
}
