use std::{fs, process::Command};

use serde_json::{Value, json};

use super::*;
use crate::{format::Pruned, merkle::Frontier, read::LogReader};

/// What a program that knows nothing of this one finds; `None`, said aloud, where there is no Node.
fn verifier(out: &Path, minimum: u64) -> Option<Result<Value, String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/publish/tests/verifier.mjs");
    let ran = Command::new("node")
        .arg(script)
        .arg(out)
        .arg(key().verifier().to_string())
        .arg(minimum.to_string())
        .output();
    let Ok(ran) = ran else {
        println!("skipped: there is no `node`");
        return None;
    };
    Some(if ran.status.success() {
        Ok(serde_json::from_slice(&ran.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    })
}

#[test]
fn another_program_verifies_what_is_published() {
    for size in [1, 255, 256, 257, 1_100] {
        let scratch = Scratch::new();
        let log = log(size);
        let published = publish(&log.disk, &scratch.out()).unwrap();
        assert_eq!((published.first, published.size), (0, size));
        assert_eq!(published.origin, ORIGIN);
        let Some(found) = verifier(&scratch.out(), 0) else {
            return;
        };
        let found = found.unwrap();
        assert_eq!(found["size"], json!(size));
        assert_eq!(
            (&found["signatures"], &found["cosignatures"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(
            (&found["records"], &found["inclusions"]),
            (&json!(size), &json!(size))
        );
    }
}

/// Reads tiles as a client does.
struct Client<'o>(&'o Path);

impl tlog_tiles::TileReader for Client<'_> {
    fn height(&self) -> u8 {
        8
    }
    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            // Its paths have the height of tiles in them, which C2SP fixes at 8.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            fs::read(self.0.join(path)).map_err(|_| tlog_tiles::Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }
    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn a_client_of_other_people_makes_proofs_from_the_tiles() {
    use tlog_tiles::{Hash, TileHashReader, check_record, check_tree, prove_record, prove_tree};
    let scratch = Scratch::new();
    let log = log(1_100);
    publish(&log.disk, &scratch.out()).unwrap();
    let note = fs::read_to_string(scratch.out().join("checkpoint")).unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    assert_eq!(size, 1_100);
    let client = Client(&scratch.out());
    let tiles = TileHashReader::new(size, root, &client);
    let mut reader = LogReader::over(Arc::new(log.disk.clone()), 0).unwrap();
    let mut tree = Frontier::new();
    while let Some(entry) = reader.next().unwrap() {
        tree.append(entry.leaf);
        if !entry.index.is_multiple_of(37) {
            continue;
        }
        let leaf = tlog_tiles::record_hash(&entry.bytes);
        let proof = prove_record(size, entry.index, &tiles).unwrap();
        check_record(&proof, size, root, entry.index, leaf).unwrap();
        let proof = prove_tree(size, tree.size(), &tiles).unwrap();
        let old = Hash(*tree.root().as_bytes());
        check_tree(&proof, size, root, tree.size(), old).unwrap();
    }
}

#[test]
fn another_program_finds_what_was_changed() {
    let scratch = Scratch::new();
    publish(&log(300).disk, &scratch.out()).unwrap();
    for name in files(&scratch.out()).keys() {
        let path = scratch.out().join(name);
        let good = fs::read(&path).unwrap();
        let mut other = good.clone();
        other[good.len() / 2] ^= 1;
        fs::write(&path, other).unwrap();
        match verifier(&scratch.out(), 0) {
            None => return,
            Some(found) => assert!(found.is_err(), "{name}"),
        }
        fs::write(&path, good).unwrap();
    }
    assert!(verifier(&scratch.out(), 0).unwrap().is_ok());
}

#[test]
fn the_files_are_those_of_the_specification() {
    let scratch = Scratch::new();
    publish(&log(600).disk, &scratch.out()).unwrap();
    let names: Vec<_> = files(&scratch.out()).into_keys().collect();
    assert_eq!(
        names,
        [
            "checkpoint",
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/88",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/88",
        ]
    );
}

#[test]
fn a_log_that_grows_is_published_piece_by_piece() {
    for only_new in [false, true] {
        let scratch = Scratch::new();
        let mut log = TestLog::new();
        for more in [1, 99, 155, 1, 0, 44, 300, 256] {
            grow(&mut log, more);
            let how = if only_new {
                Publish::new().only_new()
            } else {
                Publish::new()
            };
            publish_as(how, &log.disk, &scratch.out()).unwrap();
            // No piece of an earlier checkpoint is left but what this one has as well.
            let at_once = Scratch::new();
            publish(&log.disk, &at_once.out()).unwrap();
            let piecewise = files(&scratch.out());
            for (name, bytes) in files(&at_once.out()) {
                assert_eq!(piecewise.get(&name), Some(&bytes), "{name}");
            }
            let full = |name: &String| !name.contains(".p/");
            assert_eq!(
                piecewise.keys().filter(|name| full(name)).count(),
                files(&at_once.out())
                    .keys()
                    .filter(|name| full(name))
                    .count()
            );
            for name in piecewise.keys().filter(|name| !full(name)) {
                assert!(
                    !piecewise.contains_key(name.split_once(".p/").unwrap().0),
                    "{name}"
                );
            }
        }
        if let Some(found) = verifier(&scratch.out(), 0) {
            assert_eq!(found.unwrap()["size"], json!(856));
        }
    }
}

#[test]
fn what_is_published_is_not_written_again() {
    let scratch = Scratch::new();
    let mut log = log(600);
    let first = publish(&log.disk, &scratch.out()).unwrap();
    assert_eq!((first.written, first.unchanged), (7, 0));
    let again = publish(&log.disk, &scratch.out()).unwrap();
    assert_eq!((again.written, again.unchanged), (0, 7));
    grow(&mut log, 200);
    let more = publish(&log.disk, &scratch.out()).unwrap();
    assert_eq!((more.written, more.unchanged), (5, 4));
    grow(&mut log, 200);
    let more = publish_as(Publish::new().only_new(), &log.disk, &scratch.out()).unwrap();
    // The last tile of records and of their hashes; that above them has no more than before.
    assert_eq!((more.written, more.unchanged, more.size), (2, 1, 1_000));
}

#[test]
fn a_run_that_was_cut_short_is_taken_up() {
    let scratch = Scratch::new();
    let mut log = log(300);
    publish(&log.disk, &scratch.out()).unwrap();
    grow(&mut log, 500);
    let at_once = Scratch::new();
    publish(&log.disk, &at_once.out()).unwrap();
    let old: Vec<_> = files(&scratch.out()).into_keys().collect();
    let wanted = files(&at_once.out());
    // Whatever a crash left of the new files: nothing, a part, or NULs in their place.
    for (name, bytes) in wanted.iter().filter(|(name, _)| !old.contains(name)) {
        for left in [
            Vec::new(),
            bytes[..bytes.len() / 2].to_vec(),
            vec![0; bytes.len()],
        ] {
            let path = scratch.out().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &left).unwrap();
            fs::write(path.with_extension("new"), &left).unwrap();
            fs::write(format!("{}.new", path.display()), &left).unwrap();
        }
    }
    fs::write(scratch.out().join("checkpoint.new"), "half").unwrap();
    publish(&log.disk, &scratch.out()).unwrap();
    let found = files(&scratch.out());
    for (name, bytes) in &wanted {
        assert_eq!(found.get(name), Some(bytes), "{name}");
    }
}

#[test]
fn a_published_file_that_is_gone_is_written_again() {
    let scratch = Scratch::new();
    let log = log(600);
    publish(&log.disk, &scratch.out()).unwrap();
    let before = files(&scratch.out());
    for name in before.keys().filter(|name| *name != "checkpoint") {
        fs::remove_file(scratch.out().join(name)).unwrap();
        assert_eq!(
            publish(&log.disk, &scratch.out()).unwrap().written,
            1,
            "{name}"
        );
        assert_eq!(files(&scratch.out()), before);
    }
}

#[test]
fn only_what_is_signed_is_published() {
    let scratch = Scratch::new();
    let mut log = log(300);
    log.batch(300).tree_files();
    assert_eq!(publish(&log.disk, &scratch.out()).unwrap().size, 300);
    assert!(!scratch.out().join("tile/0/001").exists());
    let checkpoint = fs::read(scratch.out().join("checkpoint")).unwrap();
    assert_eq!(checkpoint, log.disk.bytes("checkpoint"));
}

#[test]
fn progress_is_told() {
    let scratch = Scratch::new();
    let log = log(600);
    let mut told = Vec::new();
    let mut progress = |done, size| told.push((done, size));
    publish_as(
        Publish::new().progress(&mut progress),
        &log.disk,
        &scratch.out(),
    )
    .unwrap();
    assert_eq!(told, [(256, 600), (512, 600)]);
}

/// A log of 800 records in segments of 256, without its first `before` records.
fn pruned(before: u64) -> Memory {
    let mut log = TestLog::new();
    log.batch(256).roll().batch(256).roll().batch(256).roll();
    grow(&mut log, 32);
    let mut tree = Frontier::new();
    let mut reader = LogReader::over(Arc::new(log.disk.clone()), 0).unwrap();
    while tree.size() < before {
        tree.append(reader.next().unwrap().unwrap().leaf);
    }
    let disk = log.disk;
    disk.replace("pruned", &Pruned { tree }.encode()).unwrap();
    for first in (0..before).step_by(256) {
        disk.remove(&crate::format::name::segment(first)).unwrap();
    }
    disk
}

#[test]
fn a_pruned_log_is_published_from_its_first_record_on() {
    for before in [256, 512, 768] {
        let scratch = Scratch::new();
        let published = publish(&pruned(before), &scratch.out()).unwrap();
        assert_eq!((published.first, published.size), (before, 800));
        let names = files(&scratch.out());
        assert!(!names.contains_key("tile/0/000"));
        assert!(!names.contains_key("tile/entries/000"));
        assert_eq!(names["tile/1/000.p/3"].len(), 96);
        if let Some(found) = verifier(&scratch.out(), before) {
            assert_eq!(found.unwrap()["records"], json!(800 - before));
        }
    }
}

#[test]
fn what_was_published_before_it_was_pruned_stays() {
    let scratch = Scratch::new();
    let whole = pruned(0);
    whole.remove("pruned").unwrap();
    publish(&whole, &scratch.out()).unwrap();
    let before = files(&scratch.out());
    for disk in [pruned(256), pruned(768)] {
        publish(&disk, &scratch.out()).unwrap();
        publish_as(Publish::new().only_new(), &disk, &scratch.out()).unwrap();
        assert_eq!(files(&scratch.out()), before);
    }
    if let Some(found) = verifier(&scratch.out(), 0) {
        assert_eq!(found.unwrap()["records"], json!(800));
    }
}

#[test]
fn a_pruned_log_without_the_hashes_of_what_is_gone_is_refused() {
    let scratch = Scratch::new();
    for change in [
        |disk: &Memory| disk.remove("tree/1").unwrap(),
        |disk: &Memory| disk.edit("tree/1", |bytes| bytes[0] ^= 1),
    ] {
        let disk = pruned(512);
        change(&disk);
        disk.remove("tree/0").unwrap();
        let error = publish(&disk, &scratch.out()).unwrap_err();
        let refused = crate::tree::ProveError::Pruned { first: 512 };
        assert!(matches!(error, PublishError::Log(why) if why.to_string() == refused.to_string()));
    }
}
