//! Test results as JUnit XML, which CI systems read.

use std::fmt::Write as _;

/// One test, and why it failed if it did.
pub(super) struct Case<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) name: &'a str,
    /// What is wrong in a sentence, and the explanation.
    pub(super) failure: Option<(String, String)>,
}

/// The whole document: a suite for each file, in the order of the cases.
pub(super) fn document(cases: &[Case<'_>]) -> String {
    let failed = |cases: &[Case<'_>]| cases.iter().filter(|case| case.failure.is_some()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (all, wrong) = (cases.len(), failed(cases));
    let mut line = |text: String| {
        xml.push_str(&text);
        xml.push('\n');
    };
    line(format!(
        "<testsuites name=\"bailiwick policy test\" tests=\"{all}\" failures=\"{wrong}\">"
    ));
    for suite in cases.chunk_by(|one, other| one.file == other.file) {
        let file = suite.first().map(|case| escaped(case.file)).unwrap_or_default();
        let (all, wrong) = (suite.len(), failed(suite));
        line(format!(
            "  <testsuite name=\"{file}\" tests=\"{all}\" failures=\"{wrong}\">"
        ));
        for case in suite {
            let name = escaped(case.name);
            let start = format!(
                "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\"",
                case.line
            );
            match &case.failure {
                None => line(format!("{start}/>")),
                Some((message, text)) => {
                    line(format!("{start}>"));
                    line(format!(
                        "      <failure message=\"{}\">{}</failure>",
                        escaped(message),
                        escaped(text)
                    ));
                    line("    </testcase>".to_owned());
                }
            }
        }
        line("  </testsuite>".to_owned());
    }
    line("</testsuites>".to_owned());
    xml
}

/// A text as XML 1.0 can hold it, in an attribute too: what it cannot hold is written out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "{}", c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document() {
        let case = |file, name, failure| Case {
            file,
            line: 3,
            name,
            failure,
        };
        let failure = Some(("expected \"permit\"".to_owned(), "a < b\nc\u{1b}".to_owned()));
        let cases = [
            case("a.yaml", "one & two", None),
            case("a.yaml", "three", failure),
            case("b.yaml", "four", None),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"bailiwick policy test\" tests=\"3\" failures=\"1\">
  <testsuite name=\"a.yaml\" tests=\"2\" failures=\"1\">
    <testcase classname=\"a.yaml\" name=\"one &amp; two\" file=\"a.yaml\" line=\"3\"/>
    <testcase classname=\"a.yaml\" name=\"three\" file=\"a.yaml\" line=\"3\">
      <failure message=\"expected &quot;permit&quot;\">a &lt; b&#10;c\\u{1b}</failure>
    </testcase>
  </testsuite>
  <testsuite name=\"b.yaml\" tests=\"1\" failures=\"0\">
    <testcase classname=\"b.yaml\" name=\"four\" file=\"b.yaml\" line=\"3\"/>
  </testsuite>
</testsuites>
";
        assert_eq!(document(&cases), expected);
    }
}
