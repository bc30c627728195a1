//! Every way to change a log, and who notices: cell by cell.
//!
//! Three readers look at each changed log. The first has a naive hash chain ([`naive`]), which is changed
//! in the same way. The second has the log and the key that it is signed with. The third also has a copy
//! of a checkpoint that was kept elsewhere. What nobody notices is asserted as well: a reader should know.
//!
//! ```text
//! cargo test -p zt-audit --test it tamper -- --nocapture
//! ```
//!
//! prints the table.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod files;
mod flips;
mod forge;
mod naive;
mod rows;
mod world;

use std::path::Path;

use zt_audit::{
    merkle::{Frontier, Hash, leaf_hash, node_hash, verify_inclusion},
    publish::publish,
    verify::{Finding, Trust, verify},
};
use zt_core::state::Recorder as _;

use self::{
    files::Files,
    rows::rows,
    world::{World, checkpoint, written},
};
use crate::crash::events::{ORIGIN, Scratch, admin, records, signing_key, wait};

/// What a reader says of files, in a word.
fn says(folder: &Path, files: &Files, trust: &Trust) -> String {
    written(folder, files);
    match verify(folder, trust) {
        Ok(report) => word(&report.finding),
        Err(error) => format!("unreadable: {error}"),
    }
}

fn word(finding: &Finding) -> String {
    match finding {
        Finding::Sound => "sound".to_owned(),
        Finding::Unsigned { from, why } => format!("unsigned from {from}: {why:?}"),
        Finding::Torn { .. } => "torn".to_owned(),
        Finding::Tampered(bad) => format!("tampered: {}", bad.reason),
        other => format!("{other:?}"),
    }
}

/// `missed` where a reader says the same as of the log that nobody changed.
fn verdict(changed: &str, honest: &str) -> String {
    if changed == honest {
        return "missed".to_owned();
    }
    assert_ne!(changed, "sound");
    changed.split([' ', ':']).next().unwrap().to_owned()
}

#[test]
fn every_way_to_change_a_log_is_found_or_known_not_to_be() {
    let world = World::new();
    let folder = world.scratch.path("changed");
    let key = || Trust::key(world.vkey.clone());
    assert_eq!(naive::verify(&world.chain), naive::Verdict::Sound);
    for sound in [&world.log, &world.earlier, &world.other] {
        assert_eq!(says(&folder, sound, &key()), "sound");
    }
    assert_eq!(world.log.segments().len(), 3);

    let mut table = vec![
        "| What is changed | Naive chain | Signed, key known | And a checkpoint kept elsewhere |"
            .to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    let mut surprises = Vec::new();
    for row in rows() {
        let chain = match row.chain {
            None => "-",
            Some(change) => match naive::verify(&change(&world)) {
                naive::Verdict::Sound => "missed",
                naive::Verdict::Broken => "found",
                naive::Verdict::Unreadable => "unreadable",
            },
        };
        let case = (row.log)(&world);
        let copy = checkpoint(&case.honest);
        let mut seen = vec![chain.to_owned()];
        let mut said = Vec::new();
        for trust in [key(), key().at_least(copy)] {
            let honest = says(&folder, &case.honest, &trust);
            let changed = says(&folder, &case.files, &trust);
            seen.push(verdict(&changed, &honest));
            said.push(changed);
        }
        if seen != row.expected {
            surprises.push(format!(
                "{}: expected {:?}, seen {seen:?}, said {said:?}",
                row.name, row.expected
            ));
        }
        table.push(format!("| {} | {} |", row.name, seen.join(" | ")));
    }
    println!("{}", table.join("\n"));
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn a_segment_that_was_just_begun_is_no_tampering() {
    let world = World::new();
    let mut files = world.log.clone();
    let size = checkpoint(&files).checkpoint().size;
    files
        .0
        .insert(format!("log/{size:020}.jsonl"), vec![0; 4096]);
    let folder = world.scratch.path("begun");
    assert_eq!(
        says(&folder, &files, &Trust::key(world.vkey.clone())),
        "sound"
    );
}

#[test]
fn a_lie_at_the_source_is_recorded_like_a_truth() {
    let scratch = Scratch::new();
    let log = world::open(&scratch.path("log"), ORIGIN, signing_key(1));
    // Mallory did it; the application says that Alice did.
    wait(log.record(admin("alice", "tokens/7"))).unwrap();
    let vkey = log.verifier_key();
    log.close().unwrap();
    let copy = checkpoint(&Files::load(&scratch.path("log")));
    let report = verify(scratch.path("log"), &Trust::key(vkey).at_least(copy)).unwrap();
    assert_eq!(report.finding, Finding::Sound);
    assert_eq!(records(&scratch.path("log")).len() as u64, report.records);
}

#[test]
fn an_altered_hash_in_tree_misleads_nobody() {
    let world = World::new();
    let key = Trust::key(world.vkey.clone());
    let folder = world.scratch.path("changed");
    let names: Vec<&String> = world
        .log
        .0
        .keys()
        .filter(|name| name.starts_with("tree/"))
        .collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        // They are derived from the records, and believed in nothing.
        let changes: [fn(&mut Vec<u8>); 3] = [
            |bytes| bytes[5] ^= 1,
            |bytes| bytes.truncate(40),
            Vec::clear,
        ];
        for change in changes {
            let mut files = world.log.clone();
            change(files.0.get_mut(name).unwrap());
            assert_eq!(says(&folder, &files, &key), "sound", "{name}");
            let _ = std::fs::remove_dir_all(world.scratch.path("published"));
            let published = publish(&folder, world.scratch.path("published")).unwrap();
            assert_eq!(
                root_of_tiles(&world.scratch.path("published"), published.size),
                { checkpoint(&files).checkpoint().root }
            );
        }
    }
}

#[test]
fn an_altered_tile_does_not_lead_to_the_root_that_was_signed_and_is_not_published_over() {
    let world = World::new();
    let (folder, out) = (world.scratch.path("log"), world.scratch.path("published"));
    let size = publish(&folder, &out).unwrap().size;
    let root = checkpoint(&world.log).checkpoint().root;
    assert_eq!(root_of_tiles(&out, size), root);
    for tile in ["tile/0/000", "tile/0/001", "tile/entries/001"] {
        let bytes = std::fs::read(out.join(tile)).unwrap();
        let mut altered = bytes.clone();
        altered[100] ^= 1;
        std::fs::write(out.join(tile), altered).unwrap();
        if tile.starts_with("tile/0") {
            assert_ne!(root_of_tiles(&out, size), root, "{tile}");
        }
        let said = publish(&folder, &out).map(|published| published.size);
        assert!(said.is_err(), "{tile}: {said:?}");
        std::fs::write(out.join(tile), bytes).unwrap();
    }
    publish(&folder, &out).unwrap();
}

/// The root that the leaf hashes in published tiles have.
fn root_of_tiles(out: &Path, size: u64) -> Hash {
    let mut tree = Frontier::new();
    let rows = (0..).map(|tile| match size.saturating_sub(tile * 256) {
        0 => None,
        rest @ 1..256 => Some(format!("tile/0/{tile:03}.p/{rest}")),
        _ => Some(format!("tile/0/{tile:03}")),
    });
    for name in rows.map_while(|name| name) {
        for hash in std::fs::read(out.join(name)).unwrap().chunks(32) {
            tree.append(Hash::from_bytes(hash.try_into().unwrap()));
        }
    }
    tree.root()
}

#[test]
fn two_nodes_do_not_pass_for_a_record() {
    let leaves: Vec<Hash> = [&b"a"[..], b"b", b"c", b"d"].map(leaf_hash).to_vec();
    let (left, right) = (
        node_hash(&leaves[0], &leaves[1]),
        node_hash(&leaves[2], &leaves[3]),
    );
    let root = node_hash(&left, &right);
    // A "record" that is the two hashes beneath the left node.
    let forged = [*leaves[0].as_bytes(), *leaves[1].as_bytes()].concat();
    assert!(verify_inclusion(0, 2, &leaf_hash(&forged), &[right], &root).is_err());

    // The control: a tree without the two prefixes takes it.
    let naive = |bytes: &[u8]| <sha2::Sha256 as sha2::Digest>::digest(bytes).to_vec();
    let leaves: Vec<Vec<u8>> = [&b"a"[..], b"b"].map(naive).to_vec();
    let node = naive(&leaves.concat());
    assert_eq!(
        naive(&[leaves[0].clone(), leaves[1].clone()].concat()),
        node
    );
}
