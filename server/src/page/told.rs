//! What the page is told (`/page.json`), ready to be sent: hashed once for each change, and compressed
//! once, when the first asks for it so.

use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// What is shorter is not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 1_024;

/// Bytes of a digest that tell two versions apart.
const TAG_BYTES: usize = 12;

/// The bytes of one change, in the forms they are sent in.
#[derive(Debug)]
pub(super) struct Told {
    plain: Arc<[u8]>,
    compressed: OnceLock<Arc<[u8]>>,
    /// The entity tag. It is a weak one, since it stands for both forms.
    pub(super) tag: String,
}

/// The newest of them. Behind it are at most the versions that are still being delivered.
#[derive(Debug)]
pub(super) struct Newest {
    source: watch::Receiver<Arc<[u8]>>,
    told: Mutex<Arc<Told>>,
}

impl Newest {
    pub(super) fn new(source: watch::Receiver<Arc<[u8]>>) -> Self {
        let told = Mutex::new(Arc::new(Told::of(source.borrow().clone())));
        Self { source, told }
    }

    /// What is told now.
    pub(super) fn told(&self) -> Arc<Told> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock, so that nobody puts an older one in the place of a newer.
        let newest = self.source.borrow().clone();
        if !Arc::ptr_eq(&told.plain, &newest) {
            *told = Arc::new(Told::of(newest));
        }
        told.clone()
    }
}

impl Told {
    fn of(plain: Arc<[u8]>) -> Self {
        let digest = Sha256::digest(&plain);
        let digits: String = digest[..TAG_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { plain, compressed: OnceLock::new(), tag: format!("W/\"{digits}\"") }
    }

    /// True when this `If-None-Match` names it: then there is nothing new to send.
    pub(super) fn is_known(&self, if_none_match: &[u8]) -> bool {
        let strong = self.tag.trim_start_matches("W/").as_bytes();
        if_none_match.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
            // A proxy may have made a strong one of it. Which of the two it is does not count here.
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == strong
        })
    }

    /// The bytes as they are.
    pub(super) fn plain(&self) -> Arc<[u8]> {
        self.plain.clone()
    }

    /// The same by gzip, where that is worth it. Whoever asks first waits some milliseconds for each
    /// megabyte.
    pub(super) fn compressed(&self) -> Option<Arc<[u8]>> {
        let is_worth_it = self.plain.len() >= COMPRESSED_BYTES_MIN;
        is_worth_it.then(|| self.compressed.get_or_init(|| compress(&self.plain)).clone())
    }
}

fn compress(plain: &[u8]) -> Arc<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.expect("a Vec takes everything").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use flate2::read::GzDecoder;
    use tokio::sync::watch;

    use super::{COMPRESSED_BYTES_MIN, Newest};

    fn bytes(text: &str) -> Arc<[u8]> {
        Arc::from(text.as_bytes())
    }

    #[test]
    fn each_change_has_a_tag_of_its_own_and_the_same_bytes_have_the_same() {
        let (sender, source) = watch::channel(bytes("one"));
        let newest = Newest::new(source);
        let first = newest.told();
        assert!(Arc::ptr_eq(&first, &newest.told()), "made once");
        sender.send_replace(bytes("two"));
        let second = newest.told();
        assert_ne!(first.tag, second.tag);
        sender.send_replace(bytes("one"));
        assert_eq!(newest.told().tag, first.tag);
        assert_eq!(&*second.plain(), b"two", "who delivers it keeps it");
    }

    #[test]
    fn a_tag_is_known_in_every_form_that_it_comes_back_in() {
        let told = Newest::new(watch::channel(bytes("x")).1).told();
        let strong = told.tag.trim_start_matches("W/").to_owned();
        for known in [&told.tag, &strong, "*", &format!("\"a\", {} , \"b\"", told.tag)] {
            assert!(told.is_known(known.as_bytes()), "{known}");
        }
        for other in ["", "\"\"", "W/", "W/\"a\"", strong.trim_matches('"'), &strong[..8]] {
            assert!(!told.is_known(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_long_is_compressed_once() {
        let text = "356307042441013 ".repeat(COMPRESSED_BYTES_MIN);
        let told = Newest::new(watch::channel(bytes(&text)).1).told();
        let compressed = told.compressed().unwrap();
        assert!(Arc::ptr_eq(&compressed, &told.compressed().unwrap()), "made once");
        let mut read = String::new();
        GzDecoder::new(&*compressed).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        assert!(compressed.len() < text.len() / 10);
        let short = "x".repeat(COMPRESSED_BYTES_MIN - 1);
        assert!(Newest::new(watch::channel(bytes(&short)).1).told().compressed().is_none());
    }
}
