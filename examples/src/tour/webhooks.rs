//! The payment provider tells payments what became of the money (Standard Webhooks), and so does
//! somebody else.

use base64::{Engine, engine::general_purpose::STANDARD};
use zt_core::{
    clock::Clock,
    random::{self, OsEntropy},
    secret::Secret,
    signature::key::SigningKey,
};

use super::player::{Ask, Player, ask};
use crate::Result;

pub(super) async fn play(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let to = shop.payments;
    let paid = r#"{"type":"payment.failed","order":8}"#;
    let changed = r#"{"type":"payment.worked","order":8}"#;
    let sent = |body| Webhook::sign(&shop.webhook_secret, shop.issuer.clock(), body);

    let webhook = sent(paid)?;
    player
        .good_at(to, "a webhook of the provider", 204, webhook.carrying(paid))
        .await?;
    player
        .attack_at(
            to,
            "the same webhook again",
            (401, "replayed"),
            webhook.carrying(paid),
        )
        .await?;
    player
        .attack_because(
            to,
            "a webhook with another body",
            (
                (401, "signature-invalid"),
                "no signature is of a key that is known",
            ),
            sent(paid)?.carrying(changed),
        )
        .await?;
    player
        .attack_at(
            to,
            "a webhook that nobody signed",
            (401, "credential-missing"),
            ask("POST", "/webhooks/payments").json(paid),
        )
        .await
}

/// The fields of a webhook.
struct Webhook {
    id: String,
    timestamp: String,
    signature: String,
}

impl Webhook {
    fn sign(secret: &Secret, clock: impl Clock, body: &str) -> Result<Self> {
        let text = std::str::from_utf8(secret.expose())?;
        let bytes = STANDARD.decode(text.trim_start_matches("whsec_"))?;
        let key = SigningKey::hmac_sha256(&Secret::new(bytes))?;
        let id = format!("msg_{}", u64::from_le_bytes(random::bytes(&OsEntropy)?));
        let timestamp = clock.now()?.as_secs().to_string();
        let mac = key.sign(format!("{id}.{timestamp}.{body}").as_bytes())?;
        Ok(Self {
            id,
            timestamp,
            signature: format!("v1,{}", STANDARD.encode(mac)),
        })
    }

    fn carrying<'b>(&self, body: &'b str) -> Ask<'b> {
        ask("POST", "/webhooks/payments")
            .with("Webhook-Id", &self.id)
            .with("Webhook-Timestamp", &self.timestamp)
            .with("Webhook-Signature", &self.signature)
            .json(body)
    }
}
