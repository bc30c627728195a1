//! The attacker who knows the format: hashes, links, roots and, where they have a key, signatures made
//! anew after a change.

use zt_audit::{
    merkle::{Frontier, Hash, leaf_hash},
    note::{Checkpoint, SignedCheckpoint, SigningKey},
};
use zt_core::clock::Timestamp;

use super::files::{Files, is_commit};

/// Makes every index, `prev` and commit line fit the records that are there, and answers what a
/// checkpoint over them says.
pub(crate) fn relink(files: &mut Files, origin: &str) -> Checkpoint {
    let mut tree = Frontier::new();
    let mut prev = "0".repeat(64);
    for name in files.segments() {
        files.edit(&name, |lines| {
            for line in lines {
                if is_commit(line) {
                    *line = commit(&tree);
                } else {
                    link(line, tree.size(), &prev);
                    let leaf = leaf_hash(&line[..line.len() - 1]);
                    prev = leaf.to_string();
                    tree.append(leaf);
                }
            }
        });
    }
    Checkpoint {
        origin: origin.to_owned(),
        size: tree.size(),
        root: tree.root(),
    }
}

/// Puts a checkpoint signed by `key` into its place.
pub(crate) fn sign(files: &mut Files, checkpoint: Checkpoint, key: &SigningKey, at: Timestamp) {
    let signed = SignedCheckpoint::sign(checkpoint, key, at);
    let bytes = signed.encode().into_bytes();
    files.0.insert("checkpoint".to_owned(), bytes);
}

pub(crate) fn commit(tree: &Frontier) -> Vec<u8> {
    commit_of(tree.size(), &tree.root())
}

fn commit_of(size: u64, root: &Hash) -> Vec<u8> {
    format!("{{\"commit\":{size},\"root\":\"{root}\"}}\n").into_bytes()
}

fn link(line: &mut Vec<u8>, index: u64, prev: &str) {
    let mut text = String::from_utf8(line.clone()).unwrap();
    let at = text.find("\"idx\":").unwrap() + "\"idx\":".len();
    let end = at + text[at..].find(',').unwrap();
    text.replace_range(at..end, &index.to_string());
    let at = text.find("\"prev\":\"").unwrap() + "\"prev\":\"".len();
    text.replace_range(at..at + 64, prev);
    *line = text.into_bytes();
}
