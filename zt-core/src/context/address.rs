//! Where a request comes from.
//!
//! The peer is the other end of the connection and cannot be forged. A forwarded address is a
//! claim: it is believed only when the peer is a proxy that the configuration trusts, and then
//! counted from the right, past trusted proxies only, because everything further left was written
//! by whoever sent the request.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, request::Parts};
use ipnet::IpNet;
use serde::Deserialize;

/// How a client's address was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressSource {
    /// It is the peer of the connection.
    Peer,
    /// A trusted proxy forwarded it.
    Forwarded,
    /// Nobody said: the server did not put the peer's address on the request.
    Unknown,
}

/// The addresses of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    peer: Option<SocketAddr>,
    client: Option<IpAddr>,
    source: AddressSource,
}

/// The peer's address as a request extension, for servers other than axum's, which puts
/// `ConnectInfo<SocketAddr>` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl ClientAddress {
    /// No address at all.
    pub const UNKNOWN: Self = Self {
        peer: None,
        client: None,
        source: AddressSource::Unknown,
    };

    /// The other end of the connection.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The client: the peer, or what a trusted proxy forwarded. An IPv4-mapped IPv6 address is
    /// given as IPv4.
    #[must_use]
    pub const fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// How far the client's address can be trusted.
    #[must_use]
    pub const fn source(&self) -> AddressSource {
        self.source
    }

    /// Reads the addresses of a request, believing forwarded ones as `proxies` says.
    #[must_use]
    pub fn of(parts: &Parts, proxies: &TrustedProxies) -> Self {
        Self::from_peer(peer_of(parts), parts, proxies)
    }

    /// The addresses of a request whose peer is known from elsewhere.
    pub(crate) fn from_peer(
        peer: Option<SocketAddr>,
        parts: &Parts,
        proxies: &TrustedProxies,
    ) -> Self {
        let Some(peer) = peer else {
            return Self::UNKNOWN;
        };
        let direct = peer.ip().to_canonical();
        match proxies.client(direct, &parts.headers) {
            Some(client) => Self {
                peer: Some(peer),
                client: Some(client),
                source: AddressSource::Forwarded,
            },
            None => Self {
                peer: Some(peer),
                client: Some(direct),
                source: AddressSource::Peer,
            },
        }
    }
}

pub(crate) fn peer_of(parts: &Parts) -> Option<SocketAddr> {
    if let Some(PeerAddr(peer)) = parts.extensions.get() {
        return Some(*peer);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = parts.extensions.get() {
        return Some(*peer);
    }
    None
}

/// Which header a proxy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, the de-facto standard.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), its `for` parameter.
    Forwarded,
}

/// The proxies that may say where a request came from. None by default.
///
/// ```
/// let proxies: zt_core::context::TrustedProxies =
///     serde_json::from_str(r#"{"networks": ["10.0.0.0/8"], "header": "x-forwarded-for"}"#).unwrap();
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedProxies {
    #[serde(default)]
    networks: Vec<IpNet>,
    #[serde(default)]
    header: ForwardedHeader,
}

/// More hops than any sane chain has; the rest is not read.
const MAX_HOPS: usize = 32;

impl TrustedProxies {
    /// Believes `header` from proxies in `networks`.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>, header: ForwardedHeader) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            header,
        }
    }

    /// Whether `address` is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The right-most forwarded address that no trusted proxy has. An entry that cannot be read
    /// ends the walk at the last hop that could: never further left.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if self.networks.is_empty() || !self.trusts(peer) {
            return None;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut client = None;
        let values: Vec<&str> = headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap_or("?"))
            .collect();
        let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let address = match self.header {
                ForwardedHeader::XForwardedFor => node(hop.trim()),
                ForwardedHeader::Forwarded => forwarded_for(hop),
            };
            let Some(address) = address else { break };
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// The `for` of one forwarded-element (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("for") {
            if found.is_some() {
                return None;
            }
            let value = value.trim();
            let bare = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            found = Some(node(bare.unwrap_or(value))?);
        }
    }
    found
}

/// An address with or without port; IPv6 with a port, or in RFC 7239, has brackets.
fn node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(
        peer: &str,
        header: ForwardedHeader,
        values: &[&str],
    ) -> (Option<String>, AddressSource) {
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()], header);
        let name = if header == ForwardedHeader::Forwarded {
            "forwarded"
        } else {
            "x-forwarded-for"
        };
        let mut request = http::Request::builder().extension(PeerAddr(peer.parse().unwrap()));
        for value in values {
            request = request.header(name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let address = ClientAddress::of(&parts, &proxies);
        (address.client().map(|ip| ip.to_string()), address.source())
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_and_counted_from_the_right() {
        use AddressSource::{Forwarded as F, Peer as P};
        use ForwardedHeader::{Forwarded, XForwardedFor as X};
        for (peer, header, values, expected, source) in [
            ("192.0.2.1:1", X, &["198.51.100.7"][..], "192.0.2.1", P),
            ("10.0.0.1:1", X, &[], "10.0.0.1", P),
            ("10.0.0.1:1", X, &["198.51.100.7"], "198.51.100.7", F),
            (
                "[::ffff:10.0.0.1]:1",
                X,
                &["198.51.100.7"],
                "198.51.100.7",
                F,
            ),
            (
                "10.0.0.1:1",
                X,
                &["1.1.1.1, 198.51.100.7"],
                "198.51.100.7",
                F,
            ),
            (
                "10.0.0.1:1",
                X,
                &["1.1.1.1", "198.51.100.7, 10.2.0.1"],
                "198.51.100.7",
                F,
            ),
            ("10.0.0.1:1", X, &["10.3.0.1, 10.2.0.1"], "10.3.0.1", F),
            ("10.0.0.1:1", X, &["1.1.1.1, nonsense"], "10.0.0.1", P),
            (
                "10.0.0.1:1",
                X,
                &["1.1.1.1, nonsense, 10.2.0.1"],
                "10.2.0.1",
                F,
            ),
            ("10.0.0.1:1", X, &["198.51.100.7:8080"], "198.51.100.7", F),
            ("10.0.0.1:1", X, &["[2001:db8::1]:443"], "2001:db8::1", F),
            (
                "10.0.0.1:1",
                Forwarded,
                &["for=1.1.1.1, for=198.51.100.7;proto=https"],
                "198.51.100.7",
                F,
            ),
            (
                "10.0.0.1:1",
                Forwarded,
                &["for=\"[2001:db8::1]:4711\""],
                "2001:db8::1",
                F,
            ),
            (
                "10.0.0.1:1",
                Forwarded,
                &["for=1.1.1.1, for=unknown"],
                "10.0.0.1",
                P,
            ),
            (
                "10.0.0.1:1",
                Forwarded,
                &["for=1.1.1.1;for=2.2.2.2"],
                "10.0.0.1",
                P,
            ),
        ] {
            let found = client(peer, header, values);
            assert_eq!(
                found,
                (Some(expected.to_owned()), source),
                "{peer} {values:?}"
            );
        }
    }

    #[test]
    fn no_peer_is_unknown_whatever_was_forwarded() {
        let request = http::Request::builder().header("x-forwarded-for", "1.1.1.1");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let proxies =
            TrustedProxies::new(["0.0.0.0/0".parse().unwrap()], ForwardedHeader::default());
        assert_eq!(ClientAddress::of(&parts, &proxies), ClientAddress::UNKNOWN);
    }
}
