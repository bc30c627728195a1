//! A base is ASCII, a line for each component in order and one for the parameters, grows no faster
//! than the message, and is what a signer of the same components writes.
//!
//! Lines: method, target, a digit (1: HTTP/1.1 and https, 2: HTTP/2, 3: http, others: a response to
//! it), authority, then `name: value` fields; `>` before one that was taken off.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use libfuzzer_sys::fuzz_target;
use zt_core::signature::base::{
    Component, FieldLimits, FieldTypes, Fields, InputBuilder, Message, RequestMessage,
    ResponseMessage, Scratch, Signatures, StructuredType, UrlScheme,
};

fuzz_target!(|input: &[u8]| {
    let _ = run(input);
});

fn run(input: &[u8]) -> Option<()> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let uri = Uri::try_from(lines.next()?).ok()?;
    let kind = lines.next()?;
    let authority = std::str::from_utf8(lines.next()?).ok()?;
    let (mut headers, mut stripped) = (HeaderMap::new(), Vec::new());
    for line in lines.take(100) {
        let taken = line.strip_prefix(b">");
        let line = taken.unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        match (name, value, taken) {
            (Ok(name), Ok(value), Some(_)) => stripped.push((name, value)),
            (Ok(name), Ok(value), None) => drop(headers.append(name, value)),
            _ => {}
        }
    }
    let fields = Fields::new(&headers).with_stripped(&stripped);
    let request = RequestMessage {
        method: &method,
        uri: &uri,
        version: if kind == b"2" { Version::HTTP_2 } else { Version::HTTP_11 },
        scheme: if kind == b"3" { UrlScheme::Http } else { UrlScheme::Https },
        authority,
        fields,
    };
    let message = match kind {
        b"1" | b"2" | b"3" => Message::Request(request),
        _ => {
            let status = StatusCode::OK;
            Message::Response(ResponseMessage { status, fields, request: Some(request) })
        }
    };
    let types = FieldTypes::default()
        .with(HeaderName::from_static("x-item"), StructuredType::Item)
        .with(HeaderName::from_static("x-list"), StructuredType::List)
        .with(HeaderName::from_static("x-dict"), StructuredType::Dictionary);

    let mut scratch = Scratch::default();
    let read = Signatures::read(fields, &FieldLimits::default(), &mut scratch);
    for one in read.ok()??.candidates() {
        let mut out = b"before".to_vec();
        let result = one.write_base(&message, &types, &mut out);
        let base = out.strip_prefix(b"before").unwrap();
        let components: Result<Vec<Component>, _> = one.components().map(str::parse).collect();
        if let Err(error) = result {
            assert!(base.is_empty());
            let Ok(components) = components else { continue };
            let all = components.iter().try_for_each(|component| {
                message.component(component, &types).map(drop)
            });
            let built = InputBuilder::new(components.iter().cloned());
            assert!(all.is_err() || built.is_err(), "{error}");
            continue;
        }
        assert!(base.is_ascii() && !base.contains(&b'\r'));
        assert!(base.len() <= 1024 + 16 * input.len());
        let base = std::str::from_utf8(base).unwrap();
        let lines: Vec<&str> = base.split('\n').collect();
        let (end, lines) = lines.split_last().unwrap();
        assert_eq!(end.strip_prefix("\"@signature-params\": "), Some(one.signature_params()));
        assert_eq!(lines.len(), one.len());
        let components = components.unwrap();
        for (line, component) in lines.iter().zip(&components) {
            let value = message.component(component, &types).unwrap();
            assert_eq!(*line, format!("{component}: {value}"));
        }
        let built = InputBuilder::new(components).unwrap().build();
        let mut other = Vec::new();
        built.write_base(&message, &types, &mut other).unwrap();
        let other = String::from_utf8(other).unwrap();
        let same = base.rsplit_once('\n').map(|(lines, _)| lines);
        assert_eq!(other.rsplit_once('\n').map(|(lines, _)| lines), same);
    }
    Some(())
}
