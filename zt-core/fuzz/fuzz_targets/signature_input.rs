//! What is read of `Signature-Input` and `Signature` is the same when its canonical form is read
//! again, and when it is read without the short way, and takes no more memory than a few times its
//! length.
//!
//! Lines: `Signature-Input`, `Signature`, each again.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use zt_core::signature::base::{
    Component, FieldError, FieldLimits, Fields, InputBuilder, SIGNATURE, SIGNATURE_INPUT, Scratch, Signatures,
};

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for (index, line) in input.split(|byte| *byte == b'\n').take(16).enumerate() {
        let name = if index % 2 == 0 { SIGNATURE_INPUT } else { SIGNATURE };
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let limits = FieldLimits::default();
    let mut scratch = Scratch::default();
    // What another one has left behind.
    let mut used = Scratch::default();
    let _ = Signatures::read(Fields::new(&known()), &limits, &mut used);
    for scratch in [&mut scratch, &mut used] {
        let mut other = Scratch::default();
        let short = Signatures::read(Fields::new(&headers), &limits, scratch);
        let long = Signatures::read_the_long_way(Fields::new(&headers), &limits, &mut other);
        compare(short, long);
    }

    let read = Signatures::read(Fields::new(&headers), &limits, &mut scratch);
    let Ok(Some(signatures)) = read else {
        // Capacities double, and a component of three bytes takes a slot.
        assert!(scratch.capacity() <= 4096 + 128 * input.len());
        return;
    };

    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for one in signatures.candidates() {
        let (label, params) = (one.label(), one.signature_params());
        assert!(params.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
        assert!(params.len() <= 2 * input.len());
        assert_eq!(one.len(), one.components().count());
        texts.push(format!("{label}={params}"));
        let value = InputBuilder::new([]).unwrap().build().signature(label, one.signature());
        values.push(value.unwrap().to_str().unwrap().to_owned());
        for text in one.components() {
            let Ok(component) = text.parse::<Component>() else { continue };
            assert_eq!(component.as_str(), text);
            assert!(one.covers(&component));
        }
        let params = one.params();
        for text in [params.nonce, params.alg, params.keyid, params.tag].into_iter().flatten() {
            assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, texts.join(", ").try_into().unwrap());
    headers.insert(SIGNATURE, values.join(", ").try_into().unwrap());
    let limits = FieldLimits { bytes: usize::MAX, ..limits };
    let mut other = Scratch::default();
    let again = Signatures::read(Fields::new(&headers), &limits, &mut other).unwrap().unwrap();
    assert_eq!(again.candidates().count(), texts.len());
    for (one, other) in signatures.candidates().zip(again.candidates()) {
        assert_eq!(one.label(), other.label());
        assert_eq!(one.signature_params(), other.signature_params());
        assert_eq!(one.params(), other.params());
        assert_eq!(one.signature(), other.signature());
        assert!(one.components().eq(other.components()));
    }
    assert!(scratch.capacity() <= 4096 + 128 * input.len());
});

type Read<'s> = Result<Option<Signatures<'s>>, FieldError>;

fn compare(short: Read<'_>, long: Read<'_>) {
    let (short, long) = match (short, long) {
        (Ok(Some(short)), Ok(Some(long))) => (short, long),
        (short, long) => {
            return assert_eq!(short.map(|read| read.is_some()), long.map(|read| read.is_some()));
        }
    };
    assert_eq!(short.candidates().count(), long.candidates().count());
    let derived = [
        Component::METHOD,
        Component::TARGET_URI,
        Component::AUTHORITY,
        Component::SCHEME,
        Component::REQUEST_TARGET,
        Component::PATH,
        Component::QUERY,
        Component::STATUS,
        Component::CONTENT_DIGEST,
    ];
    for (one, other) in short.candidates().zip(long.candidates()) {
        assert_eq!(one.label(), other.label());
        assert_eq!(one.signature_params(), other.signature_params());
        assert_eq!(one.params(), other.params());
        assert_eq!(one.signature(), other.signature());
        assert!(one.components().eq(other.components()));
        for component in &derived {
            let request = component.clone().req();
            assert_eq!(one.covers(component), other.covers(component));
            assert_eq!(one.covers(&request), other.covers(&request));
        }
    }
}

/// A message whose list of components is known afterwards.
fn known() -> HeaderMap {
    let input = r#"sig1=("@method" "@authority" "@path" "content-digest");created=1618884473"#;
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, HeaderValue::from_static(input));
    headers.insert(SIGNATURE, HeaderValue::from_static("sig1=:AA==:"));
    headers
}
