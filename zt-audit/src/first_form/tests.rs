use proptest::prelude::*;

use super::*;
use crate::{
    record::Chain,
    testing::{admin, permit},
};

/// A small log, and where each record begins.
fn small_log() -> (Vec<u8>, Vec<usize>) {
    let (mut log, mut starts) = (Vec::new(), Vec::new());
    let mut chain = Chain::empty();
    for event in [admin("a"), permit(), admin("b"), permit()] {
        starts.push(log.len());
        chain.append_event(&mut log, &event);
    }
    (log, starts)
}

fn found(log: &[u8]) -> Finding {
    verify(log).unwrap().finding
}

fn lines(log: &[u8]) -> Vec<Vec<u8>> {
    log.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// The record's line with `from` replaced and a sum that is right again.
fn forged(line: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let body = text.split_at(text.len() - SUM_LENGTH - 1).0;
    assert!(body.contains(from), "{body}");
    let mut out = body.replacen(from, to, 1).into_bytes();
    let digest = Sha256::new().chain_update(&out);
    write_sum(&mut out, digest);
    out.push(b'\n');
    out
}

fn is_bad(finding: &Finding, index: u64, reason: Reason) -> bool {
    matches!(finding, Finding::Bad(bad) if bad.index == index && bad.reason == reason)
}

#[test]
fn a_log_as_it_was_written_is_good() {
    let (log, _) = small_log();
    let report = verify(log.as_slice()).unwrap();
    assert!(report.is_intact());
    assert_eq!((report.records, report.bytes), (4, log.len() as u64));
    let last = lines(&log).pop().unwrap();
    let digest: Hash = Sha256::digest(&last[..last.len() - 1]).into();
    assert_eq!(report.last_hash, digest);
}

#[test]
fn a_log_without_records_is_not_good() {
    assert_eq!(found(b""), Finding::Empty);
    assert!(!verify(b"".as_slice()).unwrap().is_intact());
}

#[test]
fn any_flipped_byte_is_found_no_later_than_its_record() {
    let (log, starts) = small_log();
    for at in 0..log.len() {
        let record = starts.iter().rposition(|start| *start <= at).unwrap() as u64;
        for mask in [0x01, 0x20, 0x80, log[at] ^ b'\n', log[at] ^ b' '] {
            if mask == 0 {
                continue;
            }
            let mut log = log.clone();
            log[at] ^= mask;
            let report = verify(log.as_slice()).unwrap();
            match report.finding {
                Finding::Bad(bad) => {
                    assert!(bad.index <= record, "byte {at}: {bad}");
                    assert_eq!(
                        bad.offset,
                        starts[usize::try_from(bad.index).unwrap()] as u64
                    );
                }
                // The log's last newline.
                Finding::Torn { offset, .. } => {
                    assert_eq!(at, log.len() - 1);
                    assert_eq!(offset, starts[3] as u64);
                }
                other => panic!("byte {at} with {mask:#x}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_missing_record_is_found() {
    let (log, _) = small_log();
    for gone in 0..3 {
        let mut lines = lines(&log);
        lines.remove(gone);
        let finding = found(&lines.concat());
        let next = gone as u64 + 1;
        assert!(
            is_bad(&finding, gone as u64, Reason::Place(next)),
            "{finding:?}"
        );
    }
}

#[test]
fn a_repeated_record_is_found() {
    let (log, _) = small_log();
    let mut lines = lines(&log);
    lines.insert(1, lines[1].clone());
    assert!(is_bad(&found(&lines.concat()), 2, Reason::Place(1)));
}

#[test]
fn records_that_changed_places_are_found() {
    let (log, _) = small_log();
    let mut lines = lines(&log);
    lines.swap(1, 2);
    assert!(is_bad(&found(&lines.concat()), 1, Reason::Place(2)));
}

#[test]
fn a_record_of_another_log_is_found() {
    let (log, _) = small_log();
    let mut other = Vec::new();
    let mut chain = Chain::empty();
    for object in ["x", "y", "z"] {
        chain.append_event(&mut other, &admin(object));
    }
    let mut lines = lines(&log);
    lines[1] = self::lines(&other)[1].clone();
    // Its predecessor is not the one that it names.
    assert!(is_bad(&found(&lines.concat()), 0, Reason::Chain));
}

#[test]
fn a_forged_record_with_a_sum_that_is_right_is_found() {
    let (log, starts) = small_log();
    for (index, from, to) in [
        (1, "orders.read", "orders.drop"),
        (2, "\"b\"", "\"c\""),
        // Whitespace and doubled keys, which parsers pass over.
        (1, "\"rule\"", " \"rule\""),
        (1, "\"rule\"", "\"rule\":\"x\",\"rule\""),
    ] {
        let mut lines = lines(&log);
        lines[index] = forged(&lines[index], from, to);
        let log = lines.concat();
        let finding = found(&log);
        assert!(is_bad(&finding, index as u64, Reason::Chain), "{finding:?}");
        let Finding::Bad(bad) = finding else {
            panic!("bad")
        };
        assert_eq!(bad.offset, starts[index] as u64);
    }
}

#[test]
fn a_first_record_with_a_predecessor_is_found() {
    let (log, _) = small_log();
    let first = lines(&log).remove(0);
    let log = forged(&first, &"0".repeat(64), &"1".repeat(64));
    assert!(is_bad(&found(&log), 0, Reason::Chain));
}

#[test]
fn what_is_not_of_the_form_is_found() {
    let (log, _) = small_log();
    let first = lines(&log).remove(0);
    for (from, to, reason) in [
        ("\"v\":1", "\"v\":2", Reason::Version(2)),
        ("\"v\":1", "\"v\":01", Reason::Malformed),
        ("\"v\":1,", "", Reason::Malformed),
        ("\"idx\":0", "\"idx\":\"0\"", Reason::Malformed),
        ("\"idx\":0", "\"idx\":-0", Reason::Malformed),
        (
            "\"idx\":0",
            "\"idx\":99999999999999999999",
            Reason::Malformed,
        ),
        ("\"ts\":1", "\"ts\":1.1", Reason::Malformed),
        ("\"kind\":\"admin\"", "\"kind\":\"\"", Reason::Malformed),
        (
            "\"kind\":\"admin\"",
            "\"kind\":\"Admin\"",
            Reason::Malformed,
        ),
        ("\"prev\":\"0", "\"prev\":\"", Reason::Malformed),
        ("\"object\":", "\"object\"", Reason::Malformed),
        ("{\"v\"", "[\"v\"", Reason::Malformed),
    ] {
        let finding = found(&forged(&first, from, to));
        assert!(is_bad(&finding, 0, reason), "{to}: {finding:?}");
    }
    for log in ["\n", "{}\n", "\0\n", "{\"v\":1}\r\n"] {
        assert!(
            is_bad(&found(log.as_bytes()), 0, Reason::Malformed),
            "{log:?}"
        );
    }
}

#[test]
fn a_line_that_is_too_long_is_found_without_being_kept() {
    let (mut log, _) = small_log();
    let start = log.len() as u64;
    log.resize(log.len() + 70_000, b'x');
    for end in ["", "\n"] {
        log.extend_from_slice(end.as_bytes());
        let Finding::Bad(bad) = found(&log) else {
            panic!("bad")
        };
        assert_eq!((bad.index, bad.offset), (4, start));
        assert_eq!(bad.reason, Reason::TooLong);
    }
}

#[test]
fn a_cut_inside_a_record_is_told_apart_from_damage() {
    let (log, starts) = small_log();
    for at in starts[3] + 1..log.len() {
        let report = verify(&log[..at]).unwrap();
        assert_eq!(report.records, 3);
        let tail = &log[starts[3]..at];
        assert_eq!(
            report.finding,
            Finding::Torn {
                offset: starts[3] as u64,
                bytes: tail.len() as u64,
                sha256: Sha256::digest(tail).into(),
            }
        );
    }
}

/// What this form of the log cannot see; the module's documentation says so.
#[test]
fn whole_records_cut_off_the_end_are_seen_only_by_whoever_kept_the_last_hash() {
    let (log, starts) = small_log();
    let whole = verify(log.as_slice()).unwrap();
    let cut = verify(&log[..starts[3]]).unwrap();
    assert!(cut.is_intact());
    assert_ne!(
        (cut.records, cut.last_hash),
        (whole.records, whole.last_hash)
    );
}

#[test]
fn fields_that_nobody_knows_do_not_matter() {
    let (log, _) = small_log();
    let first = lines(&log).remove(0);
    let log = forged(
        &first,
        "\"object\":",
        "\"new\":{\"a\":[1,null]},\"object\":",
    );
    assert_eq!(found(&log), Finding::Intact);
}

#[test]
fn a_reader_that_fails_is_an_error_and_not_a_finding() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(crate::testing::EIO))
        }
    }
    let (log, _) = small_log();
    assert!(verify(log.as_slice().chain(Fails)).is_err());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!verify(bytes.as_slice()).unwrap().is_intact());
    }

    #[test]
    fn no_change_goes_unseen_but_a_cut_between_records(
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        with in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let (log, starts) = small_log();
        let at = at.index(log.len());
        let end = (at + length).min(log.len());
        let mut changed = log.clone();
        changed.splice(at..end, with);
        let cut = log.starts_with(&changed) && starts.contains(&changed.len());
        prop_assume!(changed != log && !cut);
        prop_assert!(!verify(changed.as_slice()).unwrap().is_intact());
    }
}
