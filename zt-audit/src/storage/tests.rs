use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

/// A place that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "zt-audit-storage-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn folder(&self) -> Folder {
        Folder::open(self.0.join("audit")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

// Refusals.

#[test]
fn links_pipes_and_names_that_lead_outside_are_refused() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    fs::write(scratch.0.join("outside"), b"x").unwrap();
    symlink(scratch.0.join("outside"), folder.path().join("link")).unwrap();
    fs::create_dir(scratch.0.join("elsewhere")).unwrap();
    fs::write(scratch.0.join("elsewhere/file"), b"x").unwrap();
    symlink(scratch.0.join("elsewhere"), folder.path().join("log")).unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    for name in ["link", "log/file", "../outside", "/etc/passwd", "", "tree"] {
        assert!(folder.open(name, false).is_err(), "{name}");
        assert!(folder.open(name, true).is_err(), "{name}");
    }
    assert!(folder.lock("link").is_err());
    assert!(folder.list("log").is_err());
    assert!(folder.replace("log/file", b"y").is_err());
    assert_eq!(fs::read(scratch.0.join("elsewhere/file")).unwrap(), b"x");
    // Replacing a link exchanges the link, never what it leads to.
    folder.replace("link", b"y").unwrap();
    assert_eq!(fs::read(scratch.0.join("outside")).unwrap(), b"x");
    assert_eq!(fs::read(folder.path().join("link")).unwrap(), b"y");
}

#[test]
fn a_folder_that_was_opened_to_read_makes_and_changes_nothing() {
    let scratch = Scratch::new();
    assert!(Folder::read_only(scratch.0.join("audit")).is_err());
    assert!(!scratch.0.join("audit").exists());
    scratch.folder().replace("checkpoint", b"text").unwrap();
    let folder = Folder::read_only(scratch.0.join("audit")).unwrap();
    assert!(folder.lock("LOCK").is_err());
    assert!(folder.open("new", true).is_err());
    assert!(folder.replace("checkpoint", b"other").is_err());
    assert!(folder.remove("checkpoint").is_err());
    assert!(folder.list("log").unwrap().is_empty());
    assert_eq!(folder.list("").unwrap(), ["checkpoint"]);
    let mut file = folder.open("checkpoint", false).unwrap();
    assert!(file.write_at(b"x", 0).is_err());
    let mut text = [0; 10];
    assert_eq!(file.read_at(&mut text, 0).unwrap(), 4);
    assert_eq!(&text[..4], b"text");
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let held = folder.lock("LOCK").unwrap();
    let refused = folder.lock("LOCK").err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(held);
    folder.lock("LOCK").unwrap();
}

#[test]
fn a_new_file_takes_the_place_of_no_other() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let missing = folder.open("log/a", false).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    folder.open("log/a", true).unwrap();
    let there = folder.open("log/a", true).unwrap_err();
    assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_file_knows_when_it_is_no_longer_the_one_of_its_name() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let file = folder.open("log/a", true).unwrap();
    let path = folder.path().join("log/a");
    assert_eq!(file.is_in_place().unwrap(), Place::Named);
    fs::hard_link(&path, folder.path().join("log/b")).unwrap();
    assert_eq!(file.is_in_place().unwrap(), Place::Linked);
    fs::remove_file(&path).unwrap();
    assert_eq!(file.is_in_place().unwrap(), Place::Gone);
    fs::write(&path, b"").unwrap();
    assert_eq!(file.is_in_place().unwrap(), Place::Replaced);
    fs::remove_file(&path).unwrap();
    symlink(folder.path().join("log/b"), &path).unwrap();
    assert_eq!(file.is_in_place().unwrap(), Place::Replaced);
}

// What it does.

#[test]
fn what_is_made_is_its_owner_s_alone() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    folder.open("log/a", true).unwrap();
    folder.replace("tree/0", b"x").unwrap();
    folder.lock("LOCK").unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    for name in ["log", "tree"] {
        assert_eq!(mode(folder.path().join(name)), 0o700, "{name}");
    }
    for name in ["log/a", "tree/0", "LOCK"] {
        assert_eq!(mode(folder.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    fs::write(folder.path().join("checkpoint.new"), b"half").unwrap();
    for text in [&b"first"[..], b"second, longer", b"x"] {
        folder.replace("checkpoint", text).unwrap();
        assert_eq!(fs::read(folder.path().join("checkpoint")).unwrap(), text);
    }
    assert_eq!(folder.list("").unwrap(), ["checkpoint"]);
}

#[test]
fn a_file_is_written_and_read_by_place() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let mut file = folder.open("log/a", true).unwrap();
    assert_eq!(file.write_at(b"world", 6).unwrap(), 5);
    assert_eq!(file.write_at(b"hello ", 0).unwrap(), 6);
    file.sync().unwrap();
    folder.sync_folder("log").unwrap();
    assert_eq!(file.length().unwrap(), 11);
    file.set_length(13).unwrap();
    let mut text = [1; 20];
    assert_eq!(file.read_at(&mut text, 3).unwrap(), 10);
    assert_eq!(&text[..10], b"lo world\0\0");
    file.set_length(5).unwrap();
    assert_eq!(file.length().unwrap(), 5);
    assert_eq!(folder.list("log").unwrap(), ["a"]);
    folder.remove("log/a").unwrap();
    assert!(folder.list("log").unwrap().is_empty());
}
