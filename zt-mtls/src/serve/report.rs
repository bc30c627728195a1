use std::{fmt, net::SocketAddr, sync::Arc};

use rustls::{NamedGroup, crypto::CryptoProvider};
use zt_core::clock::Timestamp;

use super::{
    config::{Config, Limits},
    tls::{ALPN, versions},
};
use crate::id::{SpiffeId, TrustDomain};

/// What a server offers, shows and trusts: what was negotiated for, before anybody negotiates.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Versions of TLS.
    pub versions: Vec<&'static str>,
    /// Cipher suites, as RFC 8446 appendix B.4 writes them, in the order of preference.
    pub suites: Vec<Arc<str>>,
    /// Groups for the key exchange, in the order of preference.
    pub groups: Vec<Arc<str>>,
    /// Whether one of the groups withstands a quantum computer.
    pub post_quantum: bool,
    /// Whether the provider says that it runs as FIPS 140 asks.
    pub fips: bool,
    /// Protocols by ALPN, in the order of preference.
    pub alpn: Vec<&'static str>,
    /// Whose workloads may connect; empty by plain PKI.
    pub trust_domains: Vec<TrustDomain>,
    /// Our own SPIFFE ID, where we have one.
    pub spiffe_id: Option<SpiffeId>,
    /// When our certificate ends.
    pub not_after: Timestamp,
    /// Which edition of the credentials this tells of.
    pub generation: u64,
    /// The limits.
    pub limits: Limits,
    /// What weakens a check, by the name of its door.
    pub insecure: Vec<&'static str>,
}

impl Report {
    pub(super) fn new(config: &Config, address: Option<SocketAddr>) -> Self {
        let material = config.credentials.load();
        let provider = config.credentials.provider();
        let doors = [
            (config.tls12, "insecure_allow_tls12"),
            (config.any_host, "insecure_allow_any_host"),
        ];
        Self {
            address,
            versions: versions(config.tls12)
                .iter()
                .map(|version| match version.version {
                    rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
                    _ => "TLSv1.3",
                })
                .collect(),
            suites: suites(provider, config.tls12),
            groups: provider
                .kx_groups
                .iter()
                .map(|group| format!("{:?}", group.name()).into())
                .collect(),
            post_quantum: provider
                .kx_groups
                .iter()
                .any(|group| is_post_quantum(group.name())),
            fips: provider.fips(),
            alpn: ALPN
                .iter()
                .filter_map(|name| std::str::from_utf8(name).ok())
                .collect(),
            trust_domains: material.trust().trust_domains().cloned().collect(),
            spiffe_id: material.identity().spiffe_id().cloned(),
            not_after: material.identity().not_after(),
            generation: material.generation(),
            limits: config.limits,
            insecure: doors
                .into_iter()
                .filter_map(|(open, name)| open.then_some(name))
                .collect(),
        }
    }
}

fn suites(provider: &CryptoProvider, tls12: bool) -> Vec<Arc<str>> {
    provider
        .cipher_suites
        .iter()
        .filter(|suite| tls12 || suite.tls13().is_some())
        .map(|suite| {
            format!("{:?}", suite.suite())
                .replace("TLS13_", "TLS_")
                .into()
        })
        .collect()
}

const fn is_post_quantum(group: NamedGroup) -> bool {
    matches!(
        group,
        NamedGroup::X25519MLKEM768
            | NamedGroup::secp256r1MLKEM768
            | NamedGroup::MLKEM512
            | NamedGroup::MLKEM768
            | NamedGroup::MLKEM1024
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |is: bool| if is { "yes" } else { "no" };
        if let Some(address) = self.address {
            writeln!(f, "listens on     {address}")?;
        }
        match &self.spiffe_id {
            Some(id) => writeln!(f, "is             {id}")?,
            None => writeln!(f, "is             a certificate without a SPIFFE ID")?,
        }
        writeln!(f, "until          {} s", self.not_after.as_secs())?;
        match self.trust_domains.as_slice() {
            [] => writeln!(f, "trusts         names of a plain PKI")?,
            domains => {
                let domains: Vec<_> = domains.iter().map(TrustDomain::as_str).collect();
                writeln!(f, "trusts         {}", domains.join(", "))?;
            }
        }
        writeln!(f, "versions       {}", self.versions.join(", "))?;
        writeln!(f, "suites         {}", self.suites.join(", "))?;
        writeln!(f, "groups         {}", self.groups.join(", "))?;
        writeln!(f, "post-quantum   {}", yes(self.post_quantum))?;
        writeln!(f, "FIPS           {}", yes(self.fips))?;
        writeln!(f, "ALPN           {}", self.alpn.join(", "))?;
        writeln!(f, "resumption     no tickets, no sessions, no early data")?;
        let Limits {
            max_connections,
            max_handshakes,
            handshake_timeout,
            idle_timeout,
            ..
        } = self.limits;
        writeln!(
            f,
            "limits         {max_connections} connections, idle {idle_timeout:?}; \
             {max_handshakes} handshakes of {handshake_timeout:?}"
        )?;
        match self.insecure.as_slice() {
            [] => Ok(()),
            doors => writeln!(f, "insecure       {}", doors.join(", ")),
        }
    }
}
