//! Lines of a record, whoever has changed them: none makes the reader panic, one that is refused
//! changes nothing, one that comes twice counts once unless it is done by hand, and memory stays
//! within a few times what was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::clock::Timestamp;
use zt_ratelimit::limits::ledger::Ledger;

type Sums = Vec<(String, String, String, u64, u64)>;

fuzz_target!(|input: &[u8]| {
    let mut ledger = Ledger::new();
    let mut late = Ledger::since(Timestamp::from_secs(1_800_000_000));
    let mut taken = 0;
    for line in input.split(|byte| *byte == b'\n').take(200) {
        let before = sums(&ledger);
        let is_late_fine = late.add_line(line).is_ok();
        match ledger.add_line(line) {
            Ok(counts) => {
                taken += usize::from(counts);
                assert!(is_late_fine);
                let by_hand = ["charge", "reset", "\\u"]
                    .iter()
                    .any(|word| contains(line, word));
                if counts && !by_hand {
                    let once = sums(&ledger);
                    assert!(ledger.add_line(line).is_ok());
                    assert_eq!(sums(&ledger), once, "the same line again");
                }
            }
            Err(_) => {
                assert_eq!(sums(&ledger), before);
                assert!(!is_late_fine);
            }
        }
    }
    let once = sums(&ledger);
    assert!(once.len() <= input.len());
    assert!(late.entries().count() <= once.len());
    assert!(taken > 0 || once.is_empty());
});

fn sums(ledger: &Ledger) -> Sums {
    let entries = ledger.entries();
    entries
        .map(|entry| {
            let [root, limit, subject] =
                [entry.root, entry.limit, entry.subject].map(str::to_owned);
            (
                root,
                limit,
                format!("{subject} {:?}", entry.span),
                entry.spent,
                entry.open,
            )
        })
        .collect()
}

fn contains(line: &[u8], word: &str) -> bool {
    line.windows(word.len()).any(|part| part == word.as_bytes())
}
