//! What enforcement points ask.

use authzen::{Evaluation, Evaluations, Search};

use crate::assert_plain;

/// The most items of a batch.
const MOST: usize = 100;

/// A body, read as every kind of question.
pub fn authzen(data: &[u8]) {
    let one = Evaluation::parse(data);
    let many = Evaluations::parse(data, MOST);
    if let Ok(Evaluations::One(same)) = &many {
        assert_eq!(one.as_ref(), Ok(same), "a batch without items is one question");
    }
    if let Ok(Evaluations::Many { items, .. }) = &many {
        assert!((1..=MOST).contains(&items.len()), "{} items", items.len());
        for invalid in items.iter().filter_map(|item| item.as_ref().err()) {
            assert_plain(&invalid.to_string());
        }
    }
    let searches = [Search::subjects(data), Search::resources(data), Search::actions(data)];
    if one.is_ok() {
        // What is a whole question is enough for each search, unless its page is wrong.
        let failed: Vec<_> = searches.iter().filter_map(|search| search.as_ref().err()).collect();
        assert!(
            failed.iter().all(|invalid| invalid.to_string().contains("page")),
            "{failed:?}"
        );
    }
    let canonical: Vec<_> = searches.iter().flatten().map(Search::canonical).collect();
    assert!(
        (1..canonical.len()).all(|at| canonical.get(at) != canonical.get(at - 1)),
        "two searches have the same text"
    );
    let invalid = one.as_ref().err().into_iter().chain(many.as_ref().err());
    for invalid in invalid.chain(searches.iter().filter_map(|search| search.as_ref().err())) {
        assert_plain(&invalid.to_string());
    }
}
