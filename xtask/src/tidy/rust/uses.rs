//! Spells out `use` declarations: `use std::{fs, io::{self, Read}};` brings in `std::fs`, `std::io` and `std::io::Read`.

use super::line_of;

/// The full paths that `code` imports, with the line where each declaration starts.
pub(crate) fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code.get(..at).unwrap_or_default();
        if before.chars().next_back().is_some_and(|c| !c.is_whitespace()) {
            continue;
        }
        let rest = code.get(at + "use ".len()..).unwrap_or_default();
        let Some(tree) = rest.find(';').and_then(|end| rest.get(..end)) else {
            continue;
        };
        let mut paths = Vec::new();
        spell_out("", tree, &mut paths);
        found.extend(paths.into_iter().map(|path| (line_of(code, at), path)));
    }
    found
}

fn spell_out(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    for branch in branches(tree) {
        let branch = branch.trim();
        if let Some((head, group)) = branch.split_once('{') {
            let group = group.strip_suffix('}').unwrap_or(group);
            spell_out(
                &format!("{prefix}{}", compact(head).trim_start_matches("::")),
                group,
                paths,
            );
            continue;
        }
        let name = branch.split(" as ").next().unwrap_or_default();
        match compact(name).as_str() {
            "" => {}
            "self" => paths.push(prefix.trim_end_matches(':').to_owned()),
            name => paths.push(format!("{prefix}{}", name.trim_start_matches("::"))),
        }
    }
}

/// Splits at the commas that are not inside braces.
fn branches(tree: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    tree.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn compact(path: &str) -> String {
    path.chars().filter(|c| !c.is_whitespace()).collect()
}
