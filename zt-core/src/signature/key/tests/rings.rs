use super::*;

fn by(ring: &KeyRing, keyid: &str, byte: u8, time: u64) -> Option<Result<KeyAge, KeyRefusal>> {
    let question = KeyQuestion::new(at(time)).keyid(keyid);
    let entry = now(ring.resolve(&question)).unwrap()?;
    let tag = hmac(byte).sign(b"base").unwrap();
    Some(entry.verify(Purpose::Requests, at(time), b"base", &tag))
}

#[test]
fn refuses_two_keys_with_one_id() {
    let twice = KeyRing::new([entry("a", 1), entry("b", 2), entry("a", 3)]);
    assert_eq!(twice.unwrap_err(), KeyError::IdTwice("a".into()));
    let ring = KeyRing::new([entry("a", 1)]).unwrap();
    assert_eq!(
        ring.insert(entry("a", 2)).unwrap_err(),
        KeyError::IdTwice("a".into())
    );
    assert_eq!(by(&ring, "a", 1, 0), Some(Ok(KeyAge::Current)));
}

#[test]
fn refuses_entries_that_no_message_could_use() {
    let ring = KeyRing::new([]).unwrap();
    for id in ["", "\n", "tab\t", "ä", &"x".repeat(257)] {
        assert_eq!(ring.insert(entry(id, 1)).unwrap_err(), KeyError::Id, "{id}");
        assert_eq!(
            ring.replace(entry(id, 1)).unwrap_err(),
            KeyError::Id,
            "{id}"
        );
        assert_eq!(
            KeyRing::new([entry(id, 1)]).unwrap_err(),
            KeyError::Id,
            "{id}"
        );
    }
    let nobody = KeyEntry::new("a", hmac(1).verifying_key(), "");
    assert_eq!(
        ring.insert(nobody).unwrap_err(),
        KeyError::NoSubject("a".into())
    );
    let useless = entry("a", 1).purposes([]);
    assert_eq!(
        ring.insert(useless).unwrap_err(),
        KeyError::NoPurpose("a".into())
    );
    assert!(ring.is_empty());
    ring.insert(entry(&"x".repeat(256), 1)).unwrap();
}

#[test]
fn a_message_without_keyid_or_with_another_finds_no_key() {
    let ring = KeyRing::new([entry("a", 1)]).unwrap();
    let tagged = KeyQuestion::new(at(0)).tag("a");
    assert!(now(ring.resolve(&tagged)).unwrap().is_none());
    for id in ["", "A", "a ", "b", &"a".repeat(100_000)] {
        assert_eq!(by(&ring, id, 1, 0), None);
    }
    assert_eq!(by(&ring, "a", 1, 0), Some(Ok(KeyAge::Current)));
}

#[test]
fn a_removed_key_is_gone_in_every_clone() {
    let ring = KeyRing::new([entry("a", 1), entry("b", 2)]).unwrap();
    let clone = ring.clone();
    assert_eq!(ring.remove("a").unwrap().id(), "a");
    assert!(ring.remove("a").is_none());
    assert_eq!(by(&clone, "a", 1, 0), None);
    assert_eq!(by(&clone, "b", 2, 0), Some(Ok(KeyAge::Current)));
}

#[test]
fn rotation_keeps_the_old_key_until_its_end_and_the_one_before_no_longer() {
    let ring = KeyRing::new([entry("a", 1).scopes(["kept"])]).unwrap();
    assert_eq!(
        ring.rotate("b", hmac(2).verifying_key(), at(10))
            .unwrap_err(),
        KeyError::UnknownId("b".into())
    );
    ring.rotate("a", hmac(2).verifying_key(), at(10)).unwrap();
    assert_eq!(by(&ring, "a", 1, 9), Some(Ok(KeyAge::Previous)));
    assert_eq!(by(&ring, "a", 2, 9), Some(Ok(KeyAge::Current)));
    assert_eq!(by(&ring, "a", 1, 10), Some(Err(KeyRefusal::BadSignature)));
    ring.rotate("a", hmac(3).verifying_key(), at(10)).unwrap();
    assert_eq!(by(&ring, "a", 1, 9), Some(Err(KeyRefusal::BadSignature)));
    assert_eq!(by(&ring, "a", 2, 9), Some(Ok(KeyAge::Previous)));
    assert!(ring.get("a").unwrap().principal().has_scope("kept"));
}

#[test]
fn the_whole_ring_is_swapped_or_nothing_is() {
    let ring = KeyRing::new([entry("a", 1)]).unwrap();
    assert!(ring.replace_all([entry("b", 2), entry("b", 3)]).is_err());
    assert_eq!(by(&ring, "a", 1, 0), Some(Ok(KeyAge::Current)));
    ring.replace_all([entry("b", 2), entry("c", 3)]).unwrap();
    assert_eq!(by(&ring, "a", 1, 0), None);
    assert_eq!(ring.len(), 2);
    let old = ring.replace(entry("b", 4)).unwrap();
    assert_eq!(old.unwrap().id(), "b");
    assert_eq!(by(&ring, "b", 2, 0), Some(Err(KeyRefusal::BadSignature)));
    assert!(ring.replace(entry("d", 4)).unwrap().is_none());
}

#[test]
fn changes_at_once_are_all_kept() {
    let ring = KeyRing::new([]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ring = ring.clone();
            scope.spawn(move || {
                for key in 0..25 {
                    ring.insert(entry(&format!("{thread}-{key}"), 1)).unwrap();
                }
            });
        }
    });
    assert_eq!(ring.len(), 100);
}

#[test]
fn debug_shows_how_many_there_are() {
    let ring = KeyRing::new([entry("a", 1)]).unwrap();
    assert_eq!(format!("{ring:?}"), "KeyRing { keys: 1, .. }");
}
