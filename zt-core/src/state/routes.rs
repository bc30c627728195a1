//! One table of path templates, resolved once a request.
//!
//! `ValidateRequest` resolves it on the raw path, before any router has seen the request; scopes,
//! prices, audit mode and policies all name the [`RouteId`] that it found. Templates are those of
//! axum 0.8 (`/orders/{id}`, `/files/{*path}`).

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use http::Method;

use super::Acknowledgement;

/// A route's place in its table; other tables use it as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u32);

impl RouteId {
    /// The place, counted from zero.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// When the handler, or its answer, waits for the audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AuditMode {
    /// Unsafe methods (RFC 9110 section 9.2.1) wait before the handler, safe ones before the
    /// response leaves.
    #[default]
    ByMethod,
    /// The handler waits, whatever the method: it has effects, or spends a budget.
    BeforeHandler,
}

/// One route, as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRule {
    method: Option<Method>,
    template: Arc<str>,
    public: bool,
    audit: AuditMode,
    acknowledge: Option<Acknowledgement>,
    body_limit: Option<u64>,
    encoded_slash: bool,
    empty_segments: bool,
}

impl RouteRule {
    /// `template` for `method`.
    #[must_use]
    pub fn new(method: Method, template: impl Into<Arc<str>>) -> Self {
        Self {
            method: Some(method),
            ..Self::any(template)
        }
    }

    /// `template` for every method that has no route of its own there. It holds also where a wider
    /// template (`/{*path}`) names the method: the closer template comes first.
    #[must_use]
    pub fn any(template: impl Into<Arc<str>>) -> Self {
        Self {
            method: None,
            template: template.into(),
            public: false,
            audit: AuditMode::ByMethod,
            acknowledge: None,
            body_limit: None,
            encoded_slash: false,
            empty_segments: false,
        }
    }

    /// No credential and no authorization is asked for: health checks, login, CORS preflight.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// When the audit record is waited for.
    #[must_use]
    pub const fn audit(mut self, mode: AuditMode) -> Self {
        self.audit = mode;
        self
    }

    /// What counts as taken by the audit log, instead of the layer's.
    #[must_use]
    pub const fn acknowledge(mut self, when: Acknowledgement) -> Self {
        self.acknowledge = Some(when);
        self
    }

    /// The largest body, in bytes, instead of the layer's.
    #[must_use]
    pub const fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// Lets `%2F` stand in the path.
    #[must_use]
    pub const fn allow_encoded_slash(mut self) -> Self {
        self.encoded_slash = true;
        self
    }

    /// Lets empty segments (`//`) stand in the path.
    #[must_use]
    pub const fn allow_empty_segments(mut self) -> Self {
        self.empty_segments = true;
        self
    }
}

/// The route of a request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Route {
    id: RouteId,
    rule: Arc<RouteRule>,
}

impl Route {
    /// Its place in the table.
    #[must_use]
    pub const fn id(&self) -> RouteId {
        self.id
    }

    /// The template that matched.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.rule.template
    }

    /// The method it was declared for.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.rule.method.as_ref()
    }

    /// Whether it was declared public.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.rule.public
    }

    /// When the audit record is waited for.
    #[must_use]
    pub fn audit(&self) -> AuditMode {
        self.rule.audit
    }

    /// What counts as taken by the audit log, where it has a mode of its own.
    #[must_use]
    pub fn acknowledge(&self) -> Option<Acknowledgement> {
        self.rule.acknowledge
    }

    /// The largest body, where it has a bound of its own.
    #[must_use]
    pub fn body_limit(&self) -> Option<u64> {
        self.rule.body_limit
    }

    /// Whether `%2F` may stand in the path.
    #[must_use]
    pub fn allows_encoded_slash(&self) -> bool {
        self.rule.encoded_slash
    }

    /// Whether empty segments may stand in the path.
    #[must_use]
    pub fn allows_empty_segments(&self) -> bool {
        self.rule.empty_segments
    }
}

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the route `{template}` cannot be used: {reason}")]
pub struct RouteError {
    template: String,
    reason: String,
}

/// The table of routes; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Routes(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    rules: Vec<Arc<RouteRule>>,
    /// How close each rule's template is.
    ranks: Vec<Rank>,
    by_method: HashMap<Method, matchit::Router<RouteId>>,
    any: matchit::Router<RouteId>,
}

/// What each segment of a template is. Of two templates that match the same path the one with the
/// lesser rank is closer, as in the routers themselves.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(Box<[Segment]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal,
    /// A parameter behind letters: `v{major}`; the more of them, the closer.
    Prefixed(Reverse<usize>),
    Parameter,
    /// `{*rest}`
    Rest,
}

impl Rank {
    fn of(template: &str) -> Self {
        let segments = template.split('/').map(|segment| {
            // Escaped braces are letters.
            let segment = segment.replace("{{", "(").replace("}}", ")");
            match segment.find('{') {
                None => Segment::Literal,
                Some(_) if segment.contains("{*") => Segment::Rest,
                Some(0) => Segment::Parameter,
                Some(letters) => Segment::Prefixed(Reverse(letters)),
            }
        });
        Self(segments.collect())
    }

    fn is_literal(&self) -> bool {
        self.0.iter().all(|segment| *segment == Segment::Literal)
    }
}

impl Routes {
    /// Starts a table.
    #[must_use]
    pub fn builder() -> RoutesBuilder {
        RoutesBuilder::default()
    }

    /// The route of a request for `path`, which is read raw, as routers read it: of all that are
    /// for its method, the one with the closest template. A HEAD without a route of its own there
    /// has that of GET (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn resolve(&self, method: &Method, path: &str) -> Option<Route> {
        let table = &*self.0;
        let named = |method| Some(*table.by_method.get(method)?.at(path).ok()?.value);
        let mut found = named(method);
        if method == Method::HEAD {
            found = self.closer(found, || named(&Method::GET));
        }
        self.route(self.closer(found, || Some(*table.any.at(path).ok()?.value))?)
    }

    /// The closer of two routes that match; `found` where both are as close.
    fn closer(
        &self,
        found: Option<RouteId>,
        other: impl FnOnce() -> Option<RouteId>,
    ) -> Option<RouteId> {
        let rank = |id: RouteId| self.0.ranks.get(id.index());
        let Some(own) = found else { return other() };
        if rank(own).is_some_and(Rank::is_literal) {
            return found;
        }
        other().filter(|other| rank(*other) < rank(own)).or(found)
    }

    /// The route that was declared with this method and template.
    #[must_use]
    pub fn find(&self, method: &Method, template: &str) -> Option<Route> {
        let index = self.0.rules.iter().position(|rule| {
            &*rule.template == template && rule.method.as_ref().is_none_or(|own| own == method)
        })?;
        self.route(RouteId(u32::try_from(index).ok()?))
    }

    /// The route at a place.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<Route> {
        self.0.rules.get(id.index()).map(|rule| Route {
            id,
            rule: Arc::clone(rule),
        })
    }

    /// How many routes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.rules.is_empty()
    }
}

/// Collects routes for [`Routes`].
#[derive(Debug, Clone, Default)]
pub struct RoutesBuilder(Vec<RouteRule>);

impl RoutesBuilder {
    /// Adds a route.
    #[must_use]
    pub fn route(mut self, rule: RouteRule) -> Self {
        self.0.push(rule);
        self
    }

    /// The public ones.
    pub(crate) fn public(&self) -> impl Iterator<Item = (Option<&Method>, &str)> {
        self.0
            .iter()
            .filter(|rule| rule.public)
            .map(|rule| (rule.method.as_ref(), &*rule.template))
    }

    /// Those that do not wait until their records are durable.
    pub(crate) fn early(&self) -> impl Iterator<Item = (Option<&Method>, &str, Acknowledgement)> {
        self.0.iter().filter_map(|rule| {
            let when = rule.acknowledge.filter(|when| !when.is_durable())?;
            Some((rule.method.as_ref(), &*rule.template, when))
        })
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// When a template cannot be parsed or two say the same.
    pub fn build(self) -> Result<Routes, RouteError> {
        let mut table = Table::default();
        for (index, rule) in self.0.into_iter().enumerate() {
            let failed = |reason: String| RouteError {
                template: rule.template.to_string(),
                reason,
            };
            let id = RouteId(u32::try_from(index).map_err(|error| failed(error.to_string()))?);
            let router = match &rule.method {
                Some(method) => table.by_method.entry(method.clone()).or_default(),
                None => &mut table.any,
            };
            router
                .insert(&*rule.template, id)
                .map_err(|error| failed(error.to_string()))?;
            table.ranks.push(Rank::of(&rule.template));
            table.rules.push(Arc::new(rule));
        }
        Ok(Routes(Arc::new(table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_s_own_route_comes_first() {
        let routes = Routes::builder()
            .route(RouteRule::any("/orders/{id}"))
            .route(RouteRule::new(Method::POST, "/orders/{id}").body_limit(10))
            .route(RouteRule::new(Method::GET, "/health").public())
            .build()
            .unwrap();
        let post = routes.resolve(&Method::POST, "/orders/7").unwrap();
        assert_eq!((post.id().index(), post.body_limit()), (1, Some(10)));
        let get = routes.resolve(&Method::GET, "/orders/7").unwrap();
        assert_eq!((get.id().index(), get.template()), (0, "/orders/{id}"));
        assert!(routes.resolve(&Method::GET, "/health").unwrap().is_public());
        assert!(routes.resolve(&Method::POST, "/health").is_none());
        assert!(routes.resolve(&Method::GET, "/health/").is_none());
        assert!(
            routes
                .resolve(&Method::HEAD, "/health")
                .unwrap()
                .is_public()
        );
        assert_eq!(
            routes.find(&Method::GET, "/health").unwrap().id().index(),
            2
        );
    }

    #[test]
    fn a_public_wildcard_of_one_method_does_not_open_a_closer_route_of_every_method() {
        let routes = Routes::builder()
            .route(RouteRule::new(Method::GET, "/files/{*path}").public())
            .route(RouteRule::any("/files/secret"))
            .route(RouteRule::any("/files/{id}/keys").body_limit(7))
            .route(RouteRule::new(Method::OPTIONS, "/{*path}").public())
            .route(RouteRule::new(Method::POST, "/files/secret"))
            .route(RouteRule::new(Method::GET, "/v{major}/{*path}").public())
            .route(RouteRule::any("/v1{minor}/keys"))
            .build()
            .unwrap();
        let found = |method: &Method, path: &str| {
            let route = routes.resolve(method, path).unwrap();
            (route.id().index(), route.is_public())
        };
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            assert_eq!(found(&method, "/files/secret"), (1, false), "{method}");
            assert_eq!(found(&method, "/files/7/keys"), (2, false), "{method}");
        }
        assert_eq!(found(&Method::POST, "/files/secret"), (4, false));
        assert_eq!(found(&Method::GET, "/v12/keys"), (6, false));
        assert_eq!(found(&Method::GET, "/v2/keys"), (5, true));
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(found(&method, "/files/logo.png"), (0, true), "{method}");
        }
        // A preflight is for every path that has no route of its own for it.
        assert_eq!(found(&Method::OPTIONS, "/orders"), (3, true));
        assert_eq!(found(&Method::OPTIONS, "/files/secret"), (1, false));
        assert!(routes.resolve(&Method::DELETE, "/files/logo.png").is_none());
    }

    #[test]
    fn two_routes_that_say_the_same_are_an_error() {
        let error = Routes::builder()
            .route(RouteRule::any("/a/{x}"))
            .route(RouteRule::any("/a/{y}"))
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("`/a/{y}`"), "{error}");
    }
}
