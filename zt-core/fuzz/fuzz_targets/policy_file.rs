//! Whatever a policy file holds, it is a policy or a list of errors, each with its place and once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::policy::{CompiledPolicy, PolicyOptions};

fuzz_target!(|text: &str| {
    let options = PolicyOptions::new().environment("production");
    match CompiledPolicy::from_toml(text, &options) {
        Ok(policy) => {
            assert!(!policy.name().is_empty() && !policy.version().is_empty());
            // The same text is the same policy.
            let again = CompiledPolicy::from_toml(text, &options).expect("it was sound");
            assert_eq!(again.version(), policy.version());
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            let lines = text.split('\n').count();
            for error in errors.iter() {
                assert!((1..=lines).contains(&error.line()), "{error}");
                assert!(error.column() > 0, "{error}");
            }
        }
    }
});
