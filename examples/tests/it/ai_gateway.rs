//! The gateway in front of a model, attacked: nobody gets more than there is money for, and nothing
//! stays held.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zt_audit::verify::Finding;
use zt_core::{
    clock::{Clock, ManualClock, SystemClock},
    testing::RedisServer,
};
use zt_examples::{
    ai_gateway::{Config, Gateway, Options},
    audit,
    raw::{Answer, connect},
    swarm::{Fate, Swarm},
};
use zt_ratelimit::Cost;

use super::ask;

const ONE: &str = "acme/search/one";
const TWO: &str = "acme/search/two";
const COMPLETIONS: &str = "/v1/chat/completions";

/// A gateway with little money: a token that is sent costs a tenth of a cent, one that is said a
/// cent.
struct Lab {
    gateway: Gateway,
    clock: ManualClock,
    audit: PathBuf,
}

impl Lab {
    async fn new(name: &str, pace: Duration) -> Self {
        Self::with(name, pace, CONFIG).await
    }

    async fn with(name: &str, pace: Duration, config: &str) -> Self {
        Self::counted_by(None, name, pace, config).await
    }

    async fn counted_by(redis: Option<String>, name: &str, pace: Duration, config: &str) -> Self {
        let clock = ManualClock::default();
        // At noon, so that the keys outlive the day.
        clock.advance(Duration::from_secs(43_200));
        let audit = std::env::temp_dir().join(format!("zt-ai-{}-{name}", std::process::id()));
        audit::remove(&audit).unwrap();
        let config: Config = config.parse().unwrap();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            clock: clock.clone(),
            audit: audit.clone(),
            config,
            pace,
            redis,
        };
        let gateway = Gateway::start(options).await.unwrap();
        Self {
            gateway,
            clock,
            audit,
        }
    }

    fn bearer(&self, key: &str) -> String {
        format!("Authorization: Bearer {}", self.gateway.keys.token(key))
    }

    async fn post(&self, path: &str, who: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let headers = [
            &self.bearer(who),
            "Content-Type: application/json",
            &format!("Content-Length: {}", body.len()),
        ];
        ask(
            self.gateway.address,
            &format!("POST {path}"),
            &headers,
            &body,
        )
        .await
    }

    async fn get(&self, path: &str, who: &str) -> Answer {
        ask(
            self.gateway.address,
            &format!("GET {path}"),
            &[&self.bearer(who)],
            "",
        )
        .await
    }

    /// What the page shows of a limit: spent and held.
    async fn budget(&self, subject: &str, limit: &str) -> (Cost, Cost) {
        let answer = self.get("/budgets.json", "viewer").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let nodes = body["nodes"].as_array().unwrap();
        let node = nodes
            .iter()
            .find(|node| node["subject"] == subject && node["name"] == limit)
            .unwrap();
        let money = |field: &str| node[field].as_str().unwrap().parse().unwrap();
        (money("spent"), money("held"))
    }

    /// What is spent of it, once nothing is held any more.
    async fn settled(&self, subject: &str, limit: &str) -> Cost {
        for _ in 0..5_000 {
            let (spent, held) = self.budget(subject, limit).await;
            if held.nanos() == 0 {
                return spent;
            }
            SystemClock.sleep(Duration::from_millis(2)).await;
        }
        panic!("{limit} of {subject} stays held");
    }
}

const CONFIG: &str = r#"
    [prices.small]
    input_per_million = "1000 USD"
    output_per_million = "10000 USD"

    [limits]
    currency = "USD"

    [[limits.level]]
    name = "organisation"
    budgets = [{ name = "org-month", amount = "3", window = "month" }]

    [[limits.level]]
    name = "team"
    budgets = [{ name = "team-day", amount = "1.5", window = "day" }]

    [[limits.level]]
    name = "key"
    budgets = [{ name = "key-day", amount = "1", window = "day" }]
    concurrency = [{ name = "key-at-once", permits = 1000 }]

    [[limits.tier]]
    name = "trial"
    roles = ["trial"]

    [[limits.tier.level]]
    name = "key"
    budgets = [{ name = "key-day", amount = "1", window = "day" }]
    concurrency = [{ name = "key-at-once", permits = 1 }]
"#;

fn money(text: &str) -> Cost {
    format!("{text} USD").parse().unwrap()
}

/// Eight tokens are sent.
fn say(words: u64, more: Value) -> Value {
    let mut body = json!({"model": "small",
        "messages": [{"role": "user", "content": format!("say {words} words")}]});
    let Value::Object(more) = more else { panic!() };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// The events of a stream, but for the last.
fn events(answer: &Answer) -> Vec<Value> {
    let data = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let mut events: Vec<&str> = data.collect();
    assert_eq!(events.pop(), Some("[DONE]"), "{answer:?}");
    events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

#[tokio::test]
async fn what_was_held_and_not_said_comes_back_at_every_level() {
    let lab = Lab::new("back", Duration::ZERO).await;
    for stream in [false, true] {
        let request = say(5, json!({"max_tokens": 90, "stream": stream}));
        let answer = lab.post(COMPLETIONS, ONE, &request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let end = match stream {
            false => serde_json::from_str(&answer.body).unwrap(),
            true => events(&answer).pop().unwrap(),
        };
        assert_eq!(end["choices"][0]["finish_reason"], "stop", "{end}");
        assert_eq!(end["usage"]["completion_tokens"], 5, "{end}");
        assert_eq!(end["cost"], "0.058 USD", "{end}");
    }
    for (subject, limit) in [
        (ONE, "key-day"),
        ("acme/search", "team-day"),
        ("acme", "org-month"),
    ] {
        assert_eq!(lab.settled(subject, limit).await, money("0.116"), "{limit}");
    }
    assert_eq!(lab.settled(TWO, "key-day").await, money("0"));
}

#[tokio::test]
async fn a_request_that_may_cost_too_much_is_refused_before_the_model_is_asked() {
    let lab = Lab::new("too-much", Duration::ZERO).await;
    // More than the key ever has: no wait helps.
    for most in [100, 1_000_000_000, 1_000_000_000_000, u64::MAX] {
        let answer = lab
            .post(COMPLETIONS, ONE, &say(5, json!({"max_tokens": most})))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (402, "budget-exhausted"),
            "{answer:?}"
        );
        assert_eq!(answer.header("retry-after"), "");
    }
    // More than is left: tomorrow it fits.
    let answer = lab
        .post(COMPLETIONS, ONE, &say(90, json!({"max_tokens": 90})))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tomorrow = say(10, json!({"max_tokens": 10}));
    let answer = lab.post(COMPLETIONS, ONE, &tomorrow).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "budget-exhausted"),
        "{answer:?}"
    );
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0 && wait <= 86_400, "{wait}");
    assert!(answer.body.contains("key-day"), "{answer:?}");
    assert_eq!(lab.gateway.model.said(), 90);
    // The other key of the team has money, and the team has not enough.
    let answer = lab
        .post(COMPLETIONS, TWO, &say(60, json!({"max_tokens": 60})))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "budget-exhausted"),
        "{answer:?}"
    );
    assert!(
        answer.body.contains("team-day") && !answer.body.contains("key-day"),
        "{answer:?}"
    );
    assert_eq!(lab.settled(TWO, "key-day").await, money("0"));
    lab.clock.advance(Duration::from_secs(wait));
    let answer = lab.post(COMPLETIONS, ONE, &tomorrow).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn what_is_no_request_costs_nothing() {
    let lab = Lab::new("nothing", Duration::ZERO).await;
    let unknown = json!({"model": "huge", "messages": []});
    assert_eq!(lab.post(COMPLETIONS, ONE, &unknown).await.status, 404);
    assert_eq!(
        lab.post(COMPLETIONS, ONE, &json!({"model": 7}))
            .await
            .status,
        422
    );
    let answer = lab.post(COMPLETIONS, "nobody", &say(5, json!({}))).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    let answer = lab.post(COMPLETIONS, "viewer", &say(5, json!({}))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "scope-insufficient"),
        "{answer:?}"
    );
    assert_eq!(lab.settled("acme", "org-month").await, money("0"));
    assert_eq!(lab.gateway.model.said(), 0);
}

#[tokio::test]
async fn without_max_tokens_the_answer_ends_with_the_last_token_that_there_is_money_for() {
    let lab = Lab::new("budget", Duration::ZERO).await;
    let answer = lab
        .post(COMPLETIONS, ONE, &say(100_000, json!({"stream": true})))
        .await;
    let mut told = events(&answer);
    let end = told.pop().unwrap();
    assert_eq!(end["choices"][0]["finish_reason"], "budget", "{end}");
    // 0.008 for what was sent, and 0.01 each.
    assert_eq!((told.len(), lab.gateway.model.said()), (99, 99), "{end}");
    assert_eq!(end["cost"], "0.998 USD", "{end}");
    assert_eq!(lab.settled(ONE, "key-day").await, money("0.998"));
    let answer = lab.post(COMPLETIONS, ONE, &say(1, json!({}))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "budget-exhausted"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_handler_that_knows_nothing_of_money_is_cut_off_at_the_last_token() {
    let lab = Lab::new("raw", Duration::ZERO).await;
    let answer = lab.post("/v1/raw", ONE, &say(100_000, json!({}))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.matches("data:").count(), 100, "{answer:?}");
    assert_eq!(lab.settled(ONE, "key-day").await, money("1"));
    let whole = lab.post("/v1/raw", TWO, &say(7, json!({}))).await;
    assert_eq!(whole.body.matches("data:").count(), 7, "{whole:?}");
    assert_eq!(lab.settled(TWO, "key-day").await, money("0.07"));
}

/// Begins a stream, and reads until the first token is there.
async fn begun(lab: &Lab, key: &str, request: &Value) -> tokio::net::TcpStream {
    let body = request.to_string();
    let mut stream = connect([127, 0, 0, 1], lab.gateway.address).await.unwrap();
    let head = format!(
        "POST {COMPLETIONS} HTTP/1.1\r\nHost: ai.example\r\n{}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        lab.bearer(key),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains("\"content\"") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream
}

#[tokio::test]
async fn a_client_that_goes_away_is_charged_what_was_said_and_nothing_stays_held() {
    let lab = Lab::new("gone", Duration::from_millis(50)).await;
    let request = say(100_000, json!({"max_tokens": 90, "stream": true}));
    let stream = begun(&lab, "acme/support/trial", &request).await;
    // All of it is held meanwhile, and the key's one permit.
    let (spent, held) = lab.budget("acme/support/trial", "key-day").await;
    assert_eq!((spent, held), (money("0"), money("0.908")));
    let answer = lab
        .post(COMPLETIONS, "acme/support/trial", &say(1, json!({})))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "concurrency-limited"),
        "{answer:?}"
    );
    assert!(!answer.header("retry-after").is_empty());
    drop(stream);
    let spent = lab.settled("acme/support/trial", "key-day").await;
    let said = lab.gateway.model.said();
    assert!((1..90).contains(&said), "{said}");
    assert_eq!(spent.micros(), 8_000 + said * 10_000);
    let answer = lab
        .post(COMPLETIONS, "acme/support/trial", &say(1, json!({})))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_at_once_spend_what_there_is_and_not_more() {
    // What is sent costs nothing here: so what the model has said is what was spent.
    let config = CONFIG.replace("\"1000 USD\"", "\"0 USD\"");
    let lab = Lab::with("race", Duration::from_millis(3), &config).await;
    let swarm = Swarm::of(500, lab.gateway.address).await.unwrap();
    let request = |number: usize| {
        // Two keys of one team: half of them say beforehand how long it gets.
        let key = [ONE, TWO][number % 2];
        let body = match number % 4 {
            0 | 1 => say(4, json!({"max_tokens": 6, "stream": true})),
            _ => say(4, json!({"stream": true})),
        };
        let request = Request::post(format!("http://{}{COMPLETIONS}", lab.gateway.address))
            .header(
                "authorization",
                format!("Bearer {}", lab.gateway.keys.token(key)),
            )
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        // Three of ten go away, at different times.
        let patience = (number % 10 < 3).then(|| Duration::from_millis(number as u64 % 40));
        (request, patience)
    };
    let fates = swarm.send((0..500).map(request)).await;
    let with = |status| {
        let counted = fates.iter().filter(|fate| fate.status() == Some(status));
        counted.count()
    };
    let gone = fates.iter().filter(|fate| **fate == Fate::GaveUp).count();
    assert_eq!(with(200) + with(429) + gone, 500);
    assert!(
        with(200) > 0 && with(429) > 0 && gone > 0,
        "{} {} {gone}",
        with(200),
        with(429)
    );

    let team = lab.settled("acme/search", "team-day").await;
    assert!(team.nanos() <= money("1.5").nanos(), "{team}");
    let keys = [
        lab.settled(ONE, "key-day").await,
        lab.settled(TWO, "key-day").await,
    ];
    assert!(
        keys.iter().all(|spent| spent.nanos() <= money("1").nanos()),
        "{keys:?}"
    );
    assert_eq!(keys[0].checked_add(keys[1]).unwrap(), team);
    assert_eq!(lab.settled("acme", "org-month").await, team);
    assert_eq!(team.micros(), lab.gateway.model.said() * 10_000);
    // Nothing was refused for good: the last cent can be spent.
    for key in [ONE, TWO] {
        lab.post(COMPLETIONS, key, &say(1_000, json!({"stream": true})))
            .await;
    }
    assert_eq!(lab.settled("acme/search", "team-day").await, money("1.5"));
}

#[tokio::test]
async fn two_gateways_on_one_redis_share_what_there_is() {
    let Some(redis) = RedisServer::start(&[]) else {
        return;
    };
    let gateway = |name| Lab::counted_by(Some(redis.url()), name, Duration::ZERO, CONFIG);
    let (first, second) = (gateway("first").await, gateway("second").await);
    let request = say(100_000, json!({"stream": true}));
    let answers = join(
        first.post(COMPLETIONS, ONE, &request),
        second.post(COMPLETIONS, ONE, &request),
    );
    let answers = answers.await;
    let mut served = 0;
    for answer in [answers.0, answers.1] {
        // One may come when the other has spent everything.
        if answer.status == 429 {
            continue;
        }
        let end = events(&answer).pop().unwrap();
        assert_eq!(end["choices"][0]["finish_reason"], "budget", "{end}");
        served += 1;
    }
    let spent = first.settled(ONE, "key-day").await;
    let said = first.gateway.model.said() + second.gateway.model.said();
    assert_eq!(spent.micros(), served * 8_000 + said * 10_000);
    assert!((990_001..=1_000_000).contains(&spent.micros()), "{spent}");
    assert_eq!(second.settled("acme", "org-month").await, spent);
}

#[tokio::test]
async fn the_page_shows_and_only_the_administrator_changes() {
    let lab = Lab::new("console", Duration::ZERO).await;
    let page = lab.get("/", "nobody").await;
    assert_eq!(page.status, 200, "{page:?}");
    let csp = page.header("content-security-policy");
    let (_, nonce) = csp.split_once("'nonce-").unwrap();
    let (nonce, _) = nonce.split_once('\'').unwrap();
    assert_eq!(
        page.body.matches(&format!("nonce=\"{nonce}\"")).count(),
        2,
        "{page:?}"
    );
    let again = lab.get("/", "nobody").await;
    assert!(!again.header("content-security-policy").contains(nonce));

    for (who, status) in [("nobody", 401), (ONE, 403), ("viewer", 200), ("admin", 200)] {
        assert_eq!(lab.get("/budgets.json", who).await.status, status, "{who}");
    }
    lab.post(COMPLETIONS, ONE, &say(100_000, json!({}))).await;
    let refused = lab.post(COMPLETIONS, ONE, &say(20, json!({}))).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let grant = json!({"whose": ONE, "limit": "key-day", "name": "launch", "amount": "0.3 USD",
        "minutes": 30});
    let reset = json!({"whose": ONE, "limit": "key-day"});
    for who in ["nobody", ONE, "viewer"] {
        for (path, body) in [("/budgets/grant", &grant), ("/budgets/reset", &reset)] {
            let answer = lab.post(path, who, body).await;
            assert!(matches!(answer.status, 401 | 403), "{who}: {answer:?}");
        }
    }
    let refused = lab.post(COMPLETIONS, ONE, &say(20, json!({}))).await;
    assert_eq!(refused.status, 429, "{refused:?}");

    let answer = lab.post("/budgets/grant", "admin", &grant).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let node: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(node["limit"], "1.3 USD", "{node}");
    let served = lab.post(COMPLETIONS, ONE, &say(20, json!({}))).await;
    assert_eq!(served.status, 200, "{served:?}");
    lab.clock.advance(Duration::from_secs(1_800));
    let refused = lab.post(COMPLETIONS, ONE, &say(1, json!({}))).await;
    assert_eq!(refused.status, 429, "the grant has ended: {refused:?}");
    assert_eq!(
        lab.post("/budgets/reset", "admin", &reset).await.status,
        200
    );
    assert_eq!(lab.settled(ONE, "key-day").await, money("0"));

    for (body, status) in [
        (json!({"whose": "acme/sales", "limit": "team-day"}), 404),
        (json!({"whose": "acme//one", "limit": "team-day"}), 404),
        (json!({"whose": "acme", "limit": "team-day"}), 400),
        (json!({"whose": "acme", "limit": "nothing"}), 400),
    ] {
        assert_eq!(
            lab.post("/budgets/reset", "admin", &body).await.status,
            status,
            "{body}"
        );
    }
    lab.gateway.log.close().unwrap();
    let report = audit::check(&lab.audit).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    let log = audit::records(&lab.audit).unwrap();
    for action in ["limits.grant", "limits.reset"] {
        let act = log.iter().find(|act| act["action"] == action).unwrap();
        assert_eq!(act["author"], "admin", "{act}");
    }
    audit::remove(&lab.audit).unwrap();
}

#[test]
fn it_does_what_it_prints() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("ZT_REQUIRE_SERVERS").is_none(),
            "curl is required"
        );
        println!("skipped: there is no curl");
        return;
    }
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_ai-gateway"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(gateway.stdout.take().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    // It goes on to print, so somebody has to be there who reads.
    let tries: Vec<String> = lines
        .by_ref()
        .filter(|line| line.starts_with("curl"))
        .take(2)
        .collect();
    let tried: Vec<String> = tries
        .iter()
        .map(|line| {
            let output = Command::new("sh").args(["-c", line]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    assert!(
        tried[0].starts_with("HTTP/1.1 200") && tried[0].contains("\"cost\""),
        "{}",
        tried[0]
    );
    assert!(tried[1].starts_with("HTTP/1.1 402"), "{}", tried[1]);
}
