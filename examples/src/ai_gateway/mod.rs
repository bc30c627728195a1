//! A gateway in front of a language model: keys spend from their team, teams from their
//! organisation, and nobody spends more than there is.
//!
//! - `POST /v1/chat/completions` puts on the request's tab what the answer may cost before the model
//!   is asked, and what it did cost after each token. Without `max_tokens` a few tokens are
//!   reserved at a time; where there is no money for another one, the answer ends with
//!   `"finish_reason": "budget"`.
//! - `POST /v1/raw` hands on what the model says. Its handler knows nothing of money: the layer
//!   counts tokens as they go out, and breaks the answer off where there is none left.
//! - `GET /` is a page that shows how budgets stand.
//! - `POST /budgets/grant` and `/budgets/reset` are for administrators, who stand in the audit log.

mod completions;
mod console;
mod keys;
pub mod model;
pub mod prices;
mod sale;

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use axum::{Router, http::Method};
use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinHandle};
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    clock::Clock,
    gate::Settings,
    headers::SetSecurityHeadersLayer,
    stack::ZeroTrust,
};
use zt_ratelimit::{ChargeBudgetLayer, Cost, Limits, cost::Currency, limits::Policy};

pub use self::keys::{COMPLETE, GRANT, KEYS, Keys, READ};
use self::{
    completions::{Offer, metered, sold, tokens_in},
    model::Model,
    prices::Prices,
};
use crate::{Result, counters::counters};

/// What a gateway is made of.
#[derive(Debug)]
pub struct Options<C> {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its clock.
    pub clock: C,
    /// Its audit log.
    pub audit: PathBuf,
    /// Prices and limits.
    pub config: Config,
    /// How long the model takes for a token.
    pub pace: Duration,
    /// Where budgets are counted, if not in this process.
    pub redis: Option<String>,
}

/// What models cost, and what keys, teams and organisations may spend: `gateway.toml`, or another
/// file like it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    prices: Prices,
    limits: Policy,
}

impl FromStr for Config {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Config {
    /// The file that stands beside this module.
    pub const DEFAULT: &str = include_str!("gateway.toml");
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may ask.
    pub keys: Keys,
    /// The model behind it.
    pub model: Model,
    /// What may be spent.
    pub limits: Limits,
    /// What happened.
    pub log: AuditLog,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When a port, a file or a store is not to be had.
    pub async fn start(options: Options<impl Clock + Clone>) -> Result<Self> {
        let clock = options.clock;
        let keys = Keys::make(clock.clone()).await?;
        let log = zt_audit::Options::default().clock(clock.clone());
        let log = AuditLog::open(options.audit, log)?;
        let limits = Limits::builder(counters(options.redis.as_deref()).await?)
            .clock(clock.clone())
            .recorder(log.clone())
            .build(options.config.limits)?;
        let model = Model::new(options.pace);
        let offer = Offer {
            model: model.clone(),
            prices: options.config.prices,
        };
        let parts = Parts {
            keys: &keys,
            log: &log,
            limits: &limits,
            settings: Settings::default().with_clock(clock),
        };
        let app = parts.app(offer)?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            keys,
            model,
            limits,
            log,
            server,
        })
    }

    /// Waits until it ends, which it does not.
    pub async fn wait(self) {
        let _ = self.server.await;
    }
}

/// What the stacks have in common.
struct Parts<'a> {
    keys: &'a Keys,
    log: &'a AuditLog,
    limits: &'a Limits,
    settings: Settings,
}

impl Parts<'_> {
    fn app(&self, offer: Offer) -> Result<Router> {
        let token = offer.prices.dearest_token();
        let nothing = Cost::zero(Currency::USD);
        let limits = || self.limits.clone();
        // What it costs is in the body, which the handler reads: until then nothing is held.
        let by_tab = ChargeBudgetLayer::hard(limits(), keys::who_pays(), nothing)?.with_tab();
        let by_meter = ChargeBudgetLayer::hard(limits(), keys::who_pays(), nothing)?
            .metered(token, |piece| tokens_in(piece))?;
        macro_rules! paid {
            ($charge:expr, $router:expr) => {
                ZeroTrust::builder()
                    .settings(self.settings.clone())
                    .record(RecordAuditLayer::new(self.log.clone()))
                    .authenticate(self.keys.verify_layer())
                    .authorize(AuthorizeLayer::new(RequireScopes::all_of([COMPLETE])?))
                    .charge($charge.with_headers())
                    .build()?
                    .wrap($router)
            };
        }
        let console = ZeroTrust::builder()
            .settings(self.settings.clone())
            .headers(SetSecurityHeadersLayer::html_strict())
            .record(RecordAuditLayer::new(self.log.clone()))
            .authenticate(self.keys.verify_layer())
            .authorize(AuthorizeLayer::new(console::policy()))
            .public(Method::GET, "/")
            .build()?
            .wrap(console::routes(limits()));
        Ok(Router::new()
            .route_service("/v1/chat/completions", paid!(by_tab, sold(offer.clone())))
            .route_service("/v1/raw", paid!(by_meter, metered(offer)))
            .fallback_service(console))
    }
}
