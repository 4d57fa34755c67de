//! Makes a new input out of old ones: small damage, pieces moved, pieces of the grammar put in.

use super::random::Random;

/// Values at which parsers of lengths and counts go wrong.
const INTERESTING: [u64; 14] = [
    0,
    1,
    125,
    126,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    i64::MAX.cast_unsigned(),
    u64::MAX,
];

/// Most mutations stacked on one input.
const MUTATIONS_MAX: usize = 6;

/// An input like those of `corpus`, at most `bytes_max` long.
pub(super) fn mutated(
    corpus: &[Vec<u8>],
    dictionary: &[&[u8]],
    bytes_max: usize,
    random: &mut Random,
) -> Vec<u8> {
    let mut input = if corpus.is_empty() { Vec::new() } else { random.one_of(corpus).clone() };
    for _ in 0..=random.below(MUTATIONS_MAX) {
        mutate_once(&mut input, corpus, dictionary, random);
        input.truncate(bytes_max);
    }
    input
}

fn mutate_once(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], random: &mut Random) {
    // What has nothing to work on inserts instead, so that no execution repeats its parent.
    match random.below(10) {
        0 if !input.is_empty() => {
            let at = random.below(input.len());
            input[at] ^= 1 << random.below(8);
        }
        1 if !input.is_empty() => {
            let at = random.below(input.len());
            input[at] = random.byte();
        }
        2 if !input.is_empty() => input.truncate(random.below(input.len())),
        3 if !input.is_empty() => {
            let piece = piece_of(input, random);
            input.drain(piece);
        }
        4 if !input.is_empty() => {
            let piece = input[piece_of(input, random)].to_vec();
            insert(input, &piece, random);
        }
        5 if !input.is_empty() => overwrite_integer(input, random),
        6 if corpus.len() > 1 => splice(input, random.one_of(corpus).as_slice(), random),
        7 | 8 if !words.is_empty() => put_word(input, words[random.below(words.len())], random),
        _ => {
            let byte = random.byte();
            insert(input, &[byte], random);
        }
    }
}

/// A range within `bytes`, at least one byte long.
fn piece_of(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(bytes.len());
    start..start + 1 + random.below(bytes.len() - start)
}

fn insert(input: &mut Vec<u8>, piece: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, piece.iter().copied());
}

/// Writes an interesting integer over 1, 2, 4 or 8 bytes, in either byte order.
fn overwrite_integer(input: &mut [u8], random: &mut Random) {
    let width = 1_usize << random.below(4);
    let value = *random.one_of(&INTERESTING);
    let big_endian = value.to_be_bytes();
    let little_endian = value.to_le_bytes();
    let piece =
        if random.below(4) > 0 { &big_endian[8 - width..] } else { &little_endian[..width] };
    let at = random.below(input.len());
    let end = input.len().min(at + width);
    input[at..end].copy_from_slice(&piece[..end - at]);
}

/// The beginning of this input and the end of another.
fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    input.truncate(random.below(input.len() + 1));
    let from = random.below(other.len() + 1);
    input.extend_from_slice(&other[from..]);
}

/// Inserts a word of the grammar, or writes it over what is there.
fn put_word(input: &mut Vec<u8>, word: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let replaced = if random.below(2) == 0 { 0 } else { word.len().min(input.len() - at) };
    input.splice(at..at + replaced, word.iter().copied());
}
