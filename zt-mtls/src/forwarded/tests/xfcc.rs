use proptest::prelude::*;

use super::*;

fn read(lines: &[&str]) -> Result<(ForwardedCertificate, usize), Malformed> {
    ForwardedCertificate::from_xfcc(lines.iter().map(|line| line.as_bytes()))
}

/// PEM of no certificate at all: the parser does not look into it.
fn cert(text: &str) -> String {
    percent(&pem("CERTIFICATE", text.as_bytes()))
}

fn leaf(lines: &[&str]) -> Result<String, Malformed> {
    read(lines).map(|(cert, _)| String::from_utf8(cert.leaf.to_vec()).unwrap())
}

#[test]
fn reads_what_envoy_writes() {
    let hash = "ab".repeat(32);
    let all = format!("{}{}", cert("leaf"), cert("issuer"));
    let text = format!(
        "By=spiffe://a/b;By=http://c;Hash={hash};Cert=\"{}\";Chain=\"{all}\";\
         Subject=\"CN=a\\, b,OU=\\\"c\\\";O=d\";URI=spiffe://e/f;DNS=g;DNS=h",
        cert("leaf")
    );
    let (found, elements) = read(&[&text]).unwrap();
    assert_eq!(elements, 1);
    assert_eq!(&*found.leaf, b"leaf");
    assert_eq!(found.others.len(), 1);
    assert_eq!(&*found.others[0], b"issuer");
    assert_eq!(found.hash, Some([0xab; 32]));
}

#[test]
fn takes_the_last_element_of_the_last_line() {
    let of = |text| format!("Cert=\"{}\"", cert(text));
    let (first, second, third) = (of("1"), of("2"), of("3"));
    assert_eq!(leaf(&[&first]).unwrap(), "1");
    assert_eq!(leaf(&[&format!("{first},{second}")]).unwrap(), "2");
    assert_eq!(
        leaf(&[&format!("{first} , {second}"), &third]).unwrap(),
        "3"
    );
    let (_, elements) = read(&[&format!("{first},{second}"), &third]).unwrap();
    assert_eq!(elements, 3);
    // Also where it has none and an earlier one has.
    assert_eq!(
        leaf(&[&format!("{first},By=x;Hash={}", "0".repeat(64))]),
        Err(Malformed::NoCertificate)
    );
}

#[test]
fn does_not_see_an_element_within_quotes() {
    let (mine, theirs) = (cert("mine"), cert("theirs"));
    for subject in [
        format!("CN=x,Cert={theirs}"),
        format!("CN=x;Cert={theirs}"),
        format!("CN=x\\\",Cert=\\\"{theirs}"),
        format!("CN=x\\\\\\\",Cert={theirs}"),
    ] {
        let text = format!("Cert=\"{mine}\";Subject=\"{subject}\"");
        assert_eq!(leaf(&[&text]).as_deref(), Ok("mine"), "{text}");
    }
    // The backslash before this quote is itself escaped, so the quote closes.
    let text = format!("Subject=\"CN=x\\\\\",Cert=\"{theirs}\"");
    assert_eq!(leaf(&[&text]).as_deref(), Ok("theirs"));
}

#[test]
fn keys_are_without_case_and_blanks_do_not_count() {
    for text in [
        format!("cert={}", cert("x")),
        format!("CERT=\"{}\"", cert("x")),
        format!(" By= ; Cert = \"{}\" ;URI= ", cert("x")),
        format!("Cert=\"{}\";New-Key_2=\"a=b,c\"", cert("x")),
        // Escaped without need.
        format!("Cert=\"\\{}\"", cert("x")),
    ] {
        assert_eq!(leaf(&[&text]).as_deref(), Ok("x"), "{text}");
    }
}

#[test]
fn refuses_what_is_not_in_its_form() {
    let good = format!("Cert=\"{}\"", cert("x"));
    for bad in [
        "",
        " ",
        ",",
        ";",
        "=",
        "\"",
        "Cert",
        "=x",
        "a b=c",
        "\"Cert\"=x",
        "URI=a\"b",
        "URI=a\\b",
        "URI=a\\,b=c",
        "Subject=\"open",
        "Subject=\"open\\",
        "Subject=\"open\\\"",
        "Subject=\"x\"y",
        "Subject=\"x\"\"y\"",
        "Subject=\"x\" y",
        "Subject=\"a\";Subject=\"b\"",
        "Hash=a;hash=b",
    ] {
        let form = |lines: &[&str]| {
            let found = read(lines);
            assert!(
                matches!(found, Err(Malformed::Form(_))),
                "{lines:?}: {found:?}"
            );
        };
        form(&[bad]);
        // Wherever it stands.
        form(&[&format!("{bad},{good}")]);
        form(&[&format!("{good},{bad}")]);
        form(&[bad, &good]);
        form(&[&good, bad]);
        form(&[&format!("{good};{bad}")]);
    }
    for bad in [
        format!("{good};{good}"),
        format!("{good};cert=x"),
        format!("{good};Chain=x;CHAIN=y"),
        format!("{good};Hash=ab"),
        format!("{good};Hash={}", "g".repeat(64)),
        format!("{good};Hash={}", "a".repeat(65)),
        "Cert=%".to_owned(),
        "Cert=%4".to_owned(),
        "Cert=%4g".to_owned(),
        "Cert=%+4".to_owned(),
        format!("Cert=\"{}\"", percent(&pem("PRIVATE KEY", b"x"))),
        format!("Cert=\"{}{}\"", cert("x"), percent(&pem("X509 CRL", b"x"))),
        format!(
            "Cert=\"{}\"",
            percent("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n")
        ),
        format!(
            "Cert=\"{}\"",
            percent("-----BEGIN CERTIFICATE-----\neA==\n")
        ),
    ] {
        let found = read(&[&bad]);
        assert!(matches!(found, Err(Malformed::Form(_))), "{bad}: {found:?}");
    }
}

#[test]
fn refuses_an_element_without_a_certificate() {
    let hash = format!("By=a;Hash={};URI=spiffe://a/b", "0".repeat(64));
    for bad in [
        &*hash,
        "URI=spiffe://shop.example/batch",
        "Cert=",
        "Cert=\"\"",
        "Cert=nothing",
        &format!("Chain=\"{}\"", cert("x")),
    ] {
        assert_eq!(read(&[bad]), Err(Malformed::NoCertificate), "{bad}");
    }
    assert_eq!(read(&[]), Err(Malformed::NoCertificate));
}

#[test]
fn refuses_more_than_can_be_sane() {
    let of = |count: usize| vec!["By=x"; count].join(",");
    assert_eq!(read(&[&of(MAX_ELEMENTS)]), Err(Malformed::NoCertificate));
    assert_eq!(read(&[&of(MAX_ELEMENTS + 1)]), Err(Malformed::TooLong));
    assert_eq!(
        read(&vec!["By=x"; MAX_ELEMENTS + 1]),
        Err(Malformed::TooLong)
    );
    let half = format!("By={}", "x".repeat(MAX_BYTES / 2));
    assert_eq!(read(&[&half, &half]), Err(Malformed::TooLong));
    assert_eq!(read(&[&half]), Err(Malformed::NoCertificate));
    assert_eq!(
        leaf(&[&format!("Cert=\"{}{}\"", cert("x"), cert("y"))]),
        Err(Malformed::TooLong)
    );
    let chain = cert("y").repeat(crate::verify::MAX_CHAIN + 1);
    assert_eq!(
        leaf(&[&format!("Cert=\"{}\";Chain=\"{chain}\"", cert("x"))]),
        Err(Malformed::TooLong)
    );
}

fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let _ = ForwardedCertificate::from_xfcc(lines.iter().map(|line| &**line));
    }

    #[test]
    fn anything_near_the_grammar_is_read_or_refused(text in "(Cert|Hash|By|x)?[=;,\"\\\\a ]{0,24}") {
        let _ = read(&[&text]);
    }

    /// Whatever a client gets into its subject, the certificate stays the one that the proxy wrote.
    #[test]
    fn no_subject_puts_another_certificate_in(subject in "[ -~]{0,60}", insert in any::<bool>()) {
        let theirs = format!("\";Cert={}", cert("theirs"));
        let subject = if insert { format!("{subject}{theirs}{subject}") } else { subject };
        let text = format!("By=a;Cert=\"{}\";Subject={};URI=b", cert("mine"), quoted(&subject));
        let (found, elements) = read(&[&text]).unwrap();
        prop_assert_eq!(&*found.leaf, b"mine");
        prop_assert_eq!(elements, 1);
    }

    /// Proxies join lines with commas, or do not.
    #[test]
    fn lines_are_read_like_one_line_with_commas(parts in prop::collection::vec("(Cert=[a\"]{0,3}|By=\"[a,\\\\\"]{0,4}\"?|[a-z=;]{0,4})", 2..5)) {
        let lines: Vec<_> = parts.iter().map(String::as_str).collect();
        let whole = parts.join(",");
        if let Ok((found, elements)) = read(&lines) {
            prop_assert_eq!(read(&[&whole]), Ok((found, elements)));
        }
        if lines.iter().all(|line| read(&[line]) == Err(Malformed::NoCertificate)) {
            prop_assert_eq!(read(&[&whole]), Err(Malformed::NoCertificate));
        }
    }

    /// Against a reader that takes the text apart character by character.
    #[test]
    fn elements_are_counted_like_a_naive_reader(subjects in prop::collection::vec("[ -~]{0,20}", 1..6)) {
        let text = subjects
            .iter()
            .map(|subject| format!("Subject={};Cert={}", quoted(subject), cert("x")))
            .collect::<Vec<_>>()
            .join(",");
        let (mut inside, mut escaped, mut commas) = (false, false, 0);
        for character in text.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' if inside => escaped = true,
                '"' => inside = !inside,
                ',' if !inside => commas += 1,
                _ => {}
            }
        }
        let (_, elements) = read(&[&text]).unwrap();
        prop_assert_eq!(elements, commas + 1);
        prop_assert_eq!(elements, subjects.len());
    }
}
