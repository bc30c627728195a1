//! What fuzzing starts from is what its name says: a seed that its parser refuses by a slip starts
//! nowhere.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{fs, path::Path};

use http::{HeaderMap, HeaderValue};
use zt_core::{
    clock::{ManualClock, Timestamp},
    digest::{CONTENT_DIGEST, ContentDigest},
    policy::{CompiledPolicy, DeclaredFacts, IstioOptions, IstioPaths, PolicyOptions, Question},
};

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let files = fs::read_dir(folder.join(target)).unwrap();
    let seeds = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    });
    let seeds: Vec<_> = seeds.collect();
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn policies_are_sound_or_refused_as_their_names_say() {
    for (name, text) in &seeds("policy_file") {
        let text = self::text(text);
        let options = PolicyOptions::new().environment("production");
        let options = DeclaredFacts::stand_in(options, text);
        let loaded = CompiledPolicy::from_toml(text, &options);
        assert_eq!(
            loaded.is_err(),
            name.starts_with("refused_"),
            "{name}: {loaded:?}"
        );
    }
}

#[test]
fn policies_of_istio_are_sound_or_refused_as_their_names_say() {
    for (name, text) in &seeds("policy_yaml") {
        let istio = IstioOptions::new("foo").label("app", "httpbin").port(80);
        let text = [("x.yaml", self::text(text))];
        let loaded = CompiledPolicy::from_istio(text, &istio, &PolicyOptions::new());
        assert_eq!(
            loaded.is_err(),
            name.starts_with("refused_"),
            "{name}: {loaded:?}"
        );
    }
}

#[tokio::test]
async fn bodies_are_permitted_or_denied_as_their_names_say() {
    let target = include_str!("../fuzz/fuzz_targets/policy_body.rs");
    let policy = target
        .split("r#\"")
        .nth(1)
        .and_then(|rest| rest.split("\"#").next());
    let clock = ManualClock::at(Timestamp::from_secs(1_900_000_000));
    let options = PolicyOptions::new().clock(clock);
    let policy = CompiledPolicy::from_toml(policy.unwrap(), &options).unwrap();
    for (name, body) in &seeds("policy_body") {
        let question = Question::new("POST /charge")
            .header("content-type", "application/json")
            .body(text(body).into());
        let answer = policy.ask(&question).await.unwrap();
        assert_eq!(
            answer.is_permitted(),
            name.starts_with("permit_"),
            "{name}: {answer}"
        );
        assert!(
            name.starts_with("permit_") || name.starts_with("deny_"),
            "{name}"
        );
    }
}

#[test]
fn paths_have_a_reading() {
    for (name, path) in &seeds("istio_path") {
        for reading in [IstioPaths::Base, IstioPaths::DecodeAndMergeSlashes] {
            let normal = reading.normalise(text(path));
            assert!(
                normal.is_some_and(|normal| *normal != *text(path)),
                "{name}"
            );
        }
    }
}

#[test]
fn digests_are_read_or_refused_as_their_names_say() {
    for (name, lines) in &seeds("content_digest") {
        let mut headers = HeaderMap::new();
        for line in text(lines).split('\n') {
            headers.append(CONTENT_DIGEST, HeaderValue::from_str(line).unwrap());
        }
        let found = ContentDigest::from_headers(&headers);
        match name.starts_with("refused_") {
            true => assert!(found.is_err(), "{name}"),
            false => {
                let digest = found.unwrap().unwrap_or_else(|| panic!("{name}"));
                let body: &[u8] = match name.starts_with("rfc9530_") {
                    true => b"{\"hello\": \"world\"}",
                    false => b"abc",
                };
                assert!(digest.matches(body), "{name}");
            }
        }
    }
}
