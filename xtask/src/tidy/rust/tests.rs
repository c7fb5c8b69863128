use super::*;

/// Code of `text`, with the lines that are test code left out.
fn code_outside_tests(text: &str) -> String {
    let lines: Vec<String> = Source::parse(text, false)
        .lines
        .into_iter()
        .filter(|line| !line.test)
        .map(|line| line.code)
        .collect();
    lines.join("|")
}

#[test]
fn strings_and_comments_are_not_code() {
    let check = |text: &str, code: &str, comment: &str| {
        let source = Source::parse(text, false);
        let all = |part: fn(&Line) -> &str| source.lines.iter().map(part).collect::<Vec<_>>().join("|");
        assert_eq!(all(|line| line.code.trim_end()), code, "code of {text:?}");
        assert_eq!(all(|line| line.comment.as_str()), comment, "comments of {text:?}");
    };
    check("let a = 1; // why", "let a = 1;", "// why");
    check("a /* x /* y */ z */ b", "a   b", "/* x /* y */ z */");
    check("a /* x\ny */ b", "a|  b", "/* x|y */");
    check(r#"f("// no", "\"todo!", x)"#, r#"f("", "", x)"#, "");
    check("f(r#\"a \" // b\"#, y) // c", "f(\"\", y)", "// c");
    check("f(br\"\\\", y)", "f(\"\", y)", "");
    check("let r#type = attr\"x\";", "let r#type = attr\"\";", "");
    check("f(\"one\ntwo\", x)\ng()", "f(\"|\", x)|g()", "||");
    check(
        "if c == '\"' || c == '\\'' { d('/', b'\\n', '\\u{1F600}') }",
        "if c == ' ' || c == ' ' { d(' ', b' ', ' ') }",
        "",
    );
    check(
        "fn f<'a>(x: &'a str) -> &'static str {",
        "fn f<'a>(x: &'a str) -> &'static str {",
        "",
    );
    check("", "", "");
}

#[test]
fn test_code_is_told_apart() {
    let check = |text: &str, outside: &str| assert_eq!(code_outside_tests(text), outside, "{text:?}");
    check(
        "a();\n#[cfg(test)]\nmod tests {\n  fn f() { g(); }\n}\nb();\n",
        "a();|b();",
    );
    check("#[cfg(test)]\n#[path = \"x\"]\nmod tests;\nb();\n", "b();");
    check("#[cfg(all(test, unix))]\nfn f(a: [u8; 4]) -> u8 {\n}\nb();\n", "b();");
    check("#[cfg(not(test))]\nfn f() {}\n", "#[cfg(not(test))]|fn f() {}");
    check(
        "#[cfg(feature = \"test\")]\nfn f() {}\n",
        "#[cfg(feature = \"\")]|fn f() {}",
    );
    check("#![cfg(test)]\nfn f() {}\n", "");
    check(
        "#[cfg(test)]\nmod tests {\n  const BRACE: char = '}';\n  const S: &str = \"}\";\n}\nb();\n",
        "b();",
    );
}

#[test]
fn modules_declared_for_tests_are_named() {
    let source = Source::parse(
        "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod fixtures;\nmod real;\n",
        false,
    );
    assert_eq!(source.test_modules, ["tests", "fixtures"]);
}

#[test]
fn imports_are_spelled_out() {
    let check = |text: &str, expected: &[(usize, &str)]| {
        let found = Source::parse(text, false).imports();
        let found: Vec<(usize, &str)> = found.iter().map(|(line, path)| (*line, path.as_str())).collect();
        assert_eq!(found, expected, "{text:?}");
    };
    check("use std::fs;", &[(1, "std::fs")]);
    check(
        "\npub use std::{fs, io::{self, Read as R}};",
        &[(2, "std::fs"), (2, "std::io"), (2, "std::io::Read")],
    );
    check(
        "use ::std::{\n    env,\n    time::*,\n};",
        &[(1, "std::env"), (1, "std::time::*")],
    );
    check("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", &[]);
    check("// use std::fs;\nlet reuse = 1;", &[]);
}

#[test]
fn words_are_whole_words() {
    let check = |text, word, found| assert_eq!(find_word(text, word), found, "{word:?} in {text:?}");
    check("std::fs::read", "std::fs", true);
    check("std::fsx", "std::fs", false);
    check("mystd::fs", "std::fs", false);
    check("x.await", ".await", true);
    check("x.awaiting", ".await", false);
    check("mktemp pg.XXXXXX", "XXX", false);
    check("#[allow(dead_code)]", "#[allow(", true);
    check("println!(\"\")", "print!", false);
    check("eprint!(\"\")", "print!", false);
}
