//! Where a certificate is read, webpki and another reader find the same names and the same end in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};
use zt_mtls::{fuzzing, id::SpiffeId};

fuzz_target!(|der: &[u8]| {
    let Some(ours) = fuzzing::leaf(der) else {
        return;
    };
    if let Some(id) = &ours.workload {
        assert_eq!(&ours.uris[..], &[id.clone()][..]);
        assert!(SpiffeId::parse(id).unwrap().is_workload());
        assert!(!ours.authority);
    }
    let whole = CertificateDer::from(der);
    if let Ok(cert) = webpki::EndEntityCert::try_from(&whole) {
        assert!(cert.valid_uri_names().eq(ours.uris.iter()));
    }
    let Ok((rest, cert)) = X509Certificate::from_der(der) else {
        return;
    };
    assert!(rest.is_empty());
    let end = u64::try_from(cert.validity().not_after.timestamp()).unwrap_or(0);
    assert_eq!(end, ours.not_after);
    let names = cert.subject_alternative_name().expect("once");
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(name) => dns_names.push(*name),
            _ => {}
        }
    }
    assert!(uris.iter().eq(ours.uris.iter()));
    assert!(dns_names.iter().eq(ours.dns_names.iter()));
});
