//! What handlers take: JSON bodies, query parameters and path segments whose mistakes are told as problems.

use axum::{
    RequestExt as _,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;

use crate::{
    listener::Shared,
    problem::{Kind, Problem},
};

/// The longest body, in bytes.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// A body of JSON of at most so many bytes. Its route has to hold as many.
#[derive(Debug)]
pub(crate) struct Long<T, const MAX: usize>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        json(request, BODY_MAX).await.map(Self)
    }
}

impl<T: DeserializeOwned, const MAX: usize> FromRequest<Shared> for Long<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        json(request, MAX).await.map(Self)
    }
}

async fn json<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    // A browser sends other types to other origins without asking first.
    if !is_json(request.headers()) {
        let detail = "send the body as `Content-Type: application/json`";
        return Err(Problem::new(Kind::NotJson, detail));
    }
    let bytes: Bytes = request.extract().await.map_err(|rejection| unread(&rejection, most))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let kind = if error.is_data() {
            Kind::Invalid
        } else {
            Kind::Malformed
        };
        Problem::new(kind, format!("the body: {error}"))
    })
}

/// Why a body of at most so many bytes was not read.
pub(crate) fn unread(rejection: &BytesRejection, most: usize) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(Kind::TooLarge, format!("a body has at most {most} bytes"));
    }
    Problem::new(Kind::Malformed, "the body ended early")
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/json")
}

/// The content type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or(value).trim();
    Some(kind.to_ascii_lowercase())
}

/// The parameters after the `?`.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let parameters = Query::<T>::from_request_parts(parts, shared).await;
        let Query(value) = parameters
            .map_err(|error| Problem::new(Kind::Malformed, format!("the parameters: {}", error.body_text())))?;
        Ok(Self(value))
    }
}

/// A segment of the path that names something.
#[derive(Debug)]
pub(crate) struct Segment<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Segment<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let segment = Path::<T>::from_request_parts(parts, shared).await;
        let Path(value) =
            segment.map_err(|error| Problem::new(Kind::Malformed, format!("the path: {}", error.body_text())))?;
        Ok(Self(value))
    }
}
