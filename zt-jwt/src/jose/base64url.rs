//! Base64url as JOSE has it (RFC 7515 section 2): no padding, no whitespace, and the bits that are
//! left over are zero, so that there is one text for any bytes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes that `text` stands for.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The one text for `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Room for what is decoded: on the stack where `N` bytes are enough.
pub(crate) struct Room<const N: usize> {
    stack: [u8; N],
    heap: Vec<u8>,
}

impl<const N: usize> Room<N> {
    pub(crate) const fn new() -> Self {
        Self {
            stack: [0; N],
            heap: Vec::new(),
        }
    }

    /// As [`decode`].
    pub(crate) fn decode(&mut self, text: &[u8]) -> Option<&[u8]> {
        if text.len() / 4 * 3 + 3 <= N {
            let length = URL_SAFE_NO_PAD.decode_slice(text, &mut self.stack).ok()?;
            return self.stack.get(..length);
        }
        self.heap = decode(text)?;
        Some(&self.heap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(text: &[u8]) -> Option<Vec<u8>> {
        let mut room = Room::<48>::new();
        let short = room.decode(text).map(<[u8]>::to_vec);
        assert_eq!(short, decode(text));
        short
    }

    #[test]
    fn refuses_padding_whitespace_other_alphabets_and_bits_left_over() {
        for bad in [
            "Zg==", "Zg=", "Zm8=", "Z", "Zh", "Zm9", "Zm9vZ", " Zg", "Zg\n", "Z g", "Z+8", "Z/8",
            "Zg.", "Z\u{e9}", "=", "Zm9v====",
        ] {
            assert_eq!(both(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(both(b""), Some(vec![]));
        assert_eq!(both(b"Zg"), Some(b"f".to_vec()));
        assert_eq!(both(b"-_8"), Some(vec![0xfb, 0xff]));
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_written_in_one_way(text in "[A-Za-z0-9_=+/-]{0,90}") {
            if let Some(bytes) = both(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }

        #[test]
        fn what_is_written_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            prop_assert_eq!(both(encode(&bytes).as_bytes()), Some(bytes));
        }
    }
}
