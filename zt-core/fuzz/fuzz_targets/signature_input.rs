//! What is read of `Signature-Input` and `Signature` is the same when its canonical form is read
//! again, and takes no more memory than a few times its length.
//!
//! Lines: `Signature-Input`, `Signature`, each again.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use zt_core::signature::base::{
    Component, FieldLimits, Fields, InputBuilder, SIGNATURE, SIGNATURE_INPUT, Scratch, Signatures,
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
