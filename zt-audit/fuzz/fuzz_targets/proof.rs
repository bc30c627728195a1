//! Names of tiles have one form, a text that passes as a proof is bounded and written in one way, and
//! no proof of any length makes the verification do more than it should, or accept what it was not
//! made for. The input is a tile's name, a tlog-proof, and two numbers with hashes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::{
    merkle::{Hash, leaf_hash, tile::Tile, verify_consistency, verify_inclusion},
    tree::Inclusion,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(tile) = Tile::parse(text) {
            assert_eq!(tile.path(), text);
            assert!(tile.width >= 1 && tile.width <= 256 && tile.level <= 5);
        }
        if let Some(tile) = Tile::parse_entries(text) {
            assert_eq!(tile.entries_path(), text);
        }
    }
    if let Ok(proof) = Inclusion::parse(bytes, b"record") {
        let written = proof.encode();
        let read = Inclusion::parse(written.as_bytes(), b"record").unwrap();
        assert_eq!(read, proof);
        // Extra data is all that is not kept.
        assert!(written.len() <= bytes.len());
        assert_eq!(proof.leaf, leaf_hash(b"record"));
    }
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else {
        return;
    };
    let (first, second) = numbers.split_at(8);
    let [first, second] = [first, second].map(|half| u64::from_le_bytes(half.try_into().unwrap()));
    let hashes: Vec<Hash> = rest
        .as_chunks::<32>()
        .0
        .iter()
        .copied()
        .map(Hash::from_bytes)
        .collect();
    let root = leaf_hash(b"root");
    let leaf = leaf_hash(b"leaf");
    if verify_inclusion(first, second, &leaf, &hashes, &root).is_ok() {
        panic!("somebody found a second preimage");
    }
    if verify_consistency(first, second, &leaf, &root, &hashes).is_ok() {
        panic!("somebody found a second preimage");
    }
});
