//! What the mark beside the keys keeps from being continued.

use zt_core::random::SeededEntropy;

use super::*;
use crate::{
    note::SignedCheckpoint,
    repair::{Repair, RepairError},
};

/// Some records, signed at the end.
fn grow(scratch: &Scratch, records: usize) -> SignedCheckpoint {
    let log = scratch.open().unwrap();
    for _ in 0..records {
        log.record(admin("x")).detach();
    }
    log.close().unwrap();
    log.checkpoint().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn own_key(scratch: &Scratch) -> SigningKey {
    let text = fs::read_to_string(scratch.0.join("audit.keys/signing.key")).unwrap();
    SigningKey::parse(text.trim_end()).unwrap()
}

#[track_caller]
fn rolled_back(scratch: &Scratch) -> (u64, u64) {
    match scratch.open().unwrap_err() {
        OpenError::RolledBack { signed, found, .. } => (signed, found),
        other => panic!("{other}"),
    }
}

#[test]
fn a_log_cut_to_its_first_batch_without_its_checkpoint_is_not_continued() {
    let scratch = Scratch::new("cut");
    grow(&scratch, 0);
    let first = fs::read(scratch.live()).unwrap();
    let signed = grow(&scratch, 5).checkpoint().size;
    fs::write(scratch.live(), first).unwrap();
    fs::remove_file(scratch.log().join("checkpoint")).unwrap();
    assert_eq!(rolled_back(&scratch), (signed, 0));
    assert!(!scratch.log().join("checkpoint").exists());
}

#[test]
fn an_emptied_folder_does_not_become_another_log_of_the_same_name() {
    let scratch = Scratch::new("emptied");
    let signed = grow(&scratch, 3).checkpoint().size;
    fs::remove_dir_all(scratch.log()).unwrap();
    assert_eq!(rolled_back(&scratch), (signed, 0));
    assert!(!scratch.live().exists());
}

#[test]
fn an_earlier_state_of_the_whole_folder_is_not_continued_until_somebody_takes_note() {
    let scratch = Scratch::new("earlier");
    let before = grow(&scratch, 2).checkpoint().size;
    copy(&scratch.log(), &scratch.0.join("backup"));
    let after = grow(&scratch, 4).checkpoint().clone();
    fs::remove_dir_all(scratch.log()).unwrap();
    fs::rename(scratch.0.join("backup"), scratch.log()).unwrap();
    assert_eq!(rolled_back(&scratch), (after.size, before));

    // Without the folder of keys nothing is wrong with it.
    let unmarked = Repair::new(own_key(&scratch)).run(scratch.log(), "ada", "restored");
    assert!(matches!(unmarked, Err(RepairError::NotDamaged)));
    let repair = Repair::new(own_key(&scratch)).keys_in(scratch.0.join("audit.keys"));
    let repaired = repair.run(scratch.log(), "ada", "restored").unwrap();
    assert_eq!((repaired.kept, repaired.was), (before, Some(after.clone())));
    let again = repair.run(scratch.log(), "ada", "restored");
    assert!(matches!(again, Err(RepairError::NotDamaged)));
    let told = scratch.records();
    let told = told
        .iter()
        .find(|told| told["kind"] == "recovered")
        .unwrap();
    assert_eq!(told["signed_size"], after.size);
    grow(&scratch, 1);
}

/// A crash between the two: the log's own checkpoint is the later one.
#[test]
fn a_mark_that_is_late_or_missing_is_no_evidence() {
    let scratch = Scratch::new("late");
    grow(&scratch, 1);
    let mark = scratch.0.join("audit.keys/signed");
    let early = fs::read(&mark).unwrap();
    grow(&scratch, 1);
    fs::write(&mark, early).unwrap();
    grow(&scratch, 1);
    fs::remove_file(&mark).unwrap();
    let signed = grow(&scratch, 1);
    assert_eq!(fs::read(&mark).unwrap(), signed.encode().as_bytes());
}

#[test]
fn a_mark_that_cannot_be_read_refuses() {
    let scratch = Scratch::new("unread");
    grow(&scratch, 1);
    fs::write(scratch.0.join("audit.keys/signed"), "nothing").unwrap();
    let refused = scratch.open().unwrap_err();
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
}

/// Also where the application keeps the key that signs elsewhere, and nothing is sealed.
#[test]
fn the_mark_holds_for_a_key_that_the_application_keeps() {
    let scratch = Scratch::new("given");
    let options = || {
        Options::default()
            .signing_key(signing_key())
            .insecure_personal_data_in_clear()
    };
    let open = || AuditLog::open(scratch.log(), options());
    open().unwrap().close().unwrap();
    fs::remove_dir_all(scratch.log()).unwrap();
    let refused = open().unwrap_err();
    assert!(matches!(refused, OpenError::RolledBack { .. }), "{refused}");
    assert!(refused.to_string().contains("audit.keys/signed"));
}

#[test]
fn a_mark_that_cannot_be_written_is_told_and_refuses_nothing() {
    let scratch = Scratch::new("unwritten");
    let log = scratch.open().unwrap();
    log.sign().unwrap();
    let mark = scratch.0.join("audit.keys/signed");
    fs::remove_file(&mark).unwrap();
    fs::create_dir(&mark).unwrap();
    log.record(admin("x")).detach();
    assert!(matches!(log.sign(), Err(SignError::Mark(_))));
    assert!(log.health().unsigned.is_some());
    assert!(log.health().is_writable());
    fs::remove_dir(&mark).unwrap();
    log.sign().unwrap();
    assert_eq!(log.health().unsigned, None);
}

/// A crash after the last step but one: the log is whole and has less than the mark says.
#[test]
fn a_repair_that_was_cut_short_before_the_mark_is_repaired_again() {
    let scratch = Scratch::new("short");
    grow(&scratch, 2);
    copy(&scratch.log(), &scratch.0.join("backup"));
    grow(&scratch, 9);
    let mark = scratch.0.join("audit.keys/signed");
    let before = fs::read(&mark).unwrap();
    fs::remove_dir_all(scratch.log()).unwrap();
    fs::rename(scratch.0.join("backup"), scratch.log()).unwrap();
    let repair = Repair::new(own_key(&scratch)).keys_in(scratch.0.join("audit.keys"));
    let first = repair.run(scratch.log(), "ada", "restored").unwrap();
    fs::write(&mark, before).unwrap();
    assert_eq!(rolled_back(&scratch).1, first.checkpoint.checkpoint().size);
    let second = repair.run(scratch.log(), "ada", "again").unwrap();
    assert_eq!(second.kept, first.checkpoint.checkpoint().size);
    grow(&scratch, 1);
}

/// Both folders were copied, and the copies went on; then one of the logs comes to the other's keys.
#[test]
fn a_log_that_went_another_way_is_not_continued_however_long_it_is() {
    let scratch = Scratch::new("forked");
    grow(&scratch, 2);
    let other = Scratch::new("other");
    copy(&scratch.0, &other.0);
    let signed = grow(&scratch, 3).checkpoint().size;
    for more in [3, 0, 400] {
        grow(&other, more);
        fs::remove_dir_all(scratch.log()).unwrap();
        copy(&other.log(), &scratch.log());
        let refused = scratch.open().unwrap_err();
        let OpenError::Forked { signed: said, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(said, signed);
    }
    // Also where the hashes are gone, or are those of the other.
    fs::remove_dir_all(scratch.log().join("tree")).unwrap();
    let refused = scratch.open().unwrap_err();
    assert!(matches!(refused, OpenError::Forked { .. }), "{refused}");
}

#[test]
fn a_folder_of_keys_has_one_log() {
    let scratch = Scratch::new("shared");
    let open = |name, log: &str| {
        let key = SigningKey::generate(name, &SeededEntropy::new(3)).unwrap();
        let options = Options::default()
            .signing_key(key)
            .keys_in(scratch.0.join("keys"));
        AuditLog::open(scratch.0.join(log), options)
    };
    open("shop/1", "one").unwrap().close().unwrap();
    let refused = open("shop/2", "two").unwrap_err();
    assert!(refused.to_string().contains("`shop/1`"), "{refused}");
    open("shop/1", "one").unwrap().close().unwrap();
}

#[test]
fn where_a_log_was_signed_once_and_its_key_is_gone_no_other_is_made() {
    let scratch = Scratch::new("keyless");
    grow(&scratch, 1);
    let key = scratch.0.join("audit.keys/signing.key");
    fs::remove_dir_all(scratch.log()).unwrap();
    fs::remove_file(&key).unwrap();
    let refused = scratch.open().unwrap_err();
    assert!(refused.to_string().contains("signing key"), "{refused}");
    assert!(!key.exists());
}
