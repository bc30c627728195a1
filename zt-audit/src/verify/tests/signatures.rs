//! Checkpoints, keys and copies kept elsewhere.

use super::*;

#[test]
fn unsigned_data_never_reads_as_sound() {
    let mut log = signed();
    let find = |log: &TestLog, trust: &Trust| check(&log.disk, trust).finding;
    assert_eq!(
        find(&log, &Trust::unsigned()),
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoKey
        }
    );
    let later = Timestamp::from_micros(log.micros + 1_000_000);
    assert_eq!(
        find(&log, &trust(&log).no_older_than(later)),
        Finding::Unsigned {
            from: 515,
            why: Unsigned::Stale
        }
    );
    log.batch(1);
    assert_eq!(
        find(&log, &trust(&log)),
        Finding::Unsigned {
            from: 515,
            why: Unsigned::Newer
        }
    );
    log.disk.remove("checkpoint").unwrap();
    assert_eq!(
        find(&log, &trust(&log)),
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoCheckpoint
        }
    );
}

#[test]
fn finds_what_was_written_anew_by_a_signature_or_by_a_copy() {
    let log = signed();
    let mut forged = TestLog::begun();
    forged.batch(254).roll().batch(256).roll().batch(3);
    // Without a signature of its own, and with the true one.
    assert_eq!(
        check(&forged.disk, &trust(&log)).finding,
        Finding::Unsigned {
            from: 0,
            why: Unsigned::NoCheckpoint
        }
    );
    let disk = forged.disk.copy();
    let true_one = log.disk.bytes("checkpoint");
    disk.replace("checkpoint", &true_one).unwrap();
    assert_eq!(tampered(&disk, &trust(&log)).reason, Reason::CheckpointRoot);
    // Signed by another key, which its records name.
    forged.sign();
    assert_eq!(
        tampered(&forged.disk, &trust(&log)).reason,
        Reason::KeyUntrusted
    );
    // Signed with the stolen key: only a copy tells.
    let mut stolen = TestLog::new();
    stolen.key = log.key.clone();
    let vkey = log.key.verifier();
    stolen
        .record("started", "")
        .record("key", &format!(r#","action":"first","vkey":"{vkey}""#))
        .record("decision", r#","decision":"deny""#)
        .batch(600);
    stolen.sign();
    assert_eq!(check(&stolen.disk, &trust(&log)).finding, Finding::Sound);
    let told = trust(&log).at_least(log.signed());
    assert_eq!(tampered(&stolen.disk, &told).reason, Reason::CopyRoot);
}

#[test]
fn each_wrong_checkpoint_has_its_reason() {
    let mut log = signed();
    let trust = trust(&log);
    let with = |log: &TestLog, bytes: &[u8]| {
        let disk = log.disk.copy();
        disk.replace("checkpoint", bytes).unwrap();
        tampered(&disk, &trust).reason
    };
    let note = log.signed().encode();
    let body = note.find("\n\n").unwrap() + 2;
    assert_eq!(with(&log, b""), Reason::CheckpointForm);
    assert_eq!(with(&log, &note.as_bytes()[..body]), Reason::CheckpointForm);
    assert_eq!(
        with(&log, format!("{note}\n").as_bytes()),
        Reason::CheckpointForm
    );
    // One of the two signatures is missing.
    let first = after(&note, body, "\n") + 1;
    assert_eq!(
        with(&log, &note.as_bytes()[..first]),
        Reason::CheckpointUnsigned
    );
    let mut other = log.clone();
    other.key = key().into();
    assert_eq!(
        with(&log, other.signed().encode().as_bytes()),
        Reason::CheckpointUnsigned
    );
    let mut foreign = TestLog::new();
    foreign.origin = "other/log".to_owned();
    foreign.key = crate::note::SigningKey::generate("other/log", &zt_core::random::OsEntropy)
        .unwrap()
        .into();
    foreign.batch(5);
    assert_eq!(
        with(&log, foreign.signed().encode().as_bytes()),
        Reason::CheckpointOrigin
    );
    // The signature is of another text.
    log.batch(1);
    let newer = log.signed().encode();
    let (text, _) = newer.split_once("\n\n").unwrap();
    let (_, signatures) = note.split_once("\n\n").unwrap();
    let mixed = format!("{text}\n\n{signatures}");
    assert_eq!(with(&log, mixed.as_bytes()), Reason::CheckpointSignature);
}

#[test]
fn a_log_of_another_origin_is_another_log() {
    let mut foreign = TestLog::new();
    foreign.origin = "other/log".to_owned();
    foreign.batch(5);
    let log = signed();
    assert_eq!(
        tampered(&foreign.disk, &trust(&log)).reason,
        Reason::CheckpointOrigin
    );
    let told = Trust::unsigned().at_least(log.signed());
    assert_eq!(tampered(&foreign.disk, &told).reason, Reason::CopyOrigin);
}

#[test]
fn a_copy_is_compared_also_without_a_key_and_must_be_signed_with_one() {
    let log = signed();
    let other = {
        let mut other = log.clone();
        other.key = key().into();
        other.signed()
    };
    let finding = check(&log.disk, &Trust::unsigned().at_least(other.clone())).finding;
    assert!(matches!(finding, Finding::Unsigned { .. }));
    assert_eq!(
        tampered(&log.disk, &trust(&log).at_least(other)).reason,
        Reason::CopyUnsigned
    );
}

#[test]
fn follows_keys_that_one_trusted_key_endorsed() {
    let mut log = TestLog::begun();
    let first = trust(&log);
    log.batch(2);
    let stale = log.sign();
    log.rotate(key()).batch(3);
    log.sign();
    let second = trust(&log);
    log.rotate(key()).batch(3);
    log.sign();
    for trust in [&first, &second, &trust(&log)] {
        assert_eq!(check(&log.disk, trust).finding, Finding::Sound);
        let told = trust.clone().at_least(log.signed());
        assert_eq!(check(&log.disk, &told).finding, Finding::Sound);
    }
    // An old copy by the key of its time is good for who trusts that key.
    let told = first.clone().at_least(stale.clone());
    assert_eq!(check(&log.disk, &told).finding, Finding::Sound);
    // For who trusts only the later one it is by nobody.
    let told = second.clone().at_least(stale);
    assert_eq!(tampered(&log.disk, &told).reason, Reason::CopyUnsigned);
}

#[test]
fn a_key_that_was_replaced_signs_nothing_after_that() {
    let mut log = TestLog::begun();
    let old = log.clone();
    log.rotate(key()).batch(3);
    let mut stolen = log.clone();
    stolen.key = old.key.clone();
    stolen.sign();
    for trust in [trust(&old), trust(&log)] {
        assert_eq!(
            tampered(&log.disk, &trust).reason,
            Reason::CheckpointUnsigned
        );
    }
}

#[test]
fn a_key_that_nobody_endorsed_comes_into_force_nowhere() {
    let (one, other) = (key(), key());
    let vkey = one.verifier();
    let by = other.verifier();
    for fields in [
        format!(r#","action":"first","vkey":"{vkey}""#),
        format!(r#","action":"rotated","vkey":"{vkey}""#),
        format!(r#","action":"rotated","vkey":"{vkey}","endorsed_by":"{by}","endorsement":"AAAA""#),
        r#","action":"first","vkey":"none""#.to_owned(),
        String::new(),
    ] {
        let mut log = TestLog::begun();
        log.batch(1).record("key", &fields).commit();
        log.sign();
        let bad = tampered(&log.disk, &trust(&log));
        assert_eq!((bad.index, bad.reason), (3, Reason::Key), "{fields}");
    }
    // Endorsed by a key that is not in force; endorsed for another place.
    let mut log = TestLog::begun();
    let trusted = trust(&log);
    log.key = other.into();
    log.rotate(one);
    log.sign();
    assert_eq!(tampered(&log.disk, &trusted).reason, Reason::Key);
}

#[test]
fn an_endorsement_is_as_long_as_a_signature() {
    let vkey = key().verifier();
    for length in [63, 65, 40_000] {
        let signature = BASE64_STANDARD.encode(vec![0; length]);
        let line = format!(
            r#"{{"action":"rotated","vkey":"{vkey}","endorsed_by":"{vkey}","endorsement":"{signature}"}}"#
        );
        assert_eq!(crate::verify::KeyChange::parse(2, line.as_bytes()), None);
    }
}
