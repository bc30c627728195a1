//! `X-Forwarded-Client-Cert`, as Envoy documents it.
//!
//! ```text
//! header  = element *( "," element )
//! element = pair *( ";" pair )
//! pair    = key "=" ( value / <"> *( character / "\" character ) <"> )
//! ```
//!
//! Keys are without case. A value that has `,`, `;` or a quote stands in quotes; within them a
//! backslash takes away the meaning of whatever comes next. What Envoy would never write is refused:
//! a quote or a backslash in a value without quotes, something behind the closing quote, a quote that
//! never closes, an element or a key that is empty, a key twice that can only be there once. Unknown
//! keys are passed over. Each header line is read for itself: no quote goes on in the next one.

use std::borrow::Cow;

use rustls_pki_types::{
    CertificateDer,
    pem::{PemObject, SectionKind},
};

use super::{ForwardedCertificate, MAX_ELEMENTS, Malformed};
use crate::verify::MAX_CHAIN;

/// What may be there once.
#[derive(Default)]
struct Element<'a> {
    hash: Option<Cow<'a, [u8]>>,
    cert: Option<Cow<'a, [u8]>>,
    chain: Option<Cow<'a, [u8]>>,
    subject: Option<Cow<'a, [u8]>>,
}

/// What the last element says, and how many there are.
pub(super) fn read<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    count: &mut impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(ForwardedCertificate, usize), Malformed> {
    let mut last = None;
    let mut elements = 0;
    for line in lines {
        count(line)?;
        let mut rest = line;
        loop {
            let (element, more) = element(rest)?;
            elements += 1;
            if elements > MAX_ELEMENTS {
                return Err(Malformed::TooLong);
            }
            last = Some(element);
            match more {
                Some(more) => rest = more,
                None => break,
            }
        }
    }
    let last = last.ok_or(Malformed::NoCertificate)?;
    Ok((last.certificate()?, elements))
}

impl Element<'_> {
    fn certificate(self) -> Result<ForwardedCertificate, Malformed> {
        let hash = self.hash.as_deref().map(digest).transpose()?;
        let mut certs = pem(&self.cert.ok_or(Malformed::NoCertificate)?, 1)?;
        let leaf = certs.pop().ok_or(Malformed::NoCertificate)?;
        let mut others = match self.chain {
            Some(chain) => pem(&chain, MAX_CHAIN)?,
            None => Vec::new(),
        };
        // Envoy: the chain has the leaf in it.
        others.retain(|cert| *cert != leaf);
        Ok(ForwardedCertificate { leaf, others, hash })
    }
}

/// The first element, and what stands behind its comma.
fn element(mut rest: &[u8]) -> Result<(Element<'_>, Option<&[u8]>), Malformed> {
    let mut element = Element::default();
    loop {
        let place = rest
            .iter()
            .position(|byte| matches!(byte, b'=' | b',' | b';' | b'"'))
            .filter(|place| rest.get(*place) == Some(&b'='))
            .ok_or(Malformed::Form("a pair without `=`"))?;
        let (key, value) = rest.split_at_checked(place).unwrap_or_default();
        let key = key.trim_ascii();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if key.is_empty() || !key.iter().all(is_name) {
            return Err(Malformed::Form("a key that is none"));
        }
        let (value, behind) = value_of(value.get(1..).unwrap_or_default())?;
        element.put(key, value)?;
        match behind.split_first() {
            None => return Ok((element, None)),
            Some((b',', more)) => return Ok((element, Some(more))),
            // `;`
            Some((_, more)) => rest = more,
        }
    }
}

impl<'a> Element<'a> {
    fn put(&mut self, key: &[u8], value: Cow<'a, [u8]>) -> Result<(), Malformed> {
        let place = if key.eq_ignore_ascii_case(b"hash") {
            &mut self.hash
        } else if key.eq_ignore_ascii_case(b"cert") {
            &mut self.cert
        } else if key.eq_ignore_ascii_case(b"chain") {
            &mut self.chain
        } else if key.eq_ignore_ascii_case(b"subject") {
            &mut self.subject
        } else {
            // `By`, `URI` and `DNS` come once for each name.
            return Ok(());
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Malformed::Form("a key twice")),
        }
    }
}

/// A value, and what stands behind it: nothing, or something that begins with `,` or `;`.
fn value_of(rest: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    match rest.trim_ascii_start().strip_prefix(b"\"") {
        Some(quoted) => in_quotes(quoted),
        None => {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b';'));
            let (value, behind) = rest
                .split_at_checked(end.unwrap_or(rest.len()))
                .unwrap_or_default();
            if value.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
                return Err(Malformed::Form("a quote or backslash in a plain value"));
            }
            Ok((value.trim_ascii().into(), behind))
        }
    }
}

/// The same, behind an opening quote.
fn in_quotes(quoted: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    const OPEN: Malformed = Malformed::Form("a quote that never closes");
    // Nearly all values are without a backslash.
    let mut unescaped: Option<Vec<u8>> = None;
    let mut bytes = quoted.iter().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let (plain, behind) = quoted.split_at_checked(place).unwrap_or_default();
                let behind = behind.get(1..).unwrap_or_default().trim_ascii_start();
                if !matches!(behind.first(), None | Some(b',' | b';')) {
                    return Err(Malformed::Form("something behind the closing quote"));
                }
                return Ok((unescaped.map_or(plain.into(), Cow::Owned), behind));
            }
            b'\\' => {
                let (_, escaped) = bytes.next().ok_or(OPEN)?;
                let before = || quoted.get(..place).unwrap_or_default().to_vec();
                unescaped.get_or_insert_with(before).push(*escaped);
            }
            byte => {
                if let Some(unescaped) = &mut unescaped {
                    unescaped.push(*byte);
                }
            }
        }
    }
    Err(OPEN)
}

/// 1 to `most` certificates, in PEM in percent-encoding (RFC 3986 section 2.1).
fn pem(encoded: &[u8], most: usize) -> Result<Vec<CertificateDer<'static>>, Malformed> {
    const PEM: Malformed = Malformed::Form("PEM that cannot be read");
    let text = decoded(encoded)?;
    let mut certs = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
        match section.map_err(|_| PEM)? {
            (SectionKind::Certificate, der) => certs.push(der.into()),
            _ => return Err(Malformed::Form("PEM of something else")),
        }
        if certs.len() > most {
            return Err(Malformed::TooLong);
        }
    }
    if certs.is_empty() {
        return Err(Malformed::NoCertificate);
    }
    Ok(certs)
}

fn decoded(encoded: &[u8]) -> Result<Vec<u8>, Malformed> {
    const PERCENT: Malformed = Malformed::Form("a percent sign without two digits");
    let mut out = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => match (bytes.next().and_then(nibble), bytes.next().and_then(nibble)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(PERCENT),
            },
            byte => *byte,
        });
    }
    Ok(out)
}

/// 64 hexadecimal digits.
fn digest(text: &[u8]) -> Result<[u8; 32], Malformed> {
    const HASH: Malformed = Malformed::Form("a hash that is no SHA-256");
    let text: &[u8; 64] = text.try_into().map_err(|_| HASH)?;
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = digits.each_ref().map(nibble);
        *byte = high.ok_or(HASH)? << 4 | low.ok_or(HASH)?;
    }
    Ok(digest)
}

fn nibble(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
