//! Refusals, the published vectors, and comparisons with what is naive.

mod accept;
mod components;
mod naive;
mod plain;
mod reading;
mod signing;
mod structured;
mod vectors;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use serde_json::Value;

use super::*;

/// What a message is made of.
struct Built {
    method: Method,
    uri: Uri,
    version: Version,
    scheme: UrlScheme,
    authority: String,
    status: Option<StatusCode>,
    headers: HeaderMap,
    request: Option<Box<Built>>,
}

impl Built {
    fn get(target: &str) -> Self {
        Self {
            method: Method::GET,
            uri: target.parse().unwrap(),
            version: Version::HTTP_11,
            scheme: UrlScheme::Https,
            authority: "www.example.com".to_owned(),
            status: None,
            headers: HeaderMap::new(),
            request: None,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    fn response() -> Self {
        Self {
            status: Some(StatusCode::OK),
            ..Self::get("/")
        }
    }

    fn from_vector(message: &Value, request: Option<&Value>) -> Self {
        let mut built = Self::get("/");
        built.request = request.map(|request| Box::new(Self::from_vector(request, None)));
        for line in message["headers"].as_array().unwrap() {
            let name: HeaderName = line[0].as_str().unwrap().parse().unwrap();
            let value = line[1].as_str().unwrap().as_bytes();
            let value = HeaderValue::from_bytes(value).unwrap_or_else(|_| {
                // A header map cannot hold a fold; the layer below would have to take it away.
                let mut unfolded = Vec::new();
                fields::write_line(value, &mut unfolded);
                HeaderValue::from_bytes(&unfolded).unwrap()
            });
            built.headers.append(name, value);
        }
        if let Some(status) = message["status"].as_u64() {
            built.status = Some(StatusCode::from_u16(status.try_into().unwrap()).unwrap());
            return built;
        }
        built.method = message["method"].as_str().unwrap().parse().unwrap();
        built.uri = message["target"].as_str().unwrap().parse().unwrap();
        if message["scheme"] == "http" {
            built.scheme = UrlScheme::Http;
        }
        let host = built
            .headers
            .get("host")
            .map(|host| host.to_str().unwrap().trim());
        let of_target = built.uri.authority().map(|authority| authority.as_str());
        built.authority = host.or(of_target).unwrap_or_default().to_owned();
        built
    }

    fn fields(&self) -> Fields<'_> {
        Fields::new(&self.headers)
    }

    fn request(&self) -> RequestMessage<'_> {
        RequestMessage {
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            scheme: self.scheme,
            authority: &self.authority,
            fields: self.fields(),
        }
    }

    fn message(&self) -> Message<'_> {
        match self.status {
            None => Message::Request(self.request()),
            Some(status) => Message::Response(ResponseMessage {
                status,
                fields: self.fields(),
                request: self.request.as_deref().map(Self::request),
            }),
        }
    }

    fn component(&self, component: &str) -> Result<String, BaseError> {
        let types = FieldTypes::default()
            .with(
                HeaderName::from_static("example-dict"),
                StructuredType::Dictionary,
            )
            .with(
                HeaderName::from_static("example-list"),
                StructuredType::List,
            );
        self.component_of(component, &types)
    }

    fn component_of(&self, component: &str, types: &FieldTypes) -> Result<String, BaseError> {
        self.message().component(&component.parse()?, types)
    }

    /// The base of the one signature that says `params`.
    fn base(&self, params: &str) -> Result<String, BaseError> {
        let mut scratch = Scratch::default();
        let mut headers = HeaderMap::new();
        headers.insert(
            SIGNATURE_INPUT,
            format!("sig1={params}").try_into().unwrap(),
        );
        headers.insert(SIGNATURE, HeaderValue::from_static("sig1=:AA==:"));
        let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
        let candidate = signatures.unwrap().unwrap().candidates().next().unwrap();
        let mut out = b"before".to_vec();
        let result = candidate.write_base(&self.message(), &FieldTypes::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let base = text.strip_prefix("before").unwrap();
        assert!(
            result.is_ok() || base.is_empty(),
            "what failed is taken back"
        );
        result.map(|()| base.to_owned())
    }
}

fn vectors(name: &str) -> Option<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/");
    let Ok(text) = std::fs::read_to_string(format!("{path}{name}")) else {
        println!("skipped: {path}{name} is not there");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn types_of(vector: &Value) -> FieldTypes {
    let mut types = FieldTypes::default();
    for (name, kind) in vector["fieldTypes"].as_object().into_iter().flatten() {
        types = types.with(name.parse().unwrap(), structured_type(kind));
    }
    types
}

fn structured_type(kind: &Value) -> StructuredType {
    match kind.as_str().unwrap() {
        "item" => StructuredType::Item,
        "list" => StructuredType::List,
        "dictionary" => StructuredType::Dictionary,
        other => panic!("{other}"),
    }
}

const LIMITS: FieldLimits = FieldLimits {
    bytes: 8192,
    signatures: 8,
    components: 64,
};
