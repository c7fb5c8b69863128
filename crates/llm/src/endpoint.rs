//! Which endpoints are governed. What is not listed here is not metered, so it is not forwarded.

use std::fmt;

/// The wire format a caller and an upstream speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's API, and the many servers that imitate it.
    OpenAi,
    /// Anthropic's API.
    Anthropic,
}

/// A governed endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// OpenAI `POST /v1/chat/completions`.
    ChatCompletions,
    /// Anthropic `POST /v1/messages`.
    Messages,
}

/// Why a method and path name no governed endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No governed endpoint has this path.
    #[error("{path:?} is not a governed endpoint of this upstream; the governed ones are {}", known.join(", "))]
    Unknown {
        /// The path as asked for.
        path: String,
        /// The paths that are governed.
        known: Vec<&'static str>,
    },
    /// The endpoint is governed under another method.
    #[error("this endpoint wants {allowed}")]
    Method {
        /// The method it wants.
        allowed: &'static str,
    },
}

impl Endpoint {
    /// Every governed endpoint.
    pub const ALL: [Self; 2] = [Self::ChatCompletions, Self::Messages];

    /// The endpoint that `method` and `path` name. The path is what follows the upstream's segment, without the query.
    ///
    /// It must equal a governed path byte for byte. That alone keeps out encoded slashes, dot segments, doubled and
    /// trailing slashes: spellings that an upstream might resolve to an endpoint nobody meters.
    pub fn find(dialect: Dialect, method: &str, path: &str) -> Result<Self, EndpointError> {
        let of_dialect = || Self::ALL.into_iter().filter(|endpoint| endpoint.dialect() == dialect);
        let Some(endpoint) = of_dialect().find(|endpoint| endpoint.path() == path) else {
            return Err(EndpointError::Unknown {
                path: path.to_owned(),
                known: of_dialect().map(Self::path).collect(),
            });
        };
        if method == endpoint.method() {
            Ok(endpoint)
        } else {
            Err(EndpointError::Method {
                allowed: endpoint.method(),
            })
        }
    }

    /// The wire format it belongs to.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// The HTTP method it wants.
    pub fn method(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Messages => "POST",
        }
    }

    /// Its path under the upstream.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exactly_the_governed_paths() {
        use Dialect::{Anthropic, OpenAi};
        for (dialect, path, endpoint) in [
            (OpenAi, "/v1/chat/completions", Endpoint::ChatCompletions),
            (Anthropic, "/v1/messages", Endpoint::Messages),
        ] {
            assert_eq!(Endpoint::find(dialect, "POST", path), Ok(endpoint));
            assert_eq!(
                Endpoint::find(dialect, "GET", path),
                Err(EndpointError::Method { allowed: "POST" })
            );
            assert_eq!(
                Endpoint::find(dialect, "post", path),
                Err(EndpointError::Method { allowed: "POST" })
            );
        }
        for (dialect, path) in [
            (OpenAi, "/v1/messages"),
            (Anthropic, "/v1/chat/completions"),
            (OpenAi, ""),
            (OpenAi, "/"),
            (OpenAi, "v1/chat/completions"),
            (OpenAi, "/v1/chat/completions/"),
            (OpenAi, "/v1//chat/completions"),
            (OpenAi, "//v1/chat/completions"),
            (OpenAi, "/v1/chat%2Fcompletions"),
            (OpenAi, "/v1/chat%2fcompletions"),
            (OpenAi, "/v1/chat/%63ompletions"),
            (OpenAi, "/v1/./chat/completions"),
            (OpenAi, "/v1/x/../chat/completions"),
            (OpenAi, "/v1/chat/completions/../../files"),
            (OpenAi, "/v1/chat/completions?x=1"),
            (OpenAi, "/v1/chat/completions;x"),
            (OpenAi, "/V1/chat/completions"),
            (OpenAi, "/v1/chat\\completions"),
            (OpenAi, "/v1/files"),
            (Anthropic, "/v1/messages/batches"),
        ] {
            assert!(
                matches!(
                    Endpoint::find(dialect, "POST", path),
                    Err(EndpointError::Unknown { .. })
                ),
                "{path}"
            );
        }
    }

    #[test]
    fn a_refusal_names_the_path_and_the_governed_ones() {
        let error = Endpoint::find(Dialect::Anthropic, "POST", "/v1/complete").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"/v1/complete\" is not a governed endpoint of this upstream; the governed ones are /v1/messages"
        );
    }
}
