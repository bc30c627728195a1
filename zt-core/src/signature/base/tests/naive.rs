//! Against a builder that is as plain as can be, and against itself.

use proptest::prelude::*;

use super::*;

/// A request as one would describe it: nothing is encoded yet.
#[derive(Debug, Clone)]
struct Described {
    method: &'static str,
    https: bool,
    host: &'static str,
    port: Option<u16>,
    path: String,
    query: Option<Vec<(String, String)>>,
    lines: Vec<(usize, String)>,
}

/// What is covered, with or without `;bs`, or a parameter of the query by its number.
#[derive(Debug, Clone)]
enum Covered {
    Derived(&'static str),
    Line(usize, bool),
    Parameter(usize),
}

impl Described {
    fn built(&self) -> Built {
        let query = self.query.as_ref().map(|pairs| {
            let mut text = form_urlencoded::Serializer::new(String::from("?"));
            pairs.iter().for_each(|(name, value)| {
                text.append_pair(name, value);
            });
            let text = text.finish();
            if text.starts_with('?') {
                text
            } else {
                format!("?{text}")
            }
        });
        let target = format!("{}{}", self.path, query.unwrap_or_default());
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let mut built = Built {
            method: self.method.parse().unwrap(),
            authority: format!("{}{port}", self.host),
            scheme: if self.https {
                UrlScheme::Https
            } else {
                UrlScheme::Http
            },
            ..Built::get(&target)
        };
        for (name, value) in &self.lines {
            built = built.with(NAMES[*name], value);
        }
        built
    }

    /// The canonical identifier, and the value where there is one.
    fn value(&self, covered: &Covered) -> (String, Option<String>) {
        match covered {
            Covered::Derived(name) => (format!("\"{name}\""), Some(self.derived(name))),
            Covered::Line(name, as_bytes) => {
                let lines = self.lines.iter().filter(|(other, _)| other == name);
                let lines = lines.map(|(_, value)| value.trim_matches([' ', '\t']).to_owned());
                let lines: Vec<String> = if *as_bytes {
                    lines
                        .map(|line| format!(":{}:", base64(line.as_bytes())))
                        .collect()
                } else {
                    lines.collect()
                };
                let bs = if *as_bytes { ";bs" } else { "" };
                let value = (!lines.is_empty()).then(|| lines.join(", "));
                (format!("\"{}\"{bs}", NAMES[*name]), value)
            }
            Covered::Parameter(index) => {
                let none = (String::new(), String::new());
                let pairs = self.query.clone().unwrap_or_default();
                let (name, value) = pairs.get(*index).cloned().unwrap_or(none);
                let encode =
                    |text: &str| percent_encoding::utf8_percent_encode(text, FORM).to_string();
                let identifier = format!("\"@query-param\";name=\"{}\"", encode(&name));
                let count = pairs.iter().filter(|(other, _)| *other == name).count();
                (identifier, (count == 1).then(|| encode(&value)))
            }
        }
    }

    fn derived(&self, name: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let default = if self.https { 443 } else { 80 };
        let host = self.host.to_lowercase();
        let authority = match self.port {
            Some(port) if port != default => format!("{host}:{port}"),
            _ => host,
        };
        let built = self.built();
        let whole = built.uri.to_string();
        let (path, query) = match whole.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (whole.as_str(), String::new()),
        };
        match name {
            "@method" => self.method.to_owned(),
            "@scheme" => scheme.to_owned(),
            "@authority" => authority,
            "@path" => path.to_owned(),
            "@query" if query.is_empty() => "?".to_owned(),
            "@query" => query,
            "@request-target" => whole,
            "@target-uri" => format!("{scheme}://{authority}{whole}"),
            other => panic!("{other}"),
        }
    }

    fn base(&self, covered: &[Covered], parameters: &str) -> Option<String> {
        let mut text = String::new();
        let mut names = Vec::new();
        for one in covered {
            let (name, value) = self.value(one);
            if names.contains(&name) {
                return None;
            }
            text += &format!("{name}: {}\n", value?);
            names.push(name);
        }
        Some(format!(
            "{text}\"@signature-params\": ({}){parameters}",
            names.join(" ")
        ))
    }
}

fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, at| {
            number << 8 | usize::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = alphabet[number >> (18 - 6 * at) & 63];
            text.push(if at <= three.len() { digit } else { '=' });
        }
    }
    text
}

fn described() -> impl Strategy<Value = Described> {
    let pair = ("[a-c \u{e9}%+&=~]{1,2}", "[ -~\u{e9}\u{20ac}]{0,5}");
    let query = proptest::option::of(proptest::collection::vec(pair, 0..4));
    let lines = proptest::collection::vec((0..NAMES.len(), "[ -~\t]{0,12}"), 0..5);
    (
        proptest::sample::select(vec!["GET", "POST", "PATCH", "get", "M-SEARCH"]),
        any::<bool>(),
        proptest::sample::select(vec!["example.com", "EXAMPLE.Com", "[::1]", "a.b-c"]),
        proptest::option::of(proptest::sample::select(vec![80, 443, 8443])),
        "(/[a-zA-Z0-9.~:@!$%-]{0,6}){1,3}",
        query,
        lines,
    )
        .prop_map(
            |(method, https, host, port, path, query, lines)| Described {
                method,
                https,
                host,
                port,
                path,
                query,
                lines,
            },
        )
}

fn covered() -> impl Strategy<Value = Vec<Covered>> {
    let derived = proptest::sample::select(vec![
        "@method",
        "@scheme",
        "@authority",
        "@path",
        "@query",
        "@request-target",
        "@target-uri",
    ]);
    let one = prop_oneof![
        3 => derived.prop_map(Covered::Derived),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(name, bytes)| Covered::Line(name, bytes)),
        1 => (0..4_usize).prop_map(Covered::Parameter),
    ];
    proptest::collection::vec(one, 0..6)
}

/// In their canonical form, each once.
fn parameters() -> impl Strategy<Value = Vec<String>> {
    let all = vec![
        ";created=1618884473",
        ";expires=-5",
        ";nonce=\"a \\\" \\\\ b\"",
        ";alg=\"ed25519\"",
        ";keyid=\"\"",
        ";tag=\"t;u=1\"",
        ";more",
        ";other=:AA==:",
        ";third=1.5",
        ";fourth=tok/en",
        ";fifth=@12",
        ";sixth=%\"%c3%a9\"",
        ";seventh=?0",
    ];
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    proptest::sample::subsequence(all, 0..8).prop_shuffle()
}

fn headers(input: &str, signature: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_INPUT, input.parse().ok()?);
    headers.insert(SIGNATURE, signature.parse().ok()?);
    Some(headers)
}

proptest! {
    #[test]
    fn the_base_is_what_a_naive_builder_writes(
        described in described(),
        covered in covered(),
        parameters in parameters(),
        spaces in 1..4_usize,
    ) {
        let built = described.built();
        let parameters = parameters.concat();
        let names: Vec<String> = covered.iter().map(|one| described.value(one).0).collect();
        let gap = " ".repeat(spaces);
        // Written loosely; it is signed in its canonical form.
        let input = format!("sig1=({gap}{}{gap}){parameters}", names.join(&gap));
        let headers = headers(&input, "sig1=:AA==:").unwrap();
        let mut scratch = Scratch::default();
        let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
        let candidate = signatures.unwrap().unwrap().candidates().next().unwrap();
        prop_assert!(candidate.components().eq(names.iter().map(String::as_str)));
        let mut out = Vec::new();
        let result = candidate.write_base(&built.message(), &FieldTypes::default(), &mut out);
        let naive = described.base(&covered, &parameters);
        let out = String::from_utf8(out).unwrap();
        prop_assert_eq!(result.ok().map(|()| out), naive);
    }

    #[test]
    fn what_was_read_and_is_built_again_is_the_same(
        described in described(),
        covered in covered(),
        parameters in proptest::sample::subsequence(vec![0, 1, 2, 3, 4, 5], 0..6).prop_shuffle(),
        texts in proptest::collection::vec("[ -~]{0,9}", 4),
        times in (-999_999_999_999_999..=999_999_999_999_999_i64, any::<i32>()),
    ) {
        let mut names: Vec<String> = Vec::new();
        for one in &covered {
            let name = described.value(one).0;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut builder = InputBuilder::new(names.iter().map(|name| name.parse().unwrap())).unwrap();
        for parameter in &parameters {
            builder = match parameter {
                0 => builder.created(times.0),
                1 => builder.expires(times.1.into()),
                2 => builder.nonce(&texts[0]).unwrap(),
                3 => builder.alg(&texts[1]).unwrap(),
                4 => builder.keyid(&texts[2]).unwrap(),
                _ => builder.tag(&texts[3]).unwrap(),
            };
        }
        let built = builder.build();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_INPUT, built.signature_input("a").unwrap());
        headers.insert(SIGNATURE, built.signature("a", texts[0].as_bytes()).unwrap());
        let mut scratch = Scratch::default();
        let signatures = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch);
        let candidate = signatures.unwrap().unwrap().candidates().next().unwrap();
        prop_assert_eq!(candidate.signature_params(), built.signature_params());
        prop_assert_eq!(candidate.signature(), texts[0].as_bytes());
        let has = |parameter| parameters.contains(&parameter);
        let params = Params {
            created: has(0).then_some(times.0),
            expires: has(1).then_some(times.1.into()),
            nonce: has(2).then_some(&texts[0]),
            alg: has(3).then_some(&texts[1]),
            keyid: has(4).then_some(&texts[2]),
            tag: has(5).then_some(&texts[3]),
        };
        prop_assert_eq!(candidate.params(), params);
        for component in built.components() {
            prop_assert!(candidate.covers(component));
        }
        let message = described.built();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let types = FieldTypes::default();
        let read = candidate.write_base(&message.message(), &types, &mut one);
        let written = built.write_base(&message.message(), &types, &mut other);
        prop_assert_eq!(read, written);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn canonical_text_that_is_read_again_gives_the_same(
        members in proptest::collection::vec(
            "[ab]=\\( ?(\"[@xY-]{1,3}\"(; ?(sf|bs|req|tr|key|name|zz)(=(1|\"[k\\\\\"]\"|\\?[01]))?){0,3} ){0,3}\\)\
             (; ?(created|keyid|tag|zz)(=(5|\"[a-c]\"|tok|1\\.50|:YQ:))?){0,3}",
            1..3,
        ),
    ) {
        let input = members.join(" , ");
        let labels: Vec<_> = members.iter().map(|member| format!("{}=:AA==:", member.get(..1).unwrap())).collect();
        let Some(headers_) = headers(&input, &labels.join(",")) else { return Ok(()) };
        let mut scratch = Scratch::default();
        let Ok(Some(first)) = Signatures::read(Fields::new(&headers_), &LIMITS, &mut scratch) else {
            return Ok(());
        };
        let text: Vec<_> = first
            .candidates()
            .map(|one| format!("{}={}", one.label(), one.signature_params()))
            .collect();
        let headers = headers(&text.join(", "), &labels.join(",")).unwrap();
        let mut scratch = Scratch::default();
        let again = Signatures::read(Fields::new(&headers), &LIMITS, &mut scratch).unwrap().unwrap();
        prop_assert_eq!(again.candidates().count(), first.candidates().count());
        for (one, other) in first.candidates().zip(again.candidates()) {
            prop_assert_eq!(one.label(), other.label());
            prop_assert_eq!(one.signature_params(), other.signature_params());
            prop_assert_eq!(one.params(), other.params());
            prop_assert!(one.components().eq(other.components()));
            prop_assert!(one.signature() == other.signature());
            for component in one.components().filter_map(|text| text.parse::<Component>().ok()) {
                prop_assert_eq!(component.to_string().parse::<Component>(), Ok(component.clone()));
                prop_assert!(one.covers(&component) && other.covers(&component));
            }
        }
    }

    /// There are two readers of `Signature`, and one is only faster.
    #[test]
    fn both_ways_of_reading_signatures_read_the_same(
        value in prop_oneof![
            "[ab=:, \tAQ/+;x1\"()?]{0,20}",
            "( |\t)?[abc] ?= ?:[AQ=]{0,5}:(;x)? ?(, ?[ab]=:[AQ+/]{0,4}=?=?:\t?){0,2}",
        ],
        labels in proptest::sample::select(vec!["a=()", "a=(),b=()", "a=(), b=(), c=()"]),
    ) {
        let read = |plain| {
            let mut scratch = Scratch::default();
            input::read(labels.as_bytes(), &LIMITS, false, &mut scratch).unwrap();
            value::read(value.as_bytes(), plain, &mut scratch).map(|()| {
                let candidates = scratch.candidates.iter();
                candidates
                    .map(|one| one.signature.map(|span| scratch.bytes[span.start..span.end].to_vec()))
                    .collect::<Option<Vec<_>>>()
            })
        };
        prop_assert_eq!(read(true), read(false));
    }
}

const NAMES: [&str; 3] = ["x-a", "x-b", "content-type"];
const FORM: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');
