//! What the page may load and do, as its content security policy says it to the browser.

/// The policy, with the origin of the map's style if there is one.
///
/// The script is one file of ours, the map's worker another; nothing is inline, nothing is evaluated.
/// With a style its tiles, sprites and glyphs have to come from the same origin.
pub(super) fn policy(style_origin: Option<&str>) -> String {
    let style = style_origin.map_or_else(String::new, |origin| format!(" {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:{style}; connect-src 'self'{style}; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn only_the_style_may_come_from_elsewhere() {
        assert!(!policy(None).contains("http"));
        let styled = policy(Some("https://tiles.example"));
        assert_eq!(styled.matches("https://tiles.example").count(), 2);
        assert!(styled.contains("connect-src 'self' https://tiles.example;"));
        assert!(!styled.contains("unsafe"));
    }
}
