//! `cargo run --bin services`, then one request that succeeds and one that fails (it prints both).
#![expect(clippy::print_stdout, reason = "it prints what to try")]

use zt_examples::{Result, services::Services};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("zt-services-{}", std::process::id()));
    let services = Services::start(&folder).await?;
    println!("Certificates and audit logs are in {}.\n", folder.display());
    let url = format!("https://localhost:{}/orders", services.orders.port());
    for (what, workload) in [
        (
            "The gateway orders, and orders has it paid (201):",
            &services.gateway,
        ),
        ("Reports has no business here (403):", &services.reports),
    ] {
        let folder = workload.folder.display();
        println!(
            "{what}\ncurl -i {url} --cacert {folder}/bundle.pem --cert {folder}/tls.crt --key {folder}/tls.key --json '{{\"amount\":120}}'"
        );
    }
    services.wait().await;
    Ok(())
}
