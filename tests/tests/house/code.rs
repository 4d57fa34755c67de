//! Rust text without comments and literals, so that rules about code do not trip over prose.

/// `text` with every comment, string and character literal replaced by spaces. Lines stay lines.
pub(crate) fn code_of(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back().unwrap_or(' ');
        let hidden = hidden_bytes(rest, before);
        if hidden == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let blank = rest[..hidden].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
        code.extend(blank);
        rest = &rest[hidden..];
    }
    code
}

/// The identifiers of a line of code.
pub(crate) fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// True when `line` has `word` as a whole identifier.
pub(crate) fn has_identifier(line: &str, word: &str) -> bool {
    identifiers(line).any(|identifier| identifier == word)
}

/// The words an identifier is made of, lower case: `DeviceIndex` and `device_index` are the same.
pub(crate) fn words_of(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut upper_before = true;
    for letter in identifier.chars() {
        if letter == '_' || (letter.is_uppercase() && !upper_before) {
            words.push(String::new());
        }
        upper_before = letter.is_uppercase();
        if letter != '_' {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How many bytes at the start of `rest` are a comment or a literal; 0 when it is code.
fn hidden_bytes(rest: &str, before: char) -> usize {
    let inside_identifier = before.is_alphanumeric() || before == '_';
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_bytes(rest);
    }
    if let Some(prefix) = rest.find('"').filter(|_| !inside_identifier) {
        let marks = rest[..prefix].trim_start_matches(['b', 'c']);
        let raw = marks.strip_prefix('r').is_some_and(|hashes| hashes.bytes().all(|b| b == b'#'));
        if raw {
            let close = format!("\"{}", &marks[1..]);
            let inner = &rest[prefix + 1..];
            return prefix + 1 + inner.find(&close).map_or(inner.len(), |at| at + close.len());
        }
        if marks.is_empty() {
            return prefix + quoted_bytes(&rest[prefix..], b'"');
        }
    }
    if rest.starts_with('\'') {
        return character_bytes(rest);
    }
    0
}

fn block_comment_bytes(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_bytes(rest: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if byte == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// A character literal, or 0 for a lifetime.
fn character_bytes(rest: &str) -> usize {
    let mut letters = rest.chars().skip(1);
    match (letters.next(), letters.next()) {
        (Some('\\'), _) => quoted_bytes(rest, b'\''),
        (Some(letter), Some('\'')) => 2 + letter.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{code_of, words_of};

    fn check(text: &str, expected: &str) {
        let code = code_of(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
        assert_eq!(code.matches('\n').count(), text.matches('\n').count(), "{text}");
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"a("b \" c", 'd', '\'', b'"') e"#, "a( , , , b ) e");
        check("a(r#\"b \" c\"#, br\"d\\\") e", "a( , ) e");
        check("fn a<'b>(c: &'b str) -> &'b str", "fn a<'b>(c: &'b str) -> &'b str");
        check("a(\"b\nc\") d", "a( ) d");
    }

    #[test]
    fn an_identifier_is_split_into_words_in_either_case() {
        assert_eq!(words_of("TrackerId"), ["tracker", "id"]);
        assert_eq!(words_of("tracker_id"), ["tracker", "id"]);
        assert_eq!(words_of("TRACKER_ID"), ["tracker", "id"]);
    }
}
