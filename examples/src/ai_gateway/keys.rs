//! Who may ask, and from whose money: a key is a service token, and its name says where it hangs in
//! the tree.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use zt_core::{
    clock::Clock,
    service_token::{
        MintRequest, ServiceTokenConfig, ServiceTokens, TokenSource, VerifyServiceTokenLayer,
    },
    store::MemoryStore,
};
use zt_ratelimit::{Who, limits::Subjects};

use crate::Result;

/// May ask a model.
pub const COMPLETE: &str = "ai:complete";
/// May see how budgets stand.
pub const READ: &str = "zt:budget.read";
/// May change them.
pub const GRANT: &str = "zt:budget.grant";

/// The keys that were made, each with its tier.
pub const KEYS: [(&str, Option<&str>); 4] = [
    ("acme/search/one", None),
    ("acme/search/two", None),
    ("acme/support/one", None),
    ("acme/support/trial", Some("trial")),
];

/// Tokens as their holders would keep them. Made at start, good for a day and this process only.
#[derive(Clone)]
pub struct Keys {
    registry: ServiceTokens,
    clear: Arc<BTreeMap<String, String>>,
}

impl Keys {
    pub(super) async fn make(clock: impl Clock + Clone) -> Result<Self> {
        let store = Arc::new(MemoryStore::new(clock.clone()));
        // In `Authorization: Bearer`, where clients of such APIs put their key, or in our own header.
        let config = ServiceTokenConfig::new("ai").source(TokenSource::Either);
        let registry = ServiceTokens::open(store, clock.clone(), config).await?;
        let tomorrow = clock.now()? + Duration::from_secs(86_400);
        let keys = KEYS.into_iter().map(|(name, tier)| {
            MintRequest::new(name, "made at start")
                .scopes([COMPLETE])
                .roles(tier)
        });
        let loopback = ["127.0.0.0/8".parse()?, "::1/128".parse()?];
        let people = [
            MintRequest::new("admin", "printed at start")
                .scopes([READ, GRANT])
                .networks(loopback),
            MintRequest::new("viewer", "for the page")
                .scopes([READ])
                .networks(loopback),
        ];
        let mut clear = BTreeMap::new();
        for request in keys.chain(people) {
            let minted = registry.mint(request.expires(tomorrow)).await?;
            clear.insert(
                minted.record.subject.clone(),
                minted.clear.expose().to_owned(),
            );
        }
        Ok(Self {
            registry,
            clear: Arc::new(clear),
        })
    }

    /// The token of `name`: one of [`KEYS`], `admin` or `viewer`; an empty one of anybody else.
    #[must_use]
    pub fn token(&self, name: &str) -> &str {
        self.clear.get(name).map_or("", String::as_str)
    }

    pub(super) fn verify_layer(&self) -> VerifyServiceTokenLayer {
        VerifyServiceTokenLayer::new(self.registry.clone())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Who pays for a request: its key, the key's team, and the team's organisation.
pub(super) fn who_pays() -> Who {
    Who::new(|_, cx| path(cx.principal()?.subject()).filter(|path| path.names().len() == 3))
}

/// `acme`, `acme/search` and `acme/search/one` are the path to a key; a shorter name is the path to
/// a team, or to an organisation.
pub(super) fn path(name: &str) -> Option<Subjects<'_>> {
    let ends = name.match_indices('/').map(|(at, _)| at);
    let names: Vec<&str> = ends
        .chain([name.len()])
        .filter_map(|end| name.get(..end))
        .collect();
    let whole = name.split('/').all(|part| !part.is_empty());
    (whole && names.len() <= 3).then(|| Subjects::new(names))
}
