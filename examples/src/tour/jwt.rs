//! Tokens of the issuer: good ones, the attacks of RFC 8725 and since, and what is asked of a
//! token besides.

use std::time::Duration;

use zt_core::{
    clock::Clock,
    state::{SanctionAction, SanctionTarget},
};
use zt_jwt::testing::{BadToken, TestToken};

use super::{
    player::{Player, ask, get},
    script::impose,
};
use crate::{
    Result,
    shop::{GATEWAY, Shop},
};

/// A customer's token, good for what the policy asks for.
pub(super) fn customer(shop: &Shop, subject: &str) -> TestToken {
    let token = shop.issuer.token(subject).audience(GATEWAY);
    token.scope("orders:read orders:write")
}

pub(super) async fn credentials(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let good = customer(shop, "ada").mint();
    player
        .good_with(
            "a JWT reads an order, through two services",
            200,
            get("/orders/7").bearer(&good),
            "shipped",
        )
        .await;
    player
        .good_with(
            "a JWT places an order, through three services",
            201,
            ask("POST", "/orders")
                .bearer(&good)
                .json(r#"{"amount":120}"#),
            "paid",
        )
        .await;
    player
        .good(
            "a JWT in a browser's cookie, from a page of the shop",
            200,
            ask("POST", "/upload")
                .cookie(&good)
                .with("Sec-Fetch-Site", "same-origin")
                .json("{}"),
        )
        .await;

    let elsewhere = shop.issuer.token("ada").audience("billing");
    player
        .attack(
            "a JWT for another audience",
            (401, "credential-invalid"),
            get("/orders/7").bearer(&elsewhere.scope("orders:read").mint()),
        )
        .await;
    for (what, kind) in [
        ("an expired JWT", BadToken::ExpPast),
        ("a JWT that never expires", BadToken::ExpMissing),
        ("a JWT that lives ten years", BadToken::LivesTooLong),
        ("alg none, with a signature", BadToken::AlgNone),
        ("alg none, without signature", BadToken::AlgNoneUnsigned),
        ("HS256 signed with the public key", BadToken::HsWithPem),
        ("a key that the token brings along", BadToken::EmbeddedJwk),
        ("a payload changed after signing", BadToken::SwappedPayload),
        ("a signature of zeros", BadToken::ZeroSignature),
        ("a JWT that names another issuer", BadToken::IssOther),
        ("another issuer's JWT", BadToken::AnotherIssuersToken),
        ("a critical extension", BadToken::CritUnknown),
        ("`alg` twice", BadToken::AlgTwiceGoodFirst),
        ("an id token", BadToken::IdTokenNonce),
        ("a refresh token", BadToken::KeycloakRefresh),
        ("a DPoP-bound JWT without proof", BadToken::CnfKeyThumbprint),
        (
            "a certificate-bound JWT without certificate",
            BadToken::CnfCertificate,
        ),
    ] {
        let token = shop.issuer.bad_token(kind, GATEWAY);
        let code = kind.expected();
        let expected = (code.status().as_u16(), code.as_str());
        let ask = get("/orders/7").bearer(&token);
        player.attack(what, expected, ask).await;
    }

    let ambiguous = (400, "credential-ambiguous");
    player
        .attack(
            "a JWT and a service token",
            ambiguous,
            get("/orders/7").bearer(&good).token(shop.keys.customer()),
        )
        .await;
    player
        .attack(
            "a JWT in two places",
            ambiguous,
            get("/orders/7").bearer(&good).cookie(&good),
        )
        .await;
    player
        .attack(
            "a JWT in the query",
            (401, "credential-missing"),
            get(&format!("/orders/7?access_token={good}")),
        )
        .await;
    player
        .attack(
            "a page of another site uses the cookie",
            (403, "policy-denied"),
            ask("POST", "/upload")
                .cookie(&good)
                .with("Origin", "https://evil.example")
                .json("{}"),
        )
        .await;
    let scopeless = shop.issuer.token("ada").audience(GATEWAY).mint();
    player
        .attack(
            "a JWT without the scope",
            (403, "policy-denied"),
            get("/orders/7").bearer(&scopeless),
        )
        .await;
    Ok(())
}

/// Refunds want somebody who has just signed in with a key (RFC 9470).
pub(super) async fn step_up(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let now = shop.issuer.clock().now()?;
    let refund = |token: &TestToken| ask("POST", "/refunds").bearer(&token.mint()).json("{}");
    let required = (401, "step-up-required");
    let challenge = [
        "error=\"insufficient_user_authentication\"",
        "acr_values=\"phr\"",
        "max_age=\"300\"",
    ];
    let ada = customer(shop, "ada");
    let by_password = ada.clone().acr("pwd").auth_time(now);
    player
        .attack_challenged(
            "a refund, signed in by password",
            required,
            refund(&by_password),
            &challenge,
        )
        .await;
    let this_morning = now.saturating_sub(Duration::from_secs(7_200));
    let long_ago = ada.clone().acr("phr").auth_time(this_morning);
    player
        .attack_challenged(
            "a refund, signed in two hours ago",
            required,
            refund(&long_ago),
            &challenge,
        )
        .await;
    player
        .attack(
            "a refund, asked for by a program",
            required,
            ask("POST", "/refunds")
                .token(shop.keys.customer())
                .json("{}"),
        )
        .await;
    player
        .good(
            "a refund, after stepping up",
            200,
            refund(&ada.acr("phr").auth_time(now)),
        )
        .await;
    Ok(())
}

/// Tokens that were accepted a moment ago, and are remembered, are refused at once.
pub(super) async fn revocation(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    let revoked = (401, "credential-revoked");
    let one = customer(shop, "bob").id("bob-1").mint();
    player
        .good("a JWT, to be revoked", 200, get("/whoami").bearer(&one))
        .await;
    let target = SanctionTarget::Token("bob-1".into());
    impose(shop, target, SanctionAction::Revoke).await?;
    player
        .attack("a revoked JWT", revoked, get("/whoami").bearer(&one))
        .await;
    let other = customer(shop, "bob").session("evening").mint();
    player
        .good(
            "another JWT of the same subject",
            200,
            get("/whoami").bearer(&other),
        )
        .await;
    let target = SanctionTarget::Session("evening".into());
    impose(shop, target, SanctionAction::Revoke).await?;
    player
        .attack(
            "a JWT of a session that was ended",
            revoked,
            get("/whoami").bearer(&other),
        )
        .await;
    Ok(())
}

/// Nobody is believed because of where a call comes from, nor a token that is for somebody else.
pub(super) async fn past_the_gateway(player: &mut Player<'_>) -> Result<()> {
    let shop = player.shop;
    player
        .attack_at(
            shop.orders,
            "orders called with a customer's JWT",
            (401, "credential-invalid"),
            get("/orders/7").bearer(&customer(shop, "ada").mint()),
        )
        .await
}
