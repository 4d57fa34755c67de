//! Close codes: those we send and what they ask of a client, and which ones a viewer may send.

/// The number in a close control frame. Only numbers that RFC 6455 and its registry allow on the
/// wire can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the viewer is done. We only echo it.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the service goes away for good. The client reconnects with backoff.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the client broke RFC 6455 and must be mended.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a binary message. The client must not retry.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: text that is not UTF-8. The client must be mended.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: too many violations, or a limit exceeded. The client backs off for long.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message over 4 KiB. The client must be mended.
    pub const MESSAGE_TOO_LONG: Self = Self(1009);
    /// 1012: restart, sent in waves while draining. The client reconnects with jitter.
    pub const RESTART: Self = Self(1012);
    /// 1013: Directus is unavailable, or we are over capacity. The client reconnects with backoff
    /// and stays logged in.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 4401: not logged in, or the session ended. The client logs in again.
    pub const UNAUTHORIZED: Self = Self(4401);

    /// A code as a viewer may send it.
    ///
    /// 1004, 1005, 1006 and 1015 never stand on the wire; 1016 to 2999 are kept for later versions
    /// of the protocol, and no later version was agreed on; 1012 to 1014 are in the registry.
    #[must_use]
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The words we close with when there is nothing more precise to say.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::UNSUPPORTED_DATA => "text messages only",
            Self::INVALID_DATA => "invalid UTF-8",
            Self::POLICY => "policy violation",
            Self::MESSAGE_TOO_LONG => "message too long",
            Self::RESTART => "restart",
            Self::TRY_AGAIN_LATER => "try again later",
            Self::UNAUTHORIZED => "unauthorized",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    fn check(numbers: &[u16], is_allowed: bool) {
        for &number in numbers {
            let code = CloseCode::from_wire(number);
            assert_eq!(code.map(CloseCode::number), is_allowed.then_some(number), "{number}");
        }
    }

    #[test]
    fn only_codes_of_the_registry_and_private_ones_are_allowed() {
        check(&[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014], true);
        check(&[3000, 3999, 4000, 4401, 4999], true);
        check(&[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535], false);
    }
}
