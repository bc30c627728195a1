//! SPIFFE's Workload API, from a small agent that serves it over real sockets.

mod agent;
mod rotation;

use std::{future::Future, process::Command, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    task::yield_now,
    time::timeout,
};
use tonic::Code;
use zt_core::clock::ManualClock;
use zt_mtls::{
    credentials::Credentials,
    id::SpiffeId,
    spire::{ENDPOINT_VARIABLE, EndpointError, MAX_RESPONSE, Spire, SpireError},
    testing::TestCa,
};

use self::agent::{Agent, Stand, X509SvidResponse, svid};

/// Nothing takes so long, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("in time")
}

async fn connect(agent: &Agent) -> Credentials {
    soon(Spire::at(&agent.address()).unwrap().connect())
        .await
        .unwrap()
}

fn shown(credentials: &Credentials) -> String {
    let material = credentials.load();
    material.identity().spiffe_id().unwrap().to_string()
}

/// Until the credentials are of this generation.
async fn replaced(credentials: &Credentials, generation: u64) {
    let mut changes = credentials.changes();
    soon(changes.wait_for(|found| *found >= generation))
        .await
        .unwrap();
}

/// Until the last attempt failed, and with what.
async fn failed(credentials: &Credentials) -> String {
    soon(async {
        loop {
            if let Some(error) = credentials.status().last_error {
                return error.to_string();
            }
            yield_now().await;
        }
    })
    .await
}

/// Until the last attempt failed with these words.
async fn failed_with(credentials: &Credentials, words: &str) {
    soon(async {
        while !failed(credentials).await.contains(words) {
            yield_now().await;
        }
    })
    .await;
}

/// Until the last attempt did not fail.
async fn confirmed(credentials: &Credentials) {
    soon(async {
        while credentials.status().last_error.is_some() {
            yield_now().await;
        }
    })
    .await;
}

/// Moves a clock on and on, while something is waited for.
async fn while_time_goes<T>(clock: &ManualClock, what: impl Future<Output = T>) -> T {
    let time = async {
        loop {
            clock.advance(Duration::from_millis(20));
            yield_now().await;
        }
    };
    soon(async {
        tokio::select! {
            found = what => found,
            () = time => unreachable!(),
        }
    })
    .await
}

#[tokio::test]
async fn the_first_response_is_who_we_are_and_whom_we_trust() {
    let (ca, partner) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let mut response = X509SvidResponse {
        svids: vec![svid(&ca, "/orders"), svid(&ca, "/batch"), svid(&ca, "/out")],
        ..X509SvidResponse::default()
    };
    response.svids[2].hint = "external".into();
    let bundle = ("spiffe://partner.example".into(), partner.root().to_vec());
    response.federated_bundles.extend([bundle]);
    let agent = Agent::start(response);

    let credentials = connect(&agent).await;
    assert_eq!(shown(&credentials), "spiffe://shop.example/orders");
    let material = credentials.load();
    let domains = material.trust().trust_domains().map(ToString::to_string);
    assert!(domains.eq(["partner.example", "shop.example"]));
    assert_eq!(agent.calls(), 1);

    let at = || Spire::at(&agent.address()).unwrap();
    let hinted = soon(at().hint("external").connect()).await.unwrap();
    assert_eq!(shown(&hinted), "spiffe://shop.example/out");
    let batch = SpiffeId::parse("spiffe://shop.example/batch").unwrap();
    let named = soon(at().spiffe_id(batch).connect()).await.unwrap();
    assert_eq!(shown(&named), "spiffe://shop.example/batch");
}

#[tokio::test]
async fn an_agent_may_listen_on_loopback() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start_tcp(svid(&ca, "/orders")).await;
    let credentials = connect(&agent).await;
    assert_eq!(shown(&credentials), "spiffe://shop.example/orders");
}

#[tokio::test]
async fn each_response_replaces_all_of_the_one_before() {
    let (ca, partner) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let first = svid(&ca, "/orders");
    let mut response = X509SvidResponse {
        svids: vec![first.clone()],
        ..X509SvidResponse::default()
    };
    let bundle = ("spiffe://partner.example".into(), partner.root().to_vec());
    response.federated_bundles.extend([bundle]);
    let agent = Agent::start(response);
    let credentials = connect(&agent).await;
    assert_eq!(credentials.load().trust().trust_domains().count(), 2);

    // SPIFFE_Workload_API section 4.4: what is left out is taken back.
    agent.say(first);
    replaced(&credentials, 2).await;
    assert_eq!(credentials.load().trust().trust_domains().count(), 1);

    let new = TestCa::new("shop.example");
    agent.say(svid(&new, "/orders"));
    replaced(&credentials, 3).await;
    assert_eq!(agent.calls(), 1);
}

#[tokio::test]
async fn a_response_of_many_frames_comes_whole() {
    let (ca, partner) = (TestCa::new("shop.example"), TestCa::new("partner.example"));
    let mut response = X509SvidResponse {
        svids: vec![svid(&ca, "/orders")],
        ..X509SvidResponse::default()
    };
    let bundle = |number| {
        (
            format!("spiffe://{number}.example"),
            partner.root().to_vec(),
        )
    };
    response.federated_bundles.extend((0..1000).map(bundle));
    let Stand::Message(bytes) = Stand::from(response.clone()) else {
        unreachable!();
    };
    // Several windows of HTTP/2.
    assert!(bytes.len() > 4 * 65_535 && bytes.len() < MAX_RESPONSE);
    let agent = Agent::start(svid(&ca, "/orders"));
    let credentials = connect(&agent).await;
    for generation in 2..5 {
        response.svids = vec![svid(&ca, "/orders")];
        agent.say(response.clone());
        replaced(&credentials, generation).await;
        assert_eq!(credentials.load().trust().trust_domains().count(), 1001);
    }
    assert_eq!(agent.calls(), 1);
}

#[tokio::test]
async fn without_an_identity_it_keeps_trying() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(Stand::End(Code::PermissionDenied));
    let connecting = tokio::spawn(Spire::at(&agent.address()).unwrap().connect());
    soon(agent.called(3)).await;
    assert!(!connecting.is_finished());
    agent.say(svid(&ca, "/orders"));
    let credentials = soon(connecting).await.unwrap().unwrap();
    assert_eq!(shown(&credentials), "spiffe://shop.example/orders");
}

#[tokio::test]
async fn without_an_agent_it_keeps_trying() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(svid(&ca, "/orders"));
    let address = agent.address();
    let stopped = agent.stop();
    let connecting = tokio::spawn(Spire::at(&address).unwrap().connect());
    yield_now().await;
    let _agent = stopped.start(svid(&ca, "/orders"));
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn patience_ends_with_what_was_wrong_last() {
    let agent = Agent::start(Stand::End(Code::PermissionDenied));
    let clock = ManualClock::default();
    let connecting = Spire::at(&agent.address())
        .unwrap()
        .clock(clock.clone())
        .patience(Duration::from_secs(3600))
        .connect();
    let called_then_late = async {
        let connecting = tokio::spawn(connecting);
        soon(agent.called(1)).await;
        while_time_goes(&clock, connecting).await.unwrap()
    };
    let Err(SpireError::NoIdentity(why)) = called_then_late.await else {
        panic!("there is no identity");
    };
    assert!(why.starts_with("the agent "), "{why}");
    soon(agent.connected(0)).await;
}

#[tokio::test]
async fn an_answer_that_is_final_ends_the_waiting() {
    for (code, name) in [
        (Code::InvalidArgument, "InvalidArgument"),
        (Code::Unimplemented, "Unimplemented"),
    ] {
        let agent = Agent::start(Stand::End(code));
        let refused = soon(Spire::at(&agent.address()).unwrap().connect()).await;
        let words = format!("the agent ended the stream: {name}: no identity issued");
        assert_eq!(refused.unwrap_err(), SpireError::Refused(words.into()));
        assert_eq!(agent.calls(), 1);
    }
}

#[tokio::test]
async fn an_end_of_the_stream_leaves_what_was_there_and_the_agent_is_called_again() {
    let ca = TestCa::new("shop.example");
    let first = svid(&ca, "/orders");
    for (code, words) in [
        (Code::Ok, "without an error"),
        (
            Code::PermissionDenied,
            "PermissionDenied: no identity issued",
        ),
        (Code::Unavailable, "Unavailable: no identity issued"),
        // Final only where it is the first answer.
        (Code::InvalidArgument, "InvalidArgument: no identity issued"),
    ] {
        let agent = Agent::start(first.clone());
        let credentials = connect(&agent).await;
        agent.say(Stand::End(code));
        let error = failed(&credentials).await;
        assert_eq!(error, format!("the agent ended the stream: {words}"));
        assert_eq!(credentials.status().generation, 1);

        // It says the same as before: nothing is replaced.
        agent.say(first.clone());
        confirmed(&credentials).await;
        assert!(agent.calls() > 1);
        assert_eq!(credentials.status().generation, 1);

        agent.say(svid(&ca, "/orders"));
        replaced(&credentials, 2).await;
    }
}

#[tokio::test]
async fn an_agent_that_is_started_anew_is_found_again() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(svid(&ca, "/orders"));
    let credentials = connect(&agent).await;
    let stopped = agent.stop();
    failed(&credentials).await;
    assert_eq!(shown(&credentials), "spiffe://shop.example/orders");
    let agent = stopped.start(svid(&ca, "/orders"));
    replaced(&credentials, 2).await;
    assert_eq!(credentials.status().last_error, None);
    assert_eq!(agent.calls(), 1);
}

/// What cannot be used, and the words for it.
fn unusable(ca: &TestCa) -> Vec<(Stand, &'static str)> {
    let good = || svid(ca, "/orders");
    let mut other_key = good();
    other_key.x509_svid_key = svid(ca, "/orders").x509_svid_key;
    let stranger = TestCa::new("stranger.example");
    let mut without_bundle = svid(&stranger, "/orders");
    without_bundle.bundle.clear();
    let mut other_bundle = svid(&stranger, "/orders");
    other_bundle.bundle = ca.root().to_vec();
    let mut other_id = good();
    other_id.spiffe_id = "spiffe://shop.example/admin".into();
    let mut crl = X509SvidResponse {
        svids: vec![good()],
        ..X509SvidResponse::default()
    };
    crl.crl.push(b"garbage".to_vec());
    vec![
        (
            Stand::Message(b"\xff\xffgarbage".to_vec()),
            "cannot be read",
        ),
        (Stand::Message(Vec::new()), "it has no identity"),
        (other_key.into(), "the key cannot be used"),
        (without_bundle.into(), "`bundle` of an identity is empty"),
        (other_bundle.into(), "does not vouch for"),
        (other_id.into(), "is another's"),
        (crl.into(), "revocation list"),
        (Stand::Message(vec![0; MAX_RESPONSE + 1]), "is longer than"),
    ]
}

#[tokio::test]
async fn a_response_that_cannot_be_used_leaves_what_was_there() {
    let ca = TestCa::new("shop.example");
    for (stand, words) in unusable(&ca) {
        let agent = Agent::start(svid(&ca, "/orders"));
        let credentials = connect(&agent).await;
        agent.say(stand);
        let error = failed(&credentials).await;
        assert!(error.contains(words), "{error}");
        assert_eq!(credentials.status().generation, 1);
        assert_eq!(shown(&credentials), "spiffe://shop.example/orders");

        agent.say(svid(&ca, "/orders"));
        replaced(&credentials, 2).await;
        assert_eq!(credentials.status().last_error, None);
    }
}

#[tokio::test]
async fn a_first_response_that_cannot_be_used_gives_no_credentials() {
    let ca = TestCa::new("shop.example");
    for (stand, _) in unusable(&ca) {
        let agent = Agent::start(stand);
        let connecting = tokio::spawn(Spire::at(&agent.address()).unwrap().connect());
        soon(agent.called(2)).await;
        assert!(!connecting.is_finished());
        agent.say(svid(&ca, "/orders"));
        soon(connecting).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn nothing_is_left_when_the_last_credentials_are_dropped() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(svid(&ca, "/orders"));
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let credentials = connect(&agent).await;
    assert_eq!(agent.connections(), 1);
    let clone = credentials.clone();
    drop(credentials);
    agent.say(svid(&ca, "/orders"));
    replaced(&clone, 2).await;
    drop(clone);
    soon(agent.connected(0)).await;
    soon(async {
        while tasks() > before {
            yield_now().await;
        }
    })
    .await;

    // Between two calls as well.
    let credentials = connect(&agent).await;
    agent.say(Stand::End(Code::Unavailable));
    failed(&credentials).await;
    drop(credentials);
    soon(async {
        while agent.connections() > 0 || tasks() > before {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_gives_up_waiting_leaves_nothing() {
    let agent = Agent::start(Stand::Silence);
    let waiting = tokio::spawn(Spire::at(&agent.address()).unwrap().connect());
    soon(agent.called(1)).await;
    waiting.abort();
    soon(agent.connected(0)).await;
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_called_again() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(Stand::Silence);
    let clock = ManualClock::default();
    let spire = Spire::at(&agent.address()).unwrap().clock(clock.clone());
    let connecting = tokio::spawn(spire.connect());
    soon(agent.called(1)).await;
    while_time_goes(&clock, agent.called(2)).await;
    agent.say(svid(&ca, "/orders"));
    while_time_goes(&clock, connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_agent_that_stands_still_is_noticed() {
    let ca = TestCa::new("shop.example");
    let agent = Agent::start(svid(&ca, "/orders"));
    let address = agent.address();
    let stopped = agent.stop();
    // Answers once, and then neither speaks nor reads nor goes.
    let path = address.strip_prefix("unix://").unwrap().to_owned();
    let listener = UnixListener::bind(&path).unwrap();
    let Stand::Message(message) = Stand::from(svid(&ca, "/orders")) else {
        unreachable!();
    };
    let (told, mut is_told) = tokio::sync::oneshot::channel::<()>();
    let frozen = tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(io).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let head = http::Response::builder()
            .header("content-type", "application/grpc+proto")
            .body(())
            .unwrap();
        let mut body = respond.send_response(head, false).unwrap();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let frame = [&[0][..], &length, &message].concat();
        body.send_data(frame.into(), false).unwrap();
        tokio::select! {
            _ = connection.accept() => panic!("nothing more is asked"),
            _ = &mut is_told => {}
        }
        (connection, body, listener)
    });
    let clock = ManualClock::default();
    let spire = Spire::at(&address).unwrap().clock(clock.clone());
    let credentials = soon(spire.connect()).await.unwrap();
    told.send(()).unwrap();
    let _held = soon(frozen).await.unwrap();
    let error = while_time_goes(&clock, failed(&credentials)).await;
    assert!(error.contains("did not answer a ping"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let _agent = stopped.start(svid(&ca, "/orders"));
    while_time_goes(&clock, replaced(&credentials, 2)).await;
}

#[tokio::test]
async fn what_is_no_workload_api_is_reported() {
    let ca = TestCa::new("shop.example");
    for (hello, words) in [
        (
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            "HTTP/2",
        ),
        (b"", "HTTP/2"),
    ] {
        let agent = Agent::start(svid(&ca, "/orders"));
        let address = agent.address();
        let credentials = connect(&agent).await;
        let _stopped = agent.stop();
        let listener = UnixListener::bind(address.strip_prefix("unix://").unwrap()).unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (mut io, _) = listener.accept().await.unwrap();
                let _ = io.read(&mut [0; 1024]).await;
                let _ = io.write_all(hello).await;
            }
        });
        failed_with(&credentials, words).await;
        server.abort();
    }
}

#[test]
fn the_address_is_in_the_environment() {
    let this = std::env::current_exe().unwrap();
    for (value, expected) in [
        (Some("unix:///run/spire/agent.sock"), "found"),
        (None, "not set"),
        (Some("/run/spire/agent.sock"), "no URI"),
    ] {
        let mut child = Command::new(&this);
        child.args([
            "--exact",
            "spire::child_asks_the_environment",
            "--nocapture",
        ]);
        child.args(["--ignored"]).env_remove(ENDPOINT_VARIABLE);
        child.envs(value.map(|value| (ENDPOINT_VARIABLE, value)));
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "{value:?}: {text}");
    }
}

#[test]
#[ignore = "run by `the_address_is_in_the_environment`, in an environment of its own"]
fn child_asks_the_environment() {
    match Spire::from_env() {
        Ok(spire) => println!("found {spire:?}"),
        Err(EndpointError::Unset) => println!("{}", EndpointError::Unset),
        Err(other) => println!("{other}"),
    }
}
