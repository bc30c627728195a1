use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;

use super::{ConfigError, text::is_scope};
use crate::{
    identity::Principal,
    random::{Entropy, OsEntropy},
    state::{Feed, Recorder},
};

/// What somebody has to hold to do something: to the letter, as a scope of the credential, as a
/// role, or as either.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Right {
    /// A scope.
    Scope(Arc<str>),
    /// A role.
    Role(Arc<str>),
    /// A scope or a role of this name.
    Either(Arc<str>),
}

impl Right {
    /// A scope or a role of this name.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self::Either(name.into())
    }

    pub(super) fn is_held_by(&self, who: &Principal) -> bool {
        match self {
            Self::Scope(name) => who.has_scope(name),
            Self::Role(name) => who.has_role(name),
            Self::Either(name) => who.has_scope(name) || who.has_role(name),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Scope(name) | Self::Role(name) | Self::Either(name) => name,
        }
    }
}

fn approve() -> Right {
    Right::named("grant.approve")
}

fn revoke() -> Right {
    Right::named("grant.revoke")
}

fn review() -> Right {
    Right::named("grant.review")
}

fn list() -> Right {
    Right::named("grant.list")
}

fn break_glass() -> Right {
    Right::named("grant.break-glass")
}

/// A scope that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantScope {
    pub(super) longest_seconds: u64,
    #[serde(default = "approve")]
    pub(super) approve: Right,
    #[serde(default)]
    pub(super) break_glass_seconds: Option<u64>,
}

impl GrantScope {
    /// Granted for at most `longest` (in whole seconds), by whoever holds `grant.approve`, and by
    /// nobody alone.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            longest_seconds: longest.as_secs(),
            approve: approve(),
            break_glass_seconds: None,
        }
    }

    /// Who may approve; holders of `grant.approve` by default.
    #[must_use]
    pub fn approved_by(mut self, right: Right) -> Self {
        self.approve = right;
        self
    }

    /// Lets holders of `grant.break-glass` take it alone, for `span` and no longer.
    #[must_use]
    pub const fn break_glass(mut self, span: Duration) -> Self {
        self.break_glass_seconds = Some(span.as_secs());
        self
    }
}

/// The settings of grants, as they stand in a configuration file.
///
/// ```
/// # use zt_core::grant::GrantConfig;
/// let config: GrantConfig = serde_json::from_str(r#"{
///     "scopes": {
///         "refunds.write": {"longest_seconds": 3600},
///         "database.admin": {
///             "longest_seconds": 7200,
///             "approve": {"role": "database-owner"},
///             "break_glass_seconds": 900
///         }
///     },
///     "max_open_requests": 3
/// }"#).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantConfig {
    pub(super) scopes: BTreeMap<String, GrantScope>,
    #[serde(default = "max_open_requests")]
    pub(super) max_open_requests: usize,
    #[serde(default = "max_unreviewed")]
    pub(super) max_unreviewed: usize,
    #[serde(default = "request_life_seconds")]
    pub(super) request_life_seconds: u64,
    #[serde(default = "max_grants")]
    pub(super) max_grants: usize,
    #[serde(default = "retention_days")]
    pub(super) retention_days: u32,
    #[serde(default = "revoke")]
    pub(super) revoke: Right,
    #[serde(default = "break_glass")]
    pub(super) break_glass: Right,
    #[serde(default = "review")]
    pub(super) review: Right,
    #[serde(default = "list")]
    pub(super) list: Right,
    #[serde(default)]
    pub(super) issuers_of_people: BTreeSet<String>,
    #[serde(default)]
    pub(super) insecure_shared_actors: BTreeSet<String>,
}

const fn max_open_requests() -> usize {
    5
}

const fn max_unreviewed() -> usize {
    3
}

const fn request_life_seconds() -> u64 {
    8 * 3600
}

const fn max_grants() -> usize {
    10_000
}

const fn retention_days() -> u32 {
    30
}

impl Default for GrantConfig {
    fn default() -> Self {
        Self {
            scopes: BTreeMap::new(),
            max_open_requests: max_open_requests(),
            max_unreviewed: max_unreviewed(),
            request_life_seconds: request_life_seconds(),
            max_grants: max_grants(),
            retention_days: retention_days(),
            revoke: revoke(),
            break_glass: break_glass(),
            review: review(),
            list: list(),
            issuers_of_people: BTreeSet::new(),
            insecure_shared_actors: BTreeSet::new(),
        }
    }
}

impl GrantConfig {
    /// The defaults, in which nothing may be asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope that may be asked for.
    #[must_use]
    pub fn scope(mut self, name: impl Into<String>, scope: GrantScope) -> Self {
        self.scopes.insert(name.into(), scope);
        self
    }

    /// The most requests of one caller that wait for an answer; 5.
    #[must_use]
    pub const fn max_open_requests(mut self, most: usize) -> Self {
        self.max_open_requests = most;
        self
    }

    /// The most grants that one caller took alone and nobody has reviewed; 3.
    #[must_use]
    pub const fn max_unreviewed(mut self, most: usize) -> Self {
        self.max_unreviewed = most;
        self
    }

    /// How long a request waits for an answer before it lapses, in whole seconds; 8 hours.
    #[must_use]
    pub const fn request_life(mut self, life: Duration) -> Self {
        self.request_life_seconds = life.as_secs();
        self
    }

    /// The most grants that are held, those that are over included; 10,000. One place of a hundred is
    /// kept for broken glass.
    #[must_use]
    pub const fn max_grants(mut self, most: usize) -> Self {
        self.max_grants = most;
        self
    }

    /// How long what is over is kept to be looked at; 30 days. The audit log has it longer.
    #[must_use]
    pub const fn retention_days(mut self, days: u32) -> Self {
        self.retention_days = days;
        self
    }

    /// Who may revoke others' grants; holders of `grant.revoke`.
    #[must_use]
    pub fn revoked_by(mut self, right: Right) -> Self {
        self.revoke = right;
        self
    }

    /// Who may take a grant alone; holders of `grant.break-glass`.
    #[must_use]
    pub fn broken_by(mut self, right: Right) -> Self {
        self.break_glass = right;
        self
    }

    /// Who may review what others took alone; holders of `grant.review`.
    #[must_use]
    pub fn reviewed_by(mut self, right: Right) -> Self {
        self.review = right;
        self
    }

    /// Who may see others' grants; holders of `grant.list`, besides those who decide about them.
    #[must_use]
    pub fn listed_by(mut self, right: Right) -> Self {
        self.list = right;
        self
    }

    /// An issuer that knows people as people. Where one is named, people of other issuers ask for
    /// nothing, decide nothing, and see and revoke nothing but what is theirs, whatever rights their
    /// tokens claim. Where only one is, nobody has two names. Where none is named, every issuer that the
    /// application authenticates gives out `grant.list`, `grant.revoke` and `grant.review` as well as
    /// `grant.approve`. It says nothing of programs: with `grant.list` and `grant.revoke` of any such
    /// issuer they see and revoke others' grants.
    #[must_use]
    pub fn issuer_of_people(mut self, issuer: impl Into<String>) -> Self {
        self.issuers_of_people.insert(issuer.into());
        self
    }

    /// The subject of a program that acts for everybody (RFC 8693 section 4.1, `act`). That it stands
    /// behind both a request and its approval does then not make one person of the two. It can
    /// approve what it asked for itself, with the token of any approver that it holds.
    #[must_use]
    pub fn insecure_shared_actor(mut self, subject: impl Into<String>) -> Self {
        self.insecure_shared_actors.insert(subject.into());
        self
    }

    pub(super) fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_days) * 86_400)
    }

    pub(super) fn check(&self, records: bool) -> Result<(), ConfigError> {
        if self.scopes.is_empty() {
            return Err(ConfigError::NoScopes);
        }
        for (name, scope) in &self.scopes {
            if !is_scope(name) {
                return Err(ConfigError::Scope(name.clone()));
            }
            if !(1..=LONGEST).contains(&scope.longest_seconds) {
                return Err(ConfigError::Duration(name.clone()));
            }
            let Some(alone) = scope.break_glass_seconds else {
                continue;
            };
            if !(1..=scope.longest_seconds).contains(&alone) {
                return Err(ConfigError::BreakGlass(name.clone()));
            }
            if !records {
                return Err(ConfigError::Unrecorded(name.clone()));
            }
        }
        if !(1..=LONGEST).contains(&self.request_life_seconds) {
            return Err(ConfigError::RequestLife);
        }
        for (field, most) in [
            ("max_open_requests", self.max_open_requests),
            ("max_unreviewed", self.max_unreviewed),
            ("max_grants", self.max_grants),
        ] {
            if most == 0 {
                return Err(ConfigError::Zero(field));
            }
        }
        let scopes = self.scopes.values().map(|scope| &scope.approve);
        let mut rights = scopes.chain([&self.revoke, &self.break_glass, &self.review, &self.list]);
        if rights.any(|right| right.name().is_empty()) {
            return Err(ConfigError::Right);
        }
        Ok(())
    }
}

/// A year and a day, in seconds: nothing that is granted for longer is just in time.
const LONGEST: u64 = 366 * 86_400;

/// The settings, and what a registry works with.
#[derive(Clone)]
pub struct GrantOptions {
    pub(super) config: GrantConfig,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl GrantOptions {
    /// No recorder, no feed, the system's randomness.
    #[must_use]
    pub fn new(config: GrantConfig) -> Self {
        Self {
            config,
            recorder: None,
            feed: None,
            entropy: Arc::new(OsEntropy),
        }
    }

    /// Every step is recorded here, and in force once the record is durable.
    #[must_use]
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Other instances hear of changes here. [`Grants::follow`](super::Grants::follow) must then run:
    /// a view that hears nothing refuses.
    #[must_use]
    pub fn feed(mut self, feed: Arc<dyn Feed>) -> Self {
        self.feed = Some(feed);
        self
    }

    /// Another source of randomness.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }
}

impl From<GrantConfig> for GrantOptions {
    fn from(config: GrantConfig) -> Self {
        Self::new(config)
    }
}

impl fmt::Debug for GrantOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantOptions")
            .field("config", &self.config)
            .field("records", &self.recorder.is_some())
            .field("feeds", &self.feed.is_some())
            .finish_non_exhaustive()
    }
}
