//! Types as callers name them, and as Cedar names them.
//!
//! The type of an AuthZEN subject or resource is any text; the name of a Cedar entity type is a path of identifiers. A
//! text that is such a name is its own: `User`, `App::Doc`. Any other is escaped: `_x_`, then each letter and digit as it
//! is, `__` for an underscore, and `_` with two hexadecimal digits for every other byte of its UTF-8. So `mcp-server` is
//! `_x_mcp_2dserver`, and `urn:doc` is `_x_urn_3adoc`. A name that begins with `_x_` itself is escaped too, hence no two
//! texts have one name.

use cedar_policy::EntityTypeName;

/// What an escaped name begins with.
const MARK: &str = "_x_";

/// The name of the Cedar entity type for a caller's type: any text.
///
/// # Errors
/// Never for a text of sensible length; the message of Cedar's own parser otherwise.
pub fn to_cedar_type(kind: &str) -> Result<EntityTypeName, String> {
    let name = to_cedar_name(kind);
    name.parse().map_err(|_| format!("{name} names no type"))
}

/// The same as text.
pub fn to_cedar_name(kind: &str) -> String {
    if is_name(kind) && !kind.starts_with(MARK) {
        return kind.to_owned();
    }
    let mut name = MARK.to_owned();
    for byte in kind.bytes() {
        match byte {
            b'_' => name.push_str("__"),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                name.extend(['_', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    name
}

/// The caller's type that a Cedar entity type stands for.
pub fn from_cedar_type(name: &EntityTypeName) -> String {
    from_cedar_name(&name.to_string())
}

/// The same from the name's text.
pub fn from_cedar_name(name: &str) -> String {
    match name.strip_prefix(MARK).and_then(unescaped) {
        Some(kind) => kind,
        None => name.to_owned(),
    }
}

/// Whether callers can name the type: a name that looks escaped, and is no text's escaped name, is out of their reach.
pub(crate) fn is_reachable(name: &str) -> bool {
    to_cedar_name(&from_cedar_name(name)) == name
}

fn unescaped(rest: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(rest.len());
    let mut from = rest.bytes();
    while let Some(byte) = from.next() {
        if byte != b'_' {
            bytes.push(byte);
            continue;
        }
        match from.next()? {
            b'_' => bytes.push(b'_'),
            high => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? << 4 | digit(from.next()?)?);
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether Cedar takes the text for a name as it is: identifiers joined by `::`, none of them a reserved word.
fn is_name(text: &str) -> bool {
    const RESERVED: [&str; 10] = [
        "true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar",
    ];
    text.split("::").all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
            && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
            && !RESERVED.contains(&part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_kept_where_cedar_has_them() {
        for (kind, expected) in [
            ("User", "User"),
            ("App::Doc", "App::Doc"),
            ("user", "user"),
            ("_x", "_x"),
            ("_", "_"),
            ("___cedar", "___cedar"),
            ("Action", "Action"),
            ("mcp-server", "_x_mcp_2dserver"),
            ("urn:doc", "_x_urn_3adoc"),
            ("a b", "_x_a_20b"),
            (" A", "_x__20A"),
            ("in", "_x_in"),
            ("App::in", "_x_App_3a_3ain"),
            ("App::", "_x_App_3a_3a"),
            ("like", "_x_like"),
            ("__cedar", "_x_____cedar"),
            ("__cedar::String", "_x_____cedar_3a_3aString"),
            ("", "_x_"),
            ("ü", "_x__c3_bc"),
            ("1st", "_x_1st"),
            ("_x_", "_x___x__"),
            ("_x_User", "_x___x__User"),
        ] {
            assert_eq!(to_cedar_name(kind), expected, "{kind}");
            assert_eq!(to_cedar_type(kind).unwrap().to_string(), expected, "{kind}");
            assert_eq!(from_cedar_name(expected), kind);
            assert!(is_reachable(expected), "{kind}");
        }
        for out_of_reach in ["_x_User", "_x_a_zz", "_x_a_2D", "_x_a_", "_x__ff", "_x_a::b"] {
            assert!(!is_reachable(out_of_reach), "{out_of_reach}");
        }
    }

    /// Texts that are names, nearly names, and anything.
    fn kind() -> impl Strategy<Value = String> {
        prop_oneof![
            "[_x]{0,4}[a-z_:-]{0,6}",
            "(_x_)?[A-Za-z_][A-Za-z0-9_]{0,5}(::[A-Za-z_]{1,3})?",
            ".{0,8}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_text_has_one_name_and_back(kind in kind(), other in kind()) {
            let name = to_cedar_type(&kind).unwrap();
            prop_assert_eq!(name.to_string(), to_cedar_name(&kind));
            prop_assert_eq!(from_cedar_type(&name), kind.clone());
            prop_assert!(is_reachable(&name.to_string()));
            prop_assert_eq!(to_cedar_name(&other) == name.to_string(), other == kind);
        }

        /// What Cedar takes for a name is its own, unless it looks escaped.
        #[test]
        fn cedar_agrees_on_what_a_name_is(kind in kind()) {
            let cedar = kind.parse::<EntityTypeName>().is_ok_and(|name| name.to_string() == kind);
            prop_assert_eq!(cedar && !kind.starts_with(MARK), to_cedar_name(&kind) == kind);
        }
    }
}
