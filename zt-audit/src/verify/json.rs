use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

/// Whether a record's line is one JSON object whose keys, spelled without escapes, all differ. What
/// stands within its members may be any JSON.
pub(super) fn is_object(line: &[u8]) -> bool {
    // Checked as a whole first, which is fast; what is passed over below is not looked at again.
    let Ok(text) = str::from_utf8(line) else {
        return false;
    };
    let mut read = serde_json::Deserializer::from_str(text);
    read.deserialize_map(Keys).is_ok() && read.end().is_ok()
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose keys differ")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: [&str; MOST] = [""; MOST];
        let mut count = 0;
        // A bit for each length and first letter: most keys are new at a glance.
        let mut bits = 0_u64;
        while let Some(key) = map.next_key::<&'de str>()? {
            let first = key.as_bytes().first().copied().unwrap_or_default();
            let bit = 1 << ((key.len() as u64 * 31 + u64::from(first)) % 64);
            if bits & bit != 0 && seen.iter().take(count).any(|other| *other == key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            bits |= bit;
            *seen
                .get_mut(count)
                .ok_or_else(|| A::Error::custom("too many keys"))? = key;
            count += 1;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// The most keys of a record; none has half as many.
const MOST: usize = 128;
