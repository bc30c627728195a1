//! Forwarded addresses, from whatever a proxy, or somebody before it, wrote.
//!
//! The first byte chooses the header and whether the peer is trusted; each line is a header value.

#![no_main]

use std::net::SocketAddr;

use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use zt_core::context::{AddressSource, ClientAddress, ForwardedHeader, PeerAddr, TrustedProxies};

fuzz_target!(|input: &[u8]| {
    let Some((choice, lines)) = input.split_first() else {
        return;
    };
    let (header, name) = if choice & 1 == 0 {
        (ForwardedHeader::XForwardedFor, "x-forwarded-for")
    } else {
        (ForwardedHeader::Forwarded, "forwarded")
    };
    let trusted = choice & 2 == 0;
    let peer: SocketAddr = if trusted { "10.0.0.1:1" } else { "192.0.2.1:1" }.parse().unwrap();
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()], header);

    let mut request = Request::builder().extension(PeerAddr(peer)).body(()).unwrap();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            request.headers_mut().append(name, value);
        }
    }
    let (parts, ()) = request.into_parts();
    let address = ClientAddress::of(&parts, &proxies);

    assert_eq!(address.peer(), Some(peer));
    let client = address.client().unwrap();
    match address.source() {
        AddressSource::Forwarded => assert!(trusted),
        _ => assert_eq!(client, peer.ip()),
    }
    assert_eq!(client, client.to_canonical());
});
