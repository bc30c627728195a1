//! Every operation of the vault fails in turn, and the power goes off in each.

use super::*;
use crate::storage::simulated::{Fault, Loss};

/// What a writer of the log knows about its vault.
#[derive(Default)]
struct Known {
    /// Committed: records may have been written.
    durable: Vec<Part>,
    /// Destroyed, and that was acknowledged.
    gone: Vec<Part>,
    /// To be destroyed; nobody said whether it was.
    perhaps: Vec<Part>,
}

impl Known {
    #[track_caller]
    fn holds(&self, vault: &Vault) {
        self.durable.iter().for_each(|part| opens(vault, part));
        self.gone.iter().for_each(|part| is_erased(vault, part));
        for (who, part) in &self.perhaps {
            let found = vault.open_sealed(*who, BOUND, part).unwrap();
            assert_ne!(found, Sealed::Unknown);
        }
    }
}

/// Makes a vault, keys in three batches, and forgets somebody in between; goes on after errors, as a
/// writer does that tries again.
fn work(disk: &SimulatedDisk, known: &mut Known) -> Result<(), VaultError> {
    let vault = open(disk)?;
    for batch in 0..3 {
        let parts: Vec<_> = (0..40)
            .map(|place| seal(&vault, person(&format!("{batch}.{place}"))))
            .collect();
        if vault.commit().is_ok() || vault.commit().is_ok() {
            known.durable.extend(parts);
        }
        if batch < 2 && known.durable.len() > 7 {
            let one = known.durable.remove(7);
            match vault.destroy(one.0).or_else(|_| vault.destroy(one.0)) {
                Ok(_) => known.gone.push(one),
                Err(_) => known.perhaps.push(one),
            }
        }
    }
    Ok(())
}

fn operations() -> u64 {
    let disk = SimulatedDisk::new(1);
    work(&disk, &mut Known::default()).unwrap();
    disk.operations()
}

#[test]
fn power_loss_at_any_operation_loses_no_key_that_was_committed() {
    let mut tried = 0;
    for number in 1..=operations() {
        for seed in 0..12 {
            let disk = SimulatedDisk::new(seed);
            disk.fail(number, Fault::PowerOff);
            let mut known = Known::default();
            let _ = work(&disk, &mut known);
            let loss = match seed {
                0 => Loss::Everything,
                1 => Loss::Nothing,
                _ => Loss::Random(seed),
            };
            let found = disk.power_loss(loss);
            let vault = open(&found)
                .unwrap_or_else(|error| panic!("operation {number}, seed {seed}: {error}"));
            known.holds(&vault);
            // It goes on, and once more from there.
            let next = sealed(&vault, person("next"));
            drop(vault);
            let vault = open(&found).unwrap();
            known.holds(&vault);
            opens(&vault, &next);
            tried += 1;
        }
    }
    println!("{tried} losses of power");
    assert!(tried > 300);
}

#[test]
fn an_error_at_any_operation_loses_no_key_and_is_tried_again() {
    let mut tried = 0;
    for number in 1..=operations() {
        for fault in [Fault::Io, Fault::NoSpace, Fault::Short, Fault::Interrupted] {
            let disk = SimulatedDisk::new(number);
            disk.fail(number, fault);
            let mut known = Known::default();
            if work(&disk, &mut known).is_err() {
                // It could not be opened; nothing is lost by opening it again.
                work(&disk, &mut known).unwrap();
            }
            assert_eq!(
                known.durable.len() + known.gone.len(),
                120,
                "{number} {fault:?}"
            );
            let found = disk.power_loss(Loss::Random(number));
            let vault = open(&found)
                .unwrap_or_else(|error| panic!("{number} {fault:?}: {error} {:#?}", disk.trace()));
            known.holds(&vault);
            tried += 1;
        }
    }
    println!("{tried} faults");
    assert!(tried > 100);
}

/// A flush that failed may have written nothing; what it should have written is read all the same,
/// also by the process that comes after.
#[test]
fn keys_that_were_read_back_and_never_written_are_written_again() {
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let vault = open(&disk).unwrap();
        let earlier = sealed(&vault, person("earlier"));
        let alice = seal(&vault, person("alice"));
        // The write, and then the flush.
        disk.fail(disk.operations() + 2, Fault::Io);
        assert!(vault.commit().is_err());
        drop(vault);
        let vault = open(&disk).unwrap();
        // No new key, and so nothing that the commit would have to write.
        let again = sealed(&vault, person("alice"));
        assert_eq!(again.1[..4], alice.1[..4]);
        let vault = open(&disk.power_loss(Loss::Random(seed))).unwrap();
        opens(&vault, &earlier);
        opens(&vault, &again);
    }
}

#[test]
fn a_disk_that_stays_full_makes_no_keys_and_heals() {
    let (vault, disk) = vault();
    let alice = sealed(&vault, person("alice"));
    disk.fail_from(disk.operations() + 1, Fault::NoSpace);
    let bob = seal(&vault, person("bob"));
    assert!(vault.commit().is_err());
    assert!(vault.commit().is_err());
    opens(&vault, &alice);
    assert!(vault.destroy(alice.0).is_err());
    opens(&vault, &alice);
    disk.heal();
    vault.commit().unwrap();
    assert!(vault.destroy(alice.0).unwrap());
    drop(vault);
    let vault = open(&disk.power_loss(Loss::Everything)).unwrap();
    is_erased(&vault, &alice);
    opens(&vault, &bob);
}
