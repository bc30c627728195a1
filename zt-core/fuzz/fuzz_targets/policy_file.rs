//! Whatever a policy file holds, it is a policy or a list of errors, each with its place and once. A
//! policy answers every question, and in one way however it is asked.

#![no_main]

#[path = "policy/asking.rs"]
mod asking;

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use zt_core::{
    clock::{ManualClock, Timestamp},
    policy::{CompiledPolicy, DeclaredFacts, PolicyOptions, SqlDialect},
};

fuzz_target!(|text: &str| {
    let options = PolicyOptions::new()
        .environment("production")
        .clock(ManualClock::at(Timestamp::from_secs(1_900_000_000)));
    let options = DeclaredFacts::stand_in(options, text);
    match CompiledPolicy::from_toml(text, &options) {
        Ok(policy) => {
            assert!(!policy.name().is_empty() && !policy.version().is_empty());
            // The same text is the same policy.
            let again = CompiledPolicy::from_toml(text, &options).expect("it was sound");
            assert_eq!(again.version(), policy.version());
            for dialect in [SqlDialect::Postgres, SqlDialect::MySql] {
                if let Ok(sql) = policy.database_sql(dialect) {
                    assert!(!sql.contains(|letter: char| letter != '\n' && letter.is_control()));
                }
            }
            asking::ask_all(&policy, text);
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            let lines = text.split('\n').count();
            let mut told = HashSet::new();
            for error in errors.iter() {
                assert!((1..=lines).contains(&error.line()), "{error}");
                assert!(error.column() > 0, "{error}");
                assert!(told.insert(error.to_string()), "twice: {error}");
            }
        }
    }
});
