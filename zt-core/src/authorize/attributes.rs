use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use http::Method;

use crate::{
    clock::Timestamp,
    decision::Denial,
    identity::{PeerIdentity, Principal},
    store::BoxFuture,
};

/// Facts about a request that somebody else keeps: the posture of a device, a location, the owner
/// of a resource.
///
/// A policy asks a source only where a condition that matters reads its facts, and waits no longer
/// than its deadline. A source that fails, is late, or leaves out what was declared denies.
pub trait AttributeSource: fmt::Debug + Send + Sync + 'static {
    /// The facts about one request.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] where it does not know now. That denies with `store-unavailable`.
    fn attributes(&self, question: AttributeQuestion) -> BoxFuture<'static, AttributeResult>;
}

/// What an [`AttributeSource`] answers.
pub type AttributeResult = Result<Attributes, AttributeError>;

/// Facts by name. Names that were not declared are passed over.
pub type Attributes = BTreeMap<Arc<str>, AttributeValue>;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeValue {
    /// A whole number: an amount in its smallest unit, a number of seconds.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A text.
    Text(Arc<str>),
    /// Several texts, in no order.
    Texts(Vec<Arc<str>>),
    /// A moment.
    Time(Timestamp),
    /// An address.
    Address(IpAddr),
}

/// A source cannot tell now. What it says is for the audit record alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttributeError(pub Arc<str>);

/// Whom and what an [`AttributeSource`] is asked about. It owns what it holds, so that a source can
/// wait with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttributeQuestion {
    /// The request's `now`.
    pub now: Timestamp,
    /// The method.
    pub method: Method,
    /// The path, in its usual spelling: `/users/@me`, also where it was asked for as `/users/%40me`.
    pub path: Arc<str>,
    /// What stands there for the parameters of the operation's template, by name.
    pub parameters: BTreeMap<Arc<str>, Arc<str>>,
    /// The operation that the request is, where the policy has one for it.
    pub operation: Option<Arc<str>>,
    /// Who asks.
    pub principal: Option<Arc<Principal>>,
    /// The workload on the connection.
    pub peer: Option<Arc<PeerIdentity>>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

impl AttributeQuestion {
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub(crate) fn new(now: Timestamp, method: Method, path: Arc<str>) -> Self {
        Self {
            now,
            method,
            path,
            parameters: BTreeMap::new(),
            operation: None,
            principal: None,
            peer: None,
            client: None,
        }
    }
}

/// Who holds which grant now, for policies that ask for one. Answered from memory.
pub trait ActiveGrants: fmt::Debug + Send + Sync + 'static {
    /// The grant of `scope` that `who` holds at `now`, if any; of several the one that ends last.
    ///
    /// # Errors
    ///
    /// `store-unavailable` where nobody knows: what is known is too old, say.
    fn active(
        &self,
        who: &Principal,
        scope: &str,
        now: Timestamp,
    ) -> Result<Option<ActiveGrant>, Denial>;

    /// All scopes of which `who` holds a grant at `now`, with the moment at which each ends.
    ///
    /// # Errors
    ///
    /// As [`active`](Self::active).
    fn scopes(&self, who: &Principal, now: Timestamp) -> Result<Vec<ActiveGrant>, Denial>;
}

/// A grant that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveGrant {
    /// Which one.
    pub id: Arc<str>,
    /// What it is for.
    pub scope: Arc<str>,
    /// When it ends; what it permits ends then too.
    pub until: Timestamp,
}
