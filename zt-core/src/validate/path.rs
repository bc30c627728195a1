//! Canonical paths: every reader of the path, however often it decodes, reads the same segments.

use thiserror::Error;

/// What a path may hold that it usually may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathAllowances {
    encoded_slash: bool,
    empty_segments: bool,
    encoded_unreserved: bool,
}

impl PathAllowances {
    /// Nothing but the rules.
    pub const NONE: Self = Self {
        encoded_slash: false,
        empty_segments: false,
        encoded_unreserved: false,
    };

    /// `%2F` may stand in a segment, where the route means it as data (`group%2Fproject`).
    #[must_use]
    pub const fn encoded_slash(mut self, allowed: bool) -> Self {
        self.encoded_slash = allowed;
        self
    }

    /// Segments may be empty (`/a//b`), where the route means them as data.
    #[must_use]
    pub const fn empty_segments(mut self, allowed: bool) -> Self {
        self.empty_segments = allowed;
        self
    }

    /// Letters, digits and `- . _ ~` may be percent-encoded. The raw path then no longer tells
    /// which literal a reader that decodes will see: `/%61dmin` is not `/admin` to this router,
    /// and is to the next.
    #[must_use]
    pub const fn insecure_encoded_unreserved(mut self, allowed: bool) -> Self {
        self.encoded_unreserved = allowed;
        self
    }
}

/// Why a path is not canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A byte that no path holds raw: a space, `?`, `#`, anything beyond ASCII (RFC 3986
    /// section 3.3).
    #[error("the path holds a byte that has to be encoded")]
    Character,
    /// A control character, NUL or DEL, raw or encoded.
    #[error("the path holds a control character")]
    Control,
    /// `\`, raw or encoded: a separator to some.
    #[error("the path holds a backslash")]
    Backslash,
    /// `.` or `..`, with or without path parameters behind it.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// `//`, or a segment of nothing but path parameters before another.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// `%2F`.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// A letter, a digit or one of `- . _ ~` that is encoded all the same.
    #[error("the path encodes a character that needs no encoding")]
    EncodedUnreserved,
    /// `%` without two hexadecimal digits behind it.
    #[error("the path holds an invalid percent encoding")]
    InvalidEncoding,
    /// What it decodes to is not UTF-8; an overlong form is not UTF-8 either.
    #[error("the path does not decode to UTF-8")]
    InvalidUtf8,
    /// Decoded twice it would hold a dot, a separator or a control character that was not there.
    #[error("the path is encoded twice")]
    DoubleEncoding,
}

/// Whether `path`, raw and without query, is canonical:
///
/// 1. it begins with `/`;
/// 2. it is printable ASCII without space, `?`, `#` and `\`;
/// 3. each `%` has two hexadecimal digits behind it;
/// 4. no segment is `.` or `..`, nor becomes one when it is decoded or when its path parameters
///    (`;v=1`) are cut off;
/// 5. no segment is empty, nor becomes so, except the last: `/orders/` is a path, `//` is not;
/// 6. nothing encoded is `/`, `\`, a control character, NUL or DEL;
/// 7. nothing encoded is a letter, a digit or one of `- . _ ~` (RFC 3986 section 6.2.2.2);
/// 8. decoded once it is UTF-8;
/// 9. decoding it a second time gives no `.`, `/`, `\`, control character or overlong form.
///
/// `allow` can lift rules 5, 6 for `%2F`, and 7. It never lifts another: with `%2F` allowed,
/// `/a%2F..%2Fb` is refused still.
///
/// Whoever reads an accepted path raw, decoded or decoded twice therefore sees the same segments,
/// and where templates are spelled in letters, digits and `- . _ ~` the same template matches.
///
/// One pass where nothing is encoded; nothing is allocated.
///
/// ```
/// use zt_core::validate::{PathAllowances, PathError, check_path};
///
/// let check = |path: &str| check_path(path.as_bytes(), PathAllowances::NONE);
/// assert_eq!(check("/orders/7;v=1/caf%C3%A9"), Ok(()));
/// assert_eq!(check("/orders/../admin"), Err(PathError::DotSegment));
/// assert_eq!(check("/orders/%252e%252e/admin"), Err(PathError::DoubleEncoding));
/// ```
///
/// # Errors
///
/// The first rule that is broken.
pub fn check_path(path: &[u8], allow: PathAllowances) -> Result<(), PathError> {
    if is_plain_path(path) {
        return Ok(());
    }
    let found = check_raw(path, allow)?;
    if found.encoded {
        check_decoded(path, allow)?;
    }
    if found.nested {
        check_decoded_twice(path)?;
    }
    Ok(())
}

/// Whether the path is canonical for certain, and as usual as a path can be: no byte of it has to be
/// encoded, or is; no segment but the last is empty, and none begins with `.` or `;`. Most are so, and
/// one look at each byte shows it.
pub(crate) fn is_plain_path(path: &[u8]) -> bool {
    let Some((b'/', path)) = path.split_first() else {
        return false;
    };
    let (mut refused, mut before) = (0, SLASH);
    for byte in path {
        let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(OTHER);
        // Behind a slash, nothing but a name.
        refused |= (class & OTHER) | (before >> 1 & class);
        before = class;
    }
    refused == 0
}

/// Classes of bytes. Two are told from a name by their lowest bit, and a slash by the next.
const NAME: u8 = 0;
const DOT: u8 = 0b001;
const SLASH: u8 = 0b011;
const OTHER: u8 = 0b100;

const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 0x7f {
        #[expect(
            clippy::indexing_slicing,
            reason = "a constant, made when it is compiled"
        )]
        {
            classes[byte as usize] = match byte {
                b'/' => SLASH,
                b'.' | b';' => DOT,
                _ if stands_for_itself(byte) => NAME,
                _ => OTHER,
            };
        }
        byte += 1;
    }
    classes
};

/// Whether a byte may stand in a path as it is (RFC 3986 section 3.3: `pchar`, and the slash).
pub(crate) const fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'/'
                | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// What the raw pass came across.
#[derive(Default)]
pub(super) struct Found {
    /// Anything encoded.
    encoded: bool,
    /// An encoded `%`.
    nested: bool,
}

/// The path as it stands on the wire: rules 1 to 7.
pub(super) fn check_raw(path: &[u8], allow: PathAllowances) -> Result<Found, PathError> {
    let Some((b'/', mut rest)) = path.split_first() else {
        return Err(PathError::NotAbsolute);
    };
    let mut found = Found::default();
    let mut segment = Segment::Empty;
    loop {
        // Most of a path is letters and digits.
        let plain = rest.iter().position(|byte| !is_plain(*byte));
        if plain != Some(0) && !rest.is_empty() {
            segment = segment.plain();
        }
        let special = plain.and_then(|at| rest.get(at..)).unwrap_or_default();
        let Some((byte, after)) = special.split_first() else {
            break;
        };
        rest = after;
        match byte {
            b'%' => {
                let (high, low, after) = match rest {
                    [high, low, after @ ..] => (hex(Some(*high)), hex(Some(*low)), after),
                    _ => return Err(PathError::InvalidEncoding),
                };
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(PathError::InvalidEncoding);
                };
                rest = after;
                let decoded = high << 4 | low;
                check_encoded(decoded, allow)?;
                found.encoded = true;
                found.nested |= decoded == b'%';
                segment = segment.plain();
            }
            b'/' | b'.' | b';' => segment = segment.then(*byte, allow)?,
            b'\\' => return Err(PathError::Backslash),
            0..=0x1f | 0x7f => return Err(PathError::Control),
            _ => return Err(PathError::Character),
        }
    }
    segment.end()?;
    Ok(found)
}

/// Whether a byte stands for itself wherever it stands.
fn is_plain(byte: u8) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = b'!';
        while byte < 0x7f {
            #[expect(
                clippy::indexing_slicing,
                reason = "a constant, made when it is compiled"
            )]
            {
                plain[byte as usize] =
                    !matches!(byte, b'%' | b'/' | b'.' | b';' | b'\\' | b'?' | b'#');
            }
            byte += 1;
        }
        plain
    };
    PLAIN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Rules 6 and 7.
fn check_encoded(decoded: u8, allow: PathAllowances) -> Result<(), PathError> {
    match decoded {
        b'/' if !allow.encoded_slash => Err(PathError::EncodedSlash),
        b'\\' => Err(PathError::Backslash),
        0..=0x1f | 0x7f => Err(PathError::Control),
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
            if !allow.encoded_unreserved =>
        {
            Err(PathError::EncodedUnreserved)
        }
        _ => Ok(()),
    }
}

/// The path as whoever decodes it reads it: rules 4, 5 and 8.
fn check_decoded(path: &[u8], allow: PathAllowances) -> Result<(), PathError> {
    let mut segment = Segment::Empty;
    let mut utf8 = Utf8::default();
    for (byte, _) in Decoded(path.iter().copied()).skip(1) {
        segment = segment.then(byte, allow)?;
        if !utf8.push(byte) {
            return Err(PathError::InvalidUtf8);
        }
    }
    segment.end()?;
    if utf8.is_complete() {
        Ok(())
    } else {
        Err(PathError::InvalidUtf8)
    }
}

/// The path as whoever decodes it twice reads it: rule 9. A `%` that encodes nothing is itself.
fn check_decoded_twice(path: &[u8]) -> Result<(), PathError> {
    let once = Decoded(path.iter().copied()).map(|(byte, _)| byte);
    let mut before = 0;
    for (byte, encoded) in Decoded(once) {
        let dangerous = encoded && matches!(byte, b'.' | b'/' | b'\\' | 0..=0x1f | 0x7f);
        // What UTF-8 would not hold, but some decoders take for a dot or a slash.
        let overlong = encoded && matches!(byte, 0xc0 | 0xc1)
            || matches!((before, byte), (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f));
        if dangerous || overlong {
            return Err(PathError::DoubleEncoding);
        }
        before = byte;
    }
    Ok(())
}

/// What is known of a segment: whether it is a dot segment so far.
#[derive(Clone, Copy)]
enum Segment {
    /// Nothing yet.
    Empty,
    /// Nothing but path parameters.
    Hollow,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// Any other name.
    Name,
}

impl Segment {
    /// After a byte that is neither `/`, `.` nor `;`.
    const fn plain(self) -> Self {
        match self {
            Self::Hollow => Self::Hollow,
            _ => Self::Name,
        }
    }

    fn then(self, byte: u8, allow: PathAllowances) -> Result<Self, PathError> {
        match (byte, self) {
            // `..;x` is `..` to servers that cut path parameters off before they resolve dots.
            (b'/' | b';', Self::Dot | Self::DotDot) => Err(PathError::DotSegment),
            (b'/', Self::Empty | Self::Hollow) if !allow.empty_segments => {
                Err(PathError::EmptySegment)
            }
            (b'/', _) => Ok(Self::Empty),
            (b';', Self::Empty) => Ok(Self::Hollow),
            (b'.', Self::Empty) => Ok(Self::Dot),
            (b'.', Self::Dot) => Ok(Self::DotDot),
            _ => Ok(self.plain()),
        }
    }

    /// The path ends here; its last segment may be empty.
    const fn end(self) -> Result<(), PathError> {
        match self {
            Self::Dot | Self::DotDot => Err(PathError::DotSegment),
            _ => Ok(()),
        }
    }
}

/// Percent-decodes; each byte comes with whether it was encoded.
#[derive(Clone)]
struct Decoded<I>(I);

impl<I: Iterator<Item = u8> + Clone> Iterator for Decoded<I> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        let byte = self.0.next()?;
        if byte == b'%' {
            let mut ahead = self.0.clone();
            if let (Some(high), Some(low)) = (hex(ahead.next()), hex(ahead.next())) {
                self.0 = ahead;
                return Some((high << 4 | low, true));
            }
        }
        Some((byte, false))
    }
}

const fn hex(digit: Option<u8>) -> Option<u8> {
    match digit {
        Some(digit @ b'0'..=b'9') => Some(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Some(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// UTF-8, byte by byte (RFC 3629 section 4), because what is decoded never stands in one place.
#[derive(Default)]
struct Utf8 {
    /// How many bytes are to follow.
    missing: u8,
    /// The least and the greatest that the next may be.
    next: (u8, u8),
}

impl Utf8 {
    /// Whether `byte` may come next.
    fn push(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            let (least, greatest) = std::mem::replace(&mut self.next, (0x80, 0xbf));
            self.missing -= 1;
            return (least..=greatest).contains(&byte);
        }
        (self.missing, self.next) = match byte {
            0..=0x7f => return true,
            0xc2..=0xdf => (1, (0x80, 0xbf)),
            0xe0 => (2, (0xa0, 0xbf)),
            0xed => (2, (0x80, 0x9f)),
            0xe1..=0xef => (2, (0x80, 0xbf)),
            0xf0 => (3, (0x90, 0xbf)),
            0xf1..=0xf3 => (3, (0x80, 0xbf)),
            0xf4 => (3, (0x80, 0x8f)),
            _ => return false,
        };
        true
    }

    const fn is_complete(&self) -> bool {
        self.missing == 0
    }
}
