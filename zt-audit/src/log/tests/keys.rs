use zt_core::random::SeededEntropy;

use super::*;
use crate::note::SigningKey;

fn another_key() -> SigningKey {
    SigningKey::generate("test/log", &SeededEntropy::new(8)).unwrap()
}

fn open_with(disk: &Disk, key: SigningKey) -> Result<AuditLog, OpenError> {
    AuditLog::with_storage(Arc::new(disk.clone()), key, None, Options::default())
}

#[test]
fn keys_within_the_log_are_refused_and_nothing_is_made() {
    let scratch = Scratch::new("inside");
    let audit = scratch.log();
    std::os::unix::fs::symlink(&scratch.0, scratch.0.join("link")).unwrap();
    for keys in [
        audit.join("keys"),
        audit.clone(),
        audit.join("a/b"),
        scratch.0.join("link/audit/keys"),
    ] {
        let options = Options::default().keys_in(&keys);
        let refused = AuditLog::open(&audit, options).unwrap_err();
        assert!(matches!(refused, OpenError::KeysInside(_)), "{refused}");
        assert!(!audit.exists());
    }
}

#[test]
fn a_key_that_is_not_in_force_does_not_open_the_log() {
    let (log, disk) = log();
    drop(log);
    let refused = open_with(&disk, another_key()).unwrap_err();
    assert!(
        matches!(refused, OpenError::KeyNotInForce { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("rotate"), "{refused}");
    // Also where nothing was signed yet.
    disk.state().files.remove("checkpoint");
    let refused = open_with(&disk, another_key()).unwrap_err();
    assert!(
        matches!(refused, OpenError::KeyNotInForce { .. }),
        "{refused}"
    );
    let stranger = SigningKey::generate("other", &SeededEntropy::new(9)).unwrap();
    let refused = open_with(&disk, stranger).unwrap_err();
    assert!(matches!(refused, OpenError::Origin { .. }), "{refused}");
}

#[test]
fn a_log_keeps_its_name_and_is_not_opened_without_its_key() {
    let scratch = Scratch::new("origin");
    let options = || Options::default().origin("shop/1");
    let log = AuditLog::open(scratch.log(), options()).unwrap();
    assert_eq!(log.origin(), "shop/1");
    drop(log);
    assert_eq!(scratch.open().unwrap().origin(), "shop/1");
    let refused = AuditLog::open(scratch.log(), Options::default().origin("shop/2")).unwrap_err();
    assert!(matches!(refused, OpenError::Origin { .. }), "{refused}");
    fs::remove_file(scratch.0.join("audit.keys/signing.key")).unwrap();
    let refused = AuditLog::open(scratch.log(), options()).unwrap_err();
    assert!(refused.to_string().contains("signing key"), "{refused}");
}

#[test]
fn keys_are_made_beside_the_log_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("keys");
    let log = scratch.open().unwrap();
    let keys = scratch.0.join("audit.keys");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(keys.join("signing.key")), 0o600);
    assert_eq!(mode(keys.clone()), 0o700);
    let vkey = fs::read_to_string(keys.join("vkey")).unwrap();
    assert_eq!(vkey, format!("{}\n", log.verifier_key()));
    assert!(log.origin().starts_with("zt-audit/"));
}

#[tokio::test]
async fn a_new_key_is_endorsed_by_the_old_one_and_signs_from_then_on() {
    let (log, disk) = log();
    log.record(admin("a")).await.unwrap();
    let refused = log.rotate_key(SigningKey::generate("other", &SeededEntropy::new(9)).unwrap());
    assert!(matches!(refused, Err(RotateError::Name { .. })));
    assert!(matches!(
        log.rotate_key(signing_key()),
        Err(RotateError::Same)
    ));
    let signed = log.rotate_key(another_key()).unwrap();
    assert!(signed.verify(&another_key().verifier()).is_ok());
    assert_eq!(log.verifier_key(), another_key().verifier());
    log.close().unwrap();
    let record = of_kind(&disk, "key").remove(1);
    assert_eq!(record["action"], "rotated");
    assert_eq!(record["vkey"], another_key().verifier().to_string());
    assert_eq!(record["endorsed_by"], signing_key().verifier().to_string());
    // Whoever trusts the old key follows.
    assert_sound(&disk);
    drop(log);
    assert!(open_with(&disk, signing_key()).is_err());
    open_with(&disk, another_key()).unwrap();
}

#[test]
fn a_crash_in_a_rotation_leaves_the_key_that_the_log_named() {
    let scratch = Scratch::new("rotation");
    let log = scratch.open().unwrap();
    let key = |seed| SigningKey::generate(log.origin(), &SeededEntropy::new(seed)).unwrap();
    let keys = scratch.0.join("audit.keys");
    let old = fs::read(keys.join("signing.key")).unwrap();
    log.rotate_key(key(1)).unwrap();
    let verifier = log.verifier_key();
    drop(log);
    // As if it had not come to its place.
    fs::rename(keys.join("signing.key"), keys.join("signing.key.next")).unwrap();
    fs::write(keys.join("signing.key"), old).unwrap();
    let log = scratch.open().unwrap();
    assert_eq!(log.verifier_key(), verifier);
    assert!(!keys.join("signing.key.next").exists());
    drop(log);
    // One that was announced and never named stays where it is.
    let log = scratch.open().unwrap();
    let text = SigningKey::generate(log.origin(), &SeededEntropy::new(2)).unwrap();
    fs::write(keys.join("signing.key.next"), &**text.encode()).unwrap();
    drop(log);
    assert_eq!(scratch.open().unwrap().verifier_key(), verifier);
}

/// The disk with the keys is not mounted; the application gives the key that signs.
#[test]
fn a_log_whose_vault_is_gone_refuses_and_makes_no_other() {
    let scratch = Scratch::new("no-vault");
    let options = || Options::default().signing_key(signing_key());
    AuditLog::open(scratch.log(), options())
        .unwrap()
        .close()
        .unwrap();
    let keys = scratch.0.join("audit.keys");
    let away = scratch.0.join("away");
    fs::rename(&keys, &away).unwrap();
    for _ in 0..2 {
        let refused = AuditLog::open(scratch.log(), options()).unwrap_err();
        assert!(
            matches!(refused, OpenError::Vault(crate::seal::VaultError::Missing)),
            "{refused}"
        );
    }
    assert!(!keys.join("sealing.key").exists());
    fs::remove_dir_all(&keys).unwrap();
    fs::rename(&away, &keys).unwrap();
    AuditLog::open(scratch.log(), options()).unwrap();
}

/// The checkpoint by the new key cannot be written, and then there is another rotation that comes to
/// nothing: the key in force must not be lost for it.
#[test]
fn a_key_that_came_into_force_and_did_not_sign_is_kept_also_by_the_next_rotation() {
    let key = |log: &AuditLog, seed| {
        SigningKey::generate(log.origin(), &SeededEntropy::new(seed)).unwrap()
    };
    let scratch = Scratch::new("unsigned");
    let log = scratch.open().unwrap();
    let mark = scratch.0.join("audit.keys/signed");
    log.sign().unwrap();
    fs::remove_file(&mark).unwrap();
    fs::create_dir(&mark).unwrap();
    let second = key(&log, 2);
    let in_force = second.verifier();
    let unsigned = log.rotate_key(second).unwrap_err();
    assert!(matches!(unsigned, RotateError::Sign(_)), "{unsigned}");
    assert_eq!(log.verifier_key(), in_force);
    // No record of it is taken any more.
    log.0.core.shared.close();
    let refused = log.rotate_key(key(&log, 3)).unwrap_err();
    assert!(matches!(refused, RotateError::Record(_)), "{refused}");
    drop(log);
    fs::remove_dir(&mark).unwrap();
    assert_eq!(scratch.open().unwrap().verifier_key(), in_force);
}

#[test]
fn a_key_that_is_in_force_and_not_in_its_place_is_put_there_before_another_is_announced() {
    let scratch = Scratch::new("misplaced");
    let log = scratch.open().unwrap();
    let place = scratch.0.join("audit.keys/signing.key");
    let first = fs::read(&place).unwrap();
    let second = SigningKey::generate(log.origin(), &SeededEntropy::new(2)).unwrap();
    let in_force = second.verifier();
    let text = second.encode();
    log.rotate_key(second).unwrap();
    // As a disk leaves it that took the record and not the key.
    fs::write(&place, first).unwrap();
    fs::write(scratch.0.join("audit.keys/signing.key.next"), &*text).unwrap();
    log.0.core.shared.close();
    let third = SigningKey::generate(log.origin(), &SeededEntropy::new(3)).unwrap();
    let refused = log.rotate_key(third).unwrap_err();
    assert!(matches!(refused, RotateError::Record(_)), "{refused}");
    drop(log);
    assert_eq!(scratch.open().unwrap().verifier_key(), in_force);
}
