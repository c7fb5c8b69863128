//! Which upstream a path names. The first segment names it; the rest goes to it.

/// The first segments that are Bailiwick's own and name no upstream.
pub const RESERVED: [&str; 7] = ["oauth2", "access", ".well-known", "mcp", "healthz", "readyz", "runs"];

/// Those of them that something else than the gateway may answer.
const MOUNTED: [&str; 2] = ["access", ".well-known"];

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Is the process alive?
    Health,
    /// Can it govern?
    Ready,
    /// Something that is not the gateway's own: what is mounted under this first segment answers.
    Mounted,
    /// Something of an upstream.
    Upstream {
        /// The first segment.
        name: &'a str,
        /// The rest, with its leading slash.
        rest: &'a str,
    },
    /// A reserved segment without a meaning yet, or nothing at all.
    Unknown,
}

/// Reads a path. What could mean one thing here and another at the upstream (dot segments, encoded slashes and dots,
/// empty segments, backslashes) is refused by the endpoint table, which knows every path exactly.
pub fn route(path: &str) -> Route<'_> {
    match path {
        "/healthz" => return Route::Health,
        "/readyz" => return Route::Ready,
        _ => {}
    }
    let inner = path.strip_prefix('/').unwrap_or(path);
    let (name, rest) = match inner.find('/') {
        Some(at) => inner.split_at(at),
        None => (inner, ""),
    };
    if MOUNTED.contains(&name) {
        Route::Mounted
    } else if name.is_empty() || RESERVED.contains(&name) {
        Route::Unknown
    } else {
        Route::Upstream { name, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_names_the_upstream() {
        let upstream = |name, rest| Route::Upstream { name, rest };
        for (path, expected) in [
            (
                "/openai/v1/chat/completions",
                upstream("openai", "/v1/chat/completions"),
            ),
            ("/openai", upstream("openai", "")),
            ("/openai/", upstream("openai", "/")),
            ("/openai//v1", upstream("openai", "//v1")),
            ("/../v1", upstream("..", "/v1")),
            ("/openai%2fv1/chat", upstream("openai%2fv1", "/chat")),
            ("/healthz", Route::Health),
            ("/readyz", Route::Ready),
            ("/healthz/x", Route::Unknown),
            ("/oauth2/token", Route::Unknown),
            ("/.well-known/x", Route::Mounted),
            ("/access/v1/evaluation", Route::Mounted),
            ("/access", Route::Mounted),
            ("/accesses", upstream("accesses", "")),
            ("/", Route::Unknown),
            ("//v1", Route::Unknown),
            ("*", upstream("*", "")),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
