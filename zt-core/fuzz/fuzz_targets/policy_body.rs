//! A condition on the body reads whatever a stranger sends: it never panics, and what it permits
//! says the same to parsers that take the first of two names, the last, or fold their case. What it
//! takes in, Cedar takes too, and how a body is spelled changes no answer.

#![no_main]

use std::{fmt, sync::{Arc, LazyLock}};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use zt_core::{
    authorize::{Access, Policy, Verdict},
    body::CollectedBody,
    context::SecurityContext,
    gate::{Settings, Step},
    policy::{CompiledPolicy, PolicyOptions},
};

const POLICY: &str = r#"
[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer", "order.note" = "text?", at = "time?", from = "address?", tags = "texts?" }

[[rule]]
id = "late"
effect = "deny"
operation = "charge"
when = 'context.body has at && context.body.at < datetime("1980-01-01")'

[[rule]]
id = "loop"
effect = "deny"
operation = "charge"
when = 'context.body has from && context.body.from.isLoopback()'

[[rule]]
id = "noted"
effect = "deny"
operation = "charge"
when = 'context.body has order && context.body.order has note && context.body.order.note like "*never*"'

[[rule]]
id = "tagged"
effect = "deny"
operation = "charge"
when = 'context.body has tags && context.body.tags.contains("never")'

[[rule]]
id = "charge"
effect = "allow"
operation = "charge"
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

/// How many members there are, those that are there twice counted twice.
struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_str<E>(self, _: &str) -> Result<Members, E> {
                Ok(Members(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Members, A::Error> {
                let mut count = 0;
                while let Some(Members(inner)) = items.next_element()? {
                    count += inner;
                }
                Ok(Members(count))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut count = 0;
                while let Some((_, Members(inner))) = map.next_entry::<String, _>()? {
                    count += 1 + inner;
                }
                Ok(Members(count))
            }
        }
        reader.deserialize_any(Count)
    }
}

/// Whether it is permitted; why not otherwise.
fn decide(body: &[u8]) -> Result<(), &'static str> {
    let request = Request::post("/charge").header("content-type", "application/json");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
    cx.show_body(Some(CollectedBody::new(Bytes::copy_from_slice(body), None)));
    let Step::Now(decision) = CHARGE.decide(&Access::new(&parts, &cx)) else {
        panic!("it waits for nothing");
    };
    match decision {
        Ok(Verdict::Permit(_)) => Ok(()),
        Ok(Verdict::NotApplicable) => Err("no rule"),
        Ok(Verdict::Deny(denial)) | Err(denial) => {
            // What was read can be asked about.
            let detail = denial.private_detail().unwrap_or_default();
            assert!(!detail.contains("a condition failed"), "{detail}");
            Err(denial.code().as_str())
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let answer = decide(input);
    let parsed = serde_json::from_slice::<Value>(input);
    if let (Ok(value), Ok(Members(count))) = (&parsed, serde_json::from_slice(input)) {
        let written = value.to_string();
        if serde_json::from_str::<Members>(&written).unwrap().0 == count {
            assert_eq!(decide(written.as_bytes()), answer, "{written}");
        } else {
            assert_eq!(answer, Err("request-malformed"));
        }
    } else {
        assert_eq!(answer, Err("request-malformed"));
    }
    if answer.is_err() {
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
