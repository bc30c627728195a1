//! The structure that `ARCHITECTURE.md` describes, asserted over the source.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders of layers: they know the shared types, and not one another.
const LAYERS: &[&str] = &[
    "authorize",
    "grant",
    "headers",
    "policy",
    "sanction",
    "service_token",
    "signature",
    "validate",
];

/// What a folder may name besides: a policy in a file is a policy of `authorize`, and grants are what
/// it may ask for.
const PLUGS: &[(&str, &[&str])] = &[
    ("grant", &["authorize"]),
    ("policy", &["authorize", "validate"]),
];

/// What layers may name.
const SHARED: &[&str] = &[
    "authenticate",
    "body",
    "clock",
    "context",
    "decision",
    "digest",
    "extract",
    "gate",
    "identity",
    "problem",
    "random",
    "secret",
    "state",
    "store",
    "weak_key",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.contains("tests") {
            found.push(path);
        }
    }
    found
}

/// The modules of this crate that a file names with `crate::`, one group deep.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    let code: String = code.collect::<Vec<_>>().join("\n");
    // Unit tests at the bottom of a file may use what they like.
    let code = code.split("#[cfg(test)]\nmod ").next().unwrap();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if code[..at].ends_with(['$', '_']) || code[..at].ends_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                match character {
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    _ if depth == 0 && !character.is_whitespace() => word.push(character),
                    _ => {}
                }
            }
            found.push(word);
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            found.push(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    found.retain(|word| word.chars().next().is_some_and(char::is_lowercase));
    found
        .iter()
        .map(|word| word.trim_end_matches(['{', '}', ':']).to_owned())
        .collect()
}

#[test]
fn layers_know_the_shared_types_and_not_one_another() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for layer in LAYERS {
        for file in sources(&src.join(layer)) {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                let module = import.split("::").next().unwrap();
                let plugs = PLUGS.iter().filter(|(folder, _)| folder == layer);
                let allowed = module == *layer
                    || plugs
                        .flat_map(|(_, into)| *into)
                        .any(|into| *into == module)
                    || SHARED.contains(&module)
                    || import.starts_with("stack::slots")
                    || module == "impl_layer"
                    || module == "impl_authenticate_layer"
                    || module == "impl_body_authenticate_layer";
                assert!(allowed, "{} names crate::{import}", file.display());
            }
        }
    }
}

#[test]
fn shared_types_know_no_layer() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in SHARED {
        let folder = src.join(module);
        let files = if folder.is_dir() {
            sources(&folder)
        } else {
            vec![src.join(format!("{module}.rs"))]
        };
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                let module = import.split("::").next().unwrap();
                assert!(
                    !LAYERS.contains(&module),
                    "{} names crate::{import}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn layer_crates_depend_on_zt_core_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["zt-jwt", "zt-mtls", "zt-ratelimit", "zt-audit"] {
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        let others = dependencies
            .lines()
            .filter(|line| line.starts_with("zt-") && !line.starts_with("zt-core"));
        assert_eq!(others.count(), 0, "{name} depends on another layer crate");
    }
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let text =
        "use crate::{clock::{Clock, Timestamp}, state, gate::Check};\nfn f() { crate::store::x() }";
    assert_eq!(
        imports(text),
        ["clock", "state", "gate::Check", "store::x"].map(|s| s.to_owned())
    );
}
