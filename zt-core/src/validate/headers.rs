//! The header section: its bounds, what may stand in it once, and how it frames the body.

use http::{HeaderValue, Version, request::Parts};

use super::{
    check::{malformed, too_large},
    config::Limits,
};
use crate::decision::{Code, Denial};

/// What later steps need of the header section.
#[derive(Debug)]
pub(super) struct Headers<'a> {
    /// The one `Host`.
    pub(super) host: Option<&'a HeaderValue>,
    /// The body's declared length.
    pub(super) length: Option<u64>,
}

/// One pass over the header section.
pub(super) fn check<'a>(parts: &'a Parts, limits: &Limits) -> Result<Headers<'a>, Denial> {
    if parts.headers.len() > limits.header_count {
        return Err(too_large("too many header fields"));
    }
    let mut once = Once::default();
    let mut bytes = 0_usize;
    for (name, value) in &parts.headers {
        if value.len() > limits.header_value_bytes {
            return Err(too_large("a header value is too long"));
        }
        // As HTTP/1 writes it: with `: ` and a line's end.
        let line = name
            .as_str()
            .len()
            .saturating_add(value.len())
            .saturating_add(4);
        bytes = bytes.saturating_add(line);
        once.see(name.as_str(), value)?;
    }
    if bytes > limits.header_bytes {
        return Err(too_large("the header section is too long"));
    }
    let length = once.length.map(declared_length).transpose()?;
    if let Some(coding) = once.coding {
        check_coding(coding, parts.version, length)?;
    }
    Ok(Headers {
        host: once.host,
        length,
    })
}

/// The fields that may stand in a request once.
#[derive(Default)]
struct Once<'a> {
    host: Option<&'a HeaderValue>,
    length: Option<&'a HeaderValue>,
    coding: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    authorization: Option<&'a HeaderValue>,
}

impl<'a> Once<'a> {
    fn see(&mut self, name: &str, value: &'a HeaderValue) -> Result<(), Denial> {
        // By length first: most names go no further.
        let place = match name.len() {
            4 if name == "host" => &mut self.host,
            12 if name == "content-type" => &mut self.content_type,
            13 if name == "authorization" => &mut self.authorization,
            13 if alike(name, "x-http-method") => return Err(overrides()),
            13 if alike(name, "x-rewrite-url") => return Err(overrides()),
            14 if alike(name, "x-original-url") => return Err(overrides()),
            14 if alike(name, "content-length") => exactly(name, &mut self.length)?,
            17 if alike(name, "transfer-encoding") => exactly(name, &mut self.coding)?,
            17 if alike(name, "x-method-override") => return Err(overrides()),
            22 if alike(name, "x-http-method-override") => return Err(overrides()),
            _ => return Ok(()),
        };
        match place.replace(value) {
            None => Ok(()),
            // RFC 9110 section 5.3: a field that is not a list may not be repeated.
            Some(_) => Err(malformed("a header field that may stand once is repeated")),
        }
    }
}

/// Whether `name` is `known` to somebody who takes `_` for `-`: CGI and its heirs.
fn alike(name: &str, known: &str) -> bool {
    name.bytes()
        .zip(known.bytes())
        .all(|(byte, known)| byte == known || (byte == b'_' && known == b'-'))
}

/// `place`, unless the name that frames the body is spelled with `_`.
fn exactly<T>(name: &str, place: T) -> Result<T, Denial> {
    if name.contains('_') {
        Err(malformed(
            "a header that frames the body is spelled with `_`",
        ))
    } else {
        Ok(place)
    }
}

/// RFC 9110 section 8.6: a decimal number. A list is refused even where its members agree.
fn declared_length(value: &HeaderValue) -> Result<u64, Denial> {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed("`Content-Length` is not a number"));
    }
    // What no number holds is too large, whatever the limit.
    let length = value.to_str().ok().and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| Denial::new(Code::BodyTooLarge))
}

/// How a body of unknown length is framed: `chunked`, in HTTP/1.1, and by nothing else.
fn check_coding(coding: &HeaderValue, version: Version, length: Option<u64>) -> Result<(), Denial> {
    // RFC 9112 section 6.1: faulty in HTTP/1.0; RFC 9113 section 8.2.2: malformed in HTTP/2.
    if version != Version::HTTP_11 {
        return Err(malformed("`Transfer-Encoding` outside HTTP/1.1"));
    }
    // RFC 9112 section 6.3: ought to be handled as an error.
    if length.is_some() {
        return Err(malformed("both `Content-Length` and `Transfer-Encoding`"));
    }
    if coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        Ok(())
    } else {
        Err(malformed("a transfer coding other than `chunked`"))
    }
}

fn overrides() -> Denial {
    malformed("a header that overrides the method or the target")
}
