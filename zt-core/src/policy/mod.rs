//! Who may call what: policies in a file.
//!
//! # What it protects against
//!
//! Workloads that reach what they have no business with, callers that may more than they need, and
//! rules that nobody can read, test or answer for. A policy is one text that is loaded as a whole or
//! not at all; what it does not allow is denied.
//!
//! # A request passes when
//!
//! 1. its path is canonical, as [`check_path`](crate::validate::check_path) says with what the route
//!    allows, its method has no small letters (but where a rule of Istio's names such a one), and, where
//!    any rule names hosts, it says one host
//!    (`request-malformed` otherwise): what the rules read is what every reader behind them reads;
//! 2. no denying rule matches it (`policy-denied`);
//! 3. no denying rule that matches but for its condition has a condition that holds, or that cannot
//!    be answered (`policy-denied`; `store-unavailable` where a source of facts or grants does not
//!    answer);
//! 4. an allowing rule matches it (`policy-denied` otherwise); one with a condition only where the
//!    condition holds, and one with a grant only while the caller holds the grant.
//!
//! A rule matches when each thing that it says of the caller and of the request holds. The permit,
//! the denial and the audit record name the rule, the policy and its version.
//!
//! # The file
//!
//! ```toml
//! policy = "shop"                      # its name; the file's where nothing is said
//! version = "7"                        # the beginning of a digest where nothing is said
//! time_zone = "Europe/Vienna"          # for conditions; UTC
//!
//! [environments.production]            # who belongs to which environment
//! trust_domains = ["shop.example"]
//! issuers = ["https://id.shop.example"]
//! [environments.staging]
//! trust_domains = ["staging.shop.example"]
//!
//! [resources.orders]                   # what roles speak of
//! paths = ["/orders", "/orders/{id}"]
//! actions = { read = ["GET", "HEAD"], write = ["POST", "PUT", "DELETE"] }
//!
//! [roles.clerk]                        # role to resource and actions
//! orders = ["read"]
//! [roles.owner]
//! orders = ["read", "write"]
//! [roles.auditor]                      # a name that rules below use
//!
//! [attributes.device]                  # facts that are fetched: `context.device.managed`
//! managed = "boolean"
//! patched = "time"
//!
//! [operations.charge]                  # a request with a name; an action in Cedar
//! method = "POST"
//! path = "/charge"
//! body = { amount = "integer", currency = "text" }
//! groups = ["payments"]
//!
//! [[rule]]
//! id = "orders-charge"
//! effect = "allow"
//! caller = { workload = "spiffe://shop.example/orders" }
//! operation = "charge"
//! when = "context.body.amount > 0 && context.body.amount < 10000"
//!
//! [[rule]]
//! id = "refunds"
//! effect = "allow"
//! caller = { kind = "user", roles = "auditor" }
//! methods = ["POST"]
//! hosts = ["pay.shop.example"]
//! path = "/refunds/{id}"
//! grant = "refunds.write"              # held now, just in time
//!
//! [[rule]]
//! id = "no-strangers"
//! effect = "deny"
//! caller = { networks = ["203.0.113.0/24"] }
//! path = "/{rest..}"
//!
//! [cedar]                              # whole Cedar policies, beside this file
//! files = ["shop.cedar"]
//! ```
//!
//! **A caller** is described by `workload`, `trust_domain`, `issuer`, `subject`, `tenant`, `kind`
//! (`user`, `service`, `anonymous`), `scopes`, `roles`, `claims`, `networks`, `environment`. All
//! that is said has to hold; a rule without `caller` is for every caller, somebody or not. A text is
//! exact; `shop-*` is a beginning, `*-batch` an end, `*` is whatever is there and not empty, and
//! `{ exact = "*" }` a star. A list is one of several. Of scopes and roles a caller has many, so a
//! list of them says which is meant: `{ all = [..] }`, `{ any = [..] }`, or both.
//!
//! - `workload` is a SPIFFE ID, or all below one: `spiffe://shop.example/batch/*`. It says its trust
//!   domain.
//! - `roles` are those that `[roles]` declares. A role there gives the callers that have it the
//!   methods of its actions on the paths of its resources: an allowing rule for each, named
//!   `role clerk: orders.read`.
//! - `claims = { department = "payments" }` reads the claims of a token; `"a.b"` is a member of a
//!   member, and `'a\.b'` has a point in its name.
//! - `networks` have no bits behind their length; `203.0.113.7` is one address. An IPv4 address in
//!   IPv6 form is the IPv4 address, so `::/0` has none of them, and `0.0.0.0/0` all. In an allowing
//!   rule a network of everything means that the address is known, and nothing more.
//!   Where the server puts no peer's address on requests
//!   ([`PeerAddr`](crate::context::PeerAddr)) nobody is in any network, and a rule that denies
//!   networks denies everybody of whom nobody knows where they are.
//!
//! **A request** is an `operation`, or `methods`, `hosts` and one `path` or several `paths`; what is
//! not said is not asked. In a path `{id}` is one segment and `{rest..}` at its end all that follows
//! the slash, also nothing. Paths are compared raw, as routers do: the one that the client asked for,
//! also where the layer stands inside a router that nests; one that no request can have is refused.
//! A rule writes them in their usual spelling: letters that stand for themselves in a path do so, as in
//! `/users/@me`, and all others are encoded in upper case. An allowing rule allows that spelling alone; a
//! denying one denies them all, `/users/%40me` too.
//! A text behind `;` is a part of its segment. A host is written in lower case and without port, and
//! `*.shop.example` is all below one; it is compared without its port and the dot that may end it,
//! whatever the case of its letters. A request that does not say one host, to the letter or in an
//! IPv6 address as usually written, is refused where any rule names hosts. A rule that denies `GET`
//! denies `HEAD` too, which routers answer with the handlers of `GET`; one that allows `GET` does not
//! allow `HEAD`. Headers and parameters that claim another method are not read. `OPTIONS *` and
//! `CONNECT` to an authority have no path, and are refused.
//!
//! **An operation** has a `path`, and may have a `method` or `methods`, `hosts`, `groups`, and a
//! `body`: what conditions may read of it, as `integer`, `boolean`, `text`, `texts`, `time` or
//! `address`, with `?` behind what may be absent, and `"order.amount"` or tables in tables for
//! members of members; `max_body` bounds its bytes. A rule with `when` and without an operation may
//! have a `body` of its own. A request is one operation, the one with the closest path: what is
//! allowed for `/users/{id}` is not for an operation `/users/@me` beside it, also where that is asked for
//! as `/users/%40me`. What is denied for
//! an operation is denied for all that its path matches.
//!
//! **Environments.** Where a policy has any, the process says in which one it runs
//! ([`PolicyOptions::environment`]). A caller belongs to one where something that is known of it does
//! and nothing does not: a token of production over a workload of staging belongs to neither, nor does
//! a token of an issuer that nobody named over a workload of production. An environment without
//! issuers takes each that no other environment has, and one without trust domains likewise; a
//! workload that is the principal too has its trust domain as issuer. A rule allows callers of the
//! own environment only, unless `caller.environment` says which, or `"*"` for callers from anywhere
//! and nowhere: a health check, a login. So do permissions of roles. Denying rules deny callers from
//! anywhere, and with `caller.environment` those of whom anything belongs there. A rule with
//! `environment = ".."` beside its id is in force there alone, and checked everywhere.
//!
//! **Order.** Denying rules come first, wherever they stand. Of several that match the first in the
//! file is named; of allowing ones the first without a condition or grant, because nothing has to be
//! asked for it.
//!
//! **Grants.** What a grant permits ends with it: the answer is cut then, and within a second of its
//! being revoked.
//!
//! **`dry_run = true`** lets a rule decide nothing; what it would change is logged.
//!
//! **What is refused when it is loaded**, all at once, each with its line, column and a hint: keys
//! that are not known, letters that turn text around (Unicode's bidirectional controls), empty lists and texts, two rules with one id, roles, resources, actions,
//! operations, environments and sources that are not defined, roles that may do nothing and that no
//! rule uses, rules that can never match, rules that another one shadows (an unconditional denying
//! rule, or an unconditional one of the same effect that comes first, which matches all that they
//! match), and a policy that allows nothing, such as one that is nothing but dry run, unless it says
//! `deny_all = true`. What several rules shadow only together is not found, and permissions of roles
//! do not shadow one another.
//!
//! **Bounds.** 16 MiB a file, 256 Cedar files, 100,000 rules, 10,000 operations, 250,000 times that an
//! allowing rule leaves out an operation that is closer (of rules for operations whose paths overlap),
//! 2,000,000 pairs of a whole Cedar policy and an operation, 1,000,000 paths and methods of all roles, 8 KiB a text, 64 KiB a condition, 64
//! segments a path, 64 fields a body.
//!
//! # Istio's policies
//!
//! With the feature `istio` an AuthorizationPolicy is read as strictly, and decides what the mesh
//! decides: `CompiledPolicy::from_istio`.
//!
//! # Tools
//!
//! | question | answer |
//! |---|---|
//! | may this request pass? | [`CompiledPolicy::ask`] a [`Question`] |
//! | why, or why not? | [`CompiledPolicy::explain`] |
//! | who may send it? what may this caller do? | [`CompiledPolicy::who_can`], [`CompiledPolicy::what_can`] |
//! | does it still say what was meant? | [`PolicyTest`], in `cargo test` |
//! | what may each service do in the database? | `[database]`, and [`CompiledPolicy::database_sql`] |
//!
//! The program `zt-policy` (feature `cli`) does all of this from a command line.
//!
//! # Where it belongs
//!
//! In [`AuthorizeLayer`](crate::authorize::AuthorizeLayer), around the finished router.

mod compiled;
mod condition;
mod database;
mod document;
mod dry_run;
mod error;
mod explain;
mod facts;
#[cfg(feature = "istio")]
pub mod istio;
#[cfg_attr(
    not(feature = "istio"),
    expect(dead_code, reason = "only Istio's policies say it")
)]
mod istio_atom;
#[cfg_attr(
    not(any(feature = "istio", test)),
    expect(dead_code, reason = "only Istio's policies say it")
)]
mod istio_path;
mod lint;
mod live;
mod matcher;
mod model;
mod options;
mod question;
mod review;
mod table;

#[cfg(feature = "cli")]
pub(crate) use self::document::file::text_of;
#[cfg(feature = "istio")]
pub use self::istio::options::IstioOptions;
pub use self::{
    compiled::CompiledPolicy,
    database::SqlDialect,
    dry_run::{DryRunChange, DryRunReport, WouldHave},
    error::{PolicyError, PolicyErrors, PolicyWarning},
    explain::{Explanation, Outcome, RuleExplanation},
    istio_path::IstioPaths,
    live::{LivePolicy, Reloaded},
    options::PolicyOptions,
    question::{Answer, DeclaredFacts, Question, QuestionError},
    review::{Review, ReviewedCedar, ReviewedRule},
    table::{CasesError, FailedCase, PolicyTest, TestReport},
};
