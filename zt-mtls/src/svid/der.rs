//! Elements of DER (X.690 sections 8.1 and 10.1), in one reading only.
//!
//! An element has a tag of one byte, a length in its shortest form, and that many bytes. All else is
//! none, as for webpki: whatever this reads, webpki reads in the same way.

/// What is still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The one element that `bytes` are, which has to be a `tag`.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Option<Self> {
        let mut reader = Self(bytes);
        let inside = reader.expect(tag)?;
        reader.is_empty().then_some(Self(inside))
    }

    /// All that is still to be read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag and what is in it.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // The number of the tag is in the bytes behind it: nothing in a certificate has such a one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let number = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
                // What a shorter form cannot say.
                let least = match first {
                    0x81 => 0x80,
                    0x82 => 1 << 8,
                    0x83 => 1 << 16,
                    _ => 1 << 24,
                };
                (Some(number).filter(|number| *number >= least)?, rest)
            }
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, inside))
    }

    /// The next element, which has to be a `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, inside) = self.next()?;
        (found == tag).then_some(inside)
    }

    /// The next element, which has to be a `tag`, with its tag and length.
    pub(crate) fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let all = self.0;
        self.expect(tag)?;
        all.get(..all.len() - self.0.len())
    }

    /// The next element if it is a `tag`.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) {
            self.expect(tag).map(Some)
        } else {
            Some(None)
        }
    }

    /// A truth value, which is not there where it is the default, false.
    ///
    /// As webpki does, takes a false that is there, though DER leaves it out.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        match self.optional(BOOLEAN)? {
            None | Some([0]) => Some(false),
            Some([0xff]) => Some(true),
            Some(_) => None,
        }
    }
}

/// The seconds since the epoch that a `Time` says (RFC 5280 section 4.1.2.5); 0 for those before it.
pub(crate) fn time((tag, text): (u8, &[u8])) -> Option<u64> {
    let (text, zone) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if zone != b"Z" || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| {
        let digit = |n, byte: &u8| n * 10 + i64::from(byte - b'0');
        digits.iter().fold(0, digit)
    };
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year);
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year), rest)
        }
        _ => return None,
    };
    let mut parts = rest.chunks(2).map(number);
    let mut part = |least, most| parts.next().filter(|n| (least..=most).contains(n));
    let (month, day) = (part(1, 12)?, part(1, 31)?);
    let (hour, minute, second) = (part(0, 23)?, part(0, 59)?, part(0, 59)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > longest {
        return None;
    }
    // Days since the epoch, by years that begin in March.
    let year = year - i64::from(month < 3);
    let month = (month + 9) % 12;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}
