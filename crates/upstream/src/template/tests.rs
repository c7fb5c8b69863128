use proptest::prelude::*;

use super::*;

fn expanded(template: &str, endpoint: Endpoint, model: &str) -> String {
    let template = PathTemplate::parse_for_one(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    let mut path = String::new();
    template.expand(endpoint, PathSegment::new(model), &mut path);
    path
}

#[test]
fn paths_are_filled_in() {
    let chat = Endpoint::ChatCompletions;
    let azure = "/openai/deployments/{model}/{operation}";
    for (template, endpoint, model, expected) in [
        ("/{path}", chat, "m", "/v1/chat/completions"),
        ("/{path}", Endpoint::Model, "gpt-4o", "/v1/models/gpt-4o"),
        ("/{operation}", chat, "m", "/chat/completions"),
        ("/{operation}", Endpoint::Model, "a/b", "/models/a%2Fb"),
        ("/openai/{path}", Endpoint::Responses, "m", "/openai/v1/responses"),
        (azure, chat, "my-dep", "/openai/deployments/my-dep/chat/completions"),
        (azure, chat, "a/b", "/openai/deployments/a%2Fb/chat/completions"),
        (
            azure,
            chat,
            "../files",
            "/openai/deployments/..%2Ffiles/chat/completions",
        ),
        (azure, chat, "%2e%2e", "/openai/deployments/%252e%252e/chat/completions"),
        (
            azure,
            chat,
            "m?api-version=1#x",
            "/openai/deployments/m%3Fapi-version%3D1%23x/chat/completions",
        ),
        (
            azure,
            chat,
            "a;b\\c:d@e é",
            "/openai/deployments/a%3Bb%5Cc%3Ad%40e%20%C3%A9/chat/completions",
        ),
        ("/v2/{model}/v2", chat, "m", "/v2/m/v2"),
        ("/only", chat, "m", "/only"),
        ("/a:b,c=1/{path}", chat, "m", "/a:b,c=1/v1/chat/completions"),
    ] {
        assert_eq!(expanded(template, endpoint, model), expected, "{template}");
    }
}

#[test]
fn paths_that_are_refused() {
    use TemplateError::*;
    let long = format!("/{}", "x".repeat(MAX_TEMPLATE));
    for (template, error) in [
        ("", NoSlash),
        ("{path}", NoSlash),
        ("https://evil.example/{path}", NoSlash),
        ("/", EmptySegment),
        ("//evil.example/{path}", EmptySegment),
        ("/a//{path}", EmptySegment),
        ("/{path}/", EmptySegment),
        ("/../{path}", DotSegment),
        ("/a/./{path}", DotSegment),
        ("/{host}/{path}", NoVariable),
        ("/{api_key}/{path}", NoVariable),
        ("/{deployment}/{operation}", NoVariable),
        ("/{Model}/{operation}", NoVariable),
        ("/x{model}/{operation}", NoVariable),
        ("/.{model}/{operation}", NoVariable),
        ("/{model}{model}/{operation}", NoVariable),
        ("/{model/{operation}", NoVariable),
        ("/model}/{operation}", NoVariable),
        ("/{}/{path}", NoVariable),
        ("/%2e%2e/{path}", PathCharacter),
        ("/a%2fb/{path}", PathCharacter),
        ("/a;b/{path}", PathCharacter),
        ("/a\\b/{path}", PathCharacter),
        ("/a?x=1/{path}", PathCharacter),
        ("/a#x/{path}", PathCharacter),
        ("/a b/{path}", PathCharacter),
        ("/a\r\nb/{path}", PathCharacter),
        ("/é/{path}", PathCharacter),
        ("/openai/deployments/{model}", NoOperation),
        ("/v1/files", NoOperation),
        (&long, TooLong),
    ] {
        assert_eq!(PathTemplate::parse(template).map(|_| ()), Err(error), "{template}");
        assert!(!error.to_string().contains("evil"), "{error}");
    }
    assert!(PathTemplate::parse_for_one("/chat").is_ok());
    assert_eq!(PathTemplate::parse("/{path}"), Ok(PathTemplate::default()));
}

#[test]
fn what_can_be_no_segment_is_none() {
    for model in ["", ".", ".."] {
        assert_eq!(PathSegment::new(model), None);
    }
    assert!(
        ["...", "a", "%2e", "/"]
            .map(PathSegment::new)
            .iter()
            .all(Option::is_some)
    );
}

#[test]
fn queries_are_merged() {
    let version = "api-version=2024-10-21";
    let both = "api-version=2024-10-21&team=a%20b";
    let own: &[&str] = &["api-version"];
    for (template, own, asked, expected) in [
        ("", &[][..], None, None),
        ("", &[], Some("beta=true&&x"), Some("beta=true&&x")),
        ("", own, Some("api-version=1"), None),
        ("", own, Some("a=1&API-Version=1&b=2"), Some("a=1&b=2")),
        (version, &[], None, Some(version)),
        (version, own, Some("api-version=2020-01-01"), Some(version)),
        (
            version,
            &[],
            Some("api%2Dversion=2020-01-01&api-version&API-VERSION="),
            Some(version),
        ),
        (version, &[], Some("+api-version=1&%20api-version+=1"), Some(version)),
        (
            version,
            &[],
            Some("a=1;api-version=1&b=2"),
            Some("b=2&api-version=2024-10-21"),
        ),
        (version, &[], Some("&&"), Some(version)),
        (
            version,
            &[],
            Some("%zz=1&x%2=1"),
            Some("%zz=1&x%2=1&api-version=2024-10-21"),
        ),
        (
            both,
            &[],
            Some("limit=5&team=c"),
            Some("limit=5&api-version=2024-10-21&team=a%20b"),
        ),
    ] {
        let query = match template {
            "" => QueryTemplate::default(),
            text => QueryTemplate::parse(text).unwrap(),
        };
        assert_eq!(query.merge(asked, own).as_deref(), expected, "{template} {asked:?}");
    }
    for (template, error) in [
        ("", TemplateError::NoQuery),
        ("?api-version=1", TemplateError::NoQuery),
        ("api-version", TemplateError::NoQuery),
        ("=1", TemplateError::NoQuery),
        ("a=1&", TemplateError::NoQuery),
        ("a=1;b=2", TemplateError::NoQuery),
        ("a={model}", TemplateError::NoQuery),
        ("a=%2", TemplateError::NoQuery),
        ("a=b#c", TemplateError::NoQuery),
        ("a=b c", TemplateError::NoQuery),
        ("api_key=sk-1", TemplateError::WrittenOut),
        ("subscription-key=sk-1", TemplateError::WrittenOut),
        ("%6bey=sk-1", TemplateError::WrittenOut),
    ] {
        assert_eq!(QueryTemplate::parse(template).map(|_| ()), Err(error), "{template}");
    }
}

#[test]
fn headers_carry_the_credential_where_they_say() {
    let credential = Secret::from("sk-canary");
    let value = |text: &str, credential: Option<&Secret>| {
        let header = HeaderTemplate::parse("X-Any-Key", text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(!format!("{header:?}").contains("canary"));
        let value = header.value(credential);
        assert!(!format!("{value:?}").contains("canary"));
        value.map(|value| value.expose_secret().to_owned())
    };
    for (text, expected) in [
        ("{api_key}", "sk-canary"),
        ("Token {api_key}", "Token sk-canary"),
        ("a={api_key}, b", "a=sk-canary, b"),
    ] {
        assert_eq!(value(text, Some(&credential)).as_deref(), Some(expected));
        assert_eq!(value(text, None), None);
    }
    let plain = HeaderTemplate::parse("X-Team", "agents of ours").unwrap();
    assert_eq!((plain.name(), plain.has_credential()), ("x-team", false));
    assert_eq!(plain.value(None).unwrap().expose_secret(), "agents of ours");
}

#[test]
fn headers_that_are_refused() {
    use TemplateError::*;
    let long = "x".repeat(MAX_TEMPLATE + 1);
    for (name, text, error) in [
        ("", "x", NoHeaderName),
        ("x team", "x", NoHeaderName),
        ("x:team", "x", NoHeaderName),
        ("x\r\ny", "x", NoHeaderName),
        ("é", "x", NoHeaderName),
        ("Host", "evil.example", OwnHeader),
        ("Content-Length", "0", OwnHeader),
        ("transfer-encoding", "chunked", OwnHeader),
        ("Bailiwick-Run", "x", OwnHeader),
        ("accept-encoding", "gzip", OwnHeader),
        ("proxy-authorization", "{api_key}", OwnHeader),
        ("x-team", "", HeaderCharacter),
        ("x-team", " x", HeaderCharacter),
        ("x-team", "a\r\nauthorization: b", HeaderCharacter),
        ("x-team", "é", HeaderCharacter),
        ("x-team", "{model}", NoCredentialVariable),
        ("x-team", "{api_key}{api_key}", NoCredentialVariable),
        ("x-team", "{api_key", NoCredentialVariable),
        ("x-team", &long, TooLong),
        ("api-key", "sk-1", WrittenOut),
        ("Authorization", "Bearer sk-1", WrittenOut),
        ("X-Auth-Token", "abc", WrittenOut),
        ("ocp-apim-subscription-key", "abc", WrittenOut),
        ("cookie", "a=b", WrittenOut),
    ] {
        assert_eq!(
            HeaderTemplate::parse(name, text).map(|_| ()),
            Err(error),
            "{name}: {text}"
        );
        assert!(!error.to_string().contains("sk-1"), "{error}");
    }
    // Words that only look like those of credentials.
    for name in [
        "x-monkey",
        "openai-organization",
        "openai-project",
        "x-tokens",
        "anthropic-beta",
    ] {
        assert!(HeaderTemplate::parse(name, "x").is_ok(), "{name}");
    }
}

proptest! {
    /// A model can only ever be one segment, and what is around it stays what it is.
    #[test]
    fn a_model_is_one_segment(model in "\\PC{0,40}|[./%\\\\;?#@:{}\r\n\u{0} a]{0,12}", endpoint in prop::sample::select(Endpoint::ALL.to_vec())) {
        let template = PathTemplate::parse("/a/{model}/{operation}").unwrap();
        let Some(segment) = PathSegment::new(&model) else {
            prop_assert!(matches!(model.as_str(), "" | "." | ".."));
            return Ok(());
        };
        let mut path = String::new();
        template.expand(endpoint, Some(segment), &mut path);
        let uri = format!("https://host.example{path}");
        prop_assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte)), "{}", uri);
        let segments: Vec<&str> = path.split('/').collect();
        prop_assert_eq!(segments.len(), 3 + endpoint.operation().split('/').count());
        prop_assert_eq!(segments[1], "a");
        prop_assert!(segments[1..].iter().all(|segment| !matches!(*segment, "" | "." | "..")));
        let lower = segments[2].to_ascii_lowercase();
        prop_assert!(!matches!(lower.as_str(), "%2e" | "%2e%2e" | ".%2e" | "%2e."));
        // Decoded once, as every server does, it is the model again.
        prop_assert_eq!(percent_decoded(segments[2]), model);
    }

    /// Whatever a caller asks, the operator's parameter is there once.
    #[test]
    fn the_operators_parameters_win(asked in "[a-iA-Iv%27D&=;+ -]{0,40}|(api-version=1&?){0,3}") {
        let query = QueryTemplate::parse("api-version=2").unwrap();
        let merged = query.merge(Some(&asked), &[]).unwrap();
        let versions = merged.split(['&', ';']).filter(|pair| {
            percent_decoded(&pair.split('=').next().unwrap().replace('+', " ")).trim().eq_ignore_ascii_case("api-version")
        });
        prop_assert_eq!(versions.collect::<Vec<_>>(), ["api-version=2"]);
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,60}", name in "\\PC{0,20}") {
        let _ = PathTemplate::parse(&text);
        let _ = PathTemplate::parse_for_one(&format!("/{text}"));
        let _ = QueryTemplate::parse(&text);
        let _ = HeaderTemplate::parse(&name, &text);
    }
}

/// Another decoder than the one under test.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = rest
            .get(1..3)
            .filter(|_| c == '%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.extend_from_slice(c.to_string().as_bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
