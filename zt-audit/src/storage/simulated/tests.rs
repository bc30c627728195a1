use std::collections::BTreeSet;

use super::*;

const SEEDS: u64 = 400;

/// A disk with a durable file `log/a` of these bytes, and the file.
fn disk_with(bytes: &[u8]) -> (SimulatedDisk, Box<dyn StorageFile>) {
    let disk = SimulatedDisk::new(1);
    let mut file = disk.open("log/a", true).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    file.sync().unwrap();
    disk.sync_folder("log").unwrap();
    (disk, file)
}

/// Every state of `log/a` that is found after a loss of power.
fn states(disk: &SimulatedDisk) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS)
        .map(|seed| disk.after(Loss::Random(seed)).read("log/a"))
        .collect()
}

#[test]
fn what_was_synced_is_found_whatever_is_lost() {
    let (disk, _) = disk_with(b"durable");
    assert_eq!(states(&disk), BTreeSet::from([Some(b"durable".to_vec())]));
    let found = disk.power_loss(Loss::Everything);
    assert_eq!(found.read("log/a").unwrap(), b"durable");
}

#[test]
fn what_was_not_synced_is_there_or_is_not() {
    let (disk, mut file) = disk_with(b"aa");
    file.write_at(b"bb", 0).unwrap();
    assert_eq!(disk.read("log/a").unwrap(), b"bb");
    let expected = [Some(b"aa".to_vec()), Some(b"bb".to_vec())];
    assert_eq!(states(&disk), BTreeSet::from(expected));
    let lost = disk.power_loss(Loss::Everything);
    assert_eq!(lost.read("log/a").unwrap(), b"aa");
    let killed = disk.power_loss(Loss::Nothing);
    assert_eq!(killed.read("log/a").unwrap(), b"bb");
}

#[test]
fn pages_are_reordered() {
    let (disk, mut file) = disk_with(&[0; 2 * 4096]);
    file.write_at(&[1], 0).unwrap();
    file.write_at(&[1], 4096).unwrap();
    let seen: BTreeSet<(u8, u8)> = states(&disk)
        .into_iter()
        .flatten()
        .map(|bytes| (bytes[0], bytes[4096]))
        .collect();
    assert_eq!(seen, BTreeSet::from([(0, 0), (0, 1), (1, 0), (1, 1)]));
}

#[test]
fn a_page_is_torn_between_sectors_and_never_within_one() {
    let (disk, mut file) = disk_with(&[0; 4096]);
    file.write_at(&[1; 1024], 0).unwrap();
    let found: Vec<Vec<u8>> = states(&disk).into_iter().flatten().collect();
    assert!(found.iter().any(|bytes| bytes[0] != bytes[512]));
    for bytes in &found {
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
        }
    }
}

#[test]
fn a_length_is_lost_without_its_bytes_and_bytes_without_their_length() {
    let (disk, mut file) = disk_with(b"a");
    file.write_at(b"b", 1).unwrap();
    let expected = [b"a".to_vec(), b"a\0".to_vec(), b"ab".to_vec()];
    assert_eq!(states(&disk), expected.into_iter().map(Some).collect());
}

#[test]
fn a_name_is_lost_until_its_folder_is_synced() {
    let disk = SimulatedDisk::new(1);
    let mut file = disk.open("log/a", true).unwrap();
    file.write_at(b"a", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(states(&disk), BTreeSet::from([None, Some(b"a".to_vec())]));
    disk.sync_folder("").unwrap();
    assert!(states(&disk).contains(&None));
    disk.sync_folder("log").unwrap();
    assert_eq!(states(&disk), BTreeSet::from([Some(b"a".to_vec())]));
}

#[test]
fn a_removed_file_comes_back_until_its_folder_is_synced() {
    let (disk, _) = disk_with(b"a");
    disk.remove("log/a").unwrap();
    assert_eq!(states(&disk), BTreeSet::from([None, Some(b"a".to_vec())]));
    disk.sync_folder("log").unwrap();
    assert_eq!(states(&disk), BTreeSet::from([None]));
}

#[test]
fn what_is_replaced_is_the_old_or_the_new_at_every_operation() {
    let disk = SimulatedDisk::new(1);
    disk.replace("c", b"old").unwrap();
    let before = disk.operations();
    disk.replace("c", b"new").unwrap();
    let operations = disk.operations() - before;
    assert_eq!(operations, 5);
    let mut seen = BTreeSet::new();
    for number in 1..=operations {
        let disk = SimulatedDisk::new(number);
        disk.replace("c", b"old").unwrap();
        disk.fail(before + number, Fault::PowerOff);
        disk.replace("c", b"new").unwrap_err();
        for seed in 0..SEEDS {
            let found = disk.power_loss(Loss::Random(seed));
            seen.insert(found.read("c").unwrap());
            found.replace("c", b"newer").unwrap();
            let synced = found.power_loss(Loss::Everything);
            assert_eq!(synced.read("c").unwrap(), b"newer");
        }
    }
    assert_eq!(seen, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn a_flush_after_one_that_failed_says_done_without_the_pages() {
    let mut was_lost = false;
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let mut file = disk.open("log/a", true).unwrap();
        disk.sync_folder("log").unwrap();
        file.sync().unwrap();
        file.write_at(&[1], 0).unwrap();
        file.write_at(&[1], 4096).unwrap();
        disk.fail(disk.operations() + 1, Fault::Io);
        let error = file.sync().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
        // The next flush says that all is well, and a reader agrees.
        file.sync().unwrap();
        let mut byte = [0];
        assert_eq!(file.read_at(&mut byte, 4096).unwrap(), 1);
        assert_eq!(byte, [1]);
        let found = disk.power_loss(Loss::Everything).read("log/a").unwrap();
        was_lost |= found.get(4096) != Some(&1);
    }
    assert!(was_lost);
}

#[test]
fn each_handle_is_told_once_of_a_flush_that_failed() {
    let (disk, mut file) = disk_with(b"a");
    let mut other = disk.open("log/a", false).unwrap();
    file.write_at(b"b", 0).unwrap();
    disk.fail(disk.operations() + 1, Fault::Io);
    file.sync().unwrap_err();
    let mut later = disk.open("log/a", false).unwrap();
    later.sync().unwrap();
    file.sync().unwrap();
    assert_eq!(other.sync().unwrap_err().raw_os_error(), Some(5));
    other.sync().unwrap();
}

#[test]
fn a_page_that_was_lost_is_written_with_the_next_change_of_it() {
    let (disk, mut file) = disk_with(&[0; 4096]);
    file.write_at(&[1], 0).unwrap();
    disk.fail(disk.operations() + 1, Fault::Io);
    file.sync().unwrap_err();
    file.write_at(&[2], 1).unwrap();
    file.sync().unwrap();
    let found = disk.power_loss(Loss::Everything).read("log/a").unwrap();
    assert_eq!(found[..2], [1, 2]);
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let disk = SimulatedDisk::new(1);
    disk.limit(Some(2 * 4096));
    let mut file = disk.open("log/a", true).unwrap();
    assert_eq!(file.write_at(&[1; 3 * 4096], 0).unwrap(), 2 * 4096);
    let error = file.write_at(&[1], 2 * 4096).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
    // What was written ahead has its place.
    assert_eq!(file.write_at(&[2; 4096], 10).unwrap(), 4096);
    file.set_length(4096).unwrap();
    assert_eq!(file.write_at(&[3], 4096).unwrap(), 1);
    // A length alone takes none.
    file.set_length(1 << 20).unwrap();
    assert!(file.write_at(&[1], 1 << 19).is_err());
    disk.limit(None);
    assert_eq!(file.write_at(&[1], 1 << 19).unwrap(), 1);
}

#[test]
fn a_fault_belongs_to_one_operation() {
    let (disk, mut file) = disk_with(b"aaaa");
    let next = disk.operations() + 1;
    disk.fail(next, Fault::Io);
    disk.fail(next + 1, Fault::NoSpace);
    disk.fail(next + 2, Fault::Short);
    disk.fail(next + 3, Fault::Interrupted);
    let code = |result: io::Result<usize>| result.unwrap_err().raw_os_error();
    assert_eq!(code(file.write_at(b"bbbb", 0)), Some(5));
    assert_eq!(code(file.write_at(b"bbbb", 0)), Some(28));
    let taken = file.write_at(b"cccc", 0).unwrap();
    assert!((1..4).contains(&taken));
    let error = file.write_at(b"dddd", 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    assert_eq!(file.write_at(b"eeee", 0).unwrap(), 4);
    assert_eq!(disk.read("log/a").unwrap(), b"eeee");
    assert_eq!(disk.faults(), 4);
}

#[test]
fn a_broken_disk_is_read_and_not_written_until_it_is_healed() {
    let (disk, mut file) = disk_with(b"a");
    disk.fail_from(disk.operations() + 1, Fault::Io);
    for _ in 0..3 {
        assert!(file.sync().is_err());
        assert!(disk.open("log/b", true).is_err());
        assert!(disk.replace("c", b"c").is_err());
        assert_eq!(file.length().unwrap(), 1);
    }
    disk.heal();
    disk.replace("c", b"c").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.names(), ["c", "log/a"]);
}

#[test]
fn nothing_is_done_once_the_power_is_off() {
    let (disk, mut file) = disk_with(b"a");
    disk.fail(disk.operations() + 1, Fault::PowerOff);
    file.write_at(b"b", 0).unwrap_err();
    assert!(disk.is_off());
    let operations = disk.operations();
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(disk.replace("c", b"c").is_err());
    assert!(disk.lock("LOCK").is_err());
    assert_eq!(disk.operations(), operations);
    // The write that was under way may have come through.
    assert!(states(&disk).contains(&Some(b"b".to_vec())));
    assert!(states(&disk).contains(&Some(b"a".to_vec())));
}

#[test]
fn a_lock_is_held_until_it_is_dropped_or_the_power_is_off() {
    let disk = SimulatedDisk::new(1);
    let lock = disk.lock("LOCK").unwrap();
    let error = disk.lock("LOCK").err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    let _lock = disk.lock("LOCK").unwrap();
    let found = disk.power_loss(Loss::Nothing);
    found.lock("LOCK").unwrap();
}

#[test]
fn a_file_knows_whether_it_is_in_its_place() {
    let (disk, file) = disk_with(b"a");
    assert_eq!(file.is_in_place().unwrap(), Place::Named);
    disk.link("log/a", "elsewhere").unwrap();
    assert_eq!(file.is_in_place().unwrap(), Place::Linked);
    disk.unlink("elsewhere");
    disk.put("log/a", b"another");
    assert_eq!(file.is_in_place().unwrap(), Place::Replaced);
    disk.unlink("log/a");
    assert_eq!(file.is_in_place().unwrap(), Place::Gone);
}

#[test]
fn files_are_opened_made_and_listed_by_their_rules() {
    let (disk, _file) = disk_with(b"a");
    let kind = |result: io::Result<Box<dyn StorageFile>>| result.unwrap_err().kind();
    assert_eq!(kind(disk.open("log/b", false)), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.open("log/a", true)), io::ErrorKind::AlreadyExists);
    assert_eq!(
        disk.remove("log/b").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    disk.replace("c", b"c").unwrap();
    assert_eq!(disk.list("log").unwrap(), ["a"]);
    assert_eq!(disk.list("").unwrap(), ["c"]);
    assert!(disk.list("tree").unwrap().is_empty());
}

#[test]
fn folders_of_one_disk_lose_their_power_together_and_do_not_see_one_another() {
    let disk = SimulatedDisk::new(1);
    let (log, keys) = (disk.within("audit"), disk.within("audit.keys"));
    log.replace("checkpoint", b"text").unwrap();
    keys.replace("vkey", b"key").unwrap();
    log.open("log/a", true).unwrap();
    log.sync_folder("log").unwrap();
    assert_eq!(log.list("").unwrap(), ["checkpoint"]);
    assert_eq!(log.list("log").unwrap(), ["a"]);
    assert_eq!(keys.names(), ["vkey"]);
    assert_eq!(
        disk.names(),
        ["audit.keys/vkey", "audit/checkpoint", "audit/log/a"]
    );
    let found = log.power_loss(Loss::Everything);
    assert_eq!(found.names(), ["checkpoint", "log/a"]);
    assert!(keys.replace("vkey", b"other").is_err());
    assert!(disk.is_off());
}

#[test]
fn the_same_seed_ends_alike() {
    let run = || {
        let (disk, mut file) = disk_with(&[0; 8 * 4096]);
        for page in 0..8 {
            file.write_at(&[1; 4096], page * 4096).unwrap();
        }
        disk.fail(disk.operations() + 1, Fault::Io);
        file.sync().unwrap_err();
        let found = disk.power_loss(Loss::Random(3));
        (found.read("log/a"), disk.trace())
    };
    assert_eq!(run(), run());
}

#[test]
fn it_is_copied_into_a_folder() {
    let (disk, _file) = disk_with(b"a");
    let folder = std::env::temp_dir().join(format!("zt-audit-simulated-{}", std::process::id()));
    disk.copy_to(&folder).unwrap();
    assert_eq!(fs::read(folder.join("log/a")).unwrap(), b"a");
    fs::remove_dir_all(&folder).unwrap();
}
