//! Services over mutual TLS: who may order and who may be paid, and what is left of a connection.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use zt_examples::{
    audit,
    raw::Answer,
    services::{Services, Workload},
    tls::{Met, TlsClient},
};

async fn services(name: &str) -> (Services, PathBuf) {
    let folder = std::env::temp_dir().join(format!("zt-services-{name}-{}", std::process::id()));
    (Services::start(&folder).await.unwrap(), folder)
}

async fn order(services: &Services, by: &Workload, to: SocketAddr, path: &str) -> Answer {
    let body = r#"{"amount":120}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        to.port(),
        body.len()
    );
    let client = TlsClient::new(services.authority.ca().root(), Some(&by.cert)).unwrap();
    match client.send(to, request.as_bytes()).await.unwrap() {
        Met::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_order_is_paid_and_nobody_else_gets_in() {
    let (services, folder) = services("paid").await;
    let answer = order(&services, &services.gateway, services.orders, "/orders").await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["payment"]["paid"], 120, "{body}");

    for (by, to, path) in [
        (&services.reports, services.orders, "/orders"),
        (&services.reports, services.payments, "/payments"),
        // Who may order may not be paid.
        (&services.gateway, services.payments, "/payments"),
        (services.orders_workload(), services.orders, "/orders"),
    ] {
        let answer = order(&services, by, to, path).await;
        let told = (answer.status, answer.code());
        let credentials = &by.credentials;
        // Payments misses the token first.
        let expected = if path == "/payments" {
            (401, "credential-missing".to_owned())
        } else {
            (403, "policy-denied".to_owned())
        };
        assert_eq!(told, expected, "{credentials:?} {path}: {}", answer.body);
    }
    let logs = services.stop().await.unwrap();
    let permits = |log: &PathBuf| {
        let records = audit::records(log).unwrap();
        let permits = records
            .iter()
            .filter(|record| record["decision"] == "permit");
        permits.count()
    };
    assert_eq!(logs.iter().map(permits).collect::<Vec<_>>(), [1, 1]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn new_certificates_are_used_without_a_failed_request() {
    let (mut services, folder) = services("renewed").await;
    for _ in 0..5 {
        services.renew().await.unwrap();
        let answer = order(&services, &services.gateway, services.orders, "/orders").await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    services.stop().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_example_does_what_it_prints() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_services"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let tries: Vec<String> = lines
        .map(Result::unwrap)
        .filter(|line| line.starts_with("curl"))
        .take(2)
        .collect();
    let status = |line: &String| {
        let shell = Command::new("sh")
            .args([
                "-c",
                &format!("{line} -sS --max-time 20 -o /dev/null -w '%{{http_code}}'"),
            ])
            .output()
            .unwrap();
        String::from_utf8(shell.stdout).unwrap()
    };
    let statuses: Vec<String> = tries.iter().map(status).collect();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(statuses, ["201", "403"], "{tries:?}");
}
