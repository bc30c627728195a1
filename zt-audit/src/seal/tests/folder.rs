//! In the file system, and with other processes beside.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::*;

struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "zt-vault-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Result<Vault, VaultError> {
        Vault::open(&self.0, options())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn refuses_a_sealing_key_that_others_can_read() {
    let folder = Temporary::new();
    drop(folder.open().unwrap());
    let key = folder.0.join("sealing.key");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        for refused in [folder.open(), Vault::read_only(&folder.0)] {
            let error = refused.unwrap_err();
            assert!(
                matches!(error, VaultError::SealingKey(_)),
                "{mode:o} {error}"
            );
        }
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    folder.open().unwrap();
}

#[test]
fn refuses_to_make_a_new_sealing_key_where_keys_are() {
    let folder = Temporary::new();
    sealed(&folder.open().unwrap(), person("alice"));
    let key = folder.0.join("sealing.key");
    fs::remove_file(&key).unwrap();
    assert!(matches!(folder.open(), Err(VaultError::SealingKey(_))));
    assert!(!key.exists());
}

#[test]
fn refuses_to_begin_anew_where_the_keys_of_subjects_are_gone() {
    let folder = Temporary::new();
    drop(folder.open().unwrap());
    let subjects = folder.0.join("subjects");
    for bytes in [None, Some(&b""[..]), Some(&[0; 128])] {
        match bytes {
            None => fs::remove_file(&subjects).unwrap(),
            Some(bytes) => fs::write(&subjects, bytes).unwrap(),
        }
        let refused = folder.open();
        assert!(
            matches!(refused, Err(VaultError::Damaged(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn refuses_a_sealing_key_that_is_none_or_another_vaults() {
    let folder = Temporary::new();
    drop(folder.open().unwrap());
    let key = folder.0.join("sealing.key");
    let kept = fs::read(&key).unwrap();
    let mut other = kept.clone();
    other[31] ^= 1;
    for wrong in [
        &other[..],
        &kept[..31],
        &[kept.clone(), vec![b'\n']].concat(),
        &[7; 32],
        b"",
    ] {
        fs::write(&key, wrong).unwrap();
        assert!(matches!(folder.open(), Err(VaultError::SealingKey(_))));
    }
    fs::write(&key, &kept).unwrap();
    folder.open().unwrap();
    let given = options().sealing_key(Secret::new(other));
    assert!(matches!(
        Vault::open(&folder.0, given),
        Err(VaultError::SealingKey(_))
    ));
    let given = options().sealing_key(Secret::new(kept));
    Vault::open(&folder.0, given).unwrap();
}

#[test]
fn a_sealing_key_of_the_applications_own_is_never_written() {
    let folder = Temporary::new();
    let given = || options().sealing_key(Secret::new((1..=40).collect()));
    let vault = Vault::open(&folder.0, given()).unwrap();
    let alice = sealed(&vault, person("alice"));
    assert!(!folder.0.join("sealing.key").exists());
    opens(&Vault::read_only_with(&folder.0, given()).unwrap(), &alice);
    assert!(matches!(
        Vault::read_only(&folder.0),
        Err(VaultError::SealingKey(_))
    ));
    for entry in fs::read_dir(&folder.0).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(8)
                .any(|window| window == [1, 2, 3, 4, 5, 6, 7, 8])
        );
    }
}

#[test]
fn one_at_a_time_makes_keys() {
    let folder = Temporary::new();
    let vault = folder.open().unwrap();
    assert!(matches!(folder.open(), Err(VaultError::InUse)));
    drop(vault);
    folder.open().unwrap();
}

#[test]
fn a_reader_sees_new_keys_and_erasures_at_once_and_changes_nothing() {
    let folder = Temporary::new();
    let vault = folder.open().unwrap();
    let reader = Vault::read_only(&folder.0).unwrap();
    let alice = seal(&vault, person("alice"));
    let found = reader.open_sealed(alice.0, BOUND, &alice.1).unwrap();
    assert_eq!(found, Sealed::Unknown, "it is not written yet");
    vault.commit().unwrap();
    opens(&reader, &alice);
    opens(&reader, &alice);
    vault.forget(person("alice")).unwrap();
    is_erased(&reader, &alice);

    assert_eq!(reader.pseudonym(person("alice")), alice.0);
    let mut out = Vec::new();
    let refused = reader.seal(person("alice"), BOUND, FIELDS, &mut out);
    assert!(matches!(refused, Err(VaultError::ReadOnly)));
    assert!(matches!(reader.destroy(alice.0), Err(VaultError::ReadOnly)));
    assert!(out.is_empty());
}

#[test]
fn reading_needs_a_vault_and_makes_none() {
    let folder = Temporary::new();
    assert!(matches!(
        Vault::read_only(&folder.0),
        Err(VaultError::File { .. })
    ));
    assert!(!folder.0.exists());
}

/// `cargo test --release -p zt-audit --lib what_opening_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_opening_costs() {
    use zt_core::clock::{Clock, SystemClock};
    const MANY: u32 = 1_000_000;
    let folder = Temporary::new();
    let vault = folder.open().unwrap();
    let mut out = Vec::new();
    let start = SystemClock.monotonic();
    for name in 0..MANY {
        out.clear();
        vault
            .seal(person(&name.to_string()), BOUND, FIELDS, &mut out)
            .unwrap();
        if name % 500 == 0 {
            vault.commit().unwrap();
        }
    }
    vault.commit().unwrap();
    println!(
        "a new person: {:?}",
        (SystemClock.monotonic() - start) / MANY
    );
    drop(vault);
    let start = SystemClock.monotonic();
    let vault = folder.open().unwrap();
    let took = SystemClock.monotonic() - start;
    println!("opening {MANY} persons: {took:?}");
    assert!(took < std::time::Duration::from_secs(10));
    let start = SystemClock.monotonic();
    let who = vault.pseudonym(person("77"));
    assert!(vault.destroy(who).unwrap());
    println!("erasing one: {:?}", SystemClock.monotonic() - start);
}
