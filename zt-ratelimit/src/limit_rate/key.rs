use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

use http::request::Parts;
use zt_core::{
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    identity::Principal,
};

/// What a limit counts by: 128 bits of a hash under secrets that the process drew at its start.
///
/// It has one size whatever it was made of, says nothing about it, and nobody outside can find
/// two values with the same key or choose where a key is kept.
///
/// ```
/// use zt_ratelimit::limit_rate::Key;
///
/// assert_eq!(Key::of("acme"), Key::of("acme"));
/// assert_ne!(Key::of(&("acme", 1)), Key::of(&("acme", 2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Key(pub(super) u64, u64);

impl Key {
    /// The key of `value`. Values of different types that hash alike have the same key.
    #[must_use]
    pub fn of<T: Hash + ?Sized>(value: &T) -> Self {
        let [first, second] = &*SECRETS;
        Self(first.hash_one(value), second.hash_one(value))
    }
}

static SECRETS: LazyLock<[RandomState; 2]> =
    LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// Says nothing.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Whose quota a request spends. The four ways to choose are [`ByPeer`], [`ByRequestKey`],
/// [`ByPrincipal`] and [`ByKey`].
pub trait CountBy: Sealed + fmt::Debug {}

/// How a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// As this key.
    As(Key),
    /// As this key, among those who did not say who they are.
    Anonymous(Key),
    /// Not at all.
    Exempt,
}

/// What [`CountBy`] keeps to itself.
pub trait Sealed: Send + Sync + 'static {
    /// What the layer is called.
    const NAME: &'static str;
    /// Where the layer stands.
    const STAGE: Stage;

    /// How the request is counted; `ipv6_bits` of an IPv6 address say whose it is.
    fn count(&self, parts: &Parts, cx: &SecurityContext, ipv6_bits: u8) -> Result<Counted, Denial>;
}

/// By the client's address: see [`LimitRateLayer::by_peer`](super::LimitRateLayer::by_peer).
#[derive(Debug, Clone, Copy)]
pub struct ByPeer;

impl CountBy for ByPeer {}

impl Sealed for ByPeer {
    const NAME: &'static str = "LimitRate by peer";
    const STAGE: Stage = Stage::LimitPeer;

    fn count(&self, _: &Parts, cx: &SecurityContext, ipv6_bits: u8) -> Result<Counted, Denial> {
        address(cx, ipv6_bits).map(Counted::As)
    }
}

/// By who asks: see [`LimitRateLayer::by_principal`](super::LimitRateLayer::by_principal).
#[derive(Debug, Clone, Copy)]
pub struct ByPrincipal;

impl CountBy for ByPrincipal {}

impl Sealed for ByPrincipal {
    const NAME: &'static str = "LimitRate by principal";
    const STAGE: Stage = Stage::Spend;

    fn count(&self, _: &Parts, cx: &SecurityContext, ipv6_bits: u8) -> Result<Counted, Denial> {
        cx.require(Stage::Authenticate, Self::NAME)?;
        if cx.is_public() {
            return Ok(Counted::Exempt);
        }
        match cx.principal() {
            Some(principal) if !principal.is_anonymous() => Ok(Counted::As(name(principal))),
            _ => address(cx, ipv6_bits).map(Counted::Anonymous),
        }
    }
}

/// By a key of your own, once it is known who asks: see
/// [`LimitRateLayer::by_key`](super::LimitRateLayer::by_key).
pub struct ByKey<F>(pub(super) F);

impl<F> CountBy for ByKey<F> where Self: Sealed {}

impl<F> Sealed for ByKey<F>
where
    F: Fn(&Parts, &SecurityContext) -> Option<Key> + Send + Sync + 'static,
{
    const NAME: &'static str = "LimitRate by key";
    const STAGE: Stage = Stage::Spend;

    fn count(&self, parts: &Parts, cx: &SecurityContext, _: u8) -> Result<Counted, Denial> {
        cx.require(Stage::Authenticate, Self::NAME)?;
        if cx.is_public() {
            return Ok(Counted::Exempt);
        }
        (self.0)(parts, cx).map(Counted::As).ok_or_else(keyless)
    }
}

impl<F> fmt::Debug for ByKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByKey")
    }
}

/// By a key of your own, before authentication: see
/// [`LimitRateLayer::by_request_key`](super::LimitRateLayer::by_request_key).
pub struct ByRequestKey<F>(pub(super) F);

impl<F> CountBy for ByRequestKey<F> where Self: Sealed {}

impl<F> Sealed for ByRequestKey<F>
where
    F: Fn(&Parts, &SecurityContext) -> Option<Key> + Send + Sync + 'static,
{
    const NAME: &'static str = "LimitRate by request key";
    const STAGE: Stage = Stage::LimitPeer;

    fn count(&self, parts: &Parts, cx: &SecurityContext, _: u8) -> Result<Counted, Denial> {
        (self.0)(parts, cx).map(Counted::As).ok_or_else(keyless)
    }
}

impl<F> fmt::Debug for ByRequestKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByRequestKey")
    }
}

/// A subject is unique within its issuer, and may act for several organisations.
fn name(principal: &Principal) -> Key {
    Key::of(&(principal.issuer(), principal.subject(), principal.tenant()))
}

fn address(cx: &SecurityContext, ipv6_bits: u8) -> Result<Key, Denial> {
    let client = cx.client().client().ok_or_else(|| {
        Denial::misordered(
            "a rate limit needs the peer's address and the server put none on the request: serve \
             with `into_make_service_with_connect_info::<SocketAddr>()`, or put a `PeerAddr` into \
             the request's extensions",
        )
    })?;
    Ok(Key::of(&network(client, ipv6_bits)))
}

/// The part of an address that says whose it is. An IPv4-mapped address is an IPv4 address.
pub(super) fn network(address: IpAddr, ipv6_bits: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let host = 128_u32.saturating_sub(ipv6_bits.into());
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn keyless() -> Denial {
    Denial::new(Code::RequestMalformed).detail("the request has nothing that the limit counts by")
}
