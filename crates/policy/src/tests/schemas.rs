use super::*;
use crate::schema::Terms;
#[test]
fn show() {
    let s = source(
        "a",
        "@personal(\"no\") entity Doc in [Team] { @personal owner: User, n: App::T, size?: decimal, s: Set<Long>, @authoritative(\"store\") r: {a: Bool} }; namespace App { type T = {x: String, y: ipaddr}; entity E; } entity C enum [\"a\"]; action g; action \"can read\" in [g] appliesTo {principal: [User, App::E], resource: Doc, context: App::T};",
    );
    println!(
        "{:#}",
        cedar_policy::schema_str_to_json_with_resolved_types(&format!("{}\n{}", Bundle::schema_text(), s.text))
            .unwrap()
            .0
    );
    let (mut p, mut w) = (vec![], vec![]);
    let t = Terms::read(&[&s], &mut p, &mut w);
    println!("{} {}", lines(&p), lines(&w));
    let t = t.unwrap();
    println!("{:#?} {:#?}", t.kinds, t.actions);
}
