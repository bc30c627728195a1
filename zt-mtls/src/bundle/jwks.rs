//! A bundle as a JWK set (SPIFFE-Trust-Domain-and-Bundle, section 4).

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::CertificateDer;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

/// What of a JWK set is used.
pub(super) struct Found {
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) sequence: Option<u64>,
    pub(super) refresh_hint: Option<Duration>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
    spiffe_sequence: Option<u64>,
    spiffe_refresh_hint: Option<u64>,
}

#[derive(Deserialize)]
struct Key {
    kty: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

pub(super) fn read(json: &[u8]) -> Result<Found, Arc<str>> {
    let fails = |error: serde_json::Error| Arc::from(error.to_string());
    let mut reader = serde_json::Deserializer::from_slice(json);
    Unique.deserialize(&mut reader).map_err(fails)?;
    let set: Set = serde_json::from_slice(json).map_err(fails)?;
    let mut roots = Vec::new();
    for key in set.keys {
        // RFC 7517 section 5, and 4.2.1 here: a type that is unknown, or is not said, is passed over.
        if !matches!(key.kty.as_deref(), Some("EC" | "RSA" | "OKP")) {
            continue;
        }
        match key.usage.as_deref() {
            Some("x509-svid") => {}
            Some("jwt-svid") if key.kid.is_none_or(|kid| kid.is_empty()) => {
                return Err("a `jwt-svid` key has no `kid`".into());
            }
            _ => continue,
        }
        // X509-SVID section 6.2: without certificates it is passed over, and the first one counts.
        let Some(first) = key.x5c.unwrap_or_default().into_iter().next() else {
            continue;
        };
        let der = BASE64_STANDARD
            .decode(first)
            .map_err(|_| Arc::from("an `x5c` is not base64"))?;
        roots.push(der.into());
    }
    Ok(Found {
        roots,
        sequence: set.spiffe_sequence,
        refresh_hint: set.spiffe_refresh_hint.map(Duration::from_secs),
    })
}

/// Reads any JSON, and refuses an object in which a member stands twice: whoever reads the first and
/// whoever reads the last would trust different roots.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Self)?;
            if !seen.insert(name) {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
