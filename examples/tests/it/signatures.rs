//! Strangers' libraries for signed requests, both ways: theirs sign and we verify, we sign and they
//! verify, over sockets.
//!
//! They are PyPI's `http-message-signatures` 3.0.0 and npm's `http-message-signatures` 1.0.6, which
//! are installed where there are pip and npm; elsewhere a test says that it is skipped. To keep the
//! packages, name a folder in `ZT_INTEROP_PACKAGES`; with it, they must be had.
//!
//! `cargo test -p zt-examples --test it signatures -- --nocapture` prints a line an exchange.

#![expect(clippy::print_stdout, reason = "says what was exchanged, or skipped")]

#[path = "signatures/ours.rs"]
mod ours;
#[path = "signatures/peer.rs"]
mod peer;
#[path = "signatures/theirs.rs"]
mod theirs;

use serde_json::{Value, json};
use zt_core::{
    random::{self, OsEntropy},
    secret::Secret,
    signature::{Algorithm, key::SigningKey},
};

use peer::Peer;

/// A key for requests and one for answers, of one algorithm, and what the peer is told of them.
struct Keys {
    algorithm: Algorithm,
    requests: SigningKey,
    answers: SigningKey,
    told: Value,
}

/// The ids under which peers know them.
const REQUESTS: &str = "orders-1";
const ANSWERS: &str = "payments-answers";

impl Keys {
    fn shared() -> Self {
        let key = || {
            let bytes = random::bytes::<32>(&OsEntropy).unwrap().to_vec();
            let told = json!({"alg": "hmac-sha256", "secret": hex(&bytes)});
            (SigningKey::hmac_sha256(&Secret::new(bytes)).unwrap(), told)
        };
        Self::of(Algorithm::HmacSha256, key(), key())
    }

    fn public() -> Self {
        let key = || {
            let key = SigningKey::generate_ed25519().unwrap();
            let told = json!({
                "alg": "ed25519",
                "private": String::from_utf8(key.to_pkcs8_pem().unwrap().expose().to_vec()).unwrap(),
                "public": key.verifying_key().to_spki_pem().unwrap(),
            });
            (key, told)
        };
        Self::of(Algorithm::Ed25519, key(), key())
    }

    fn of(
        algorithm: Algorithm,
        (requests, told): (SigningKey, Value),
        (answers, told_of_answers): (SigningKey, Value),
    ) -> Self {
        // What everybody may know of the key, as a shared secret.
        let known = told["public"]
            .as_str()
            .unwrap_or("nobody knows anything of it");
        let confused = json!({"alg": "hmac-sha256", "secret": hex(known.as_bytes())});
        let told = json!({REQUESTS: told, ANSWERS: told_of_answers, "confused": confused});
        Self {
            algorithm,
            requests,
            answers,
            told,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn agrees(peer: &Peer) {
    for keys in [Keys::shared(), Keys::public()] {
        theirs::sign(peer, &keys).await;
        ours::sign(peer, &keys).await;
    }
}

#[tokio::test]
async fn the_library_for_python_and_we_agree() {
    if let Some(peer) = Peer::python().await {
        agrees(&peer).await;
    }
}

#[tokio::test]
async fn the_library_for_node_and_we_agree() {
    if let Some(peer) = Peer::node().await {
        agrees(&peer).await;
    }
}
