use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use zt_core::identity::PrincipalKind;

use super::{Level, LimitsError, Members, Policy};
use crate::{
    cost::{Cost, Currency},
    limit::{Limit, LimitError, Window},
};

/// A policy as it stands in a configuration file; [`Policy`] is read from the same text.
///
/// The first tier's limits stand under `level`, the outermost level first. A `tier` says who is in
/// it (all of `roles`, `tenants`, `kinds` and `claims` that are given must hold; of `roles`,
/// `tenants` and `kinds` one is enough) and names the levels that differ; those are stated whole,
/// the others are the first tier's. Callers belong to the first tier that matches.
///
/// A `window` is `day`, `week`, `month`, `total`, or a length for a rolling one: `90s`, `15m`, `6h`,
/// `30d`. `zone` (IANA name) and `reset_hour` belong to calendar windows, `week_start` to weeks.
///
/// ```
/// use zt_ratelimit::limits::Policy;
///
/// let policy: Policy = toml::from_str(r#"
///     currency = "USD"
///
///     [[level]]
///     name = "organisation"
///     budgets = [
///         { name = "org-month", amount = "900", window = "month", zone = "Europe/Berlin", reset_hour = 6 },
///     ]
///
///     [[level]]
///     name = "key"
///     budgets = [{ name = "key-day", amount = "5", window = "day", thresholds = [80, 100] }]
///     rates = [{ name = "key-minute", requests = 60, period_secs = 60, burst = 20 }]
///     concurrency = [{ name = "key-parallel", permits = 4, shadow = true }]
///
///     [[tier]]
///     name = "gold"
///     roles = ["gold"]
///
///     [[tier.level]]
///     name = "key"
///     budgets = [{ name = "key-day", amount = "50", window = "day" }]
/// "#)?;
/// assert_eq!(policy.levels().len(), 2);
/// assert_eq!(policy.find(Some("gold")).unwrap().limits().count(), 2);
///
/// // Nothing is passed over, and an error names its limit.
/// let error = toml::from_str::<Policy>(r#"
///     [[level]]
///     name = "key"
///     rates = [{ name = "key-minute", requests = 0, period_secs = 60 }]
/// "#).unwrap_err();
/// assert!(error.to_string().contains("the limit `key-minute`"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    currency: Option<String>,
    level: Vec<LevelConfig>,
    #[serde(default)]
    tier: Vec<TierConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelConfig {
    name: Arc<str>,
    #[serde(default)]
    budgets: Vec<BudgetConfig>,
    #[serde(default)]
    rates: Vec<RateConfig>,
    #[serde(default)]
    concurrency: Vec<ConcurrencyConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetConfig {
    name: String,
    amount: String,
    window: String,
    week_start: Option<String>,
    zone: Option<String>,
    reset_hour: Option<u8>,
    thresholds: Option<Vec<u8>>,
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateConfig {
    name: String,
    requests: u64,
    period_secs: u64,
    burst: Option<u64>,
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConcurrencyConfig {
    name: String,
    permits: u32,
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierConfig {
    name: Arc<str>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    tenants: Vec<String>,
    #[serde(default)]
    kinds: Vec<KindConfig>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    level: Vec<LevelConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindConfig {
    User,
    Service,
    Anonymous,
}

impl TryFrom<PolicyConfig> for Policy {
    type Error = LimitsError;

    fn try_from(config: PolicyConfig) -> Result<Self, LimitsError> {
        let currency = match &config.currency {
            Some(code) => Some(code.parse().map_err(LimitError::from)?),
            None => None,
        };
        let levels = |levels: &[LevelConfig]| -> Result<Vec<Level>, LimitsError> {
            levels.iter().map(|level| level.build(currency)).collect()
        };
        let mut policy = Self::new(levels(&config.level)?)?;
        for tier in &config.tier {
            let mut own = levels(&tier.level)?;
            let mut all = levels(&config.level)?;
            for level in &mut all {
                if let Some(at) = own.iter().position(|own| own.name() == level.name()) {
                    *level = own.swap_remove(at);
                }
            }
            // A level that is left over is unknown, or there twice.
            if !own.is_empty() {
                return Err(LimitsError::Levels(tier.name.to_string()));
            }
            policy = policy.tier_for(Arc::clone(&tier.name), tier.members(), all)?;
        }
        Ok(policy)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = PolicyConfig::deserialize(deserializer)?;
        config.try_into().map_err(serde::de::Error::custom)
    }
}

impl LevelConfig {
    fn build(&self, currency: Option<Currency>) -> Result<Level, LimitsError> {
        let mut limits = Vec::new();
        for budget in &self.budgets {
            limits.push(budget.build(currency)?);
        }
        for rate in &self.rates {
            let limit = rate.build().map_err(within(&rate.name))?;
            limits.push(shadow(limit, rate.shadow));
        }
        for concurrency in &self.concurrency {
            let limit = Limit::concurrency(concurrency.name.as_str(), concurrency.permits)
                .map_err(within(&concurrency.name))?;
            limits.push(shadow(limit, concurrency.shadow));
        }
        Ok(Level::new(Arc::clone(&self.name), limits))
    }
}

impl BudgetConfig {
    fn build(&self, currency: Option<Currency>) -> Result<Limit, LimitsError> {
        let wrong = |why| LimitsError::Setting {
            limit: self.name.clone(),
            why,
        };
        let currency = currency.ok_or_else(|| wrong("there is no `currency`"))?;
        let calendar = matches!(self.window.as_str(), "day" | "week" | "month");
        if !calendar && (self.zone.is_some() || self.reset_hour.is_some()) {
            return Err(wrong(
                "`zone` and `reset_hour` belong to `day`, `week` and `month`",
            ));
        }
        if self.week_start.is_some() && self.window != "week" {
            return Err(wrong("`week_start` belongs to `week`"));
        }
        if self.amount.contains(' ') {
            return Err(wrong(
                "`amount` is a number; its currency stands at the top",
            ));
        }
        let limit = self.limit(currency).map_err(within(&self.name))?;
        Ok(shadow(limit, self.shadow))
    }

    fn limit(&self, currency: Currency) -> Result<Limit, LimitError> {
        let amount: Cost = format!("{} {currency}", self.amount).parse()?;
        let mut window: Window = self.window.parse()?;
        if let Some(start) = &self.week_start {
            window = Window::week(start)?;
        }
        if let Some(zone) = &self.zone {
            window = window.zone(zone)?;
        }
        if let Some(hour) = self.reset_hour {
            window = window.reset_hour(hour)?;
        }
        let limit = Limit::budget(self.name.as_str(), amount, window)?;
        match &self.thresholds {
            Some(thresholds) => limit.thresholds(thresholds),
            None => Ok(limit),
        }
    }
}

impl RateConfig {
    fn build(&self) -> Result<Limit, LimitError> {
        let period = Duration::from_secs(self.period_secs);
        let limit = Limit::rate(self.name.as_str(), self.requests, period)?;
        match self.burst {
            Some(burst) => limit.burst(burst),
            None => Ok(limit),
        }
    }
}

impl TierConfig {
    fn members(&self) -> Members {
        let mut members = Members::none();
        for role in &self.roles {
            members = members.role(role);
        }
        for tenant in &self.tenants {
            members = members.tenant(tenant);
        }
        for kind in &self.kinds {
            members = members.kind(match kind {
                KindConfig::User => PrincipalKind::User,
                KindConfig::Service => PrincipalKind::Service,
                KindConfig::Anonymous => PrincipalKind::Anonymous,
            });
        }
        for (name, value) in &self.claims {
            members = members.claim(name, value);
        }
        members
    }
}

fn within(limit: &str) -> impl Fn(LimitError) -> LimitsError {
    move |why| LimitsError::InLimit {
        limit: limit.chars().take(64).collect(),
        why,
    }
}

fn shadow(limit: Limit, shadow: bool) -> Limit {
    match shadow {
        true => limit.shadow(),
        false => limit,
    }
}
