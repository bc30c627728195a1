//! The file `subjects` with other bytes in it.

use super::*;

/// Three batches of two persons each, behind the vault's own slot.
fn three_batches() -> (Vec<u8>, Vec<Part>, SimulatedDisk) {
    let (vault, disk) = vault();
    let mut parts = Vec::new();
    for batch in 0..3 {
        for place in 0..2 {
            parts.push(seal(&vault, person(&format!("{batch}.{place}"))));
        }
        vault.commit().unwrap();
    }
    drop(vault);
    (disk.read("subjects").unwrap(), parts, disk)
}

fn says(result: Result<Vault, VaultError>, slot: usize) -> bool {
    matches!(result, Err(VaultError::Damaged(what)) if what.contains(&format!("slot {slot} ")))
}

#[test]
fn damage_at_any_byte_is_named_and_never_a_key_that_was_not_there() {
    let (whole, parts, disk) = three_batches();
    assert_eq!(whole.len(), 7 * SLOT);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.put("subjects", &bytes);
        let slot = at / SLOT;
        if slot < 5 {
            assert!(says(open(&disk), slot), "byte {at}");
            continue;
        }
        // The slots written last could have been half written: nothing was said about them yet.
        let vault = open(&disk).unwrap();
        for (number, (who, part)) in parts.iter().enumerate() {
            match vault.open_sealed(*who, BOUND, part) {
                Err(VaultError::Damaged(_)) => assert_eq!(number + 1, slot, "byte {at}"),
                found => {
                    assert_eq!(found.unwrap(), Sealed::Open(FIELDS.to_vec()));
                    assert_ne!(number + 1, slot, "byte {at}");
                }
            }
        }
        // Nobody gets the place of that slot.
        let next = sealed(&vault, person("next"));
        assert_eq!(next.1[..4], 8_u32.to_be_bytes());
    }
}

#[test]
fn a_slot_that_was_written_half_at_the_end_is_dropped() {
    let (whole, parts, disk) = three_batches();
    for length in [5 * SLOT, 5 * SLOT + 1, 6 * SLOT - 1, 6 * SLOT] {
        disk.put("subjects", &whole[..length]);
        let vault = open(&disk).unwrap();
        parts[..4].iter().for_each(|part| opens(&vault, part));
        let next = sealed(&vault, person("next"));
        opens(&vault, &next);
        drop(vault);
        opens(&open(&disk).unwrap(), &next);
        // Those that were whole, the next, and one for each opening.
        assert_eq!(slots(&disk), length / SLOT + 3);
    }
}

#[test]
fn room_that_was_never_written_is_dropped() {
    let (whole, parts, disk) = three_batches();
    disk.put("subjects", &[&whole[..], &[0; 10 * SLOT]].concat());
    let vault = open(&disk).unwrap();
    parts.iter().for_each(|part| opens(&vault, part));
    drop(vault);
    assert!(disk.read("subjects").unwrap().starts_with(&whole));
    assert_eq!(slots(&disk), 8);
}

#[test]
fn slots_that_were_moved_or_doubled_are_damage() {
    let (whole, parts, disk) = three_batches();
    // Another's key in alice's place: the part does not open, and nobody else's does by it.
    let mut moved = whole.clone();
    moved.copy_within(2 * SLOT..3 * SLOT, SLOT);
    disk.put("subjects", &moved);
    assert!(matches!(open(&disk), Err(VaultError::Damaged(_))));
    let mut swapped = whole.clone();
    let (first, second) = (SLOT..2 * SLOT, 2 * SLOT..3 * SLOT);
    swapped[first.clone()].copy_from_slice(&whole[second.clone()]);
    swapped[second].copy_from_slice(&whole[first]);
    disk.put("subjects", &swapped);
    let vault = open(&disk).unwrap();
    for (who, part) in &parts[..2] {
        let found = vault.open_sealed(*who, BOUND, part);
        assert!(matches!(found, Err(VaultError::Sealed)));
    }
}

/// The sum over a slot is no secret; what wraps the key is.
#[test]
fn a_key_under_another_name_does_not_open() {
    let (whole, parts, disk) = three_batches();
    let mut slot = super::super::slot::Slot::read(whole[SLOT..].first_chunk().unwrap()).unwrap();
    let mallory = Pseudonym::from_bytes([9; 16]);
    slot.who = mallory;
    let bytes = [&whole[..SLOT], &slot.write(), &whole[2 * SLOT..]].concat();
    disk.put("subjects", &bytes);
    let vault = open(&disk).unwrap();
    let found = vault.open_sealed(mallory, BOUND, &parts[0].1);
    assert!(matches!(found, Err(VaultError::Damaged(_))), "{found:?}");
}

#[test]
fn a_vault_that_lost_its_own_slot_is_damaged_and_not_new() {
    let (whole, _, disk) = three_batches();
    for bytes in [
        [&[0; SLOT], &whole[SLOT..]].concat(),
        whole[SLOT..].to_vec(),
    ] {
        disk.put("subjects", &bytes);
        assert!(says(open(&disk), 0));
        assert_eq!(disk.read("subjects").unwrap(), bytes);
    }
}

#[test]
fn a_list_of_keys_to_destroy_destroys_no_others() {
    let (whole, parts, disk) = three_batches();
    let (other, _) = parts[3];
    for list in [
        format!("1 {other}\n"),
        format!("99 {other}\n"),
        format!("0 {other}\n"),
        format!("-1 {other}\n"),
        "1\n".to_owned(),
        "\u{ff}".to_owned(),
    ] {
        disk.put("destroying", list.as_bytes());
        assert!(matches!(open(&disk), Err(VaultError::Damaged(_))), "{list}");
        assert_eq!(disk.read("subjects").unwrap(), whole);
    }
    disk.put("destroying", format!("4 {other}\n").as_bytes());
    is_erased(&open(&disk).unwrap(), &parts[3]);
}
