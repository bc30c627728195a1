use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use rustls_pki_types::ServerName;

use crate::{
    peer::Peers,
    verify::{Refusal, Verified},
};

/// Which workloads may answer where. Nobody may by default.
///
/// ```
/// use zt_mtls::{client::Expect, peer::Peers};
///
/// let expect = Expect::new(Peers::parse(["spiffe://shop.example/*"])?)
///     .host("payments.internal", Peers::parse(["spiffe://shop.example/payments"])?);
/// # Ok::<_, zt_mtls::peer::PeersError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Expect {
    all: Arc<Peers>,
    hosts: BTreeMap<Arc<str>, Arc<Peers>>,
    name_is_enough: bool,
}

impl Expect {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// `peers`, at every host without a list of its own.
    #[must_use]
    pub fn new(peers: Peers) -> Self {
        Self {
            all: Arc::new(peers),
            ..Self::default()
        }
    }

    /// By plain PKI alone: whoever has a certificate that is good for the name that was dialled, at
    /// every host without a list of its own. With SPIFFE, nobody.
    #[must_use]
    pub fn name_dialled() -> Self {
        Self {
            name_is_enough: true,
            ..Self::default()
        }
    }

    /// `peers` and nobody else at `host`: a DNS name, compared without regard to case and to a dot at
    /// its end, or an IP address, with or without brackets.
    #[must_use]
    pub fn host(mut self, host: impl AsRef<str>, peers: Peers) -> Self {
        self.hosts.insert(named(host.as_ref()), Arc::new(peers));
        self
    }

    /// Whether a server that is good may answer at the name that was dialled.
    pub(crate) fn judge(&self, found: &Verified, dialled: &ServerName<'_>) -> Result<(), Refusal> {
        let own = self.hosts.get(&named(&dialled.to_str()));
        let peers = own.unwrap_or(&self.all);
        match &found.id {
            Some(id) if peers.allow_id(id) => Ok(()),
            Some(id) => Err(Refusal::Unexpected(id.shared())),
            None if own.is_none() && self.name_is_enough => Ok(()),
            None => {
                let dns_names = found.leaf.dns_names.iter().map(|name| &**name);
                let uris = found.leaf.uris.iter().map(|uri| &**uri);
                match peers.allow_names(dns_names, uris) {
                    true => Ok(()),
                    false => Err(Refusal::NameNotAllowed),
                }
            }
        }
    }
}

/// A host in one form.
fn named(host: &str) -> Arc<str> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        // An IPv4 address may be written as an IPv6 one (RFC 4291 section 2.5.5.2).
        return address.to_canonical().to_string().into();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase().into()
}

impl From<Peers> for Expect {
    fn from(peers: Peers) -> Self {
        Self::new(peers)
    }
}
