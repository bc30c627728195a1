//! A condition on the body reads whatever a stranger sends: it never panics, and what it permits
//! says the same to parsers that take the first of two names, the last, or fold their case.

#![no_main]

use std::{fmt, sync::{Arc, LazyLock}};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zt_core::{
    authorize::{Access, Policy, Verdict},
    body::CollectedBody,
    context::SecurityContext,
    gate::{Settings, Step},
    policy::{CompiledPolicy, PolicyOptions},
};

const POLICY: &str = r#"
[[rule]]
id = "charge"
effect = "allow"
path = "/charge"
body = { amount = "integer", "order.note" = "text?", at = "time?", from = "address?", tags = "texts?" }
when = "context.body.amount < 10000"
"#;

static CHARGE: LazyLock<CompiledPolicy> =
    LazyLock::new(|| CompiledPolicy::from_toml(POLICY, &PolicyOptions::new()).unwrap());

/// Every member, also one that is there twice.
struct All(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for All {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = All;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<All, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(All(all))
            }
        }
        reader.deserialize_map(Members)
    }
}

fuzz_target!(|input: &[u8]| {
    let request = Request::post("/charge").header("content-type", "application/json");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
    cx.show_body(Some(CollectedBody::new(Bytes::copy_from_slice(input), None)));
    let Step::Now(decision) = CHARGE.decide(&Access::new(&parts, &cx)) else {
        panic!("it waits for nothing");
    };
    if !matches!(decision, Ok(Verdict::Permit(_))) {
        return;
    }
    let All(members) = serde_json::from_slice(input).unwrap();
    let amounts = members.iter().filter(|(name, _)| name.to_lowercase() == "amount");
    let [(name, amount)] = amounts.collect::<Vec<_>>()[..] else {
        panic!("not one amount");
    };
    assert_eq!(name, "amount");
    assert!(amount.as_i64().unwrap() < 10_000);
    // As parsers with floats alone read it.
    assert_eq!(amount.as_f64().unwrap() as i64, amount.as_i64().unwrap());
});
