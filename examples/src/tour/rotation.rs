//! The issuer's keys, while requests flow: they change, strangers ask for others, and the issuer is
//! down.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::{join, join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zt_core::{
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    random::{self, OsEntropy},
};
use zt_jwt::testing::Behaviour;

use super::{
    jwt::customer,
    player::{Player, ask, get},
};
use crate::{
    Result,
    raw::{connect, send},
    shop::{PEER_BURST, Shop},
};

/// Longer than a verifier waits between two fetches for keys that it does not know.
const COOLDOWN: Duration = Duration::from_secs(11);
/// Longer than keys, and the gateway's token, are good without asking again.
const FIVE_MINUTES: Duration = Duration::from_secs(301);

/// Gives a token that was verified, and ends within half an hour.
pub(super) async fn keys(player: &mut Player<'_>, clock: &ManualClock) -> Result<String> {
    rotation(player, clock).await?;
    spray(player, clock).await?;
    outage(player, clock).await;
    let token = customer(player.shop, "ada")
        .lives(Duration::from_secs(1_800))
        .mint();
    player
        .good("a JWT for half an hour", 200, get("/whoami").bearer(&token))
        .await;
    Ok(token)
}

/// Requests flow before the new keys sign, while both are published, and after the old are gone.
async fn rotation(player: &mut Player<'_>, clock: &ManualClock) -> Result<()> {
    let shop = player.shop;
    let long = customer(shop, "ada").lives(Duration::from_secs(7_200));
    let old = long.mint();
    let traffic = Traffic::default();
    let flow = join_all((0..LANES).map(|lane| traffic.flow(shop, lane)));
    let change = async {
        let changed = change_keys(shop, clock, &traffic).await;
        traffic.over.store(true, Ordering::SeqCst);
        changed
    };
    let (_, fetches) = join(flow, change).await;
    let fetches = fetches?;
    let (sent, refused) = (traffic.sent(), traffic.refused.load(Ordering::SeqCst));
    player.report.also(sent);
    player.report.fact(
        "keys change while requests flow",
        "0 refused, 1 fetch for the new key".to_owned(),
        format!("{refused} of {sent} refused, {fetches} fetch"),
        refused == 0 && fetches == 1,
    );

    let invalid = (401, "credential-invalid");
    player
        .attack(
            "a JWT under a retired key",
            invalid,
            get("/whoami").bearer(&old),
        )
        .await;
    player
        .good_with(
            "three services under the new keys",
            201,
            ask("POST", "/orders")
                .bearer(&long.mint())
                .json(r#"{"amount":120}"#),
            "paid",
        )
        .await;
    Ok(())
}

/// Gives how many times keys were fetched because a token named a new one.
async fn change_keys(shop: &Shop, clock: &ManualClock, traffic: &Traffic) -> Result<u64> {
    traffic.goes_on().await?;
    clock.advance(COOLDOWN);
    let before = shop.issuer.jwks_requests();
    shop.issuer.use_next_key();
    traffic.goes_on().await?;
    let fetches = shop.issuer.jwks_requests() - before;

    // The cluster writes a new token as well, and everybody asks again in time.
    shop.issuer.retire_old_keys();
    shop.project_token()?;
    let ends = ends_of_tokens(shop);
    clock.advance(FIVE_MINUTES);
    until("keys and tokens are renewed", || {
        let renewed = ends_of_tokens(shop);
        shop.keys_are_fresh() && ends.iter().zip(&renewed).all(|(old, new)| old < new)
    })
    .await?;
    traffic.goes_on().await?;
    Ok(fetches)
}

fn ends_of_tokens(shop: &Shop) -> Vec<Option<Timestamp>> {
    let tokens = shop.tokens().iter();
    tokens.map(|tokens| tokens.status().expires_at).collect()
}

/// Clients that send one request after another, each from an address and for a subject of its own.
#[derive(Default)]
struct Traffic {
    answered: [AtomicUsize; LANES],
    refused: AtomicUsize,
    over: AtomicBool,
}

const LANES: usize = 4;

impl Traffic {
    async fn flow(&self, shop: &Shop, lane: usize) {
        let Some(answered) = self.answered.get(lane) else {
            return;
        };
        let low = u8::try_from(lane).unwrap_or_default();
        for number in 0_u16.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let token = customer(shop, &format!("client-{lane}-{number}"))
                .lives(Duration::from_secs(3_600))
                .mint();
            let ask = get("/whoami").bearer(&token);
            let [high, next] = number.to_be_bytes();
            let source = [127, 2 + low, high, next.max(1)];
            let answer = send(source, shop.gateway, &ask.bytes("shop.example")).await;
            if answer.map(|answer| answer.status).unwrap_or_default() != 200 {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until each client has sent a dozen more: those of before are long answered then.
    async fn goes_on(&self) -> Result<()> {
        let count = || {
            self.answered
                .each_ref()
                .map(|one| one.load(Ordering::SeqCst))
        };
        let before = count();
        until("traffic goes on", || {
            let now = count();
            before
                .iter()
                .zip(now)
                .all(|(before, now)| now >= before + 12)
        })
        .await
    }

    fn sent(&self) -> usize {
        let answered = self.answered.iter();
        answered.map(|one| one.load(Ordering::SeqCst)).sum()
    }
}

/// Strangers name keys of their own invention, from forty addresses.
async fn spray(player: &mut Player<'_>, clock: &ManualClock) -> Result<()> {
    let shop = player.shop;
    let before = shop.issuer.jwks_requests();
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..2 {
        clock.advance(COOLDOWN);
        let sources: Vec<_> = (0..20).map(|_| player.source()).collect();
        for source in sources {
            let each = PEER_BURST - 10;
            refused += spray_from(source, shop, each).await?;
            sent += each as usize;
        }
    }
    let fetches = shop.issuer.jwks_requests() - before;
    player.report.also(sent);
    player.report.fact(
        "a spray of key ids, over two cooldowns",
        format!("{sent} refused, 2 fetches"),
        format!("{refused} refused, {fetches} fetches"),
        refused == sent && fetches == 2,
    );
    Ok(())
}

/// Sends so many requests on one connection; gives how many were refused as they should be.
async fn spray_from(source: [u8; 4], shop: &Shop, requests: u32) -> io::Result<usize> {
    let mut text = String::new();
    for left in (0..requests).rev() {
        let kid = random::bytes::<8>(&OsEntropy).map_err(io::Error::other)?;
        let kid = format!("{:016x}", u64::from_le_bytes(kid));
        let token = customer(shop, "mallory").header("kid", kid).mint();
        text.push_str("GET /whoami HTTP/1.1\r\nHost: shop.example\r\n");
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        text.push_str(if left == 0 {
            "Connection: close\r\n\r\n"
        } else {
            "\r\n"
        });
    }
    let mut stream = connect(source, shop.gateway).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await?;
    Ok(answers.matches("\"credential-invalid\"").count())
}

/// The issuer is down: what is known stays good, and what is not known is nobody's fault.
async fn outage(player: &mut Player<'_>, clock: &ManualClock) {
    let shop = player.shop;
    let good = customer(shop, "ada");
    let unknown = || good.clone().header("kid", "nobody-knows").mint();
    shop.issuer.behave(Behaviour::Down);
    clock.advance(COOLDOWN);
    player
        .good_with(
            "issuer down: a JWT under a known key, through two services",
            200,
            get("/orders/7").bearer(&good.mint()),
            "shipped",
        )
        .await;
    let unavailable = (503, "keys-unavailable");
    for what in [
        "issuer down: a JWT under an unknown key",
        "issuer down: the same again, without asking",
    ] {
        player
            .attack(what, unavailable, get("/whoami").bearer(&unknown()))
            .await;
    }
    shop.issuer.behave(Behaviour::Well);
    clock.advance(COOLDOWN);
    player
        .attack(
            "issuer back: a JWT under an unknown key",
            (401, "credential-invalid"),
            get("/whoami").bearer(&unknown()),
        )
        .await;
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let begun = SystemClock.monotonic();
    while !holds() {
        if SystemClock.monotonic() - begun > Duration::from_secs(10) {
            return Err(format!("waited in vain: {what}").into());
        }
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
