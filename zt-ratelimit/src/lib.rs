//! Rates and budgets for zt: has this caller spent its rate, or its money?
//!
//! There are two ways to it. [`LimitRateLayer`] with a [`Quota`] is whole by itself: it counts
//! requests in this process, by peer before anything expensive happens and by principal once it is
//! known who asks. Everything else goes by [`Limits`].
//!
//! # The path
//!
//! 1. A [`Limit`] is a rate, a budget of money in a [window](limit::Window), or how many at once.
//! 2. A [`Policy`](limits::Policy) is a tree of them: organisation, team, key; with other limits for
//!    other tiers. It is written in Rust or [read from a file](limits::PolicyConfig).
//! 3. A [`CounterStore`](counter::CounterStore) counts, in one atomic step over all of them: in
//!    [memory](counter::MemoryCounters), in Redis (feature `redis`), or in leases of it.
//! 4. [`Limits`] joins the policy, the store and the record of what happened.
//! 5. [`Who`] says for whom a request counts.
//! 6. [`ChargeBudgetLayer`] reserves what a request may cost, and charges what it did.
//!    [`LimitRateLayer::by_limits`] counts rates and how many at once, without money.
//!
//! Memory is bounded from the start, and nothing that a stranger sends makes a store forget a caller
//! who has used up its quota, or spent. A store that cannot count refuses.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use zt_core::{
//!     authorize::{AuthorizeLayer, RequireScopes},
//!     service_token::{ServiceTokens, VerifyServiceTokenLayer},
//!     stack::ZeroTrust,
//!     state::Recorder,
//! };
//! use zt_ratelimit::{
//!     ChargeBudgetLayer, Cost, LimitRateLayer, Limits, Quota, Who,
//!     counter::MemoryCounters, limits::Policy,
//! };
//!
//! fn stack(
//!     tokens: ServiceTokens,
//!     recorder: Arc<dyn Recorder>, // the audit log, in earnest
//! ) -> Result<impl Sized, Box<dyn std::error::Error>> {
//!     let policy: Policy = toml::from_str(r#"
//!         currency = "USD"
//!
//!         [[level]]
//!         name = "caller"
//!         budgets = [{ name = "caller-day", amount = "5", window = "day" }]
//!         rates = [{ name = "caller-minute", requests = 60, period_secs = 60 }]
//!         concurrency = [{ name = "caller-parallel", permits = 4 }]
//!     "#)?;
//!     let limits = Limits::builder(MemoryCounters::new()).recorder(recorder).build(policy)?;
//!     let most: Cost = "0.10 USD".parse()?;
//!     let peers = Quota::new("peer", 100, Duration::from_secs(60))?;
//!
//!     Ok(ZeroTrust::builder()
//!         .without_audit()
//!         .limit_peer(LimitRateLayer::by_peer(peers))
//!         .authenticate(VerifyServiceTokenLayer::new(tokens))
//!         .authorize(AuthorizeLayer::new(RequireScopes::all_of(["ask"])?))
//!         .charge(ChargeBudgetLayer::hard(limits, Who::by_principal(), most)?)
//!         .build()?)
//! }
//! # let _ = stack;
//! ```
//!
//! # What is guaranteed
//!
//! [`Hard`](limits::Hard) holds an upper bound of what a request costs, and
//! [`Bounded`](limits::Bounded) an estimate. On top of that it is the store that counts:
//!
//! | store | counts for | `spent + held + leased <= limit` | after a crash | while it is away |
//! |---|---|---|---|---|
//! | [`Quota`] | one process | no money; its rate | everybody's burst is whole | - |
//! | [`MemoryCounters`](counter::MemoryCounters) | one process | always | what came after the last [`Snapshot`](counter::Snapshot) may be spent again, unless a [ledger](limits::ledger) is charged | - |
//! | `RedisCounters`, `appendfsync always`, or no persistence at all | all instances | always | kept; without persistence it refuses until it is rebuilt from a ledger | refuses |
//! | `RedisCounters`, `everysec`, snapshots, or a replica that took over | all instances | until then | what the server had acknowledged and lost may be spent again, unless it is rebuilt | refuses |
//! | [`Leased`](counter::lease::Leased) over one of them | all instances | as below it; a rate may pass a quarter of its burst above | as below it; what an instance that died had leased is charged | serves what it has leased, for seconds, then refuses |
//! | [`Fallback`](counter::fallback::Fallback) over one of them | all instances | as below it | as below it | refuses money; rates and permits as [chosen](counter::fallback::OnUnavailable) |
//!
//! A store of your own passes the conformance suite of [`counter`] (feature `test-util`).

mod answer;
pub mod charge_budget;
pub mod cost;
pub mod counter;
mod fields;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod limit;
pub mod limit_rate;
pub mod limits;
mod who;

pub use self::{
    charge_budget::{ChargeBudget, ChargeBudgetLayer},
    cost::Cost,
    limit::Limit,
    limit_rate::{LimitRate, LimitRateLayer, Quota},
    limits::Limits,
    who::Who,
};
