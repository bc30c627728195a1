mod damage;
mod folder;
mod power;

use std::sync::Arc;

use zt_core::{
    clock::{ManualClock, Timestamp},
    random::{Entropy, EntropyError, SeededEntropy},
    secret::Secret,
};

use super::{slot::SLOT, *};
use crate::storage::simulated::SimulatedDisk;

const AT: Timestamp = Timestamp::from_secs(1_893_456_000);
const DAY: u64 = 24 * 60 * 60;

fn options() -> VaultOptions {
    VaultOptions::default()
        .clock(ManualClock::at(AT))
        .entropy(SeededEntropy::new(7))
}

fn open(disk: &SimulatedDisk) -> Result<Vault, VaultError> {
    Vault::with_storage(Arc::new(disk.clone()), options())
}

fn vault() -> (Vault, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    (open(&disk).unwrap(), disk)
}

const fn person(subject: &str) -> DataSubject<'_> {
    DataSubject::Principal {
        issuer: Some("https://id.example"),
        subject,
    }
}

/// What was sealed, and for whom.
type Part = (Pseudonym, Vec<u8>);

const BOUND: &[u8] = b"shop/1\x007";
const FIELDS: &[u8] = br#"{"subject":"alice"}"#;

fn seal(vault: &Vault, subject: DataSubject<'_>) -> Part {
    let mut sealed = Vec::new();
    let who = vault.seal(subject, BOUND, FIELDS, &mut sealed).unwrap();
    (who, sealed)
}

/// Sealed and, as a writer does, committed before anybody sees it.
fn sealed(vault: &Vault, subject: DataSubject<'_>) -> Part {
    let sealed = seal(vault, subject);
    vault.commit().unwrap();
    sealed
}

#[track_caller]
fn opens(vault: &Vault, (who, sealed): &Part) {
    let found = vault.open_sealed(*who, BOUND, sealed).unwrap();
    assert_eq!(found, Sealed::Open(FIELDS.to_vec()));
}

#[track_caller]
fn is_erased(vault: &Vault, (who, sealed): &Part) {
    let found = vault.open_sealed(*who, BOUND, sealed).unwrap();
    assert_eq!(found, Sealed::Erased);
}

fn slots(disk: &SimulatedDisk) -> usize {
    disk.read("subjects").unwrap().len() / SLOT
}

#[test]
fn what_was_sealed_does_not_open_for_another_record() {
    let (vault, _disk) = vault();
    let part = sealed(&vault, person("alice"));
    opens(&vault, &part);
    for bound in [&b"shop/1\x008"[..], b"shop/2\x007", b"shop/1\x0070", b""] {
        let found = vault.open_sealed(part.0, bound, &part.1);
        assert!(matches!(found, Err(VaultError::Sealed)), "{bound:?}");
    }
}

#[test]
fn what_was_sealed_does_not_open_for_another_subject() {
    let (vault, _disk) = vault();
    let alice = sealed(&vault, person("alice"));
    let bob = sealed(&vault, person("bob"));
    let nobody = Pseudonym::from_bytes([7; 16]);
    for (who, part) in [(bob.0, &alice.1), (alice.0, &bob.1), (nobody, &bob.1)] {
        let found = vault.open_sealed(who, BOUND, part);
        assert!(matches!(found, Err(VaultError::Sealed)));
    }
}

#[test]
fn no_bit_of_what_was_sealed_can_be_flipped() {
    let (vault, _disk) = vault();
    let (who, part) = sealed(&vault, person("alice"));
    sealed(&vault, person("bob"));
    for at in 0..part.len() * 8 {
        let mut flipped = part.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        match vault.open_sealed(who, BOUND, &flipped) {
            Err(VaultError::Sealed) => {}
            // The first four bytes say which key: of these there is no such.
            Ok(Sealed::Unknown) if at < 32 => {}
            other => panic!("bit {at}: {other:?}"),
        }
    }
    for length in 0..part.len() {
        let found = vault.open_sealed(who, BOUND, &part[..length]);
        assert!(matches!(found, Err(VaultError::Sealed)), "{length}");
    }
}

#[test]
fn the_same_fields_are_never_sealed_alike() {
    let (vault, _disk) = vault();
    let parts: std::collections::HashSet<_> =
        (0..300).map(|_| seal(&vault, person("alice")).1).collect();
    assert_eq!(parts.len(), 300);
    let nonces: std::collections::HashSet<_> =
        parts.iter().map(|part| part[4..16].to_vec()).collect();
    assert_eq!(nonces.len(), 300);
}

#[test]
fn pseudonyms_tell_subjects_apart_and_say_nothing_without_the_key() {
    let (vault, _disk) = vault();
    let principal = |issuer, subject| vault.pseudonym(DataSubject::Principal { issuer, subject });
    let all = [
        principal(Some("ab"), "c"),
        principal(Some("a"), "bc"),
        principal(Some(""), "abc"),
        principal(None, "abc"),
        principal(Some("abc"), ""),
        vault.pseudonym(DataSubject::Anonymous(AT)),
        vault.pseudonym(DataSubject::Anonymous(Timestamp::from_secs(
            AT.as_secs() + DAY,
        ))),
        vault.pseudonym(DataSubject::Named("")),
    ];
    let apart: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(apart.len(), all.len());

    assert_eq!(
        principal(None, "abc"),
        vault.pseudonym(DataSubject::Named("abc"))
    );
    let evening = Timestamp::from_secs(AT.as_secs() + DAY - 1);
    assert_eq!(vault.pseudonym(DataSubject::Anonymous(evening)), all[5]);

    let disk = SimulatedDisk::new(2);
    let other = options().sealing_key(Secret::new((0..32).collect()));
    let other = Vault::with_storage(Arc::new(disk), other).unwrap();
    assert_ne!(
        other.pseudonym(person("alice")),
        vault.pseudonym(person("alice"))
    );
}

#[test]
fn a_pseudonym_is_32_lower_case_digits_and_nothing_else() {
    let (vault, _disk) = vault();
    let who = vault.pseudonym(person("alice"));
    let digits = who.to_string();
    assert_eq!(Pseudonym::from_hex(digits.as_bytes()), Some(who));
    for wrong in [
        digits.get(1..).unwrap(),
        &digits.to_uppercase(),
        &format!("{digits}0"),
        "",
    ] {
        assert_eq!(Pseudonym::from_hex(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn callers_without_a_name_make_no_keys() {
    let (vault, disk) = vault();
    for second in 0..20_000 {
        let at = Timestamp::from_secs(AT.as_secs() + second);
        seal(&vault, DataSubject::Anonymous(at));
        vault.commit().unwrap();
    }
    // The vault's own, and that of the day.
    assert_eq!(slots(&disk), 2);
}

#[test]
fn beyond_the_bound_the_key_of_the_day_is_used() {
    let disk = SimulatedDisk::new(1);
    let few = options().max_subjects(2);
    let vault = Vault::with_storage(Arc::new(disk.clone()), few.clone()).unwrap();
    let alice = sealed(&vault, person("alice"));
    sealed(&vault, person("bob"));
    let day = vault.pseudonym(DataSubject::Anonymous(AT));
    let carol = sealed(&vault, person("carol"));
    for name in 0..100 {
        assert_eq!(sealed(&vault, person(&name.to_string())).0, day);
    }
    assert_eq!((carol.0, slots(&disk)), (day, 4));
    opens(&vault, &carol);
    // Who has a key keeps it; and one who is forgotten makes room.
    assert_eq!(sealed(&vault, person("alice")).0, alice.0);
    assert!(vault.destroy(alice.0).unwrap());
    assert_ne!(sealed(&vault, person("dave")).0, day);
    drop(vault);
    let vault = Vault::with_storage(Arc::new(disk), few).unwrap();
    assert_eq!(sealed(&vault, person("erin")).0, day);
}

#[test]
fn who_is_forgotten_stays_forgotten_and_gets_another_key() {
    let (vault, disk) = vault();
    let alice = sealed(&vault, person("alice"));
    let bob = sealed(&vault, person("bob"));
    assert!(vault.destroy(alice.0).unwrap());
    is_erased(&vault, &alice);
    assert!(!vault.destroy(alice.0).unwrap(), "there is nothing left");

    let again = sealed(&vault, person("alice"));
    assert_eq!(again.0, alice.0);
    let both = |vault: &Vault| {
        is_erased(vault, &alice);
        opens(vault, &again);
        opens(vault, &bob);
    };
    both(&vault);
    drop(vault);
    both(&open(&disk).unwrap());
}

#[test]
fn a_person_is_forgotten_with_and_without_their_issuer() {
    let (vault, _disk) = vault();
    let principal = sealed(&vault, person("alice"));
    let author = sealed(&vault, DataSubject::Named("alice"));
    let stranger = sealed(&vault, DataSubject::Named("bob"));
    let forgotten = vault.forget(person("alice")).unwrap();
    assert!(forgotten.pseudonyms.starts_with(&[principal.0, author.0]));
    assert_eq!(forgotten.keys, 2);
    is_erased(&vault, &principal);
    is_erased(&vault, &author);
    opens(&vault, &stranger);
    assert_eq!(vault.forget(person("alice")).unwrap().keys, 0);
}

#[test]
fn a_key_that_is_not_durable_yet_can_be_destroyed() {
    let (vault, disk) = vault();
    let alice = seal(&vault, person("alice"));
    assert!(vault.destroy(alice.0).unwrap());
    is_erased(&vault, &alice);
    drop(vault);
    is_erased(&open(&disk).unwrap(), &alice);
}

#[test]
fn the_bytes_of_a_destroyed_key_are_nowhere_in_the_vault() {
    let (vault, disk) = vault();
    sealed(&vault, person("alice"));
    let slot = disk.read("subjects").unwrap()[SLOT..].to_vec();
    let wrapped = &slot[40..100];
    let holds_it = || {
        disk.names().iter().any(|name| {
            let bytes = disk.read(name).unwrap();
            bytes.windows(wrapped.len()).any(|window| window == wrapped)
        })
    };
    assert!(holds_it());
    vault.forget(person("alice")).unwrap();
    assert!(!holds_it());
    assert!(!disk.names().contains(&"destroying".to_owned()));
}

/// What no erasure can help: it is said in the module's documentation.
#[test]
fn a_copy_of_the_vault_from_before_still_opens_what_was_erased() {
    let (vault, disk) = vault();
    let alice = sealed(&vault, person("alice"));
    let stolen = disk.after(crate::storage::simulated::Loss::Nothing);
    vault.forget(person("alice")).unwrap();
    is_erased(&vault, &alice);
    opens(&open(&stolen).unwrap(), &alice);
}

#[test]
fn the_keys_of_days_end_and_those_of_persons_do_not() {
    let disk = SimulatedDisk::new(1);
    let clock = ManualClock::at(AT);
    let options = options().day_keys(2).clock(clock.clone());
    let vault = Vault::with_storage(Arc::new(disk.clone()), options).unwrap();
    let day = |number: u64| {
        let at = Timestamp::from_secs(AT.as_secs() + number * DAY);
        clock.set_wall(at);
        sealed(&vault, DataSubject::Anonymous(at))
    };
    let without_time = sealed(&vault, DataSubject::Anonymous(Timestamp::EPOCH));
    let alice = sealed(&vault, person("alice"));
    let (first, second, third) = (day(0), day(1), day(2));
    for kept in [&first, &second, &third, &alice, &without_time] {
        opens(&vault, kept);
    }
    let fourth = day(3);
    is_erased(&vault, &first);
    for kept in [&second, &third, &fourth, &alice, &without_time] {
        opens(&vault, kept);
    }
    // A service that stood still forgets when it is started again.
    drop(vault);
    clock.set_wall(Timestamp::from_secs(AT.as_secs() + 9 * DAY));
    let options = super::tests::options().day_keys(2).clock(clock);
    let vault = Vault::with_storage(Arc::new(disk), options).unwrap();
    vault.commit().unwrap();
    for gone in [&second, &third, &fourth] {
        is_erased(&vault, gone);
    }
    opens(&vault, &alice);
}

#[test]
fn new_keys_take_one_write_and_one_flush_and_known_ones_nothing() {
    let (vault, disk) = vault();
    vault.commit().unwrap();
    for name in 0..1000 {
        seal(&vault, person(&name.to_string()));
    }
    let before = disk.trace().len();
    vault.commit().unwrap();
    let kinds: Vec<_> = disk.trace()[before..].iter().map(|one| one.kind).collect();
    use crate::storage::simulated::Kind;
    assert_eq!(kinds, [Kind::Write, Kind::Sync]);

    let before = disk.operations();
    for name in 0..1000 {
        seal(&vault, person(&name.to_string()));
        vault.commit().unwrap();
    }
    assert_eq!(disk.operations(), before);
}

#[test]
fn more_keys_than_are_kept_open_all_open() {
    let (vault, disk) = vault();
    let parts: Vec<_> = (0..5000)
        .map(|name| seal(&vault, person(&name.to_string())))
        .collect();
    vault.commit().unwrap();
    parts.iter().for_each(|part| opens(&vault, part));
    drop(vault);
    let vault = open(&disk).unwrap();
    for (name, part) in parts.iter().enumerate() {
        assert_eq!(seal(&vault, person(&name.to_string())).0, part.0);
        opens(&vault, part);
    }
    vault.commit().unwrap();
    // With the vault's own, and one for the opening.
    assert_eq!(slots(&disk), 5002);
}

/// Gives `left` times, then no more.
#[derive(Debug)]
struct Scarce(std::sync::atomic::AtomicU32, SeededEntropy);

impl Entropy for Scarce {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        use std::sync::atomic::Ordering::Relaxed;
        let take = |left: u32| left.checked_sub(1);
        self.0
            .fetch_update(Relaxed, Relaxed, take)
            .map_err(|_| EntropyError)?;
        self.1.fill(out)
    }
}

#[test]
fn without_randomness_nothing_is_sealed() {
    // The sealing key, the vault's own key, nonces, and then alice's key.
    for given in 0..4 {
        let disk = SimulatedDisk::new(1);
        let scarce = options().entropy(Scarce(given.into(), SeededEntropy::new(3)));
        let vault = match Vault::with_storage(Arc::new(disk.clone()), scarce) {
            Err(error) => {
                assert!(matches!(error, VaultError::Entropy(_)), "{given}");
                continue;
            }
            Ok(vault) => vault,
        };
        assert_eq!(given, 3);
        let mut out = b"before".to_vec();
        let refused = vault.seal(person("alice"), BOUND, FIELDS, &mut out);
        assert!(matches!(refused, Err(VaultError::Entropy(_))));
        assert_eq!(out, b"before");
        vault.commit().unwrap();
        assert_eq!(slots(&disk), 1);
    }
}

#[test]
fn debug_shows_numbers_only() {
    let disk = SimulatedDisk::new(1);
    let secret = b"correct horse battery staple, again";
    let options = options().sealing_key(Secret::new(secret.to_vec()));
    let shown = format!("{options:?}");
    assert!(!shown.contains("horse"), "{shown}");
    let vault = Vault::with_storage(Arc::new(disk), options).unwrap();
    sealed(&vault, person("alice"));
    assert_eq!(format!("{vault:?}"), "Vault { subjects: 1, days: 0, .. }");
}
