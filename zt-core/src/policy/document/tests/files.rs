//! The files beside this one: their names say their outcome.

use std::{fs, path::Path};

use super::*;

/// `# environment: NAME` in the first line says where the process runs.
fn options(text: &str) -> PolicyOptions {
    let options = PolicyOptions::new();
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("# environment: ") {
        Some(name) => options.environment(name),
        None => options,
    }
}

fn each(outcome: &str, mut check: impl FnMut(&Path, Result<Document, PolicyErrors>)) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/document/tests");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(outcome) && name.ends_with(".toml") {
            seen += 1;
            let text = fs::read_to_string(&path).unwrap();
            check(&path, read_toml(&text, &options(&text)));
        }
    }
    assert!(seen > 3, "{seen}");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_hint() {
    let mut different = String::new();
    each("deny_", |path, read| {
        let errors = read.map(|_| ()).unwrap_err();
        for error in errors.iter() {
            assert!(error.line() > 0 && error.column() > 0, "{error}");
        }
        let found = format!("{errors}\n");
        let expected = path.with_extension("err");
        if fs::read_to_string(&expected).unwrap_or_default() != found {
            different += &format!("=== {}\n{found}", expected.display());
        }
    });
    assert!(different.is_empty(), "{different}=== end");
}

#[test]
fn sound_files_are_read() {
    each("permit_", |path, read| {
        if path.ends_with("permit_example.toml") {
            assert!(read.is_err(), "it needs an environment");
        } else if let Err(errors) = read {
            panic!("{}: {errors}", path.display());
        }
    });
}
