//! A policy in a file: who may charge and how much, refunds while a grant lasts, and a policy that
//! changes while it is in force. A small application of its own.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use super::{
    Report,
    player::{Ask, ask},
};
use crate::{
    Result,
    charges::{AUDIENCE, Charges, POLICY},
    raw::{Answer, send},
};

const DENIED: (u16, &str) = (403, "policy-denied");
const SAME_PERSON: (u16, &str) = (403, "grant-same-person");

pub(super) async fn play(folder: &Path, report: &mut Report) -> Result<()> {
    report.past_the_gateway(true);
    let charges = Charges::start(&folder.join("charges")).await?;
    let mut visit = Visit {
        charges: &charges,
        report,
    };
    visit.amounts().await?;
    visit.paths().await?;
    visit.grants().await?;
    visit.changes().await?;
    let log = charges.stop()?;
    report.check_log(&log);
    report.past_the_gateway(false);
    Ok(())
}

struct Visit<'a> {
    charges: &'a Charges,
    report: &'a mut Report,
}

impl Visit<'_> {
    /// `POST /charge`: orders, and no more than is said.
    async fn amounts(&mut self) -> Result<()> {
        let orders = self.service("order-service");
        let admin = self.service("admin-service");
        let amount = |amount: &str| format!(r#"{{"amount":{amount},"currency":"EUR"}}"#);
        let what = "the orders service charges 99.99";
        let answer = self.charge(&orders, &amount("9999")).await?;
        self.good(what, 201, &answer, "orders-charge");
        for (what, token, body, expected) in [
            (
                "the orders service charges 100.00",
                &orders,
                amount("10000"),
                DENIED,
            ),
            ("admin is not orders", &admin, amount("120"), DENIED),
            (
                "a charge that is told twice, little first",
                &orders,
                r#"{"amount":1,"amount":999999,"currency":"EUR"}"#.to_owned(),
                (400, "request-malformed"),
            ),
            ("a charge below zero", &orders, amount("-5"), DENIED),
        ] {
            let answer = self.charge(token, &body).await?;
            self.report.request(true, what, expected, &answer, Ok(()));
        }
        Ok(())
    }

    async fn paths(&mut self) -> Result<()> {
        let orders = self.service("order-service");
        for (what, path, expected) in [
            ("charging another way", "/charge/", DENIED),
            (
                "a path around the policy",
                "/reports/../charge",
                (400, "request-malformed"),
            ),
        ] {
            let asked = ask("POST", path)
                .bearer(&orders)
                .json(r#"{"amount":1,"currency":"EUR"}"#);
            let answer = self.send(&asked).await?;
            self.report.request(true, what, expected, &answer, Ok(()));
        }
        Ok(())
    }

    /// Nobody refunds by right.
    async fn grants(&mut self) -> Result<()> {
        let ada = self.person("ada", "support", "");
        let bob = self.person("bob", "support", "grant.approve");
        let robot = self.charges.issuer.token("robot").audience(AUDIENCE);
        let robot = robot.client_id("robot").scope("grant.approve").mint();

        self.refund(&ada, "a refund without a grant", Some(DENIED))
            .await?;
        let asking = r#"{"scope":"refunds.write","reason":"ticket 4711","seconds":600}"#;
        let answer = self
            .send(&ask("POST", "/grants").bearer(&bob).json(asking))
            .await?;
        self.good("bob asks for a grant", 201, &answer, "requested");
        let own = id(&answer);
        let answer = self
            .send(&ask("POST", "/grants").bearer(&ada).json(asking))
            .await?;
        self.good("ada asks for a grant", 201, &answer, "requested");
        let hers = id(&answer);
        for (what, who, grant, expected) in [
            ("bob approves his own", &bob, &own, SAME_PERSON),
            ("ada approves her own", &ada, &hers, SAME_PERSON),
            ("a program approves ada's", &robot, &hers, DENIED),
        ] {
            let path = format!("/grants/{grant}/approve");
            let answer = self
                .send(&ask("POST", &path).bearer(who).json("{}"))
                .await?;
            self.report.request(true, what, expected, &answer, Ok(()));
        }
        let path = format!("/grants/{hers}/approve");
        let answer = self
            .send(&ask("POST", &path).bearer(&bob).json("{}"))
            .await?;
        self.good("bob approves ada's", 200, &answer, "approved");
        self.refund(&ada, "a refund with a grant", None).await?;
        self.charges.clock.advance(Duration::from_secs(599));
        self.refund(&ada, "a refund in its last second", None)
            .await?;
        self.charges.clock.advance(Duration::from_secs(1));
        self.refund(&ada, "a refund a second later", Some(DENIED))
            .await
    }

    /// A policy is replaced as a whole, or not at all.
    async fn changes(&mut self) -> Result<()> {
        let orders = self.service("order-service");
        let lower = POLICY.replace("< 10000", "< 100");
        for (what, text, generation, served) in [
            (
                "a policy with a rule for nobody known",
                POLICY.replace("\"auditor\"", "\"auditors\""),
                1,
                true,
            ),
            ("a policy with a lower limit", lower, 2, false),
        ] {
            fs::write(&self.charges.file, text)?;
            let loaded = self.charges.policy.reload().await;
            let now = self.charges.policy.status().generation;
            self.report.fact(
                what,
                format!("edition {generation}"),
                match &loaded {
                    Ok(_) => format!("edition {now}"),
                    Err(why) => format!(
                        "edition {now}: {}",
                        why.to_string().lines().next().unwrap_or_default()
                    ),
                },
                now == generation,
            );
            let answer = self
                .charge(&orders, r#"{"amount":120,"currency":"EUR"}"#)
                .await?;
            let expected = if served { (201, "-") } else { DENIED };
            let what = "the orders service charges 1.20";
            self.report
                .request(!served, what, expected, &answer, Ok(()));
        }
        Ok(())
    }

    async fn refund(
        &mut self,
        who: &str,
        what: &str,
        denied: Option<(u16, &'static str)>,
    ) -> Result<()> {
        let answer = self
            .send(&ask("POST", "/refunds/17").bearer(who).json("{}"))
            .await?;
        match denied {
            Some(expected) => self.report.request(true, what, expected, &answer, Ok(())),
            None => self.good(what, 200, &answer, "refund-while-granted"),
        }
        Ok(())
    }

    async fn charge(&self, token: &str, body: &str) -> Result<Answer> {
        self.send(&ask("POST", "/charge").bearer(token).json(body))
            .await
    }

    fn good(&mut self, what: &str, status: u16, answer: &Answer, has: &str) {
        let holds = answer.body.contains(has);
        let holds = holds.then_some(()).ok_or_else(|| answer.body.clone());
        self.report
            .request(false, what, (status, "-"), answer, holds);
    }

    async fn send(&self, asked: &Ask<'_>) -> Result<Answer> {
        let to = self.charges.address;
        Ok(send([127, 0, 0, 1], to, &asked.bytes(&to.to_string())).await?)
    }

    fn service(&self, name: &str) -> String {
        self.charges
            .issuer
            .token(name)
            .client_id(name)
            .audience(AUDIENCE)
            .mint()
    }

    fn person(&self, name: &str, role: &str, scope: &str) -> String {
        let token = self.charges.issuer.token(name).role(role).scope(scope);
        // Good for longer than a grant.
        token
            .audience(AUDIENCE)
            .lives(Duration::from_secs(3_600))
            .mint()
    }
}

fn id(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let id = body.get("id").and_then(Value::as_str);
    id.unwrap_or_default().to_owned()
}
