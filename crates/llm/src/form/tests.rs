use proptest::prelude::*;

use super::*;

type Seen = Vec<(String, bool, bool, Vec<u8>)>;

fn parts(body: &[u8]) -> Result<Seen, FormError> {
    let mut seen = Vec::new();
    each_part("b0undary", body, |part| {
        seen.push((part.name.to_owned(), part.is_file, part.is_text, part.content.to_vec()));
        Ok::<_, FormError>(())
    })?;
    Ok(seen)
}

fn part(head: &str, content: &str) -> String {
    format!("--b0undary\r\n{head}\r\n\r\n{content}\r\n")
}

fn form(parts: &[String]) -> String {
    parts.concat() + "--b0undary--\r\n"
}

const NAMED: &str = "Content-Disposition: form-data; name=\"model\"";

#[test]
fn boundaries_are_read_from_the_content_type() {
    for (content_type, expected) in [
        ("multipart/form-data; boundary=b0undary", Some("b0undary")),
        ("Multipart/Form-Data;Boundary=\"b0undary\"", Some("b0undary")),
        (
            "multipart/form-data; boundary=----WebKitFormBoundaryAbC123",
            Some("----WebKitFormBoundaryAbC123"),
        ),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"\"", None),
        ("multipart/form-data; boundary=\"a", None),
        ("multipart/form-data; boundary=a b", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; charset=utf-8; boundary=a", None),
        ("multipart/form-data; boundary=a\r\nx", None),
        ("multipart/mixed; boundary=a", None),
        ("application/json", None),
        ("", None),
    ] {
        assert_eq!(boundary(content_type), expected, "{content_type}");
    }
    let long = |length| format!("multipart/form-data; boundary={}", "b".repeat(length));
    assert!(boundary(&long(70)).is_some() && boundary(&long(71)).is_none());
}

/// As curl, browsers and Python's libraries write them.
#[test]
fn reads_the_forms_that_libraries_write() {
    let body = form(&[
        part(NAMED, "whisper-1"),
        part(
            "Content-Disposition: form-data; name=\"file\"; filename=\"a b;c=d é.wav\"\r\nContent-Type: audio/x-wav",
            "RIFF\r\n--b0undar\r\n\r\n\n",
        ),
        part(
            "content-disposition: form-data; name=response_format\r\ncontent-type: text/plain; charset=UTF-8",
            "json",
        ),
        part(
            "Content-Disposition: form-data; name=\"image[]\"; filename=\"x.png\"; filename*=utf-8''x.png\r\nContent-Length: 0",
            "",
        ),
        part(
            "Content-Disposition: form-data; name=\"prompt\"\r\nContent-Type: text/plain;charset=utf-16",
            "p",
        ),
    ]);
    let expected = [
        ("model", false, true, "whisper-1"),
        ("file", true, false, "RIFF\r\n--b0undar\r\n\r\n\n"),
        ("response_format", false, true, "json"),
        ("image[]", true, true, ""),
        ("prompt", false, false, "p"),
    ];
    let expected =
        expected.map(|(name, file, text, content)| (name.to_owned(), file, text, content.as_bytes().to_vec()));
    assert_eq!(parts(body.as_bytes()).unwrap(), expected);
    let without_last_line_end = body.strip_suffix("\r\n").unwrap();
    assert_eq!(parts(without_last_line_end.as_bytes()).unwrap(), expected);
    assert_eq!(parts(b"--b0undary--"), Ok(vec![]));
}

#[test]
fn what_parsers_read_differently_is_refused() {
    let good = form(&[part(NAMED, "m")]);
    let check = |body: &str, expected: &str| {
        let error = parts(body.as_bytes()).unwrap_err();
        assert_eq!(error.expected, expected, "{body:?}");
    };
    check("", "the boundary");
    check(&format!("preamble\r\n{good}"), "the boundary");
    check(&format!("\r\n{good}"), "the boundary");
    check(&format!("{good}epilogue"), "a line end behind the boundary, or the end");
    check(&format!("{good}{good}"), "a line end behind the boundary, or the end");
    check(
        &good.replace("\r\n", "\n"),
        "a line end behind the boundary, or the end",
    );
    check(good.strip_suffix("--b0undary--\r\n").unwrap(), "the boundary");
    check(
        &good.replace("y\r\n", "y \r\n"),
        "a line end behind the boundary, or the end",
    );
    // The boundary inside of a part, as lenient parsers would find it.
    for content in ["x\n--b0undary\r\n", "x--b0undary"] {
        check(&form(&[part(NAMED, content)]), "a line end before the boundary");
    }
    check(
        &form(&[part(NAMED, "--b0undary")]),
        "a blank line behind the part's headers",
    );
    check(
        &form(&[part(NAMED, "x\r\n--b0undaryX")]),
        "a line end behind the boundary, or the end",
    );
    for (head, expected) in [
        ("", "a header"),
        (
            "Content-Type: text/plain",
            "Content-Disposition: form-data with a plain name",
        ),
        (
            &format!("{NAMED}\r\nX-Other: 1"),
            "no headers but Content-Disposition, Content-Type and Content-Length",
        ),
        (
            &format!("{NAMED}\r\nContent-Transfer-Encoding: base64"),
            "no headers but Content-Disposition, Content-Type and Content-Length",
        ),
        (&format!("{NAMED}\r\n{NAMED}"), "each header once"),
        (&format!("{NAMED};\r\n name=\"x\""), "a header"),
        (
            &format!("{NAMED}\r\n folded: x"),
            "no headers but Content-Disposition, Content-Type and Content-Length",
        ),
        (&format!("{NAMED}\0"), "headers without control characters"),
        (&format!("{NAMED}\nx"), "headers without control characters"),
        (
            "Content-Disposition : form-data; name=\"a\"",
            "no headers but Content-Disposition, Content-Type and Content-Length",
        ),
    ] {
        check(&form(&[part(head, "m")]), expected);
    }
    for disposition in [
        "form-data",
        "form-data;",
        "form-data; name",
        "form-data; filename=\"a\"",
        "attachment; name=\"a\"",
        "form-data; name=\"\"",
        "form-data; name=\"a b\"",
        "form-data; name=\"mod%65l\"",
        "form-data; name=\"m\\odel\"",
        "form-data; name=\"a\"; name=\"b\"",
        "form-data; name*=utf-8''model",
        "form-data; name=\"a\" name=\"b\"",
        "form-data; name=\"a\"; filename=\"x\\\"; name=\\\"model\"",
        "form-data; name=\"a\"; filename=x\"",
        "form-data; name=\"a\"; other=\"b\"",
        "form-data; name=\"a",
        "form-data; name=a\"b\"",
    ] {
        check(
            &form(&[part(&format!("Content-Disposition: {disposition}"), "m")]),
            "Content-Disposition: form-data with a plain name",
        );
    }
    check(
        &form(&[part(&format!("{NAMED}; filename=\"{}\"", "x".repeat(MOST_HEAD)), "m")]),
        "a blank line behind the part's headers",
    );
    check(
        &form(&[part(
            &format!("Content-Disposition: form-data; name=\"{}\"", "x".repeat(129)),
            "m",
        )]),
        "Content-Disposition: form-data with a plain name",
    );
    assert!(parts(form(&vec![part(NAMED, "m"); MOST_PARTS]).as_bytes()).is_ok());
    check(&form(&vec![part(NAMED, "m"); MOST_PARTS + 1]), "fewer parts");
    let error = parts(b"--b0undary\r\nsecret").unwrap_err();
    assert_eq!(
        error.to_string(),
        "not valid multipart/form-data: expected the boundary at byte 18"
    );
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(fields in proptest::collection::vec(
        ("[a-z_][a-z0-9_.\\[\\]]{0,20}", any::<bool>(), proptest::collection::vec(any::<u8>(), 0..64)), 0..6,
    )) {
        let mut body = Vec::new();
        for (name, file, content) in &fields {
            let file = if *file { "; filename=\"f\"" } else { "" };
            body.extend_from_slice(format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b0undary--\r\n");
        let expected: Seen = fields.into_iter().map(|(name, file, content)| (name, file, true, content)).collect();
        prop_assert_eq!(parts(&body).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        pieces in proptest::collection::vec(prop_oneof![
            prop::sample::select(vec![
                &b"--b0undary"[..], b"--b0undary--", b"\r\n", b"\r\n\r\n", b"Content-Disposition: form-data; name=\"a\"",
                b"; filename=\"", b"\"", b"\\", b";", b"=", b":", b"x",
            ]).prop_map(<[u8]>::to_vec),
            proptest::collection::vec(any::<u8>(), 0..4),
        ], 0..16),
    ) {
        let _ = parts(&pieces.concat());
        let _ = parts(&[b"--b0undary\r\n", &pieces.concat()[..]].concat());
        let _ = boundary(&String::from_utf8_lossy(&pieces.concat()));
    }
}
