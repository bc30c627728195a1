use zt_core::{headers::SetSecurityHeadersLayer, stack::{DevelopmentToken, LoopbackOnly, ZeroTrust}};

fn main() {
    let token = DevelopmentToken::generate().unwrap();
    let headers = SetSecurityHeadersLayer::default();
    let _ = (&token, &headers, LoopbackOnly);
    let _ = ZeroTrust::builder()
        .without_audit()
        .any_authenticated()
        .build();
}
