//! What a setting may say, in words for whoever set it wrong, and how plain values are read.
//!
//! A sentence about a mistake follows the setting's name and never repeats the value.

use std::net::IpAddr;

/// What a setting may say.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The name of a process.
    InstanceId,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, each once.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// What it counts; empty when the name says it.
        unit: &'static str,
        /// Whether 0 is allowed as well, and means off.
        or_off: bool,
    },
    /// An IP address to listen on.
    Address,
    /// The name of a stream or a group, or its beginning.
    RedisName,
    /// Where Redis is.
    RedisUrl,
    /// Where PostgreSQL is.
    PostgresUrl,
    /// Where Directus is.
    DirectusUrl,
    /// Where a style for a map is.
    StyleUrl,
    /// Origins of pages.
    Origins,
    /// Ranges of addresses.
    Networks,
    /// A secret word of an operator.
    Token,
    /// A secret word that browsers keep in a cookie.
    CookieToken,
    /// The path of a folder.
    Folder,
}

/// Longest name of an instance: it is part of keys and groups in Redis, and of every logged line.
pub const INSTANCE_ID_BYTES_MAX: usize = 64;

/// Longest name of a stream, or beginning of a group's.
pub const REDIS_NAME_BYTES_MAX: usize = 128;

/// Shortest token that is not guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

/// Longest token.
pub const TOKEN_BYTES_MAX: usize = 256;

impl Kind {
    /// A number that counts what the setting's name says.
    #[must_use]
    pub const fn number(min: u64, max: u64) -> Self {
        Self::Number { min, max, unit: "", or_off: false }
    }

    /// A duration.
    #[must_use]
    pub const fn milliseconds(min: u64, max: u64) -> Self {
        Self::Number { min, max, unit: "milliseconds", or_off: false }
    }

    /// A duration, or 0 for off.
    #[must_use]
    pub const fn milliseconds_or_off(min: u64, max: u64) -> Self {
        Self::Number { min, max, unit: "milliseconds", or_off: true }
    }

    /// True when the value is never shown.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::RedisUrl | Self::PostgresUrl | Self::Token | Self::CookieToken)
    }

    /// What is expected, as the end of "must be …".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::InstanceId => {
                format!("1 to {INSTANCE_ID_BYTES_MAX} letters, digits, dots, dashes or underscores")
            }
            Self::Word(words) => format!("one of {}, in small letters", words.join(", ")),
            Self::Words(words) => format!(
                "one or more of {}, separated by commas, each once, in small letters",
                words.join(", ")
            ),
            Self::Boolean => "true or false".to_owned(),
            Self::Number { min, max, unit, or_off } => {
                let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
                let off = if or_off { ", or 0 for off" } else { "" };
                format!("a whole number{of} from {min} to {max}{off}, in digits alone")
            }
            Self::Address => "an IP address, such as 0.0.0.0 or ::".to_owned(),
            Self::RedisName => format!(
                "1 to {REDIS_NAME_BYTES_MAX} visible ASCII characters without spaces, *, ? or \
                 quotes"
            ),
            Self::RedisUrl => "redis://[user:password@]host[:port][/database]".to_owned(),
            Self::PostgresUrl => "postgres://user:password@host[:port]/database".to_owned(),
            Self::DirectusUrl => "http://host[:port][/path]".to_owned(),
            Self::StyleUrl => "https://host[:port]/path of a MapLibre style".to_owned(),
            Self::Origins => "origins such as https://example.org or https://example.org:8443, \
                              separated by commas: scheme, host and port alone, in small letters, \
                              without a slash at the end"
                .to_owned(),
            Self::Networks => {
                "networks such as 10.0.0.0/8 or fd00::/8, separated by commas".to_owned()
            }
            Self::Token => format!(
                "{TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII characters without spaces"
            ),
            Self::CookieToken => format!(
                "{TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} letters, digits, dots, dashes or underscores"
            ),
            Self::Folder => "the path of a folder, such as ./race".to_owned(),
        }
    }

    /// The sentence for a value that is nothing of the kind.
    #[must_use]
    pub fn mistake(self) -> String {
        format!("must be {}.", self.expected())
    }
}

/// A number: digits alone, within the bounds.
pub fn number(kind: Kind, text: &str) -> Result<u64, String> {
    let Kind::Number { min, max, or_off, .. } = kind else { return Err(kind.mistake()) };
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| is_digits).ok_or_else(|| kind.mistake())?;
    let fits = (min..=max).contains(&value) || (or_off && value == 0);
    if fits { Ok(value) } else { Err(kind.mistake()) }
}

/// One of the words of the kind.
pub fn word(kind: Kind, text: &str) -> Result<&'static str, String> {
    let Kind::Word(words) = kind else { return Err(kind.mistake()) };
    words.iter().find(|word| **word == text).copied().ok_or_else(|| kind.mistake())
}

/// Some of the words of the kind.
pub fn words(kind: Kind, text: &str) -> Result<Vec<&'static str>, String> {
    let Kind::Words(known) = kind else { return Err(kind.mistake()) };
    let mut words = Vec::new();
    for part in text.split(',').map(str::trim) {
        let word = known.iter().find(|word| **word == part && !words.contains(*word));
        words.push(*word.ok_or_else(|| kind.mistake())?);
    }
    Ok(words)
}

/// Yes or no.
pub fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| Kind::Boolean.mistake())
}

/// An address to listen on.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| Kind::Address.mistake())
}

/// A process's name.
pub fn instance_id(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=INSTANCE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name);
    if fits { Ok(text.to_owned()) } else { Err(Kind::InstanceId.mistake()) }
}

/// A name in Redis. What would be a pattern or need quoting in a tool is kept out.
pub fn redis_name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"*?\"'`\\".contains(&byte);
    let fits = (1..=REDIS_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain);
    if fits { Ok(text.to_owned()) } else { Err(Kind::RedisName.mistake()) }
}

/// A token that a cookie can carry as it is.
pub fn cookie_token(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = text.bytes().all(is_plain) && token(text).is_ok();
    if fits { Ok(text.to_owned()) } else { Err(Kind::CookieToken.mistake()) }
}

/// A folder, which need not be there.
pub fn folder(text: &str) -> Result<std::path::PathBuf, String> {
    if text.contains('\0') { Err(Kind::Folder.mistake()) } else { Ok(text.into()) }
}

/// An operator's token.
pub fn token(text: &str) -> Result<String, String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = is_visible && (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len());
    if fits { Ok(text.to_owned()) } else { Err(Kind::Token.mistake()) }
}
