//! The tour of zt.
//!
//! ```sh
//! cargo run --bin tour                 # plays it, prints a table, exits 1 on any surprise
//! cargo run --bin tour -- --json       # one line a request
//! cargo run --bin tour -- --serve      # leaves the shop running and prints curl lines
//! cargo run --bin tour -- --leave-out policy   # what happens without one layer
//! ```
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use zt_examples::{
    Result,
    shop::{GATEWAY, Omit, Shop},
    tour,
};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let folder = std::env::temp_dir().join(format!("zt-tour-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    if has("--serve") {
        return serve(folder).await;
    }
    let omit = match arguments
        .iter()
        .position(|argument| argument == "--leave-out")
    {
        Some(at) => Some(
            arguments
                .get(at + 1)
                .map(String::as_str)
                .unwrap_or_default()
                .parse::<Omit>()?,
        ),
        None => None,
    };
    // A handler of the shop panics on purpose; its backtrace is no part of the table.
    std::panic::set_hook(Box::new(|_| {}));
    let report = tour::play(&folder, omit).await?;
    if has("--json") {
        report
            .lines()
            .iter()
            .for_each(|line| println!("{}", line.json()));
    } else {
        println!("{report}");
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(if report.surprises() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn serve(folder: PathBuf) -> Result<ExitCode> {
    let shop = Shop::serve(&folder).await?;
    let (gateway, token) = (shop.gateway, shop.keys.customer());
    println!(
        "The shop is open; its audit logs are in {}.\n",
        folder.display()
    );
    println!("curl -i http://{gateway}/health");
    println!("curl -i http://{gateway}/orders/7 -H 'X-Service-Token: {token}'");
    let jwt = shop
        .issuer
        .token("ada")
        .audience(GATEWAY)
        .scope("orders:read orders:write")
        .lives(Duration::from_secs(3_600));
    let (good, bound) = (jwt.mint(), jwt.bound_to_certificate(&[7; 32]).mint());
    println!("curl -i http://{gateway}/orders/7 -H 'Authorization: Bearer {good}'");
    println!("curl -i http://{gateway}/orders/7");
    println!("curl -i http://{gateway}/orders/7 -H 'Authorization: Bearer {bound}'");
    println!("curl -i -X POST http://{gateway}/refunds -H 'Authorization: Bearer {good}'");
    println!(
        "curl -i --path-as-is http://{gateway}/orders/../reports -H 'X-Service-Token: {token}'"
    );
    println!(
        "cargo run --bin zt-audit -- verify {}/gateway\n",
        folder.display()
    );
    shop.wait().await;
    Ok(ExitCode::SUCCESS)
}
