use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName};

use crate::random::{self, OsEntropy};

/// Names one request in answers and records: 128 bits, unique, not secret.
///
/// The high half is random for each process, the low half counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u128);

static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    // Without randomness the ids of two processes may meet; they are not secret, and every check
    // that needs randomness refuses on its own.
    random::bytes::<8>(&OsEntropy)
        .map_or_else(|_| u64::from(std::process::id()), u64::from_be_bytes)
});
static NEXT: AtomicU64 = AtomicU64::new(0);

impl RequestId {
    /// The next id of this process.
    #[must_use]
    pub fn next() -> Self {
        let low = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(u128::from(*PROCESS) << 64 | u128::from(low))
    }

    /// A given id, for tests and records.
    #[must_use]
    pub const fn from_u128(id: u128) -> Self {
        Self(id)
    }

    /// The id as a number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> [u8; 32] {
        let mut out = [0; 32];
        let bytes = self.0.to_be_bytes();
        let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        for (digit, nibble) in out.iter_mut().zip(nibbles) {
            *digit = match nibble {
                0..=9 => b'0' + nibble,
                _ => b'a' - 10 + nibble,
            };
        }
        out
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A valid `traceparent` (W3C Trace Context level 1, section 3.2): correlation, never evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The whole trace.
    pub trace_id: u128,
    /// The caller's span.
    pub parent_id: u64,
    /// Trace flags.
    pub flags: u8,
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl TraceParent {
    /// The header of `headers`, where there is exactly one and it is valid.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// Parses version 00 and what later versions must keep of it.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut fields = text.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let parent_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
        let more = fields.next().is_some();
        let valid = version != 0xff && !(version == 0 && more) && trace_id != 0 && parent_id != 0;
        valid.then_some(Self {
            trace_id,
            parent_id,
            flags,
        })
    }
}

fn hex(text: &str, len: usize) -> Option<u128> {
    let lower = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == len && lower {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.parent_id, self.flags
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_print_alike() {
        let (a, b) = (RequestId::next(), RequestId::next());
        assert_ne!(a, b);
        assert_eq!(a.hex().as_slice(), a.to_string().as_bytes());
    }

    #[test]
    fn only_valid_traceparents_are_kept() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            TraceParent::parse(good.as_bytes()).unwrap().to_string(),
            good
        );
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
