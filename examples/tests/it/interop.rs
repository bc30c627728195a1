//! The interop server as a stranger's client meets it: curl.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (status, text)
}

fn described(folder: &Path, server: &mut Server) -> Value {
    let file = folder.join("interop.json");
    loop {
        if let Ok(text) = std::fs::read(&file) {
            return serde_json::from_slice(&text).unwrap();
        }
        assert!(server.0.try_wait().unwrap().is_none(), "the server runs");
        thread::yield_now();
    }
}

#[test]
fn curl_meets_one_endpoint_a_layer() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("ZT_REQUIRE_SERVERS").is_none(),
            "curl is required"
        );
        println!("skipped: there is no curl");
        return;
    }
    let folder = std::env::temp_dir().join(format!("zt-interop-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let server = Command::new(env!("CARGO_BIN_EXE_interop"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--keys",
            folder.to_str().unwrap(),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server(server);
    let about = described(&folder, &mut server);
    let base = about["base_url"].as_str().unwrap();
    let url = |path: &str| format!("{base}{path}");

    for (preset, header) in [
        ("helmet", "x-frame-options: SAMEORIGIN"),
        ("api", "x-frame-options: DENY"),
        ("owasp", "permissions-policy: "),
        ("html_strict", "content-security-policy: "),
    ] {
        let (status, text) = curl(&[&url(&format!("/open?preset={preset}"))]);
        assert_eq!(status, 200, "{text}");
        assert!(
            text.to_lowercase().contains(&header.to_lowercase()),
            "{preset}: {text}"
        );
    }

    let token = &about["service_token"];
    let header = format!(
        "{}: {}",
        token["header"].as_str().unwrap(),
        token["value"].as_str().unwrap()
    );
    let (path, forbidden) = (
        token["path"].as_str().unwrap(),
        token["forbidden_path"].as_str().unwrap(),
    );
    assert_eq!(curl(&["-H", &header, &url(path)]).0, 200);
    assert_eq!(curl(&["-H", &header, &url(forbidden)]).0, 403);
    let (status, text) = curl(&[&url(path)]);
    assert_eq!(status, 401);
    assert!(text.contains("credential-missing"), "{text}");

    let burst = about["limited"]["burst"].as_u64().unwrap();
    let path = about["limited"]["path"].as_str().unwrap();
    for _ in 0..burst {
        assert_eq!(curl(&[&url(path)]).0, 200);
    }
    let (status, text) = curl(&[&url(path)]);
    assert_eq!(status, 429);
    assert!(text.to_lowercase().contains("retry-after: "), "{text}");

    assert!(about["audit"]["vkey"].is_null());
    let log = Path::new(about["audit"]["dir"].as_str().unwrap()).join("interop.jsonl");
    let report = zt_audit::verify(std::fs::File::open(log).unwrap()).unwrap();
    assert!(report.is_intact(), "{report}");
    std::fs::remove_dir_all(&folder).unwrap();
}
