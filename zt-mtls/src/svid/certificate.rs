//! What a certificate says (RFC 5280 section 4), as far as identities depend on it.

use zt_core::clock::Timestamp;

use super::der::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, time};

/// A certificate. Nothing of it was verified.
#[derive(Debug, Clone)]
pub(crate) struct Certificate<'a> {
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Whether basic constraints say that it is a CA's; `None` where there are none.
    pub(crate) ca: Option<bool>,
    pub(crate) usage: Option<KeyUsage>,
    /// Whether it has extended key usages, and for both ends of a connection.
    pub(crate) both_ends: Option<bool>,
    /// The names in it, which are in form.
    names: &'a [u8],
}

/// What its key is for (RFC 5280 section 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyUsage(u8);

/// One of the subject's alternative names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    Dns(&'a str),
    Uri(&'a str),
    /// One of the other kinds.
    Other,
}

impl<'a> Certificate<'a> {
    /// Reads DER; `None` where it is no certificate of version 3, or can be read in two ways.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::only(der, SEQUENCE)?;
        let mut tbs = Reader::new(outer.expect(SEQUENCE)?);
        outer.expect(SEQUENCE)?;
        outer.expect(BIT_STRING)?;
        let version = Reader::only(tbs.expect(0xa0)?, INTEGER)?;
        if !outer.is_empty() || version.rest() != [2] {
            return None;
        }
        tbs.expect(INTEGER)?;
        let (_algorithm, issuer) = (tbs.expect(SEQUENCE)?, tbs.expect(SEQUENCE)?);
        let mut validity = Reader::new(tbs.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = tbs.expect(SEQUENCE)?;
        tbs.expect(SEQUENCE)?;
        // Unique identifiers could stand before these; nobody writes them, and webpki reads none.
        let extensions = tbs.optional(0xa3)?;
        if !validity.is_empty() || !tbs.is_empty() {
            return None;
        }
        let mut found = Self {
            issuer,
            subject,
            not_before: Timestamp::from_secs(not_before),
            not_after: Timestamp::from_secs(not_after),
            ca: None,
            usage: None,
            both_ends: None,
            names: &[],
        };
        if let Some(extensions) = extensions {
            found.extensions(Reader::only(extensions, SEQUENCE)?)?;
        }
        Some(found)
    }

    fn extensions(&mut self, mut all: Reader<'a>) -> Option<()> {
        let mut names = None;
        while !all.is_empty() {
            let mut extension = Reader::new(all.expect(SEQUENCE)?);
            let id = extension.expect(OBJECT_IDENTIFIER)?;
            let _critical = extension.boolean()?;
            let value = extension.expect(OCTET_STRING)?;
            if !extension.is_empty() {
                return None;
            }
            // RFC 5280 section 4.2: none stands twice.
            match id {
                KEY_USAGE => once(&mut self.usage, key_usage(value)?)?,
                SUBJECT_ALT_NAME => once(&mut names, general_names(value)?)?,
                BASIC_CONSTRAINTS => once(&mut self.ca, basic_constraints(value)?)?,
                EXTENDED_KEY_USAGE => once(&mut self.both_ends, both_ends(value)?)?,
                _ => {}
            }
        }
        self.names = names.unwrap_or_default();
        Some(())
    }

    /// The subject's alternative names.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name<'a>> + use<'a> {
        let mut names = Reader::new(self.names);
        std::iter::from_fn(move || name(names.next()?))
    }
}

impl KeyUsage {
    pub(crate) const fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub(crate) const fn key_cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(crate) const fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Bits from the left; the last byte's unused ones are zero (X.690 section 11.2).
fn key_usage(value: &[u8]) -> Option<KeyUsage> {
    let bits = Reader::only(value, BIT_STRING)?.rest();
    let (&unused, bits) = bits.split_first()?;
    match bits.last() {
        None if unused == 0 => Some(KeyUsage(0)),
        Some(last) if unused < 8 && last & ((1 << unused) - 1) == 0 => {
            bits.first().copied().map(KeyUsage)
        }
        _ => None,
    }
}

fn basic_constraints(value: &[u8]) -> Option<bool> {
    let mut inside = Reader::only(value, SEQUENCE)?;
    let ca = inside.boolean()?;
    inside.optional(INTEGER)?;
    inside.is_empty().then_some(ca)
}

/// X509-SVID section 4.4: where they are there, both are among them.
fn both_ends(value: &[u8]) -> Option<bool> {
    let mut inside = Reader::only(value, SEQUENCE)?;
    let (mut client, mut server) = (false, false);
    while !inside.is_empty() {
        match inside.expect(OBJECT_IDENTIFIER)? {
            CLIENT_AUTH => client = true,
            SERVER_AUTH => server = true,
            _ => {}
        }
    }
    Some(client && server)
}

/// The names, each of which is in form.
fn general_names(value: &[u8]) -> Option<&[u8]> {
    let names = Reader::only(value, SEQUENCE)?;
    let mut each = names;
    while !each.is_empty() {
        name(each.next()?)?;
    }
    Some(names.rest())
}

/// RFC 5280 section 4.2.1.6.
fn name((tag, value): (u8, &[u8])) -> Option<Name<'_>> {
    match tag {
        0x82 => text(value).map(Name::Dns),
        0x86 => text(value).map(Name::Uri),
        // otherName, rfc822Name, x400Address, directoryName, ediPartyName, iPAddress, registeredID
        0xa0 | 0x81 | 0xa3 | 0xa4 | 0xa5 | 0x87 | 0x88 => Some(Name::Other),
        _ => None,
    }
}

/// An IA5String without control characters: a NUL once ended names too early.
fn text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    plain.then(|| std::str::from_utf8(value).ok())?
}

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
