//! Money that strangers' clients spend, one request after another and all at once.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use zt_core::clock::{Clock, SystemClock};
use zt_examples::swarm::{Fate, Swarm};

use super::curl;

/// What curl finds out about money.
pub(super) fn meet(base: &str, about: &Value) {
    let (path, state_path) = (
        about["path"].as_str().unwrap(),
        about["state_path"].as_str().unwrap(),
    );
    let limit = about["limit_micros"].as_u64().unwrap();
    let key = format!("{}: curl-1", about["header"].as_str().unwrap());
    let url = |query: &str| format!("{base}{path}?{query}");
    for query in [
        "",
        "cost=",
        "cost=-1",
        "cost=1.5",
        "cost=1&cost=2",
        "cost=99999999999999999999",
        "cost=1&ms=",
        "cost=1&ms=x",
        "cost=1&ms=3600000",
    ] {
        let (status, text) = curl(&["-H", &key, &url(query)]);
        assert_eq!(status, 400, "{query}: {text}");
    }
    for header in ["X-Api-Key: a b", "X-Api-Key;", "X-Other: curl-1"] {
        let (status, text) = curl(&["-H", header, &url("cost=1")]);
        assert_eq!(status, 400, "{header}: {text}");
    }
    for query in ["", "key=", "key=a/b", "key=a&key=b"] {
        let (status, text) = curl(&[&format!("{base}{state_path}?{query}")]);
        assert_eq!(status, 400, "{query}: {text}");
    }
    let stands = |spent: u64| {
        let (status, text) = curl(&[&format!("{base}{state_path}?key=curl-1")]);
        assert_eq!(status, 200, "{text}");
        let state: Value = serde_json::from_str(text.rsplit_once("\r\n\r\n").unwrap().1).unwrap();
        let expected = serde_json::json!({"spent": spent, "held": 0, "limit": limit});
        state == expected
    };
    assert!(stands(0));
    let (status, text) = curl(&["-H", &key, &url("cost=100000&ms=1")]);
    assert_eq!(status, 200, "{text}");
    assert!(stands(100_000));
    // Nobody waits for the answer, but it was asked for.
    curl(&[
        "-H",
        &key,
        "--max-time",
        "0.3",
        &url("cost=200000&ms=30000"),
    ]);
    while !stands(300_000) {
        std::thread::yield_now();
    }
    let (status, text) = curl(&["-H", &key, &url(&format!("cost={}", limit + 1))]);
    assert_eq!(status, 402, "{text}");
    let (status, text) = curl(&["-H", &key, &url(&format!("cost={}", limit - 300_000))]);
    assert_eq!(status, 200, "{text}");
    let (status, text) = curl(&["-H", &key, &url("cost=1")]);
    assert_eq!(status, 429, "{text}");
    assert!(text.contains("budget-exhausted"), "{text}");
    assert!(text.to_lowercase().contains("retry-after: "), "{text}");
    assert!(stands(limit));
}

/// A thousand requests of ten cents at once, shared out over `bases`, and three of ten clients go
/// away. What was spent is what was begun and never more than there is.
#[expect(clippy::print_stdout, reason = "says how it went")]
pub(super) async fn race(bases: &[&str], about: &Value) {
    let path = about["path"].as_str().unwrap();
    let limit = about["limit_micros"].as_u64().unwrap();
    let price = limit / 50;
    let mut waves = Vec::new();
    for (lane, base) in bases.iter().enumerate() {
        let each = 1000 / bases.len();
        let address = base.strip_prefix("http://").unwrap().parse().unwrap();
        let swarm = Swarm::of(each, address).await.unwrap();
        let requests: Vec<_> = (0..each)
            .map(|number| {
                let request = Request::get(format!("{base}{path}?cost={price}&ms=40"))
                    .header("x-api-key", "racer")
                    .body(Full::new(Bytes::new()))
                    .unwrap();
                let patience = ((number + lane) % 10 < 3)
                    .then(|| Duration::from_millis(20 + number as u64 % 60));
                (request, patience)
            })
            .collect();
        waves.push(async move { swarm.send(requests).await });
    }
    let fates: Vec<Fate> = futures_util::future::join_all(waves).await.concat();
    let with = |status| count(&fates, status);
    let gone = fates.iter().filter(|fate| **fate == Fate::GaveUp).count() as u64;
    assert_eq!(with(200) + with(429) + gone, fates.len() as u64);
    let state = async || settled(bases[0], about, "racer").await;
    let spent = state().await;
    println!(
        "{} served, {} denied, {gone} gone: {spent} of {limit} spent",
        with(200),
        with(429)
    );
    assert!(
        spent <= limit && spent >= with(200) * price && spent % price == 0,
        "{spent}"
    );
    // What is left can be spent, and no more.
    let left = (limit - spent) / price;
    for (extra, base) in (0..=left).zip(bases.iter().cycle()) {
        let url = format!("{base}{path}?cost={price}");
        let status = tokio::task::spawn_blocking(move || curl(&["-H", "X-Api-Key: racer", &url]).0);
        let expected = if extra < left { 200 } else { 429 };
        assert_eq!(status.await.unwrap(), expected, "{extra} of {left}");
    }
    assert_eq!(state().await, limit);
}

fn count(fates: &[Fate], status: u16) -> u64 {
    let counted = fates.iter().filter(|fate| fate.status() == Some(status));
    counted.count() as u64
}

/// What is spent, once nothing is held.
async fn settled(base: &str, about: &Value, key: &str) -> u64 {
    let url = format!("{base}{}?key={key}", about["state_path"].as_str().unwrap());
    for _ in 0..1000 {
        let url = url.clone();
        let (status, text) = tokio::task::spawn_blocking(move || curl(&[&url]))
            .await
            .unwrap();
        assert_eq!(status, 200, "{text}");
        let state: Value = serde_json::from_str(text.rsplit_once("\r\n\r\n").unwrap().1).unwrap();
        if state["held"] == 0 {
            return state["spent"].as_u64().unwrap();
        }
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
    panic!("{key} stays held");
}
