//! Whatever comes when: what is recorded in full and what is counted add up to what there was.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use zt_core::{clock::Clock, state::Recorder};

use super::*;
use crate::{Options, testing::log_with};

/// What happens next.
#[derive(Debug, Clone)]
enum Turn {
    /// A request is refused, or goes away; `late` turns later it is over.
    Refuse {
        source: u8,
        reason: u8,
        millis: u64,
        late: usize,
    },
    Permit,
    Hold,
    Release,
    Sweep {
        secs: u64,
    },
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let refuse = (0..100_u8, 0..4_u8, 0..60_000_u64, 0..40_usize).prop_map(
        |(source, reason, millis, late)| Turn::Refuse {
            // Few of them send most.
            source: if source < 60 { source % 3 } else { source },
            reason,
            millis,
            late,
        },
    );
    let turn = prop_oneof![
        40 => refuse,
        4 => Just(Turn::Permit),
        1 => Just(Turn::Hold),
        2 => Just(Turn::Release),
        2 => (0..100_u64).prop_map(|secs| Turn::Sweep { secs }),
    ];
    vec(turn, 0..800)
}

const REASONS: [Option<Code>; 4] = [
    Some(Code::CredentialInvalid),
    Some(Code::RateLimited),
    Some(Code::PolicyDenied),
    None,
];

fn name(reason: Option<Code>) -> &'static str {
    reason.map_or("undecided", Code::as_str)
}

fn add(counts: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    if count > 0 {
        *counts.entry(reason.to_owned()).or_default() += count;
    }
}

/// What the records tell: decisions by reason, outcomes.
fn told(records: &[Value]) -> (BTreeMap<String, u64>, u64) {
    let (mut decisions, mut outcomes) = (BTreeMap::new(), 0);
    for record in records {
        match record["kind"].as_str().unwrap() {
            "decision" if record["decision"] == "permit" => {}
            "decision" => {
                let code = record["code"].as_str().unwrap_or("undecided");
                add(&mut decisions, code, 1);
            }
            "outcome" => outcomes += 1,
            "rolled-up" => {
                let denied = record["denied"].as_object().unwrap();
                let mut clear = BTreeMap::new();
                for (code, count) in denied {
                    add(&mut clear, code, count.as_u64().unwrap());
                }
                add(
                    &mut clear,
                    "undecided",
                    record["undecided"].as_u64().unwrap(),
                );
                outcomes += record["outcomes"].as_u64().unwrap();
                for (reason, count) in &clear {
                    add(&mut decisions, reason, *count);
                }
                // By source it is the same.
                let (mut rows, mut halves) = (BTreeMap::new(), 0);
                for row in record["sources"].as_array().unwrap() {
                    let code = row["code"].as_str().unwrap();
                    add(&mut rows, code, row["decisions"].as_u64().unwrap());
                    halves += row["outcomes"].as_u64().unwrap();
                    assert!(row["from"].as_u64() >= record["from"].as_u64());
                    assert!(row["to"].as_u64() <= record["to"].as_u64());
                    assert!(row["from"].as_u64() <= row["to"].as_u64());
                }
                assert_eq!(
                    (rows, halves),
                    (clear, record["outcomes"].as_u64().unwrap())
                );
            }
            _ => {}
        }
    }
    (decisions, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_refusal_is_recorded_or_counted_once(turns in turns(), in_full in 0..30_u32) {
        let clock = ManualClock::default();
        let options = Options::default()
            .clock(clock.clone())
            .max_records(64)
            .denial_sources(64)
            .denials_in_full(in_full);
        let (log, disk) = log_with(options);
        let (mut made, mut requests) = (BTreeMap::new(), 0);
        let mut open: Vec<(usize, Event)> = Vec::new();
        for (index, turn) in turns.into_iter().enumerate() {
            match turn {
                Turn::Refuse { source, reason, millis, late } => {
                    let reason = REASONS[usize::from(reason)];
                    let trail = trail_from(Some(&format!("192.0.2.{source}")), millis);
                    log.record(match reason {
                        Some(code) => denied(&trail, code),
                        None => decided(&trail, Verdict::Undecided, None),
                    })
                    .detach();
                    add(&mut made, name(reason), 1);
                    requests += 1;
                    open.push((index + late, ended(&trail, HandlerRun::NotReached)));
                }
                Turn::Permit => {
                    let trail = trail_from(Some("198.51.100.1"), 0);
                    log.record(decided(&trail, permitted(), Some(Acknowledgement::Sync))).detach();
                }
                Turn::Hold => disk.hold(),
                Turn::Release => disk.release(),
                Turn::Sweep { secs } => {
                    clock.advance(Duration::from_secs(secs));
                    log.0.core.shared.sweep(clock.monotonic());
                }
            }
            let over = open.extract_if(.., |(when, _)| *when <= index);
            over.for_each(|(_, outcome)| log.record(outcome).detach());
        }
        for (_, outcome) in open {
            log.record(outcome).detach();
        }
        disk.release();
        let health = log.health();
        log.close().unwrap();
        prop_assert_eq!(health.lost, 0);
        let records = disk.records();
        prop_assert_eq!(told(&records), (made, requests));
        let counted: u64 = records
            .iter()
            .filter(|record| record["kind"] == "rolled-up")
            .map(|record| {
                let denied = record["denied"].as_object().unwrap().values();
                let denied: u64 = denied.map(|count| count.as_u64().unwrap()).sum();
                denied + record["undecided"].as_u64().unwrap() + record["outcomes"].as_u64().unwrap()
            })
            .sum();
        prop_assert_eq!(counted, health.rolled_up);
    }
}
