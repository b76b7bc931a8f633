//! A report for machines: JUnit's XML, as CI systems read it.

use std::fmt::Write as _;
use std::time::Duration;

/// What happened to a case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Why it failed; nothing if it passed.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What happened to a file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Its path.
    pub path: String,
    /// Its cases; none if they could not be read.
    pub cases: Vec<CaseReport>,
    /// Why they could not be read or begun.
    pub error: Option<String>,
}

/// The document.
pub fn document(files: &[FileReport]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"millstream test\">\n");
    for file in files {
        let failures = file.cases.iter().filter(|case| case.failure.is_some()).count();
        let errors = usize::from(file.error.is_some());
        let seconds = file.cases.iter().map(|case| case.took).sum::<Duration>().as_secs_f64();
        let (name, tests) = (escaped(&file.path), file.cases.len() + errors);
        // Text in memory: writing it can't fail, here and below.
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\">"
        );
        if let Some(error) = &file.error {
            let error = escaped(error);
            let _ =
                writeln!(xml, "    <testcase classname=\"{name}\" name=\"cases\"><error>{error}</error></testcase>");
        }
        for case in &file.cases {
            let (case_name, seconds) = (escaped(&case.name), case.took.as_secs_f64());
            let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{case_name}\" time=\"{seconds:.3}\"");
            let _ = match &case.failure {
                None => writeln!(xml, "/>"),
                Some(failure) => {
                    let first = escaped(failure.lines().next().unwrap_or_default());
                    let failure = escaped(failure);
                    writeln!(xml, "><failure message=\"{first}\">{failure}</failure></testcase>")
                }
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text as XML takes it; characters that XML 1.0 has no way to write become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let case = |name: &str, failure: Option<&str>| CaseReport {
            name: name.to_owned(),
            failure: failure.map(str::to_owned),
            took: Duration::from_millis(1500),
        };
        let files = [
            FileReport {
                path: "a.yaml".to_owned(),
                cases: vec![case("x", None), case("<\"&\u{1}", Some("one\ntwo"))],
                error: None,
            },
            FileReport { path: "b.toml".to_owned(), cases: vec![], error: Some("line 1".to_owned()) },
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"millstream test\">\n\
            \u{20} <testsuite name=\"a.yaml\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\">\n\
            \u{20}   <testcase classname=\"a.yaml\" name=\"x\" time=\"1.500\"/>\n\
            \u{20}   <testcase classname=\"a.yaml\" name=\"&lt;&quot;&amp;\u{fffd}\" time=\"1.500\">\
            <failure message=\"one\">one&#10;two</failure></testcase>\n\
            \u{20} </testsuite>\n\
            \u{20} <testsuite name=\"b.toml\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0.000\">\n\
            \u{20}   <testcase classname=\"b.toml\" name=\"cases\"><error>line 1</error></testcase>\n\
            \u{20} </testsuite>\n</testsuites>\n";
        assert_eq!(document(&files), expected);
    }
}
