use super::*;

fn upstream(name: &str) -> UpstreamName {
    UpstreamName::new(name).unwrap()
}

fn route(name: &str, of: &str, models: &[&str], running: Option<usize>) -> RouteSpec {
    RouteSpec {
        name: name.to_owned(),
        models: models.iter().map(|model| ModelPattern::new(model)).collect(),
        places: running.map(|running| Places {
            running,
            waiting: 1,
            patience: Duration::from_secs(1),
        }),
        ..RouteSpec::plain(upstream(of))
    }
}

/// The server's bounds.
const SERVER: Bounds = Bounds {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(300),
    idle: Duration::from_secs(120),
    total: Duration::from_secs(900),
    request_bytes: 32 * 1024 * 1024,
    reply_bytes: 8 * 1024 * 1024,
};

fn routes(specs: &[RouteSpec], before: &Routes) -> Routes {
    let upstreams = [upstream("openai"), upstream("backup")];
    Routes::new(specs, upstreams.iter(), SERVER, before)
}

#[test]
fn the_route_that_names_a_model_most_closely_is_taken() {
    let specs = [
        route("all", "openai", &[], None),
        route("four", "openai", &["gpt-4*"], None),
        route("mini", "openai", &["gpt-4o-mini", "gpt-4.1*"], None),
        route("minis", "openai", &["gpt-4o-mini*"], None),
    ];
    let routes = routes(&specs, &Routes::default());
    for (of, model, expected) in [
        ("openai", "gpt-4o-mini", Some("mini")),
        ("openai", "gpt-4.1-nano", Some("mini")),
        ("openai", "gpt-4o", Some("four")),
        ("openai", "gpt-4", Some("four")),
        ("openai", "gpt-4o-mini-2024-07-18", Some("minis")),
        ("openai", "o3", Some("all")),
        ("openai", "", Some("all")),
        // Nothing declared: one attempt within the server's bounds.
        ("backup", "gpt-4o-mini", Some("")),
        ("nobody", "gpt-4o-mini", None),
    ] {
        let found = routes.find(&upstream(of), model);
        assert_eq!(
            found.as_ref().map(|route| route.spec.name.as_str()),
            expected,
            "{of}/{model}"
        );
    }
}

#[test]
fn a_pattern_is_a_name_or_a_beginning() {
    for (pattern, model, expected) in [
        ("gpt-4o", "gpt-4o", true),
        ("gpt-4o", "gpt-4o-mini", false),
        ("gpt-4o*", "gpt-4o-mini", true),
        ("gpt-4o*", "gpt-4o", true),
        ("*", "anything", true),
        // What names no model is no model's call.
        ("*", "", false),
        ("g*4", "gpt-4", false),
    ] {
        assert_eq!(
            ModelPattern::new(pattern).closeness(model).is_some(),
            expected,
            "{pattern} {model}"
        );
    }
}

#[test]
fn bounds_are_the_servers_unless_said() {
    let spec = RouteSpec {
        total: Some(Duration::from_secs(5)),
        request_bytes: Some(usize::MAX),
        ..route("all", "openai", &[], None)
    };
    let routes = routes(&[spec], &Routes::default());
    let bounds = routes.find(&upstream("openai"), "m").unwrap().bounds;
    let expected = Bounds {
        total: Duration::from_secs(5),
        ..SERVER
    };
    assert_eq!(bounds, expected);
    assert_eq!(
        bounds.request_bytes, SERVER.request_bytes,
        "a route cannot allow more than the server"
    );
}

#[test]
fn who_runs_is_known_after_the_files_were_read_again() {
    let gate = |routes: &Routes| routes.find(&upstream("openai"), "m").unwrap().gate.clone().unwrap();
    let before = routes(&[route("all", "openai", &[], Some(2))], &Routes::default());
    let same = routes(&[route("all", "openai", &[], Some(2))], &before);
    let other = routes(&[route("all", "openai", &[], Some(3))], &same);
    assert!(Arc::ptr_eq(&gate(&before), &gate(&same)));
    assert!(!Arc::ptr_eq(&gate(&same), &gate(&other)));
}
