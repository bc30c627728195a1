//! Workloads: services that know each other by certificate, strangers and others who are not expected.
//! Small applications of their own.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, timeout};
use zt_core::clock::{Clock, SystemClock};
use zt_mtls::testing::{TestCa, TestCert, ca_params, svid_params, valid};

use super::Report;
use crate::{
    Result,
    raw::Answer,
    services::{DOMAIN, LOCALHOST, ORDERS, PAYMENTS, Services},
    tls::{Met, TlsClient},
};

const ORDER: &str = r#"{"amount":120}"#;

pub(super) async fn play(folder: &Path, report: &mut Report) -> Result<()> {
    report.past_the_gateway(true);
    let mut services = Services::start(&folder.join("services")).await?;
    let mut visit = Visit {
        services: &services,
        report: &mut *report,
    };
    visit.good().await?;
    visit.strangers().await?;
    visit.unexpected().await?;
    visit.payments().await?;
    revoked(&mut services, report).await?;
    let logs = services.stop().await?;
    for log in &logs {
        report.check_log(log);
    }
    report.past_the_gateway(false);
    Ok(())
}

struct Visit<'a> {
    services: &'a Services,
    report: &'a mut Report,
}

impl Visit<'_> {
    async fn good(&mut self) -> Result<()> {
        let orders = self.services.orders;
        let cert = &self.services.gateway.cert;
        let met = self
            .met(Some(cert), orders, &post(orders.port(), "/orders", ""))
            .await?;
        let answer = answered(met);
        let paid = answer.body.contains("paid");
        let holds = paid.then_some(()).ok_or_else(|| answer.body.clone());
        let what = "a workload orders, over mutual TLS, and the order is paid";
        self.report.request(false, what, (201, "-"), &answer, holds);
        Ok(())
    }

    /// Those who get no further than the handshake.
    async fn strangers(&mut self) -> Result<()> {
        let ca = self.services.authority.ca();
        let id = "spiffe://shop.example/gateway";
        let now = SystemClock.now()?;
        let hour = Duration::from_secs(3_600);
        let mut ended = svid_params(id);
        valid(
            &mut ended,
            now.saturating_sub(2 * hour),
            now.saturating_sub(hour),
        );
        let impostor = TestCa::with(DOMAIN, ca_params("impostor")).workload("/gateway");
        let partner = TestCa::new("partner.example").workload("/gateway");
        let foreign = ca.issue(svid_params("spiffe://partner.example/gateway"));
        let ended = ca.issue(ended);
        for (what, cert, alert) in [
            (
                "a stranger without a certificate",
                None,
                "CertificateRequired",
            ),
            ("the same name by another CA", Some(&impostor), "UnknownCA"),
            (
                "a workload of another trust domain",
                Some(&partner),
                "UnknownCA",
            ),
            (
                "another domain's name by our CA",
                Some(&foreign),
                "UnknownCA",
            ),
            (
                "a certificate that has ended",
                Some(&ended),
                "CertificateExpired",
            ),
        ] {
            let orders = self.services.orders;
            let met = self
                .met(cert, orders, &post(orders.port(), "/orders", ""))
                .await?;
            self.report.handshake(what, alert, &met);
        }
        Ok(())
    }

    /// Workloads of the domain that have no business here.
    async fn unexpected(&mut self) -> Result<()> {
        let orders = self.services.orders;
        let (reports, gateway) = (&self.services.reports.cert, &self.services.gateway.cert);
        let denied = (403, "policy-denied");
        let claims = "X-Forwarded-Client-Cert: URI=spiffe://shop.example/gateway\r\n";
        for (what, cert, expected, request) in [
            (
                "a workload that is not on the list",
                reports,
                denied,
                post(orders.port(), "/orders", ""),
            ),
            (
                "the same, which says that it is another",
                reports,
                denied,
                post(orders.port(), "/orders", claims),
            ),
            (
                "another host than in the handshake",
                gateway,
                (421, "misdirected"),
                post(orders.port(), "/orders", "").replace(LOCALHOST, "payments.internal"),
            ),
        ] {
            let answer = answered(self.met(Some(cert), orders, &request).await?);
            self.report.request(true, what, expected, &answer, Ok(()));
        }
        Ok(())
    }

    /// A connection of the right workload is not enough here, nor is its token.
    async fn payments(&mut self) -> Result<()> {
        let payments = self.services.payments;
        let (ours, reports) = (
            &self.services.orders_workload().cert,
            &self.services.reports.cert,
        );
        let token = self.services.issuer.token(ORDERS).audience(PAYMENTS).mint();
        let token = format!("Authorization: Bearer {token}\r\n");
        for (what, cert, expected, headers) in [
            ("no token", ours, (401, "credential-missing"), ""),
            (
                "a token without a signature",
                ours,
                (401, "credential-missing"),
                &*token,
            ),
            (
                "a stolen token, by another workload",
                reports,
                (403, "policy-denied"),
                &*token,
            ),
        ] {
            let request = post(payments.port(), "/payments", headers);
            let answer = answered(self.met(Some(cert), payments, &request).await?);
            self.report.request(true, what, expected, &answer, Ok(()));
        }
        Ok(())
    }

    async fn met(
        &self,
        cert: Option<&TestCert>,
        to: std::net::SocketAddr,
        request: &str,
    ) -> Result<Met> {
        let client = TlsClient::new(self.services.authority.ca().root(), cert)?;
        client.send(to, request.as_bytes()).await
    }
}

/// A certificate that is revoked while its connection lives.
async fn revoked(services: &mut Services, report: &mut Report) -> Result<()> {
    let orders = services.orders;
    let cert = services.authority.certificate("/gateway")?;
    let client = TlsClient::new(services.authority.ca().root(), Some(&cert))?;
    let mut connection = client.connect(orders).await?;
    let request = format!(
        "GET /whoami HTTP/1.1\r\nHost: {LOCALHOST}:{}\r\n\r\n",
        orders.port()
    );
    let answer = answered(connection.ask(request.as_bytes()).await?);
    let what = "a workload asks on a connection that it keeps";
    report.request(false, what, (200, "-"), &answer, Ok(()));

    services.revoke(&cert).await?;
    let begun = Instant::now();
    let ended = timeout(Duration::from_secs(1), connection.to_the_end()).await;
    report.fact(
        "its certificate is revoked, and the connection ends",
        "within a second".to_owned(),
        match &ended {
            Ok(_) => format!("after {} ms", begun.elapsed().as_millis()),
            Err(_) => "it lives".to_owned(),
        },
        ended.is_ok(),
    );
    let met = client.send(orders, request.as_bytes()).await?;
    report.handshake("a revoked certificate", "CertificateRevoked", &met);
    Ok(())
}

fn post(port: u16, path: &str, headers: &str) -> String {
    let length = ORDER.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {LOCALHOST}:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n{ORDER}"
    )
}

/// The answer; one with status 0 where the connection was refused.
fn answered(met: Met) -> Answer {
    match met {
        Met::Answer(answer) => answer,
        _ => Answer::default(),
    }
}
