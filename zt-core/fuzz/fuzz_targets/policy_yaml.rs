//! Istio's policies are read or refused, whatever a file says; what is refused has a line. Those that
//! are read answer every question, and in one way however it is asked.

#![no_main]

#[path = "policy/asking.rs"]
mod asking;

use libfuzzer_sys::fuzz_target;
use zt_core::policy::{CompiledPolicy, IstioOptions, PolicyOptions};

fuzz_target!(|text: &str| {
    let istio = IstioOptions::new("foo")
        .label("app", "httpbin")
        .port(80)
        .insecure_allow_without_policy();
    let read = CompiledPolicy::from_istio([("x.yaml", text)], &istio, &PolicyOptions::new());
    match read {
        Ok(policy) => {
            assert!(policy.warnings().all(|warning| warning.file() == "x.yaml"));
            asking::ask_all(&policy, text);
        }
        Err(errors) => {
            // A carriage return alone is a line break to YAML.
            let lines = text.matches(['\n', '\r']).count() + 2;
            assert!(errors.iter().all(|error| error.line() <= lines));
            assert!(!errors.to_string().is_empty());
        }
    }
});
