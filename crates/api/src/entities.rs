//! Stored entities: what policies know beside the files.

use axum::{
    Json, RequestExt as _,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use control::{Control, EntityEdit, EntityExpected, EntityOrder, EntityPlace, Permission, StoredEntity};
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::TenantName;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    caller::Caller,
    input::{Parameters, Segment, media_type, unread},
    listener::Shared,
    problem::{Kind, Problem},
    wire,
};

/// The longest body that changes many, in bytes.
pub(crate) const BULK_MAX: usize = 16 * 1024 * 1024;

/// Which entities of which tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    #[serde(rename = "type")]
    kind: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// What a change says besides what it changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
    #[serde(default)]
    note: String,
}

/// Whose entity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    #[serde(default = "TenantName::default_tenant")]
    tenant: TenantName,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(which): Parameters<Which>,
) -> Result<Json<wire::Entities>, Problem> {
    let cursor = which.cursor.as_deref().map(cursor).transpose()?;
    let limit = which.limit.unwrap_or(control::ENTITIES_PAGE);
    let found = shared
        .control
        .stored_entities(&actor, &which.tenant, which.kind.as_deref(), cursor, limit)
        .await?;
    let next = found
        .next
        .map(|(kind, id)| BASE64URL_NOPAD.encode(format!("{kind}\n{id}").as_bytes()));
    let entities = found.entities.into_iter().map(|found| wire::Entity {
        entity: found.entity,
        version: found.version,
    });
    Ok(Json(wire::Entities {
        entities: entities.collect(),
        next_cursor: next,
    }))
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment((kind, id)): Segment<(String, String)>,
    Parameters(whose): Parameters<Whose>,
) -> Result<Response, Problem> {
    let place = EntityPlace { kind, id };
    let StoredEntity { entity, version } = shared.control.entity(&actor, &whose.tenant, &place).await?;
    let mut response = Json(entity).into_response();
    response.headers_mut().insert(header::ETAG, etag(version)?);
    Ok(response)
}

pub(crate) async fn put(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(place): Segment<(String, String)>,
    Parameters(change): Parameters<Change>,
    request: Request,
) -> Result<Response, Problem> {
    Control::require(&actor, Permission::Operate)?;
    let Read { headers, value } = body(request, "application/json").await?;
    one(&shared, &actor, place, change, headers, EntityEdit::Put(value)).await
}

pub(crate) async fn patch(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(place): Segment<(String, String)>,
    Parameters(change): Parameters<Change>,
    request: Request,
) -> Result<Response, Problem> {
    Control::require(&actor, Permission::Operate)?;
    let Read { headers, value } = body(request, "application/json-patch+json").await?;
    one(&shared, &actor, place, change, headers, EntityEdit::Patch(value)).await
}

pub(crate) async fn delete(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(place): Segment<(String, String)>,
    Parameters(change): Parameters<Change>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    one(&shared, &actor, place, change, headers, EntityEdit::Remove).await
}

/// Changes many, all or none: a JSON array, or a change in each line.
pub(crate) async fn bulk(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(change): Parameters<Change>,
    request: Request,
) -> Result<Json<wire::EntitiesChanged>, Problem> {
    Control::require(&actor, Permission::Operate)?;
    let kind = media_type(request.headers()).unwrap_or_default();
    let lines = match kind.as_str() {
        "application/json" => false,
        "application/x-ndjson" | "application/jsonl" => true,
        _ => {
            let detail =
                "send the changes as `application/json` (an array) or as `application/x-ndjson` (one in a line)";
            return Err(Problem::new(Kind::NotJson, detail));
        }
    };
    let bytes: Bytes = request
        .extract()
        .await
        .map_err(|rejection| unread(&rejection, BULK_MAX))?;
    let changes: Vec<wire::EntityChange> = if lines {
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
        let read = lines.map(|(at, line)| {
            serde_json::from_slice(line)
                .map_err(|error| Problem::new(Kind::Invalid, format!("line {} of the body: {error}", at + 1)))
        });
        read.collect::<Result<_, _>>()?
    } else {
        serde_json::from_slice(&bytes).map_err(|error| Problem::new(Kind::Invalid, format!("the body: {error}")))?
    };
    let count = changes.len();
    let orders: Result<Vec<_>, Problem> = changes.into_iter().map(order).collect();
    let version = shared
        .control
        .change_entities(&actor, change.tenant, orders?, change.note)
        .await?;
    Ok(Json(wire::EntitiesChanged {
        version,
        changed: count,
    }))
}

fn order(change: wire::EntityChange) -> Result<EntityOrder, Problem> {
    let (place, edit) = match change {
        wire::EntityChange::Put(entity) => {
            let name = entity.get("uid").cloned().unwrap_or_default();
            let name: wire::EntityName = serde_json::from_value(name)
                .map_err(|_| Problem::new(Kind::Invalid, "each entity has a `uid` with `type` and `id`"))?;
            (name, EntityEdit::Put(entity))
        }
        wire::EntityChange::Remove(name) => (name, EntityEdit::Remove),
    };
    Ok(EntityOrder {
        place: EntityPlace {
            kind: place.kind,
            id: place.id,
        },
        expected: EntityExpected::Anything,
        edit,
    })
}

async fn one(
    shared: &Shared,
    actor: &control::Actor,
    (kind, id): (String, String),
    change: Change,
    headers: HeaderMap,
    edit: EntityEdit,
) -> Result<Response, Problem> {
    let order = EntityOrder {
        place: EntityPlace { kind, id },
        expected: expected(&headers)?,
        edit,
    };
    let removes = order.edit == EntityEdit::Remove;
    let changed = shared
        .control
        .change_entities(actor, change.tenant, vec![order], change.note);
    let version = changed.await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if !removes {
        response.headers_mut().insert(header::ETAG, etag(version)?);
    }
    Ok(response)
}

/// What must be there before (RFC 9110, sections 13.1.1 and 13.1.2).
fn expected(headers: &HeaderMap) -> Result<EntityExpected, Problem> {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let wrong = |detail: &str| Err(Problem::new(Kind::Malformed, detail));
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(EntityExpected::Anything),
        (Some("*"), None) => Ok(EntityExpected::Something),
        (None, Some("*")) => Ok(EntityExpected::Nothing),
        (Some(tag), None) => {
            let version = tag.strip_prefix("\"v").and_then(|tag| tag.strip_suffix('"'));
            match version.and_then(|version| version.parse().ok()) {
                Some(version) => Ok(EntityExpected::Version(version)),
                // An ETag, but none of ours: nothing here has it.
                None if is_etag(tag) => Ok(EntityExpected::Version(u64::MAX)),
                None => wrong("`If-Match` takes one ETag as an answer had it, or `*`"),
            }
        }
        _ => wrong("`If-None-Match` takes `*` here, and not beside `If-Match`"),
    }
}

/// Whether it is one strong ETag (RFC 9110, section 8.8.3).
fn is_etag(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.contains('"'))
}

fn etag(version: u64) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(format!("\"v{version}\"")).map_err(|error| Problem::new(Kind::Unavailable, error.to_string()))
}

struct Read {
    headers: HeaderMap,
    value: Value,
}

async fn body(request: Request, kind: &str) -> Result<Read, Problem> {
    let headers = request.headers().clone();
    if media_type(&headers).as_deref() != Some(kind) {
        return Err(Problem::new(
            Kind::NotJson,
            format!("send the body as `Content-Type: {kind}`"),
        ));
    }
    let bytes: Bytes = request
        .extract()
        .await
        .map_err(|rejection| unread(&rejection, crate::input::BODY_MAX))?;
    let value = serde_json::from_slice(&bytes);
    let value = value.map_err(|error| Problem::new(Kind::Malformed, format!("the body: {error}")))?;
    Ok(Read { headers, value })
}

fn cursor(text: &str) -> Result<(String, String), Problem> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (kind, id) = std::str::from_utf8(&bytes).ok()?.split_once('\n')?;
        Some((kind.to_owned(), id.to_owned()))
    };
    read().ok_or_else(|| {
        Problem::new(
            Kind::Malformed,
            "`cursor` is not one that an answer had as `next_cursor`",
        )
    })
}
