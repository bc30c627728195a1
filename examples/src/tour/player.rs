//! Who sends the tour's requests.

use std::net::SocketAddr;

use super::Report;
use crate::{
    Result,
    raw::{Answer, send},
    shop::{SESSION_COOKIE, Shop},
};

/// Builds the bytes of a request to `host`.
pub(super) struct Ask<'a> {
    line: String,
    host: String,
    headers: Vec<(&'a str, String)>,
    body: &'a [u8],
}

pub(super) fn get<'a>(path: &str) -> Ask<'a> {
    ask("GET", path)
}

pub(super) fn ask<'a>(method: &str, path: &str) -> Ask<'a> {
    Ask {
        line: format!("{method} {path} HTTP/1.1"),
        host: String::new(),
        headers: Vec::new(),
        body: b"",
    }
}

impl<'a> Ask<'a> {
    pub(super) fn token(self, token: &str) -> Self {
        self.with("X-Service-Token", token)
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// As a browser sends its session.
    pub(super) fn cookie(self, token: &str) -> Self {
        self.with("Cookie", &format!("{SESSION_COOKIE}={token}"))
    }

    pub(super) fn body(self, body: &'a [u8]) -> Self {
        Self { body, ..self }
    }

    pub(super) fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn json(self, body: &'a str) -> Self {
        let sized = self
            .with("Content-Type", "application/json")
            .with("Content-Length", &body.len().to_string());
        Self {
            body: body.as_bytes(),
            ..sized
        }
    }

    pub(super) fn bytes(&self, default_host: &str) -> Vec<u8> {
        let host = if self.host.is_empty() {
            default_host
        } else {
            &self.host
        };
        let mut text = format!("{}\r\nHost: {host}\r\nConnection: close\r\n", self.line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), self.body].concat()
    }
}

/// Plays every request. Each comes from an address of its own, so that the limit by peer bites
/// only where it should.
pub(super) struct Player<'a> {
    pub(super) shop: &'a Shop,
    pub(super) report: &'a mut Report,
    sources: u16,
}

impl<'a> Player<'a> {
    pub(super) fn new(shop: &'a Shop, report: &'a mut Report) -> Self {
        Self {
            shop,
            report,
            sources: 0,
        }
    }

    /// An address that nobody has used.
    pub(super) fn source(&mut self) -> [u8; 4] {
        self.sources += 1;
        let [high, low] = self.sources.to_be_bytes();
        [127, 1, high, low]
    }

    pub(super) async fn sent(&mut self, ask: &Ask<'_>) -> Answer {
        let to = self.shop.gateway;
        let source = self.source();
        send(source, to, &ask.bytes(&to.to_string()))
            .await
            .unwrap_or_default()
    }

    pub(super) async fn good(&mut self, what: &str, status: u16, ask: Ask<'_>) {
        let answer = self.sent(&ask).await;
        self.report
            .request(false, what, (status, "-"), &answer, Ok(()));
    }

    pub(super) async fn good_with(
        &mut self,
        what: &str,
        status: u16,
        ask: Ask<'_>,
        body_has: &str,
    ) {
        let answer = self.sent(&ask).await;
        let holds = if answer.body.contains(body_has) {
            Ok(())
        } else {
            Err(format!("answered {}", answer.body))
        };
        self.report
            .request(false, what, (status, "-"), &answer, holds);
    }

    pub(super) async fn attack(&mut self, what: &str, expected: (u16, &str), ask: Ask<'_>) {
        let answer = self.sent(&ask).await;
        self.report.request(true, what, expected, &answer, Ok(()));
    }

    /// As `attack`, where the answer's challenge has to say all of `says`.
    pub(super) async fn attack_challenged(
        &mut self,
        what: &str,
        expected: (u16, &str),
        ask: Ask<'_>,
        says: &[&str],
    ) {
        let answer = self.sent(&ask).await;
        let challenge = answer.header("www-authenticate");
        let holds = match says.iter().find(|part| !challenge.contains(**part)) {
            Some(part) => Err(format!("the challenge lacks {part}: {challenge}")),
            None => Ok(()),
        };
        self.report.request(true, what, expected, &answer, holds);
    }

    /// A request that goes past the gateway, to the service at `to`.
    pub(super) async fn attack_at(
        &mut self,
        to: SocketAddr,
        what: &str,
        expected: (u16, &str),
        ask: Ask<'_>,
    ) -> Result<()> {
        self.past_the_gateway(true, to, what, expected, ask).await
    }

    /// As `attack_at`, where the audit log of the service should say `why`.
    pub(super) async fn attack_because(
        &mut self,
        to: SocketAddr,
        what: &str,
        (expected, why): ((u16, &str), &'static str),
        ask: Ask<'_>,
    ) -> Result<()> {
        self.attack_at(to, what, expected, ask).await?;
        self.report.because(why);
        Ok(())
    }

    /// As `attack_at`, where nothing should be refused.
    pub(super) async fn good_at(
        &mut self,
        to: SocketAddr,
        what: &str,
        status: u16,
        ask: Ask<'_>,
    ) -> Result<()> {
        self.past_the_gateway(false, to, what, (status, "-"), ask)
            .await
    }

    async fn past_the_gateway(
        &mut self,
        attack: bool,
        to: SocketAddr,
        what: &str,
        expected: (u16, &str),
        ask: Ask<'_>,
    ) -> Result<()> {
        let answer = send(self.source(), to, &ask.bytes(&to.to_string())).await?;
        self.report.past_the_gateway(true);
        self.report.request(attack, what, expected, &answer, Ok(()));
        self.report.past_the_gateway(false);
        Ok(())
    }
}
