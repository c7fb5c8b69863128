//! What stands where in a schema file: Cedar's own reading of it keeps no places.
//!
//! The file has passed Cedar's parser before, so this scan need not refuse anything.

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Namespace,
    Entity,
    Action,
    Common,
    Attribute,
}

/// A declaration, or an attribute of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) what: What,
    /// Its name, with that of its namespace in front; an attribute's own name.
    pub(crate) name: String,
    /// Where the name stands, in bytes.
    pub(crate) start: usize,
    /// Its annotations: name, value and place.
    pub(crate) annotations: Vec<(String, Option<String>, usize)>,
    /// Of an attribute: the first word of its type.
    pub(crate) of: String,
    pub(crate) in_namespace: bool,
    /// Of an attribute: the entity type it is of, if it is of one.
    pub(crate) parent: String,
}

/// A word, a quoted text or a mark.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    text: &'a str,
    start: usize,
}

impl Piece<'_> {
    fn is_name(self) -> bool {
        self.text
            .starts_with(|c: char| c == '_' || c == '"' || c.is_ascii_alphabetic())
    }

    fn name(self) -> String {
        match self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            // Cedar's escapes are those of JSON but for `\u{...}`, `\'` and `\0`, which only make it go unfound.
            Some(inner) => serde_json::from_str(self.text).unwrap_or_else(|_| inner.to_owned()),
            None => self.text.to_owned(),
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let length = if rest.starts_with("//") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if rest.starts_with('"') {
            quoted(rest)
        } else if rest.starts_with(word) {
            rest.find(|c: char| !word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        let piece = rest.get(..length).unwrap_or(rest);
        if !piece.starts_with("//") && !piece.trim().is_empty() {
            pieces.push(Piece { text: piece, start });
        }
        start += length;
    }
    pieces
}

/// The length of the quoted text that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// What an open brace encloses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Namespace,
    Applies,
    Record,
}

/// All declarations of a file, in its order.
pub(crate) fn declarations(text: &str) -> Vec<Declaration> {
    let pieces = pieces(text);
    let at = |i: usize| pieces.get(i).map_or("", |piece| piece.text);
    let mut found = Vec::new();
    let mut blocks = Vec::new();
    let mut next = None;
    let mut namespace: Option<String> = None;
    let mut parent = String::new();
    let mut annotations = Vec::new();
    let mut i = 0;
    while let Some(&piece) = pieces.get(i) {
        i += 1;
        let what = match piece.text {
            "{" => {
                blocks.push(next.take().unwrap_or(Block::Record));
                continue;
            }
            "}" => {
                if blocks.pop() == Some(Block::Namespace) {
                    namespace = None;
                }
                continue;
            }
            "@" => {
                let value = (at(i + 1) == "(").then(|| pieces.get(i + 2).map(|piece| piece.name()));
                annotations.push((at(i).to_owned(), value.clone().flatten(), piece.start));
                i += if value.is_some() { 4 } else { 1 };
                continue;
            }
            "appliesTo" if at(i) == "{" => {
                next = Some(Block::Applies);
                continue;
            }
            _ if !piece.is_name() => continue,
            _ if at(i) == ":" || (at(i) == "?" && at(i + 1) == ":") => What::Attribute,
            "entity" => What::Entity,
            "action" => What::Action,
            "type" => What::Common,
            "namespace" => What::Namespace,
            _ => continue,
        };
        let outside = matches!(blocks.last(), None | Some(Block::Namespace));
        let mut declare = |piece: Piece<'_>, name: String, of: &str| {
            found.push(Declaration {
                what,
                name: match (&namespace, what) {
                    (Some(namespace), What::Entity | What::Common) => format!("{namespace}::{name}"),
                    _ => name,
                },
                start: piece.start,
                annotations: annotations.clone(),
                of: of.to_owned(),
                in_namespace: namespace.is_some(),
                parent: parent.clone(),
            });
        };
        match what {
            What::Attribute if blocks.last() == Some(&Block::Record) => {
                let of = if at(i) == "?" { at(i + 2) } else { at(i + 1) };
                declare(piece, piece.name(), of);
            }
            What::Attribute => {}
            _ if !outside => continue,
            What::Namespace => {
                let from = i;
                while at(i) != "{" && i < pieces.len() {
                    i += 1;
                }
                let path: String = pieces
                    .get(from..i)
                    .into_iter()
                    .flatten()
                    .map(|piece| piece.text)
                    .collect();
                declare(piece, path.clone(), "");
                namespace = Some(path);
                next = Some(Block::Namespace);
            }
            What::Entity | What::Action | What::Common => {
                while let Some(named) = pieces.get(i).filter(|piece| piece.is_name()) {
                    declare(*named, named.name(), "");
                    i += 1;
                    if at(i) != "," {
                        break;
                    }
                    i += 1;
                }
            }
        }
        annotations.clear();
        parent = match (what, found.last()) {
            (What::Entity, Some(declared)) => declared.name.clone(),
            (What::Attribute, _) => parent,
            _ => String::new(),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_with_their_places() {
        let text = r#"
// entity Not { a: String };
@personal("no") entity A, B in [C] { "the name"?: String, @personal entity: Set<String>, c: { @x("1") d?: A::B } };
namespace N::M { type T = { type: Long }; entity D enum ["entity", "x"]; @doc
  entity E = T; }
action "read \"it\"", write in ["g"] appliesTo { principal: [A], resource: B, context: { e: Bool } };
action namespace;"#;
        let found: Vec<String> = declarations(text)
            .into_iter()
            .map(|found| {
                let annotations: Vec<String> = found
                    .annotations
                    .iter()
                    .map(|(name, value, _)| format!(" @{name}={value:?}"))
                    .collect();
                assert!(text.get(found.start..).is_some());
                let annotations = annotations.concat();
                format!("{:?} {} {}{annotations}", found.what, found.name, found.of)
            })
            .collect();
        let expected = [
            "Entity A  @personal=Some(\"no\")",
            "Entity B  @personal=Some(\"no\")",
            "Attribute the name String",
            "Attribute entity Set @personal=None",
            "Attribute c {",
            "Attribute d A @x=Some(\"1\")",
            "Namespace N::M ",
            "Common N::M::T ",
            "Attribute type Long",
            "Entity N::M::D ",
            "Entity N::M::E  @doc=None",
            "Action read \"it\" ",
            "Action write ",
            "Attribute e Bool",
            "Action namespace ",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_the_text_the_scan_ends() {
        for text in [
            "",
            "@",
            "@a(",
            "entity",
            "entity A,",
            "namespace",
            "\"",
            "action \"\\",
            "é",
            "{ a:",
            "}}}",
        ] {
            let _ = declarations(text);
        }
    }
}
