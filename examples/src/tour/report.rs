use std::{fmt, path::Path};

use serde_json::{Value, json};

use zt_audit::verify::Finding;

use crate::{audit, raw::Answer, tls::Met};

/// One request of the tour, or one fact about its records.
#[derive(Debug, Clone)]
pub struct Line {
    /// What was tried.
    pub what: String,
    /// Whether it should have been refused.
    pub attack: bool,
    /// What was expected.
    pub expected: String,
    /// What happened.
    pub happened: String,
    /// Whether that is the same.
    pub good: bool,
    request_id: Option<String>,
    code: String,
    to_gateway: bool,
    why: Option<&'static str>,
}

impl Line {
    /// As one line of JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "what": self.what,
            "attack": self.attack,
            "expected": self.expected,
            "happened": self.happened,
            "code": self.code,
            "request_id": self.request_id,
            "good": self.good,
        })
    }
}

/// Everything that happened on a tour.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Line>,
    unanswered: usize,
    elsewhere: bool,
}

impl Report {
    /// The lines, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many lines are not as expected.
    #[must_use]
    pub fn surprises(&self) -> usize {
        self.lines.iter().filter(|line| !line.good).count()
    }

    /// How many requests were attacks.
    #[must_use]
    pub fn attacks(&self) -> usize {
        self.lines.iter().filter(|line| line.attack).count()
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.lines.iter().filter(|line| line.code != "fact").count()
    }

    /// From now on requests go past the gateway.
    pub(super) fn past_the_gateway(&mut self, past: bool) {
        self.elsewhere = past;
    }

    /// Requests to the gateway that got no line of their own.
    pub(super) fn also(&mut self, requests: usize) {
        self.unanswered += requests;
    }

    pub(super) fn requests_to_gateway(&self) -> usize {
        self.unanswered + self.lines.iter().filter(|line| line.to_gateway).count()
    }

    /// Refusals of the gateway: request id and code.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&String, &String)> {
        self.lines
            .iter()
            .filter(|line| line.to_gateway)
            .filter_map(|line| line.request_id.as_ref().map(|id| (id, &line.code)))
    }

    /// The last request should have been refused for the reason `why`, which only the audit log says.
    pub(super) fn because(&mut self, why: &'static str) {
        if let Some(line) = self.lines.last_mut() {
            line.why = Some(why);
        }
    }

    /// Request ids, and what the audit log should say of them.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (Option<&String>, &'static str)> {
        let with_reason = self.lines.iter();
        with_reason.filter_map(|line| Some((line.request_id.as_ref(), line.why?)))
    }

    /// A request: expected status and code (`-` for none), and what else must hold of the answer.
    pub(super) fn request(
        &mut self,
        attack: bool,
        what: &str,
        expected: (u16, &str),
        answer: &Answer,
        holds: Result<(), String>,
    ) {
        let code = answer.code();
        let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let mut happened = format!("{} {code}", answer.status);
        let mut good = (answer.status, code.as_str()) == expected;
        if let Err(why) = holds.and_then(|()| always(answer)) {
            happened.push_str(", ");
            happened.push_str(&why);
            good = false;
        }
        self.lines.push(Line {
            what: what.to_owned(),
            attack,
            expected: format!("{} {}", expected.0, expected.1),
            happened,
            good,
            request_id: problem
                .get("request_id")
                .and_then(Value::as_str)
                .map(str::to_owned),
            code,
            to_gateway: !self.elsewhere,
            why: None,
        });
    }

    /// A connection that should be refused in its handshake, with this alert.
    pub(super) fn handshake(&mut self, what: &str, alert: &str, met: &Met) {
        let happened = match met {
            Met::Alert(alert) => format!("TLS {alert:?}"),
            Met::Closed => "closed".to_owned(),
            Met::Answer(answer) => format!("{} {}", answer.status, answer.code()),
        };
        let expected = format!("TLS {alert}");
        self.lines.push(Line {
            what: what.to_owned(),
            attack: true,
            good: happened == expected,
            expected,
            happened,
            request_id: None,
            code: alert.to_owned(),
            to_gateway: false,
            why: None,
        });
    }

    pub(super) fn fact(&mut self, what: &str, expected: String, happened: String, good: bool) {
        self.lines.push(Line {
            what: what.to_owned(),
            attack: false,
            expected,
            happened,
            good,
            request_id: None,
            code: "fact".to_owned(),
            to_gateway: false,
            why: None,
        });
    }

    pub(super) fn check_log(&mut self, log: &Path) {
        let name = log
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_owned();
        let (happened, good) = match audit::check(log) {
            Ok(report) if report.finding == Finding::Sound => {
                (format!("{} records, all signed", report.records), true)
            }
            Ok(report) => (report.to_string(), false),
            Err(error) => (error.to_string(), false),
        };
        self.fact(
            &format!("the {name} audit log"),
            "verifies".to_owned(),
            happened,
            good,
        );
    }
}

/// What holds of every answer, permitted or refused.
fn always(answer: &Answer) -> Result<(), String> {
    // A request for another host than its connection's comes to no stack.
    if answer.status != 421 && answer.header("x-content-type-options") != "nosniff" {
        return Err("without security headers".to_owned());
    }
    if answer.status == 401 && answer.header("www-authenticate").is_empty() {
        return Err("401 without a challenge".to_owned());
    }
    if matches!(answer.status, 429 | 503) && answer.header("retry-after").is_empty() {
        return Err("without Retry-After".to_owned());
    }
    Ok(())
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Line) -> &String| {
            self.lines
                .iter()
                .map(|line| of(line).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (what, expected) = (width(|line| &line.what), width(|line| &line.expected));
        for line in &self.lines {
            let mark = match (line.good, line.attack) {
                (false, _) => "SURPRISE",
                (true, true) => "refused ",
                (true, false) => "ok      ",
            };
            writeln!(
                f,
                "{mark}  {:<what$}  {:<expected$}  {}",
                line.what, line.expected, line.happened
            )?;
        }
        write!(
            f,
            "{} requests, {} of them attacks; {} surprises",
            self.requests(),
            self.attacks(),
            self.surprises()
        )
    }
}
