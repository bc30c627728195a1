use proptest::prelude::*;

use super::*;

fn read(certs: &[&str], chains: &[&str]) -> Result<ForwardedCertificate, Malformed> {
    let lines = |lines: &[&str]| -> Vec<Vec<u8>> {
        lines.iter().map(|line| line.as_bytes().to_vec()).collect()
    };
    let (certs, chains) = (lines(certs), lines(chains));
    ForwardedCertificate::from_client_cert(
        certs.iter().map(|line| &**line),
        chains.iter().map(|line| &**line),
    )
}

fn others(found: &ForwardedCertificate) -> Vec<&[u8]> {
    found.others.iter().map(|der| &**der).collect()
}

#[test]
fn reads_a_byte_sequence_and_a_list_of_them() {
    // RFC 9440 sections 2.2 and 2.3.
    let (x, y, z) = (bytes(b"x"), bytes(b"y"), bytes(b"z"));
    let found = read(&[&x], &[]).unwrap();
    assert_eq!(&*found.leaf, b"x");
    assert_eq!((found.others.len(), found.hash), (0, None));
    let found = read(&[&x], &[&format!("{y}, {z}")]).unwrap();
    assert_eq!(others(&found), [b"y", b"z"]);
    // A list may come in several lines, a byte sequence may have parameters that nobody knows.
    let found = read(&[&format!(" {x};a=1 ")], &[&y, &format!("{z};b")]).unwrap();
    assert_eq!(others(&found), [b"y", b"z"]);
}

#[test]
fn refuses_what_is_not_in_its_form() {
    let x = bytes(b"x");
    for bad in [
        "",
        "x",
        "\"eA==\"",
        "eA==",
        ":eA==",
        ":e*==:",
        "1",
        "?1",
        "(:eA==:)",
        ":eA==:, :eA==:",
        ":eA==: x",
        "-----BEGIN CERTIFICATE-----",
    ] {
        assert!(
            matches!(read(&[bad], &[]), Err(Malformed::Form(_))),
            "{bad}"
        );
    }
    for bad in [
        "x",
        "\"eA==\"",
        ":eA==",
        "(:eA==:)",
        ":eA==:,",
        ":eA==:, x",
        ",:eA==:",
    ] {
        let found = read(&[&x], &[bad]);
        assert!(matches!(found, Err(Malformed::Form(_))), "{bad}: {found:?}");
    }
}

#[test]
fn refuses_two_certificates_and_a_chain_alone() {
    let x = bytes(b"x");
    assert!(matches!(read(&[&x, &x], &[]), Err(Malformed::Form(_))));
    assert!(matches!(read(&[], &[&x]), Err(Malformed::Form(_))));
    assert_eq!(read(&[], &[]), Err(Malformed::NoCertificate));
}

#[test]
fn refuses_more_than_can_be_sane() {
    let x = bytes(b"x");
    let list = |count: usize| vec![&*x; count].join(",");
    assert!(read(&[&x], &[&list(crate::verify::MAX_CHAIN)]).is_ok());
    assert!(read(&[&x], &[&list(crate::verify::MAX_CHAIN + 1)]).is_err());
    assert!(read(&[&x], &[&list(1000)]).is_err());
    assert!(read(&[&x], &[&*x; crate::verify::MAX_CHAIN + 1]).is_err());
    let long = bytes(&vec![0; MAX_BYTES]);
    assert_eq!(read(&[&long], &[]), Err(Malformed::TooLong));
    assert_eq!(read(&[&x], &[&long]), Err(Malformed::TooLong));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(cert in prop::collection::vec(any::<u8>(), 0..100), chain in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = ForwardedCertificate::from_client_cert([&*cert], [&*chain]);
    }

    #[test]
    fn what_was_written_is_read(cert in prop::collection::vec(any::<u8>(), 0..100), chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let list = chain.iter().map(|der| bytes(der)).collect::<Vec<_>>().join(", ");
        let found = read(&[&bytes(&cert)], &[&list]).unwrap();
        prop_assert_eq!(&*found.leaf, &*cert);
        prop_assert_eq!(others(&found), chain.iter().map(|der| &**der).collect::<Vec<_>>());
    }
}
