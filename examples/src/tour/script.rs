use std::time::Duration;

use tokio::io::AsyncWriteExt;
use zt_core::{
    clock::Clock,
    state::{Sanction, SanctionAction, SanctionTarget},
};

use super::{
    Report, jwt,
    player::{Player, ask, get},
    rotation, signed, webhooks,
};
use crate::{
    Result,
    raw::{Answer, connect, send},
    shop::{PEER_BURST, PRINCIPAL_BURST, Shop},
};

pub(super) async fn play(shop: &Shop, report: &mut Report) -> Result<()> {
    let mut player = Player::new(shop, report);
    let keys = &shop.keys;
    let customer = keys.customer();

    // What should work.
    player
        .good("health check, public", 200, get("/health"))
        .await;
    player
        .good_with(
            "read an order, through two services",
            200,
            get("/orders/7").token(customer),
            "shipped",
        )
        .await;
    player
        .good_with(
            "place an order, through three services",
            201,
            ask("POST", "/orders")
                .token(customer)
                .json(r#"{"amount":120}"#),
            "paid",
        )
        .await;
    player
        .good("HEAD", 200, ask("HEAD", "/orders/7").token(customer))
        .await;
    player
        .good("read a report", 200, get("/reports").token(keys.analyst()))
        .await;
    player
        .good(
            "upload within bounds",
            200,
            ask("POST", "/upload").token(customer).json("{}"),
        )
        .await;
    player
        .good(
            "the old secret of a rotated token, within the overlap",
            200,
            get("/reports").token(keys.rotated_old()),
        )
        .await;
    player
        .good(
            "its new secret",
            200,
            get("/reports").token(keys.rotated_new()),
        )
        .await;
    player
        .good_with(
            "claimed identity headers are stripped",
            200,
            get("/whoami")
                .token(customer)
                .with("X-Forwarded-User", "root")
                .with("x_remote_user", "root"),
            "\"claimed_headers\":0",
        )
        .await;

    // Credentials.
    let missing = (401, "credential-missing");
    let invalid = (401, "credential-invalid");
    player
        .attack("no credential", missing, get("/orders/7"))
        .await;
    player
        .attack(
            "wrong secret",
            invalid,
            get("/orders/7").token(keys.wrong_secret()),
        )
        .await;
    player
        .attack(
            "unknown token",
            invalid,
            get("/orders/7").token(keys.unknown()),
        )
        .await;
    player
        .attack(
            "mistyped token",
            invalid,
            get("/orders/7").token(&keys.mistyped()),
        )
        .await;
    player
        .attack(
            "staging token in production",
            invalid,
            get("/orders/7").token(keys.staging()),
        )
        .await;
    player
        .attack(
            "revoked token",
            (401, "credential-revoked"),
            get("/orders/7").token(keys.revoked()),
        )
        .await;
    let two = get("/orders/7").token(customer).token(keys.analyst());
    player
        .attack("two credentials", (400, "credential-ambiguous"), two)
        .await;

    // Tokens of the issuer.
    jwt::credentials(&mut player).await?;
    jwt::step_up(&mut player).await?;
    jwt::revocation(&mut player).await?;

    // Reach and policy.
    player
        .attack(
            "token used outside its paths",
            (403, "scope-insufficient"),
            get("/orders/7").token(keys.analyst()),
        )
        .await;
    player
        .attack(
            "token used with another method",
            (403, "scope-insufficient"),
            ask("POST", "/orders").token(keys.reader()).json("{}"),
        )
        .await;
    player
        .attack(
            "route that no rule permits",
            (403, "policy-denied"),
            ask("DELETE", "/orders/7").token(customer),
        )
        .await;
    player
        .attack(
            "without the scope",
            (403, "policy-denied"),
            get("/orders/7").token(keys.scopeless()),
        )
        .await;
    player
        .attack(
            "a deny rule overrides",
            (403, "policy-denied"),
            get("/reports")
                .token(keys.analyst())
                .with("X-Export", "all"),
        )
        .await;

    // Confusing the front door.
    let malformed = (400, "request-malformed");
    player
        .attack(
            "dot segments",
            malformed,
            get("/orders/../reports").token(customer),
        )
        .await;
    player
        .attack(
            "encoded dot segments",
            malformed,
            get("/orders/%2e%2E/reports").token(customer),
        )
        .await;
    player
        .attack(
            "encoded slash",
            malformed,
            get("/orders/7%2Flabel").token(customer),
        )
        .await;
    player
        .attack(
            "empty segment",
            malformed,
            get("/orders//7").token(customer),
        )
        .await;
    player
        .attack(
            "two Host fields",
            malformed,
            get("/health").with("Host", "elsewhere.example"),
        )
        .await;
    player
        .attack(
            "method override",
            malformed,
            get("/orders/7")
                .token(customer)
                .with("X-HTTP-Method_Override", "DELETE"),
        )
        .await;
    player
        .attack(
            "TRACE",
            malformed,
            ask("TRACE", "/orders/7").token(customer),
        )
        .await;
    let long = format!("/orders/7?q={}", "a".repeat(9_000));
    player
        .attack(
            "target too long",
            (414, "uri-too-long"),
            get(&long).token(customer),
        )
        .await;
    let large = get("/health").with("X-Padding", &"a".repeat(20_000));
    player
        .attack("headers too large", (431, "headers-too-large"), large)
        .await;
    let declared = ask("POST", "/upload")
        .token(customer)
        .with("Content-Length", "1000000");
    player
        .attack(
            "body too large, declared",
            (413, "body-too-large"),
            declared,
        )
        .await;
    let chunk = [
        format!("{:x}\r\n", 70_000).as_bytes(),
        &[b'a'; 70_000],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let streamed = ask("POST", "/upload")
        .token(customer)
        .with("Transfer-Encoding", "chunked")
        .body(&chunk);
    player
        .attack(
            "body too large, streamed",
            (413, "body-too-large"),
            streamed,
        )
        .await;
    let grpc = ask("POST", "/orders").with("Content-Type", "application/grpc");
    let answer = player.sent(&grpc).await;
    let status = answer.header("grpc-status").to_owned();
    let holds = if status == "16" {
        Ok(())
    } else {
        Err(format!("grpc-status {status}"))
    };
    player.report.request(
        true,
        "gRPC without a credential",
        (200, "credential-missing"),
        &answer,
        holds,
    );

    // Money.
    let label = || get("/orders/7/label").token(keys.reader());
    for what in ["a label, from the day's budget", "another one"] {
        player.good(what, 200, label()).await;
    }
    player
        .attack(
            "a label that the day's budget does not pay",
            (429, "budget-exhausted"),
            label(),
        )
        .await;

    // A handler that fails.
    player
        .attack(
            "a handler that panics",
            (500, "handler-panicked"),
            get("/boom").token(customer),
        )
        .await;

    // Floods: by peer, also behind forged addresses, and by principal.
    flood_by_peer(&mut player).await;
    flood_by_principal(&mut player).await;

    // Somebody who goes away.
    let to = shop.gateway;
    let mut stream = connect(player.source(), to).await?;
    stream
        .write_all(&get("/slow").token(customer).bytes(&to.to_string()))
        .await?;
    player.report.also(1);
    // Refused where a layer is left out; then nobody is abandoned.
    let _ = tokio::time::timeout(Duration::from_secs(5), shop.slow.notified()).await;
    drop(stream);

    // Sanctions bite at once.
    let scraper = SanctionTarget::Subject {
        issuer: None,
        subject: keys.quarantined_subject().into(),
        before: zt_core::clock::Timestamp::MAX,
    };
    impose(shop, scraper, SanctionAction::Quarantine).await?;
    player
        .attack(
            "a quarantined caller",
            (403, "quarantined"),
            get("/orders/7").token(keys.quarantined()),
        )
        .await;

    jwt::past_the_gateway(&mut player).await?;
    signed::play(&mut player).await?;
    webhooks::play(&mut player).await?;

    // Keys come and go, and the issuer is down.
    let Some(clock) = &shop.clock else {
        return Ok(());
    };
    let half_an_hour = rotation::keys(&mut player, clock).await?;

    // Time passes; then the clock breaks.
    clock.advance(Duration::from_secs(3_601));
    player
        .attack(
            "a token an hour later",
            (401, "credential-expired"),
            get("/reports").token(keys.short_lived()),
        )
        .await;
    player
        .attack(
            "a JWT that was verified before, an hour later",
            (401, "credential-expired"),
            get("/whoami").bearer(&half_an_hour),
        )
        .await;
    player
        .good(
            "the customer's is still good",
            200,
            get("/orders/7").token(customer),
        )
        .await;
    let now = clock.now()?;
    clock.fail();
    player
        .attack(
            "the clock cannot answer",
            (503, "clock-unavailable"),
            get("/orders/7").token(customer),
        )
        .await;
    clock.set_wall(now);
    Ok(())
}

/// Strikes at once, at every service of the shop.
pub(super) async fn impose(
    shop: &Shop,
    target: SanctionTarget,
    action: SanctionAction,
) -> Result<()> {
    let sanction = Sanction {
        target,
        action,
        reason: "an incident".to_owned(),
        author: "on-call".into(),
        expires: None,
    };
    Ok(shop.sanctions.impose(sanction).await?)
}

async fn flood_by_peer(player: &mut Player<'_>) {
    let source = player.source();
    let to = player.shop.gateway;
    let mut last = Answer::default();
    for index in 0..=PEER_BURST {
        let forged = format!("198.51.100.{index}");
        let ask = get("/health").with("X-Forwarded-For", &forged);
        last = send(source, to, &ask.bytes(&to.to_string()))
            .await
            .unwrap_or_default();
    }
    player.report.also(PEER_BURST as usize);
    player.report.request(
        true,
        "a flood by one peer behind forged addresses",
        (429, "rate-limited"),
        &last,
        Ok(()),
    );
}

async fn flood_by_principal(player: &mut Player<'_>) {
    let mut last = Answer::default();
    let token = player.shop.keys.spender().to_owned();
    for _ in 0..=PRINCIPAL_BURST {
        last = player.sent(&get("/whoami").token(&token)).await;
    }
    player.report.also(PRINCIPAL_BURST as usize);
    player.report.request(
        true,
        "a flood by one principal from many peers",
        (429, "rate-limited"),
        &last,
        Ok(()),
    );
}
