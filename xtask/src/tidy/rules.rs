//! The rules as data. They live in `xtask/rules/*.toml`, each with the reason beside it.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

/// All rules.
pub(crate) struct Rules {
    pub edges: Edges,
    pub purity: Purity,
    pub sizes: Sizes,
    pub words: Words,
}

/// `rules/edges.toml`: who may use whom.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edges {
    pub uses: BTreeMap<String, Vec<String>>,
    pub tests: BTreeMap<String, Vec<String>>,
    pub only: BTreeMap<String, Vec<String>>,
}

/// `rules/purity.toml`: what pure crates must not do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purity {
    pub crates: Vec<String>,
    pub denied_crates: Vec<String>,
    pub banned_crates: Vec<String>,
    pub denied_code: Vec<Ban>,
}

/// `rules/sizes.toml`: how long a file, a crate and a document may be, in lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sizes {
    pub file_warn: usize,
    pub file_fail: usize,
    pub crate_fail: usize,
    pub exempt: Vec<String>,
    pub documents: BTreeMap<String, usize>,
}

/// `rules/words.toml`: what must not be written anywhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub exempt: Vec<String>,
    pub code: Vec<Ban>,
    pub note: Vec<Ban>,
    pub place: Vec<Ban>,
    pub registry: Vec<Ban>,
}

/// Words that are forbidden for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    /// Names of the files it applies to; empty means every file of the kind that the rule speaks of.
    #[serde(default)]
    pub files: Vec<String>,
    pub words: Vec<String>,
    /// Follows the word in the message: "`todo!` is unfinished work".
    pub why: String,
    pub fix: String,
}

impl Rules {
    /// The project's own rules, built into the binary.
    pub(crate) fn load() -> anyhow::Result<Self> {
        Ok(Self {
            edges: toml::from_str(include_str!("../../rules/edges.toml")).context("xtask/rules/edges.toml")?,
            purity: toml::from_str(include_str!("../../rules/purity.toml")).context("xtask/rules/purity.toml")?,
            sizes: toml::from_str(include_str!("../../rules/sizes.toml")).context("xtask/rules/sizes.toml")?,
            words: toml::from_str(include_str!("../../rules/words.toml")).context("xtask/rules/words.toml")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_rules_parse_and_name_each_crate_once() {
        let rules = Rules::load().unwrap();
        for (user, used) in &rules.edges.uses {
            for name in used.iter().filter(|name| *name != "*") {
                assert!(
                    rules.edges.uses.contains_key(name),
                    "{user} may use {name}, which has no line of its own"
                );
            }
        }
        for name in &rules.purity.crates {
            let used = rules
                .edges
                .uses
                .get(name)
                .unwrap_or_else(|| panic!("{name} has no line in edges.toml"));
            assert!(
                used.iter().all(|other| rules.purity.crates.contains(other)),
                "{name} uses a crate that is not pure"
            );
        }
    }

    #[test]
    fn the_projects_edges_have_no_cycle() {
        let uses = Rules::load().unwrap().edges.uses;
        let mut left: Vec<&String> = uses.keys().collect();
        loop {
            let before = left.len();
            let open = left.clone();
            left.retain(|name| uses[*name].iter().any(|used| used != "*" && open.contains(&used)));
            if left.is_empty() {
                return;
            }
            assert!(left.len() < before, "these crates use each other in a circle: {left:?}");
        }
    }
}
