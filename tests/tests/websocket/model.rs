//! A naive reader of RFC 6455 that sees the whole stream at once, and the streams to try it on.
//!
//! It shares nothing with the engine: no incremental state, no limits but the numbers of the
//! contract, and "can still become UTF-8" by definition instead of by automaton.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing a viewer said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A message.
    Text(String),
    /// A ping and its payload.
    Ping(Vec<u8>),
    /// A pong and its payload.
    Pong(Vec<u8>),
    /// A close with code and reason.
    Close(Option<u16>, String),
}

/// What a stream means: events, then perhaps a close code and behind how many bytes it is known.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// In the order of their last bytes.
    pub(crate) events: Vec<Event>,
    /// Nothing is read behind it.
    pub(crate) failure: Option<(u16, usize)>,
}

/// Reads a whole stream.
pub(crate) fn read(bytes: &[u8]) -> Expected {
    let mut expected = Expected::default();
    let mut at = 0;
    let mut open: Option<(Vec<u8>, u32)> = None;
    while let Some(length) = read_frame(&bytes[at..], at, &mut open, &mut expected) {
        at += length;
        if expected.failure.is_some() || matches!(expected.events.last(), Some(Event::Close(..))) {
            break;
        }
    }
    expected
}

/// Reads one frame and says how long it is; `None` when the stream ends inside it.
fn read_frame(
    frame: &[u8],
    start: usize,
    open: &mut Option<(Vec<u8>, u32)>,
    expected: &mut Expected,
) -> Option<usize> {
    let mut fail = |code: u16, after: usize| {
        expected.failure = Some((code, start + after));
        Some(after)
    };
    let first = *frame.first()?;
    let (fin, opcode) = (first >= 0x80, first % 16);
    let is_control = opcode >= 8;
    if let Some(code) = first_byte_failure(first, open.as_ref().map(|(_, fragments)| *fragments)) {
        return fail(code, 1);
    }
    let second = *frame.get(1)?;
    if second < 128 || (is_control && second - 128 > 125) {
        return fail(1002, 2);
    }
    let (length_bytes, smallest) = match second - 128 {
        126 => (2, 126),
        127 => (8, 65_536),
        _ => (0, 0),
    };
    let length =
        frame.get(2..2 + length_bytes)?.iter().fold(0_u128, |n, b| n * 256 + u128::from(*b));
    let length = if length_bytes == 0 { u128::from(second - 128) } else { length };
    if length < smallest || length >= 1 << 63 {
        return fail(1002, 2 + length_bytes);
    }
    let before = open.as_ref().map_or(0, |(message, _)| message.len());
    if !is_control && before as u128 + length > 4096 {
        return fail(1009, 2 + length_bytes);
    }
    let length = usize::try_from(length).expect("at most 4096");
    let header = 2 + length_bytes + 4;
    let key = frame.get(2 + length_bytes..header)?;
    let payload = frame[header..].iter().take(length).enumerate();
    let payload: Vec<u8> = payload.map(|(at, byte)| byte ^ key[at % 4]).collect();
    let is_complete = payload.len() == length;
    if is_control {
        return is_complete.then(|| {
            if let Err(code) = read_control(opcode, payload, &mut expected.events) {
                expected.failure = Some((code, start + header + length));
            }
            header + length
        });
    }
    let (message, fragments) = open.get_or_insert_default();
    *fragments += 1;
    for (at, byte) in payload.into_iter().enumerate() {
        message.push(byte);
        let is_last = fin && at + 1 == length;
        if !can_become_utf8(message) || (is_last && std::str::from_utf8(message).is_err()) {
            return fail(1007, header + at + 1);
        }
    }
    if !is_complete {
        return None;
    }
    if fin {
        let (message, _) = open.take().expect("open");
        match String::from_utf8(message) {
            Ok(text) => expected.events.push(Event::Text(text)),
            // Only an empty last fragment can still leave a character unfinished here.
            Err(_) => return fail(1007, header),
        }
    }
    Some(header + length)
}

/// The code to close with when a frame may not begin like this while so many fragments are open.
fn first_byte_failure(first: u8, fragments: Option<u32>) -> Option<u16> {
    let (fin, opcode) = (first >= 0x80, first % 16);
    let is_control = opcode >= 8;
    let is_misplaced = !is_control && (opcode == 0) == fragments.is_none();
    let is_reserved = first & 0x70 != 0 || !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
    if is_reserved || is_misplaced || (is_control && !fin) {
        Some(1002)
    } else if opcode == 2 {
        Some(1003)
    } else if opcode == 0 && fragments == Some(16) {
        Some(1008)
    } else {
        None
    }
}

fn read_control(opcode: u8, payload: Vec<u8>, events: &mut Vec<Event>) -> Result<(), u16> {
    events.push(match (opcode, payload.as_slice()) {
        (9, _) => Event::Ping(payload),
        (10, _) => Event::Pong(payload),
        (_, []) => Event::Close(None, String::new()),
        (_, [_]) => return Err(1002),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            let reserved = [1004, 1005, 1006, 1015];
            if !(1000..5000).contains(&code)
                || (1016..3000).contains(&code)
                || reserved.contains(&code)
            {
                return Err(1002);
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|_| 1007_u16)?;
            Event::Close(Some(code), reason)
        }
    });
    Ok(())
}

/// True when some text begins with these bytes: whole characters and the beginning of one.
fn can_become_utf8(bytes: &[u8]) -> bool {
    static BEGINNINGS: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
    let beginnings = BEGINNINGS.get_or_init(|| {
        let mut beginnings = HashSet::from([Vec::new()]);
        for character in '\u{80}'..=char::MAX {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            // Neighbours share their beginnings: one look-up per character is enough.
            for end in (1..bytes.len()).rev() {
                if !beginnings.insert(bytes[..end].to_vec()) {
                    break;
                }
            }
        }
        beginnings
    });
    (0..=bytes.len().min(3)).any(|tail| {
        let (whole, tail) = bytes.split_at(bytes.len() - tail);
        beginnings.contains(tail) && std::str::from_utf8(whole).is_ok()
    })
}

/// A frame as a client sends it, its length in the fewest bytes.
pub(crate) fn masked_frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("below 126")),
        length => {
            frame.push(0xFE);
            frame.extend(u16::try_from(length).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The bytes of one viewer.
#[derive(Clone, Debug)]
pub(crate) struct Stream(pub(crate) Vec<u8>);

/// One step in making a stream. What a step means depends on whether a message is open.
#[derive(Clone, Debug)]
enum Step {
    /// The next fragment of the open message, or the first of a new one.
    Fragment { is_final: bool, payload: Vec<u8>, mask: [u8; 4] },
    /// So many fragments that are not final, each with the same bytes.
    Fragments { count: usize, payload: Vec<u8> },
    /// A ping or pong.
    Control { opcode: u8, payload: Vec<u8>, mask: [u8; 4] },
    /// A close.
    Close { payload: Vec<u8> },
    /// A frame with any first byte.
    Opcode { first: u8, payload: Vec<u8> },
    /// A header with its length in any form.
    Length { first: u8, second: u8, length: u64 },
    /// Anything.
    Noise(Vec<u8>),
    /// The stream loses its last bytes.
    Cut(usize),
}

/// Streams of frames, mostly valid, some broken.
pub(crate) fn stream() -> impl Strategy<Value = Stream> {
    vec(step(), 1..9).prop_map(|steps| {
        let mut bytes = Vec::new();
        let mut is_open = false;
        for step in &steps {
            encode(step, &mut is_open, &mut bytes);
        }
        Stream(bytes)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let mask = any::<[u8; 4]>();
    let lengths = prop_oneof![0_u64..130, 4090_u64..4100, 65_530_u64..65_540, any::<u64>()];
    let close = (prop_oneof![0_u16..5001, 999_u16..1017], ".{0,9}")
        .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
    let payload = || {
        prop_oneof![
            6 => ".{0,12}".prop_map(String::into_bytes),
            2 => nearly_utf8(0..20),
            1 => (100_usize..300).prop_map(|length| vec![b'x'; length]),
            1 => (2000_usize..4100).prop_map(|length| vec![b'y'; length]),
        ]
    };
    prop_oneof![
        40 => (any::<bool>(), payload(), mask)
            .prop_map(|(is_final, payload, mask)| Step::Fragment { is_final, payload, mask }),
        3 => (1_usize..20, vec(0..128_u8, 0..3))
            .prop_map(|(count, payload)| Step::Fragments { count, payload }),
        20 => (9_u8..11, vec(any::<u8>(), 0..127), mask)
            .prop_map(|(opcode, payload, mask)| Step::Control { opcode, payload, mask }),
        3 => prop_oneof![close, vec(any::<u8>(), 0..4)].prop_map(|payload| Step::Close { payload }),
        4 => (prop_oneof![any::<u8>(), Just(0x82)], payload()).prop_map(|(first, payload)| Step::Opcode { first, payload }),
        2 => (prop_oneof![Just(0x81_u8), Just(0x80), Just(0x89)], 0x7C_u8.., lengths)
            .prop_map(|(first, second, length)| Step::Length { first, second, length }),
        1 => vec(any::<u8>(), 1..20).prop_map(Step::Noise),
        2 => (1_usize..20).prop_map(Step::Cut),
    ]
}

/// Text with, now and then, a byte too few, too many or changed.
pub(crate) fn nearly_utf8(length: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        6 => "[a-z]{1,3}".prop_map(String::into_bytes),
        1 => any::<char>().prop_map(|character| {
            let mut bytes = character.to_string().into_bytes();
            bytes.pop();
            bytes
        }),
        1 => vec(0x7F_u8.., 1..3),
    ];
    vec(piece, length).prop_map(|pieces| pieces.concat())
}

fn encode(step: &Step, is_open: &mut bool, bytes: &mut Vec<u8>) {
    const MASK: [u8; 4] = [0xA5, 0x5A, 0x00, 0xFF];
    let mut fragment = |is_final: bool, payload: &[u8], mask| {
        let opcode = u8::from(!*is_open);
        *is_open = !is_final;
        masked_frame(u8::from(is_final) << 7 | opcode, payload, mask)
    };
    match step {
        Step::Fragment { is_final, payload, mask } => {
            bytes.extend(fragment(*is_final, payload, *mask));
        }
        Step::Fragments { count, payload } => {
            for _ in 0..*count {
                bytes.extend(fragment(false, payload, MASK));
            }
        }
        Step::Control { opcode, payload, mask } => {
            bytes.extend(masked_frame(0x80 | opcode, payload, *mask));
        }
        Step::Close { payload } => bytes.extend(masked_frame(0x88, payload, MASK)),
        Step::Opcode { first, payload } => bytes.extend(masked_frame(*first, payload, MASK)),
        Step::Length { first, second, length } => {
            bytes.extend([*first, *second]);
            match second & 0x7F {
                126 => bytes.extend(&length.to_be_bytes()[6..]),
                127 => bytes.extend(length.to_be_bytes()),
                _ => {}
            }
            bytes.extend(MASK);
        }
        Step::Noise(noise) => bytes.extend(noise),
        Step::Cut(length) => bytes.truncate(bytes.len().saturating_sub(*length)),
    }
}
