#![expect(
    clippy::cast_possible_truncation,
    reason = "the trees of tests are small"
)]

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::{
    merkle::{
        Frontier, Hash, Hashes, consistency_proof, inclusion_proof, leaf_hash, root,
        verify_consistency, verify_inclusion,
    },
    read::testing::Memory,
    storage::{Place, Storage, StorageFile},
    tree::{Stored, TreeFiles},
};

const MANY: usize = 66_000;

fn leaves(count: usize) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

fn tree_of(leaves: &[Hash]) -> Frontier {
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.append(*leaf));
    tree
}

/// More than 65,536 leaves and their files, made once.
fn many() -> (Vec<Hash>, Memory) {
    static MADE: LazyLock<(Vec<Hash>, Memory)> = LazyLock::new(|| {
        let leaves = leaves(MANY);
        let disk = written(&leaves);
        (leaves, disk)
    });
    (MADE.0.clone(), MADE.1.copy())
}

/// What one opening asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked(Vec<u64>);

fn open(disk: impl Storage, leaves: &[Hash], pruned: usize) -> io::Result<(TreeFiles, Asked)> {
    let mut asked = Asked::default();
    let files = TreeFiles::open(
        Arc::new(disk),
        &tree_of(leaves),
        tree_of(&leaves[..pruned]),
        &mut |from, take| {
            asked.0.push(from);
            assert!(from >= pruned as u64, "records that are gone");
            leaves[from as usize..]
                .iter()
                .try_for_each(|leaf| take(*leaf))
        },
    )?;
    Ok((files, asked))
}

/// The files of these leaves.
fn written(leaves: &[Hash]) -> Memory {
    let disk = Memory::default();
    open(disk.clone(), leaves, 0).unwrap();
    disk
}

fn files(disk: &Memory) -> BTreeMap<String, Vec<u8>> {
    disk.names()
        .into_iter()
        .map(|name| {
            let bytes = disk.bytes(&name);
            (name, bytes)
        })
        .collect()
}

#[test]
fn any_complete_subtree_is_read() {
    let (leaves, disk) = many();
    let (files, _) = open(disk, &leaves, 0).unwrap();
    assert_eq!(files.size(), MANY as u64);
    for level in 0..=16_u8 {
        let count = MANY >> level;
        for index in [0, 1, count / 3, count.saturating_sub(1)] {
            let expected = leaves[..].subtree(level, index as u64);
            let found = files.subtree(level, index as u64);
            assert_eq!(found.ok(), expected.ok(), "{level} {index}");
        }
        assert!(files.subtree(level, count as u64).is_err());
    }
    for level in 17..=255 {
        assert!(files.subtree(level, 0).is_err());
    }
    assert!(files.subtree(3, u64::MAX).is_err());
}

#[test]
fn roots_and_proofs_are_those_of_the_leaves() {
    let (leaves, disk) = many();
    let (files, _) = open(disk, &leaves, 0).unwrap();
    for size in [1, 255, 256, 257, 700] {
        let few = &leaves[..700];
        assert_eq!(root(size, &files).unwrap(), root(size, few).unwrap());
        for index in [0, size / 2, size - 1] {
            assert_eq!(
                inclusion_proof(index, size, &files).unwrap(),
                inclusion_proof(index, size, few).unwrap()
            );
            assert_eq!(
                consistency_proof(index + 1, size, &files).unwrap(),
                consistency_proof(index + 1, size, few).unwrap()
            );
        }
    }
    let all = tree_of(&leaves).root();
    for index in [0, 65_535, 65_536, MANY - 1] {
        let (place, size) = (index as u64, MANY as u64);
        let proof = inclusion_proof(place, size, &files).unwrap();
        assert_eq!(
            verify_inclusion(place, size, &leaves[index], &proof, &all),
            Ok(())
        );
        let old = root(place + 1, &files).unwrap();
        let proof = consistency_proof(place + 1, size, &files).unwrap();
        assert_eq!(
            verify_consistency(place + 1, size, &old, &all, &proof),
            Ok(())
        );
    }
}

#[test]
fn the_files_are_the_same_however_the_leaves_come() {
    let leaves = leaves(1_500);
    let expected = files(&written(&leaves));
    assert_eq!(expected["tree/0"].len(), 1_500 * 32);
    assert_eq!(expected["tree/1"].len(), 5 * 32);
    assert_eq!(expected.len(), 2);
    for chunk in [1, 7, 255, 256, 257, 1_000] {
        let disk = Memory::default();
        let (mut tree, _) = open(disk.clone(), &[], 0).unwrap();
        for some in leaves.chunks(chunk) {
            tree.append(some).unwrap();
        }
        assert_eq!(files(&disk), expected);
        assert_eq!(root(1_500, &tree).unwrap(), tree_of(&leaves).root());
    }
}

#[test]
fn what_is_there_and_good_is_not_asked_for_again() {
    let leaves = leaves(1_000);
    let disk = written(&leaves);
    let expected = files(&disk);
    let (mut tree, asked) = open(disk.clone(), &leaves, 0).unwrap();
    assert_eq!(asked, Asked(vec![]));
    assert_eq!(files(&disk), expected);
    tree.append(&leaves[..100]).unwrap();
    let more = [&leaves[..], &leaves[..100]].concat();
    assert_eq!(files(&disk), files(&written(&more)));
}

#[test]
fn files_that_are_longer_than_the_log_are_cut() {
    let leaves = leaves(1_000);
    let disk = written(&leaves);
    let (_, asked) = open(disk.clone(), &leaves[..300], 0).unwrap();
    assert_eq!(asked, Asked(vec![]));
    assert_eq!(files(&disk)["tree/0"].len(), 300 * 32);
    assert_eq!(files(&disk)["tree/1"].len(), 32);
    let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
    assert_eq!(asked, Asked(vec![256]));
    assert_eq!(files(&disk), files(&written(&leaves)));
}

#[test]
fn files_that_are_short_are_completed() {
    let leaves = leaves(1_000);
    let good = written(&leaves);
    for length in [0, 1, 31, 32, 8_192, 20_000, 31_999] {
        let disk = good.copy();
        disk.edit("tree/0", |bytes| bytes.truncate(length));
        let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
        assert_eq!(asked, Asked(vec![(length as u64 / 32) & !255]));
        assert_eq!(files(&disk), files(&good));
    }
    for length in 0..96 {
        let disk = good.copy();
        disk.edit("tree/1", |bytes| bytes.truncate(length));
        let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
        assert_eq!(asked, Asked(vec![]));
        assert_eq!(files(&disk), files(&good));
    }
}

#[test]
fn files_that_are_missing_are_made() {
    let leaves = leaves(1_000);
    let good = written(&leaves);
    for (name, from) in [("tree/0", vec![0]), ("tree/1", vec![])] {
        let disk = good.copy();
        disk.remove(name).unwrap();
        let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
        assert_eq!(asked, Asked(from));
        assert_eq!(files(&disk), files(&good));
    }
}

#[test]
fn any_byte_that_is_another_is_found_and_the_files_are_made_anew() {
    let leaves = leaves(700);
    let good = written(&leaves);
    for (name, length) in [("tree/0", 700 * 32), ("tree/1", 64)] {
        // One byte of each hash.
        for place in (0..length).step_by(165) {
            let disk = good.copy();
            disk.edit(name, |bytes| bytes[place] ^= 1);
            let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
            assert_eq!(asked, Asked(vec![0]), "{name} {place}");
            assert_eq!(files(&disk), files(&good));
        }
    }
}

#[test]
fn a_hole_that_a_crash_left_is_found() {
    let (leaves, good) = many();
    let disk = good.copy();
    disk.edit("tree/0", |bytes| bytes[4_096..8_192].fill(0));
    let (_, asked) = open(disk.clone(), &leaves, 0).unwrap();
    assert_eq!(asked, Asked(vec![0]));
    assert_eq!(files(&disk), files(&good));
}

#[test]
fn refuses_leaves_that_have_another_root() {
    let leaves = leaves(700);
    let mut others = leaves.clone();
    others[300] = leaf_hash(b"other");
    let refused = |some: &[Hash]| {
        let opened = TreeFiles::open(
            Arc::new(Memory::default()),
            &tree_of(&leaves),
            Frontier::new(),
            &mut |from, take| {
                some[from as usize..]
                    .iter()
                    .try_for_each(|leaf| take(*leaf))
            },
        );
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::InvalidData);
    };
    refused(&others);
    refused(&leaves[..699]);
    refused(&[&leaves[..], &[others[300]]].concat());
}

#[test]
fn an_error_of_reading_records_is_handed_on() {
    let leaves = leaves(10);
    let opened = TreeFiles::open(
        Arc::new(Memory::default()),
        &tree_of(&leaves),
        Frontier::new(),
        &mut |_, _| Err(io::ErrorKind::TimedOut.into()),
    );
    assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_pruned_log_keeps_the_hashes_that_are_there() {
    let leaves = leaves(2_000);
    let disk = written(&leaves);
    let (tree, asked) = open(disk.clone(), &leaves, 1_024).unwrap();
    assert_eq!(asked, Asked(vec![]));
    assert_eq!(tree.subtree(0, 3).unwrap(), leaves[3]);
}

#[test]
fn the_files_of_a_pruned_log_are_made_anew_from_what_is_left() {
    for (size, pruned) in [
        (2_000, 256),
        (2_000, 768),
        (2_000, 1_024),
        (2_000, 1_792),
        (6_000, 5_376),
        (MANY, 65_536),
    ] {
        let leaves = leaves(size);
        let disk = Memory::default();
        let (mut tree, asked) = open(disk.clone(), &leaves, pruned).unwrap();
        assert_eq!(asked, Asked(vec![pruned as u64]));
        let size = size as u64;
        assert_eq!(root(size, &tree).unwrap(), tree_of(&leaves).root());
        for index in [pruned as u64, size - 1] {
            assert_eq!(
                inclusion_proof(index, size, &tree).unwrap(),
                inclusion_proof(index, size, &leaves[..]).unwrap()
            );
        }
        for old in [pruned as u64, pruned as u64 + 1, size - 1] {
            assert_eq!(
                consistency_proof(old, size, &tree).unwrap(),
                consistency_proof(old, size, &leaves[..]).unwrap()
            );
        }
        // What is gone is gone, and not made up.
        assert!(tree.subtree(0, 0).is_err());
        assert!(inclusion_proof(1, size, &tree).is_err());
        // And it goes on.
        tree.append(&leaves[..300]).unwrap();
        let more = [&leaves[..], &leaves[..300]].concat();
        assert_eq!(
            root(more.len() as u64, &tree).unwrap(),
            tree_of(&more).root()
        );
        let (_, asked) = open(disk, &more, pruned).unwrap();
        assert_eq!(asked, Asked(vec![]));
    }
}

#[test]
fn a_reader_finds_what_is_not_written_yet_in_the_files_below() {
    let (leaves, disk) = many();
    disk.remove("tree/2").unwrap();
    disk.edit("tree/1", |bytes| bytes.truncate(32 * 200));
    let stored = Stored::open(&disk, Frontier::new()).unwrap();
    assert_eq!(root(MANY as u64, &stored).unwrap(), tree_of(&leaves).root());
}

/// Fails while it is told to, after writing a part.
#[derive(Debug, Clone)]
struct Failing {
    disk: Memory,
    fails: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FailingFile(Box<dyn StorageFile>, Failing);

impl Storage for Failing {
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(name)
    }
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let file = self.disk.open(name, create)?;
        Ok(Box::new(FailingFile(file, self.clone())))
    }
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(name, bytes)
    }
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
}

impl StorageFile for FailingFile {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(out, offset)
    }
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // A few bytes at a time, and not always any.
        let some = bytes.len().div_ceil(2);
        let written = self.0.write_at(&bytes[..some], offset)?;
        if self.1.fails.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(written)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn is_in_place(&self) -> io::Result<Place> {
        self.0.is_in_place()
    }
}

#[test]
fn after_an_error_of_the_disk_the_same_hashes_are_taken_again() {
    let leaves = leaves(1_000);
    let disk = Failing {
        disk: Memory::default(),
        fails: Arc::default(),
        syncs: Arc::default(),
    };
    let (mut tree, _) = open(disk.clone(), &leaves[..200], 0).unwrap();
    disk.fails.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let error = tree.append(&leaves[200..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(tree.size(), 200);
    }
    disk.fails.store(false, Ordering::Relaxed);
    tree.append(&leaves[200..]).unwrap();
    assert_eq!(root(1_000, &tree).unwrap(), tree_of(&leaves).root());
    assert_eq!(files(&disk.disk), files(&written(&leaves)));
}

#[test]
fn the_files_are_made_durable_once_in_65_536_records() {
    let (leaves, _) = many();
    let disk = Failing {
        disk: Memory::default(),
        fails: Arc::default(),
        syncs: Arc::default(),
    };
    let (mut tree, _) = open(disk.clone(), &[], 0).unwrap();
    tree.append(&leaves[..65_535]).unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 0);
    tree.append(&leaves[65_535..65_536]).unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 3);
    tree.append(&leaves[65_536..]).unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 3);
    tree.sync().unwrap();
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 6);
}
