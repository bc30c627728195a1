//! Credentials that are replaced, and connections that end with them.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use zt_core::clock::{Clock as _, ManualClock};
use zt_mtls::{
    client::{Connector, Ended},
    credentials::{Credentials, Material},
    testing::{TestCa, TestCert, svid_params, valid},
    verify::{Refusal, Trust},
};

use crate::{
    client::{DOMAIN, PAYMENTS, among, client, connector, fresh, header, peers},
    client_server::{BOTH, H2, HTTP11, Server, ours, shows, soon, thumbprint},
};

#[tokio::test]
async fn the_next_connection_shows_and_trusts_what_is_in_force_then() {
    let old = TestCa::new(DOMAIN);
    let new = TestCa::new(DOMAIN);
    let mine = old.credentials("/orders");
    let client = fresh(connector(&mine, peers(&[PAYMENTS])));
    let server = Server::start(shows(&old.workload("/payments"), Some(&old), HTTP11)).await;
    client.get(server.uri("/")).await.unwrap();

    // Both certificates are of one edition: by the new CA, for the new CA.
    let leaf = new.workload("/orders");
    let trust = Trust::spiffe([new.bundle()]).unwrap();
    let edition = Material::new(leaf.identity(), trust);
    client
        .get(server.uri("/"))
        .await
        .expect("until it is replaced");
    mine.replace(edition);
    let error = client.get(server.uri("/")).await.unwrap_err();
    assert!(among::<Refusal>(&error).is_some(), "{error:?}");
    server.replace(shows(&new.workload("/payments"), Some(&new), HTTP11));
    let response = client.get(server.uri("/")).await.unwrap();
    assert_eq!(header(&response, "x-client"), thumbprint(&leaf.chain[0]));
}

#[tokio::test]
async fn no_request_fails_while_certificates_are_replaced() {
    let ca = TestCa::new(DOMAIN);
    let mine = ca.credentials("/orders");
    let client = client(connector(&mine, peers(&[PAYMENTS])));
    let server = Server::start(ours(&ca.credentials("/payments"), BOTH)).await;
    for _ in 0..50 {
        client.get(server.uri("/")).await.unwrap();
        mine.replace(ca.material("/orders"));
        client.get(server.uri("/")).await.unwrap();
    }
    assert_eq!(server.connections(), 1, "a good connection is kept");
}

/// A client with a connection in its pool.
struct Pooled {
    ca: TestCa,
    theirs: TestCert,
    clock: ManualClock,
    mine: Credentials,
    server: Server,
    client: Client<Connector, Body>,
}

/// How long the server's certificate is good for.
const HOUR: Duration = Duration::from_secs(3600);

impl Pooled {
    async fn over(alpn: &[&[u8]]) -> Self {
        let ca = TestCa::new(DOMAIN);
        let clock = ManualClock::default();
        let now = clock.now().unwrap();
        let mut params = svid_params(PAYMENTS);
        valid(&mut params, now, now + HOUR);
        let theirs = ca.issue(params);
        let server = Server::start(shows(&theirs, None, alpn)).await;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mine = Credentials::with(ca.material("/orders"), provider, clock.clone());
        let client = client(connector(&mine, peers(&[PAYMENTS])));
        let response = client.get(server.uri("/")).await.unwrap();
        response.into_body().collect().await.unwrap();
        Self {
            ca,
            theirs,
            clock,
            mine,
            server,
            client,
        }
    }

    /// Trusts what `trust` says from now on.
    fn trust(&self, trust: Trust) {
        let leaf = self.ca.workload("/orders");
        self.mine.replace(Material::new(leaf.identity(), trust));
    }

    /// Moves the clock on, beyond the end of the server's certificate, until the connection is
    /// closed: the watch sleeps for so long as the time was when it looked.
    async fn expire(&self) {
        self.clock.advance(HOUR);
        let mut closed = std::pin::pin!(self.server.closed(1));
        loop {
            tokio::select! {
                biased;
                () = &mut closed => return,
                () = tokio::task::yield_now() => self.clock.advance(Duration::from_secs(30)),
            }
        }
    }

    fn revoked(&self) -> Trust {
        let now = self.clock.now().unwrap();
        let list = self.ca.revocation_list(&[&self.theirs], now, HOUR);
        let trust = Trust::spiffe([self.ca.bundle()]).unwrap();
        trust.revocation_lists([list]).unwrap()
    }
}

#[tokio::test]
async fn a_pooled_connection_is_closed_when_the_servers_certificate_ends() {
    for alpn in [HTTP11, H2] {
        let pooled = Pooled::over(alpn).await;
        soon(pooled.expire()).await;
        let error = pooled.client.get(pooled.server.uri("/")).await.unwrap_err();
        assert!(
            among::<Refusal>(&error).is_some(),
            "a new one is not good: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_pooled_connection_is_closed_when_the_server_is_revoked() {
    for alpn in [HTTP11, H2] {
        let pooled = Pooled::over(alpn).await;
        pooled.trust(pooled.revoked());
        soon(pooled.server.closed(1)).await;
        let error = pooled.client.get(pooled.server.uri("/")).await.unwrap_err();
        let found: Option<&Refusal> = among(&error);
        assert_eq!(found, Some(&Refusal::Chain(webpki::Error::CertRevoked)));
    }
}

#[tokio::test]
async fn a_pooled_connection_is_closed_when_nobody_vouches_for_it_any_more() {
    for alpn in [HTTP11, H2] {
        let pooled = Pooled::over(alpn).await;
        let other = TestCa::new("other.example");
        pooled.trust(Trust::spiffe([other.bundle()]).unwrap());
        soon(pooled.server.closed(1)).await;
    }
}

#[tokio::test]
async fn a_pooled_connection_is_closed_when_the_clock_cannot_answer() {
    let pooled = Pooled::over(HTTP11).await;
    pooled.clock.fail();
    soon(pooled.expire()).await;
}

#[tokio::test]
async fn no_request_goes_out_under_the_name_that_we_had_before() {
    for alpn in [HTTP11, H2] {
        let ca = TestCa::new(DOMAIN);
        let (orders, batch) = (ca.workload("/orders"), ca.workload("/batch"));
        let trust = || Trust::spiffe([ca.bundle()]).unwrap();
        let mine = Credentials::new(Material::new(orders.identity(), trust()));
        let client = client(connector(&mine, peers(&[PAYMENTS])));
        let server = Server::start(shows(&ca.workload("/payments"), Some(&ca), alpn)).await;
        let response = client.get(server.uri("/")).await.unwrap();
        assert_eq!(header(&response, "x-client"), thumbprint(&orders.chain[0]));
        response.into_body().collect().await.unwrap();
        mine.replace(Material::new(batch.identity(), trust()));
        soon(server.closed(1)).await;
        let response = client.get(server.uri("/")).await.unwrap();
        assert_eq!(header(&response, "x-client"), thumbprint(&batch.chain[0]));
    }
}

#[tokio::test]
async fn a_pooled_connection_that_stays_good_is_kept() {
    let pooled = Pooled::over(H2).await;
    let other = pooled.ca.workload("/ledger");
    let now = pooled.clock.now().unwrap();
    let list = pooled.ca.revocation_list(&[&other], now, HOUR);
    let trust = Trust::spiffe([pooled.ca.bundle()]).unwrap();
    pooled.trust(trust.revocation_lists([list]).unwrap());
    for _ in 0..10 {
        let response = pooled.client.get(pooled.server.uri("/")).await.unwrap();
        assert_eq!(header(&response, "x-connection"), "1");
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_under_way_is_cut_and_says_why() {
    for alpn in [HTTP11, H2] {
        let pooled = Pooled::over(alpn).await;
        let response = pooled
            .client
            .get(pooled.server.uri("/endless"))
            .await
            .unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        pooled.trust(pooled.revoked());
        let error = soon(body.frame()).await.unwrap().unwrap_err();
        if alpn == HTTP11 {
            let found: Option<&Ended> = among(&error);
            let revoked = Refusal::Chain(webpki::Error::CertRevoked);
            assert_eq!(found, Some(&Ended::Refused(revoked)), "{error:?}");
        } else {
            let text = format!("{error:?}");
            assert!(text.contains("not good any more"), "{text}");
        }
    }
}
