//! Over TLS, with settings that name their own cryptography and roots.

use std::{fs, net::TcpListener, sync::Arc};

use super::*;
use rcgen::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};

/// A server with a certificate of its own for `localhost`, its port for TLS, and who vouches.
#[expect(clippy::print_stdout, reason = "says what it skips")]
fn start() -> Option<(RedisServer, u16, CertificateDer<'static>)> {
    let server = RedisServer::start(&[])?;
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = server.folder().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert_file, key_file) = (
        file("cert.pem", cert.pem()),
        file("key.pem", signing_key.serialize_pem()),
    );
    let configure = |port: u16| {
        server.command(&[
            "CONFIG",
            "SET",
            "tls-cert-file",
            &cert_file,
            "tls-key-file",
            &key_file,
            "tls-ca-cert-file",
            &cert_file,
            "tls-auth-clients",
            "no",
            "tls-port",
            &port.to_string(),
        ])
    };
    // A port that was free a moment ago may be somebody else's now.
    let mut tries = (0..50).map(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        (port, configure(port))
    });
    let (port, answer) = tries
        .find(|(_, answer)| !answer.contains("Unable to listen"))
        .unwrap();
    if answer != "OK" {
        assert!(!zt_core::testing::servers_are_required(), "{answer}");
        println!("skipped: this redis-server knows no TLS: {answer}");
        return None;
    }
    Some((server, port, cert.der().clone()))
}

fn trusting(root: Option<CertificateDer<'static>>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(root);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

async fn connect_over(url: &str, tls: Arc<ClientConfig>) -> Result<RedisClient, RedisError> {
    RedisClient::connect(RedisConfig::new(url).unwrap().tls(tls)).await
}

#[tokio::test]
async fn a_server_is_who_its_certificate_says() {
    let Some((server, port, root)) = start() else {
        return;
    };
    let named = format!("rediss://localhost:{port}");
    let trusts = trusting(Some(root));
    for (url, tls) in [
        // Nobody vouches for it.
        (named.clone(), trusting(None)),
        // It is another one's certificate.
        (format!("rediss://127.0.0.1:{port}"), Arc::clone(&trusts)),
        // It speaks no TLS there.
        (
            format!("rediss://localhost:{}", server.port()),
            Arc::clone(&trusts),
        ),
    ] {
        let refused = connect_over(&url, tls).await.unwrap_err();
        assert!(matches!(refused, RedisError::Unavailable(_)), "{refused:?}");
    }
    // Settings for TLS are never passed over, whatever the URL says.
    let plain = format!("redis://localhost:{}", server.port());
    assert!(connect_over(&plain, Arc::clone(&trusts)).await.is_err());

    let client = connect_over(&named, trusts).await.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    assert!(store.get("a").await.unwrap().is_some());
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
