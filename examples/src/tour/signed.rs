//! Signed calls, straight at payments' own port: somebody inside the network has taken the orders
//! service's token, sees its calls, and sends them again, late, or changed.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version, header::AUTHORIZATION, request::Parts};
use zt_core::{
    clock::{Clock, ManualClock},
    signature::{
        base::{
            Component, FieldTypes, Fields, InputBuilder, Message, RequestMessage, SIGNATURE,
            SIGNATURE_INPUT, UrlScheme,
        },
        key::SigningKey,
        sign::SignRequestLayer,
    },
};

use super::player::{Ask, Player, ask};
use crate::{
    Result,
    shop::{GATEWAY, ORDERS, ORDERS_KEY, PAYMENTS, Shop, sign_calls},
};

/// What the orders service asks of payments.
struct Call<'s> {
    shop: &'s Shop,
    token: Option<String>,
}

const PATH: &str = "/payments?batch=7";
const BODY: &str = r#"{"amount":120}"#;
const CHANGED: &str = r#"{"amount":999}"#;
const INVALID: (u16, &str) = (401, "signature-invalid");
const MISSING: (u16, &str) = (401, "credential-missing");

impl<'s> Call<'s> {
    /// As the orders service makes it.
    fn by_orders(shop: &'s Shop) -> Result<Self> {
        let token = Some(shop.stolen_token()?);
        Ok(Self { shop, token })
    }

    fn with_token(self, token: String) -> Self {
        let token = Some(token);
        Self { token, ..self }
    }

    fn without_token(self) -> Self {
        Self {
            token: None,
            ..self
        }
    }

    fn parts(&self) -> Result<Parts> {
        let mut request = Request::post(format!("http://{}{PATH}", self.shop.payments));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(request.body(())?.into_parts().0)
    }

    fn unsigned(&self) -> Result<Signed> {
        Ok(Signed(self.parts()?))
    }

    /// Signed at the shop's time with the orders service's key.
    fn signed(&self) -> Result<Signed> {
        self.signed_at(self.shop.issuer.clock())
    }

    fn signed_at(&self, clock: impl Clock) -> Result<Signed> {
        self.signed_with(&self.shop.orders_key, ORDERS_KEY, clock)
    }

    fn signed_with(&self, key: &SigningKey, keyid: &str, clock: impl Clock) -> Result<Signed> {
        let layer = sign_calls(key.clone(), keyid, clock)?;
        self.signed_by(&layer, Some(BODY))
    }

    fn signed_by(&self, layer: &SignRequestLayer, body: Option<&'static str>) -> Result<Signed> {
        let mut parts = self.parts()?;
        layer.sign(&mut parts, body.map(Bytes::from).as_ref())?;
        Ok(Signed(parts))
    }

    /// Signed well, but for the method alone.
    fn signed_for_the_method(&self) -> Result<Signed> {
        let mut parts = self.parts()?;
        let now = self.shop.issuer.clock().now()?.as_secs();
        let input = InputBuilder::new([Component::METHOD])?
            .created(now.try_into()?)
            .nonce("narrow")?
            .keyid(ORDERS_KEY)?
            .build();
        let message = Message::Request(RequestMessage {
            method: &Method::POST,
            uri: &parts.uri,
            version: Version::HTTP_11,
            scheme: UrlScheme::Http,
            authority: "",
            fields: Fields::new(&parts.headers),
        });
        let mut base = Vec::new();
        input.write_base(&message, &FieldTypes::default(), &mut base)?;
        let signature = self.shop.orders_key.sign(&base)?;
        let headers = &mut parts.headers;
        headers.insert(SIGNATURE_INPUT, input.signature_input("sig1")?);
        headers.insert(SIGNATURE, input.signature("sig1", &signature)?);
        Ok(Signed(parts))
    }
}

/// A call that was seen on its way.
struct Signed(Parts);

impl Signed {
    fn as_it_is(&self) -> Result<Ask<'static>> {
        self.sent(PATH, BODY)
    }

    fn sent(&self, path: &str, body: &'static str) -> Result<Ask<'static>> {
        let mut asked = ask("POST", path).json(body);
        for (name, shown) in SHOWN {
            if let Some(value) = self.0.headers.get(name) {
                asked = asked.with(shown, value.to_str()?);
            }
        }
        Ok(asked)
    }

    fn without(mut self, name: &str) -> Self {
        self.0.headers.remove(name);
        self
    }

    fn with_token(mut self, token: &str) -> Result<Self> {
        let token = format!("Bearer {token}").parse()?;
        self.0.headers.insert(AUTHORIZATION, token);
        Ok(self)
    }
}

/// The fields of a signed call.
const SHOWN: [(&str, &str); 4] = [
    ("authorization", "Authorization"),
    ("content-digest", "Content-Digest"),
    ("signature-input", "Signature-Input"),
    ("signature", "Signature"),
];

pub(super) async fn play(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let to = shop.payments;
    let call = || Call::by_orders(shop);

    let seen = call()?.signed()?;
    player
        .good_at(to, "a signed call to payments", 201, seen.as_it_is()?)
        .await?;
    player
        .attack_because(
            to,
            "the same signed call again",
            ((401, "replayed"), "it was seen before"),
            seen.as_it_is()?,
        )
        .await?;
    player
        .attack_because(
            to,
            "a signed call with another body",
            (INVALID, "the body has another digest"),
            call()?.signed()?.sent(PATH, CHANGED)?,
        )
        .await?;
    player
        .attack_because(
            to,
            "a signed call with another query",
            (INVALID, "it does not hold"),
            call()?.signed()?.sent("/payments?batch=8", BODY)?,
        )
        .await?;
    player
        .attack_because(
            to,
            "a signed call whose digest was taken away",
            (INVALID, "the field is absent"),
            call()?.signed()?.without("content-digest").as_it_is()?,
        )
        .await?;
    let clock = shop.issuer.clock();
    let layer = sign_calls(shop.orders_key.clone(), ORDERS_KEY, clock)?;
    player
        .attack_because(
            to,
            "a body under a signature that covers no digest",
            (INVALID, "it covers no digest"),
            call()?.signed_by(&layer, None)?.as_it_is()?,
        )
        .await?;
    times_and_keys(player).await?;
    tokens(player).await
}

async fn times_and_keys(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let to = shop.payments;
    let call = Call::by_orders(shop)?;
    let now = shop.issuer.clock().now()?;
    let earlier = ManualClock::at(now.saturating_sub(Duration::from_secs(120)));
    let later = ManualClock::at(now + Duration::from_secs(60));
    let clock = shop.issuer.clock();
    let own = SigningKey::generate_ed25519()?;
    for (what, why, signed) in [
        (
            "a call signed two minutes ago",
            "it is too old",
            call.signed_at(earlier)?,
        ),
        (
            "a call signed a minute ahead",
            "it was made in the future",
            call.signed_at(later)?,
        ),
        (
            "a call signed with a key that nobody knows",
            "its key is not known",
            call.signed_with(&own, "orders-2", clock.clone())?,
        ),
        (
            "another key under the orders service's name",
            "it does not hold",
            call.signed_with(&own, ORDERS_KEY, clock)?,
        ),
        (
            "a signature that covers the method alone",
            "it does not cover",
            call.signed_for_the_method()?,
        ),
    ] {
        let asked = signed.as_it_is()?;
        player
            .attack_because(to, what, (INVALID, why), asked)
            .await?;
    }
    Ok(())
}

/// Neither the token is enough nor the key.
async fn tokens(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let to = shop.payments;
    let call = || Call::by_orders(shop);
    player
        .attack_at(
            to,
            "payments called with a stolen token alone",
            MISSING,
            call()?.unsigned()?.as_it_is()?,
        )
        .await?;
    player
        .attack_at(
            to,
            "payments called from inside, without a token",
            MISSING,
            call()?.without_token().unsigned()?.as_it_is()?,
        )
        .await?;
    player
        .attack_at(
            to,
            "payments called with a stolen key alone",
            MISSING,
            call()?.without_token().signed()?.as_it_is()?,
        )
        .await?;
    let gateway = |audience| {
        let token = shop.issuer.token(GATEWAY).client_id(GATEWAY);
        token.audience(audience).mint()
    };
    let theirs = gateway(ORDERS);
    player
        .attack_at(
            to,
            "a stolen key with the gateway's JWT",
            (401, "credential-invalid"),
            call()?.with_token(theirs).signed()?.as_it_is()?,
        )
        .await?;
    let theirs = gateway(PAYMENTS);
    player
        .attack_at(
            to,
            "a stolen key with the gateway's JWT for payments",
            (403, "policy-denied"),
            call()?.with_token(theirs.clone()).signed()?.as_it_is()?,
        )
        .await?;
    player
        .attack_because(
            to,
            "a signed call with another's token",
            (INVALID, "it does not hold"),
            call()?.signed()?.with_token(&theirs)?.as_it_is()?,
        )
        .await
}
