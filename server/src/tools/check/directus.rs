//! Whether Directus answers, and refuses whoever shows no cookie.

use super::Finding;
use crate::config::DirectusConfig;
use crate::tools::ask::ask;

/// Asks who nobody is. A right Directus says that it does not know.
pub(super) async fn look(config: &DirectusConfig) -> Finding {
    let path = format!("{}/users/me", config.path);
    let change = "Let DIRECTUS_BASE_URL name Directus itself, within the private network.";
    match ask(&config.host, config.port, &path).await {
        Ok(answer) => match answer.status {
            401 | 403 => Finding::fine("Directus answers, and refuses a request without a login."),
            200..=299 => Finding::failed(
                "Directus answers a request without a login as if it had one: everybody would be \
                 let in.",
                "Take the login out that something between pitwall and Directus adds.",
            ),
            300..=399 => Finding::failed(
                format!(
                    "Directus answers {} and sends elsewhere, and pitwall never follows.",
                    answer.status
                ),
                change,
            ),
            404 => Finding::failed(
                "Directus, or what answers in its place, does not know /users/me.",
                format!("{change} Its path is the one before /users/me."),
            ),
            429 | 503 => Finding::warning(
                format!(
                    "Directus answers {}: it is under pressure, and viewers are told to come again \
                     later.",
                    answer.status
                ),
                "Look at Directus's own limits: RATE_LIMITER_ENABLED and PRESSURE_LIMITER_ENABLED.",
            ),
            status => Finding::failed(
                format!(
                    "Directus answers {status} to a request without a login, where 401 or 403 is \
                     right."
                ),
                "Look at the log of Directus.",
            ),
        },
        Err(words) => Finding::failed(
            format!("Directus cannot be asked: {words}. Nobody new could connect."),
            format!("Start Directus. {change}"),
        ),
    }
}
