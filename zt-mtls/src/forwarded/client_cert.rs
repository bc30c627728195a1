//! `Client-Cert` and `Client-Cert-Chain` (RFC 9440 section 2): certificates in DER as byte sequences
//! (RFC 9651 section 3.3.5). Parameters mean nothing and are passed over.

use rustls_pki_types::CertificateDer;
use sfv::{
    BareItemFromInput, Parser,
    visitor::{
        EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
        parameter_visitor_with,
    },
};

use super::{ForwardedCertificate, Malformed};
use crate::verify::MAX_CHAIN;

const BYTES: Malformed = Malformed::Form("something else than bytes");
const FIELD: Malformed = Malformed::Form("no structured field");

pub(super) fn read<'a>(
    certs: impl IntoIterator<Item = &'a [u8]>,
    chains: impl IntoIterator<Item = &'a [u8]>,
    count: &mut impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<ForwardedCertificate, Malformed> {
    let mut certs = certs.into_iter();
    let cert = certs.next();
    // RFC 9440 section 2.2: it is no list, and comes once.
    if certs.next().is_some() {
        return Err(Malformed::Form("`client-cert` twice"));
    }
    let mut others = Vec::new();
    for line in chains {
        // RFC 9440 section 2.3: the chain never comes without the certificate.
        if cert.is_none() {
            return Err(Malformed::Form("a chain without a certificate"));
        }
        count(line)?;
        Parser::new(line)
            .parse_list_with_visitor(Chain(&mut others))
            .map_err(|_| FIELD)?;
    }
    if others.len() > MAX_CHAIN {
        return Err(Malformed::TooLong);
    }
    let cert = cert.ok_or(Malformed::NoCertificate)?;
    count(cert)?;
    let leaf = Parser::new(cert)
        .parse_item_with_visitor(bytes)
        .map_err(|_| FIELD)?;
    Ok(ForwardedCertificate {
        leaf: leaf.into(),
        others,
        hash: None,
    })
}

fn bytes<'de>(
    item: BareItemFromInput<'de>,
) -> Result<impl ParameterVisitor<'de, Out = Vec<u8>>, Malformed> {
    match item {
        BareItemFromInput::ByteSequence(bytes) => {
            Ok(parameter_visitor_with(Ignored, move |()| Ok(bytes)))
        }
        _ => Err(BYTES),
    }
}

/// Gathers the members of the lists.
struct Chain<'c>(&'c mut Vec<CertificateDer<'static>>);

impl<'de> ListVisitor<'de> for Chain<'_> {
    type Out = ();
    type Error = Malformed;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Malformed> {
        if self.0.len() > MAX_CHAIN {
            return Err(Malformed::TooLong);
        }
        Ok(Member(self.0))
    }

    fn finish(self) -> Result<(), Malformed> {
        Ok(())
    }
}

struct Member<'c>(&'c mut Vec<CertificateDer<'static>>);

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = Malformed;

    fn item(self) -> Result<impl ItemVisitor<'de>, Malformed> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Malformed> {
        Err::<Ignored, _>(BYTES)
    }
}

impl<'de> ItemVisitor<'de> for Member<'_> {
    type Out = ();
    type Error = Malformed;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Malformed> {
        match item {
            BareItemFromInput::ByteSequence(bytes) => self.0.push(bytes.into()),
            _ => return Err(BYTES),
        }
        Ok(Ignored)
    }
}
