//! What must not compile, and in which words it does not.
//!
//! Each case under `ui/` leaves out one mandatory step of a stack, or puts a layer into a wrong
//! slot. The message must name the slot: that is asserted here, apart from the exact text.

use std::{fs, path::Path};

#[test]
fn incomplete_and_misplaced_stacks_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn every_message_names_its_slot() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        // `missing_record.rs` and `wrong_record.rs` are about the slot `record`.
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let slot = name.split_once('_').unwrap().1.to_owned();
        let message = fs::read_to_string(path.with_extension("stderr")).unwrap();
        assert!(message.contains(&format!("`{slot}`")), "{name}: {message}");
        cases += 1;
    }
    assert_eq!(cases, 11);
}
