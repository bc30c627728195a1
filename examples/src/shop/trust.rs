//! Whom the shop's services believe, and how they say who they are: tokens of the shop's own
//! issuer, each good for one service only.

use std::{path::Path, time::Duration};

use zt_core::{
    clock::Clock,
    random::{self, OsEntropy},
    secret::Secret,
    state::Sanctions,
};
use zt_jwt::{
    Algorithm, Audience, Issuer, Verifier,
    attach_token::{
        ClientAuthentication, ClientCredentials, ClientCredentialsConfig, ProjectedFile,
        TokenSource, Tokens,
    },
    testing::TestIssuer,
};

use super::projected::Projected;
use crate::Result;

/// Whom customers' tokens are for.
pub const GATEWAY: &str = "gateway";
/// Whom the gateway's token is for.
pub const ORDERS: &str = "orders";
/// Whom the orders service's token is for.
pub const PAYMENTS: &str = "payments";
/// The orders service, as its cluster calls it.
pub(super) const ORDERS_ACCOUNT: &str = "system:serviceaccount:shop:orders";

/// The issuer, and everything that follows it.
#[derive(Debug)]
pub(super) struct Trust<C> {
    pub(super) issuer: TestIssuer,
    pub(super) projected: Projected,
    pub(super) verifiers: Vec<Verifier>,
    pub(super) tokens: Vec<Tokens>,
    secret: String,
    clock: C,
}

impl<C: Clock + Clone> Trust<C> {
    /// Starts the issuer on a free port of loopback. Tokens that services get as files are kept
    /// below `folder`.
    pub(super) async fn start(folder: &Path, clock: C) -> Result<Self> {
        let secret = random::bytes::<16>(&OsEntropy)?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let issuer = TestIssuer::start()
            .await
            .with_clock(clock.clone())
            .with_algorithms([Algorithm::Es256, Algorithm::EdDsa])
            .with_client(GATEWAY, &secret);
        let projected = Projected::new(folder.join("orders-tokens"), {
            let issuer = issuer.clone();
            move || account_token(&issuer)
        });
        projected.write()?;
        Ok(Self {
            issuer,
            projected,
            verifiers: Vec::new(),
            tokens: Vec::new(),
            secret,
            clock,
        })
    }

    /// Verifies tokens for `audience`. Their keys are here when this returns, and are kept fresh.
    pub(super) async fn verifier(
        &mut self,
        audience: impl Into<Audience>,
        sanctions: Option<&Sanctions>,
    ) -> Result<Verifier> {
        let issuer = Issuer::oidc(self.issuer.name(), audience, self.issuer.http())?;
        let mut builder = Verifier::builder().issuer(issuer).clock(self.clock.clone());
        if let Some(sanctions) = sanctions {
            builder = builder.sanctions(sanctions.clone());
        }
        let verifier = builder.build()?;
        verifier
            .fetch_keys()
            .await
            .map_err(|refused| refused.refusal().why())?;
        tokio::spawn(verifier.keep_fresh());
        self.verifiers.push(verifier.clone());
        Ok(verifier)
    }

    /// The gateway asks the issuer for its token, with a secret of its own.
    pub(super) async fn gateway_to_orders(&mut self) -> Result<Tokens> {
        let secret = Secret::from(self.secret.as_str());
        let config = ClientCredentialsConfig::new(
            self.issuer.token_url(),
            GATEWAY,
            ClientAuthentication::SecretBasic { secret },
        )
        .audience(ORDERS);
        self.kept_fresh(ClientCredentials::new(config, self.issuer.http())?)
            .await
    }

    /// The orders service finds its token in a file, as pods of Kubernetes do.
    pub(super) async fn orders_to_payments(&mut self) -> Result<Tokens> {
        self.kept_fresh(ProjectedFile::new(self.projected.path()))
            .await
    }

    async fn kept_fresh(&mut self, source: impl TokenSource) -> Result<Tokens> {
        let tokens = Tokens::builder(source).clock(self.clock.clone()).build()?;
        tokens.ready().await?;
        tokio::spawn(tokens.keep_fresh());
        self.tokens.push(tokens.clone());
        Ok(tokens)
    }
}

/// A token as a cluster's own issuer makes them: no `typ`, no client, an hour.
fn account_token(issuer: &TestIssuer) -> String {
    let account = serde_json::json!({
        "namespace": "shop",
        "serviceaccount": {"name": "orders"},
    });
    issuer
        .token(ORDERS_ACCOUNT)
        .audience(PAYMENTS)
        .claim("kubernetes.io", account)
        .lives(ACCOUNT_TOKEN_LIFETIME)
        .without("client_id")
        .without_header("typ")
        .mint()
}

/// As Kubernetes has it, unless a pod says otherwise.
pub(super) const ACCOUNT_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
