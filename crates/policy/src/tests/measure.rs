use super::*;
use crate::{EntityChange, EntityName, EntityRecord, Sources};
use std::time::Instant;
#[test]
#[ignore = "prints times"]
fn times() {
    let schema = source(
        "s",
        "entity Group in [Group]; entity Person in [Group] { @personal mail: String, level: Long, manager?: Person, tags: Set<String> }; entity Doc in [Doc] { owner: Person }; action read appliesTo { principal: Person, resource: Doc };",
    );
    let mut items = Vec::new();
    for n in 0..1000 {
        items.push(format!(
            r#"{{"uid": {{"type":"Group","id":"g{n}"}}, "attrs": {{}}, "parents": [{{"type":"Group","id":"g{}"}}]}}"#,
            1000 + n / 10
        ));
    }
    for n in 0..99_000 {
        items.push(format!(r#"{{"uid": {{"type":"Person","id":"p{n}"}}, "attrs": {{"mail": "p{n}@acme.example", "level": {n}, "manager": {{"type":"Person","id":"p{}"}}, "tags": ["a","b"]}}, "parents": [{{"type":"Group","id":"g{}"}}]}}"#, n / 10, n % 1000));
    }
    let text = format!("[{}]", items.join(","));
    let sources = Sources {
        schemas: vec![schema],
        policies: vec![source(
            "p",
            "@id(\"a\") permit (principal in Group::\"g1000\", action == Action::\"read\", resource) when { resource.owner.manager == principal };",
        )],
        entities: vec![source("e", &text)],
    };
    let t = Instant::now();
    let bundle = match Bundle::compile(&sources, &agents()) {
        Ok(b) => b,
        Err(p) => panic!("{}", lines(&p)),
    };
    println!(
        "compile with {} entities, {} MB: {:?}",
        bundle.store.len(),
        text.len() >> 20,
        t.elapsed()
    );
    let record = |n: usize| EntityRecord {
        name: EntityName {
            kind: "Person".into(),
            id: format!("p{n}"),
        },
        attrs: serde_json::from_str(r#"{"level": 7}"#).unwrap(),
        parents: vec![],
    };
    let t = Instant::now();
    let mut b = bundle.with_entities(&[EntityChange::Put(record(5))]).unwrap();
    println!("one put: {:?}", t.elapsed());
    let t = Instant::now();
    for n in 0..1000 {
        b = b.with_entities(&[EntityChange::Put(record(n * 7))]).unwrap();
    }
    println!("one put of 1000: {:?}", t.elapsed() / 1000);
    let puts: Vec<_> = (0..99_000).map(|n| EntityChange::Put(record(n))).collect();
    let t = Instant::now();
    let b = bundle.with_entities(&puts).unwrap();
    println!("99,000 puts: {:?}", t.elapsed());
    let t = Instant::now();
    let _b = b.with_entities(&[EntityChange::Remove(record(5).name)]).unwrap();
    println!("one removal: {:?}", t.elapsed());
    let uid = record(5555).name.uid().unwrap();
    let t = Instant::now();
    for _ in 0..1000 {
        std::hint::black_box(b.store.slice(std::slice::from_ref(&uid), 2).unwrap());
    }
    println!(
        "slice of {}: {:?}",
        b.store.slice(&[uid.clone()], 2).unwrap().len(),
        t.elapsed() / 1000
    );
    let t = Instant::now();
    println!(
        "{} of a kind in {:?}",
        b.store.of_kind(uid.type_name()).count(),
        t.elapsed()
    );
}
