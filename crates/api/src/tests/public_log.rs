//! The logs as mirrors read them.

use axum::body::Body;
use control::{Actor, KeyOrder};
use entry::Role;
use http::header;
use model::{AdminName, AgentName, TenantName, Tier};
use serde_json::Value;
use tlog::{
    bundle::{self, BundleId},
    checkpoint::Checkpoint,
    leaf_hash,
    note::Note,
    tile::{Plan, TileId},
};

use super::world::{Answer, World};

async fn get(world: &World, role: Option<Role>, path: &str) -> Answer {
    world.ask(role, "GET", path, Value::Null).await
}

/// What somebody with nothing but the addresses makes of the log.
async fn read_back(world: &World, role: Option<Role>, tenant: &str) -> Vec<Vec<u8>> {
    let note = get(world, role, &format!("/log/{tenant}/checkpoint")).await;
    assert_eq!(note.status, 200, "{}", note.text);
    let checkpoint = Checkpoint::parse(Note::parse(&note.text).unwrap().body()).unwrap();
    assert_eq!(checkpoint.origin.as_str(), format!("test.example/{tenant}"));
    let mut tiles = std::collections::BTreeMap::new();
    for id in TileId::of_tree(checkpoint.size) {
        let tile = get(world, role, &format!("/log/{tenant}/{id}")).await;
        assert_eq!((tile.status, tile.bytes.len()), (200, id.bytes()), "{id}");
        tiles.insert(id, tile.bytes);
    }
    let root = Plan::root(checkpoint.size).read(|id| tiles.remove(&id).ok_or(()));
    assert_eq!(root, Ok(vec![checkpoint.root]));
    let mut entries = Vec::new();
    for id in BundleId::since(0, checkpoint.size) {
        let bundle = get(world, role, &format!("/log/{tenant}/{id}")).await;
        assert_eq!(bundle.status, 200, "{id}");
        entries.extend(bundle::split(&bundle.bytes).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    let leaves = entries.iter().map(|entry| leaf_hash(entry));
    assert_eq!(leaves.collect::<tlog::CompactRange>().root(), checkpoint.root);
    entries
}

#[tokio::test]
async fn a_mirror_reads_the_whole_log() {
    let world = World::new().await;
    let owner = Actor {
        name: AdminName::new("owner").unwrap(),
        role: Role::Owner,
    };
    // More than one bundle.
    for _ in 0..260 {
        let order = KeyOrder {
            tenant: TenantName::default_tenant(),
            agent: AgentName::new("reader").unwrap(),
            label: String::new(),
            tier: Tier::Background,
            user: None,
            upstreams: Vec::new(),
            models: Vec::new(),
            expires: None,
        };
        world.control.issue_key(&owner, order).await.unwrap();
    }
    let size = world.published().await;
    let entries = read_back(&world, Some(Role::Auditor), "default").await;
    assert!(u64::try_from(entries.len()).unwrap() >= size);
    let listed = world.get(Role::Auditor, "/api/v1/audit?from=0&limit=1000").await;
    for (entry, listed) in entries.iter().zip(listed["entries"].as_array().unwrap()) {
        assert_eq!(model::Digest(leaf_hash(entry).0).to_string(), listed["leaf"]);
    }
    read_back(&world, Some(Role::Owner), "_system").await;
}

#[tokio::test]
async fn only_a_public_log_is_for_everybody() {
    let world = World::public().await;
    world.published().await;
    assert!(!read_back(&world, None, "default").await.is_empty());
    assert!(!read_back(&world, Some(Role::Viewer), "default").await.is_empty());
    let tile = get(&world, None, "/log/default/tile/0/000.p/1").await;
    assert_eq!(
        tile.headers[header::CACHE_CONTROL],
        "public, max-age=31536000, immutable"
    );
    let checkpoint = get(&world, None, "/log/default/checkpoint").await;
    assert_eq!(checkpoint.headers[header::CACHE_CONTROL], "public, max-age=2");
    // The other ways to the audit trail stay as they are.
    assert_eq!(get(&world, None, "/api/v1/audit").await.status, 401);
    for (path, status) in [
        ("/log/nobody/checkpoint", 404),
        ("/log/default/tile/0/999", 404),
        ("/log/default/tile/0/0", 404),
    ] {
        assert_eq!(get(&world, None, path).await.status, status, "{path}");
    }
}

/// Exchanges the key of the log, and gives the id of the new one once what leads to it is published.
async fn handed_over(world: &World) -> String {
    let owner = Actor {
        name: AdminName::new("owner").unwrap(),
        role: Role::Owner,
    };
    let tenant = TenantName::default_tenant();
    let added = world.control.rotate_log_key(&owner, tenant.clone()).await.unwrap();
    world.published().await;
    let (keys, id) = (world.control.log_keys(&owner, Some(&tenant)).await.unwrap(), added.id);
    assert!(keys.iter().any(|key| key.id == id && key.handover), "{keys:?}");
    id
}

#[tokio::test]
async fn what_leads_to_a_new_key_is_published_like_the_rest() {
    for public in [false, true] {
        let world = if public {
            World::public().await
        } else {
            World::new().await
        };
        let id = handed_over(&world).await;
        let role = (!public).then_some(Role::Auditor);
        let path = format!("/log/default/handover/{id}");
        let answer = get(&world, role, &path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let signed = Note::parse(&answer.text).unwrap();
        assert_eq!(signed.signatures().len(), 2, "both keys have signed it");
        let caching = if public { "public" } else { "private" };
        assert_eq!(
            answer.headers[header::CACHE_CONTROL],
            format!("{caching}, max-age=31536000, immutable")
        );
        let request = world.request(role, "GET", &path);
        let request = request.header(header::IF_NONE_MATCH, &answer.headers[header::ETAG]);
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.status, 304);
        let nobody = get(&world, None, &path).await;
        assert_eq!(nobody.status, if public { 200 } else { 401 });
        for other in ["", "00000000", "checkpoint", "..%2f..%2fkeys"] {
            let answer = get(&world, role, &format!("/log/default/handover/{other}")).await;
            assert_eq!(answer.status, 404, "{other:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_published_is_not_there() {
    let world = World::new().await;
    let size = world.published().await;
    let published = world.control.checkpoints().borrow()[&TenantName::default_tenant()].size;
    assert!(
        published >= size && published < 255,
        "small enough for what follows: {published}"
    );
    let behind = published + 1;
    for piece in [
        format!("tile/0/000.p/{behind}"),
        format!("tile/entries/000.p/{behind}"),
        "tile/0/000".to_owned(),
        "tile/1/000.p/1".to_owned(),
        "tile/0/001.p/1".to_owned(),
        "tile/63/000.p/1".to_owned(),
        "tile/64/000.p/1".to_owned(),
        "tile/0/000.p/0".to_owned(),
        "tile/0/000.p/01".to_owned(),
        "tile/0/000.p/256".to_owned(),
        "tile/00/000.p/1".to_owned(),
        "tile/0/0.p/1".to_owned(),
        "tile/0/x000/000.p/1".to_owned(),
        "tile/0/000%2ep/1".to_owned(),
        "tile/0/000.p/1/".to_owned(),
        "tile/0".to_owned(),
        "tile/entries/".to_owned(),
        "checkpoint/".to_owned(),
        "checkpoint.old".to_owned(),
        "".to_owned(),
    ] {
        let answer = get(&world, Some(Role::Auditor), &format!("/log/default/{piece}")).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found".to_owned()), "{piece}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{piece}");
    }
    for tenant in ["nobody", "Default", "default%20", ".."] {
        let answer = get(&world, Some(Role::Auditor), &format!("/log/{tenant}/checkpoint")).await;
        assert_eq!(answer.status, 404, "{tenant}");
    }
    let posted = world
        .ask(Some(Role::Owner), "POST", "/log/default/checkpoint", Value::Null)
        .await;
    assert_eq!(posted.status, 405);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let world = World::new().await;
    world.published().await;
    for (path, kind, caching) in [
        ("checkpoint", "text/plain; charset=utf-8", "private, max-age=2"),
        (
            "tile/0/000.p/1",
            "application/octet-stream",
            "private, max-age=31536000, immutable",
        ),
        (
            "tile/entries/000.p/1",
            "application/octet-stream",
            "private, max-age=31536000, immutable",
        ),
    ] {
        let path = format!("/log/default/{path}");
        let ask = async |tag: &str| {
            let request = world.request(Some(Role::Auditor), "GET", &path);
            let request = request.header(header::IF_NONE_MATCH, tag).body(Body::empty());
            world.send(request.unwrap()).await
        };
        let whole = ask("\"another\"").await;
        assert_eq!(whole.status, 200);
        assert_eq!(whole.headers[header::CONTENT_TYPE], kind);
        assert_eq!(whole.headers[header::CACHE_CONTROL], caching);
        assert_eq!(whole.headers["x-content-type-options"], "nosniff");
        let tag = whole.headers[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let answer = ask(&known).await;
            assert_eq!((answer.status, answer.bytes.len()), (304, 0), "{path} {known}");
            assert_eq!(answer.headers[header::ETAG], tag);
            assert_eq!(answer.headers[header::CACHE_CONTROL], caching);
        }
    }
}
