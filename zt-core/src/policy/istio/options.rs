use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::policy::IstioPaths;

/// Which workload policies are read for, and what Istio knows of it that they do not say.
#[derive(Debug, Clone)]
#[must_use]
pub struct IstioOptions {
    pub(super) name: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) root_namespace: Arc<str>,
    pub(super) labels: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) port: Option<u16>,
    pub(super) address: Option<IpAddr>,
    pub(super) trust_domains: Vec<Arc<str>>,
    pub(super) paths: IstioPaths,
    pub(super) allow_without_policy: bool,
    pub(super) without_providers: BTreeSet<Arc<str>>,
}

impl IstioOptions {
    /// A workload in `namespace`, without labels. The root namespace is `istio-system`, the trust
    /// domain `cluster.local`.
    pub fn new(namespace: impl Into<Arc<str>>) -> Self {
        Self {
            name: "istio".into(),
            namespace: namespace.into(),
            root_namespace: "istio-system".into(),
            labels: BTreeMap::new(),
            port: None,
            address: None,
            trust_domains: vec!["cluster.local".into()],
            paths: IstioPaths::Canonical,
            allow_without_policy: false,
            without_providers: BTreeSet::new(),
        }
    }

    /// What permits and records call the policy; `istio`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The namespace whose policies are for every workload; `istio-system`.
    pub fn root_namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.root_namespace = namespace.into();
        self
    }

    /// A label of the workload, which selectors ask for.
    pub fn label(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The port that the workload listens at. Policies that name ports are not loaded without it.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The address that the workload listens at. Policies that ask for `destination.ip` are not
    /// loaded without it.
    pub const fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The trust domain of the mesh; `cluster.local`, which policies may always call it.
    pub fn trust_domain(mut self, domain: impl Into<Arc<str>>) -> Self {
        if let Some(own) = self.trust_domains.first_mut() {
            *own = domain.into();
        }
        self
    }

    /// Another trust domain whose workloads are taken for those of the own one
    /// (`meshConfig.trustDomainAliases`).
    pub fn trust_domain_alias(mut self, domain: impl Into<Arc<str>>) -> Self {
        self.trust_domains.push(domain.into());
        self
    }

    /// Normalises paths before rules read them, as the mesh is configured to
    /// (`meshConfig.pathNormalization`).
    ///
    /// Istio's proxy hands the normalised path on; zt hands on what was sent. A router behind it
    /// that reads `/public/../private` by its letters sends it where no rule has looked. Good where
    /// everything behind normalises in the same way, and nowhere else.
    pub const fn insecure_normalise_paths(mut self, paths: IstioPaths) -> Self {
        self.paths = paths;
        self
    }

    /// Allows what no DENY policy denies where no ALLOW policy is for this workload, as Istio does.
    /// Without it such a workload is denied everything.
    pub const fn insecure_allow_without_policy(mut self) -> Self {
        self.allow_without_policy = true;
        self
    }

    /// Leaves the CUSTOM policies of `provider` out: something else asks it. Without it they are
    /// not loaded.
    pub fn insecure_without_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.without_providers.insert(provider.into());
        self
    }

    /// Sets one of these by the name that it has on a command line: `namespace`, `root-namespace`,
    /// `label` (`KEY=VALUE`), `port`, `address`, `trust-domain`, `trust-domain-alias`,
    /// `insecure-normalise-paths` (`BASE`, ..), `insecure-without-provider`.
    ///
    /// # Errors
    ///
    /// Where there is no such option, or the value is none.
    pub fn set(mut self, option: &str, value: &str) -> Result<Self, String> {
        if value.is_empty() {
            return Err(format!("`{option}` needs a value"));
        }
        let no = |what: &str| format!("`{option}`: `{value}` is no {what}");
        match option {
            "namespace" => self.namespace = value.into(),
            "root-namespace" => self.root_namespace = value.into(),
            "label" => {
                let (key, value) = value.split_once('=').ok_or_else(|| no("`KEY=VALUE`"))?;
                self = self.label(key, value);
            }
            "port" => self.port = Some(value.parse().map_err(|_| no("port"))?),
            "address" => self.address = Some(value.parse().map_err(|_| no("address"))?),
            "trust-domain" => self = self.trust_domain(value),
            "trust-domain-alias" => self = self.trust_domain_alias(value),
            "insecure-normalise-paths" => self.paths = value.parse()?,
            "insecure-without-provider" => self = self.insecure_without_provider(value),
            _ => return Err(format!("there is no option `{option}`")),
        }
        Ok(self)
    }

    /// Whether a policy of `namespace` with these `labels` in its selector is for this workload.
    pub(super) fn is_in_namespace(&self, namespace: &str) -> bool {
        namespace == &*self.namespace || namespace == &*self.root_namespace
    }
}
