//! A whole log in the file system: what whoever carries it away has, and what is left of somebody
//! who was erased.

use std::{
    fs,
    path::{Path, PathBuf},
};

use zt_core::state::Recorder;

use super::{
    sealed::{MARK, every_kind, full_decision, is_personal, named},
    *,
};
use crate::{
    AuditLog, Options,
    seal::Vault,
    verify::{Trust, verify},
};

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zt-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit")
    }

    fn open(&self) -> AuditLog {
        AuditLog::open(self.log(), Options::default()).unwrap()
    }

    fn vault(&self) -> Vault {
        Vault::read_only(self.0.join("audit.keys")).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every file below `folder`, with its path.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![(path.clone(), fs::read(&path).unwrap())],
        })
        .collect()
}

/// The records of the log, opened.
fn records(log: &Path, vault: &Vault) -> Vec<Value> {
    files(&log.join("log"))
        .iter()
        .flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n'))
        .filter(|line| line.starts_with(b"{\"v\":"))
        .map(|line| Value::Object(open_record(line, vault).unwrap()))
        .collect()
}

#[tokio::test]
async fn the_folder_of_a_log_has_nothing_personal_in_it() {
    let folder = Temporary::new("carried-away");
    let log = folder.open();
    for event in every_kind() {
        log.record(event).await.unwrap();
    }
    let key = log.verifier_key();
    log.close().unwrap();

    let all = files(&folder.0);
    assert!(all.len() > 5, "{all:?}");
    for (path, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        assert!(!is_personal(text.as_bytes()), "{}", path.display());
    }
    assert!(verify(folder.log(), &Trust::key(key)).unwrap().is_sound());

    // It is all there for those who have the vault.
    let opened = records(&folder.log(), &folder.vault());
    let found = opened
        .iter()
        .filter(|record| record.to_string().contains(MARK));
    assert_eq!(found.count(), every_kind().len() - 2);
}

#[tokio::test]
async fn a_log_without_somebody_who_was_erased_verifies_as_before() {
    let folder = Temporary::new("forgotten");
    let log = folder.open();
    let (alice, bob) = (named("alice"), named("bob"));
    for subject in [&alice, &bob, &alice] {
        let event = full_decision(subject, Verdict::Permit);
        log.record(event).await.unwrap();
    }
    let before = log.sign().unwrap();
    let segment = || files(&folder.log().join("log")).remove(0).1;
    let written = segment();
    let written = &written[..written.iter().position(|byte| *byte == 0).unwrap()];

    let who = DataSubject::Principal {
        issuer: Some("https://id.example"),
        subject: &alice,
    };
    let erased = log.erase(who, Some("root"), "asked").unwrap();
    assert_eq!(erased.keys, 1);
    let event = full_decision(&alice, Verdict::Permit);
    log.record(event).await.unwrap();
    let key = log.verifier_key();
    log.close().unwrap();

    assert!(segment().starts_with(written), "no byte of it was changed");
    let trust = Trust::key(key).at_least(before);
    let report = verify(folder.log(), &trust).unwrap();
    assert!(report.is_sound(), "{report}");
    let opened = records(&folder.log(), &folder.vault());
    let decisions = opened.iter().filter(|record| record["kind"] == "decision");
    let subjects: Vec<_> = decisions.map(|record| record["subject"].as_str()).collect();
    assert_eq!(subjects, [None, Some(&*bob), None, Some(&*alice)]);
    let mut told = opened.iter().filter(|record| record["kind"] == "erased");
    assert!(
        told.next_back()
            .is_some_and(|record| record["keys"] == 1 && record["author"] == "root")
    );
}
