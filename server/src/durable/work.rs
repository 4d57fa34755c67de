//! A batch on its way into the database, in pieces: what is tried next, and how a piece that fails is
//! taken apart.
//!
//! Pure: it knows rows by their number and nothing of sessions. No row leaves it but by
//! [`Work::done`], so whoever ends the loop has an answer for every row.

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By COPY: proven new.
    Copy,
    /// By an insert that leaves out what is there, and is counted afterwards.
    Careful,
}

/// What is still to be written of a batch.
#[derive(Debug)]
pub(super) struct Work {
    /// The last one is next.
    pieces: Vec<Piece>,
}

/// Rows that are tried together.
#[derive(Debug)]
struct Piece {
    rows: Vec<u32>,
    way: Way,
    /// How often it has met rows of others although it leaves them out.
    conflicts: u32,
}

impl Piece {
    const fn new(rows: Vec<u32>, way: Way) -> Self {
        Self { rows, way, conflicts: 0 }
    }
}

impl Work {
    /// The two parts of a batch, in pieces of at most so many rows. The fresh part goes first, in
    /// transactions of its own: rows of the other that name the same device and time are then
    /// duplicates of it, as they must be.
    ///
    /// Both come sorted by device and time, see [`engine::rows::Newest::split`]: two sessions that
    /// write the same keys in one order cannot wait for each other in a circle, in whichever way they
    /// write them.
    pub(super) fn new(fresh: &[u32], suspect: &[u32], rows_max: usize) -> Self {
        let parts = [(suspect, Way::Careful), (fresh, Way::Copy)];
        let parts = parts.into_iter().filter(|(rows, _)| !rows.is_empty());
        let pieces = parts.map(|(rows, way)| Piece::new(rows.to_vec(), way));
        let mut work = Self { pieces: pieces.collect() };
        work.limit(rows_max);
        work
    }

    /// What is to be tried next; nothing when every row has been answered for.
    pub(super) fn piece(&self) -> Option<(&[u32], Way)> {
        self.pieces.last().map(|piece| (&*piece.rows, piece.way))
    }

    /// The piece has been answered for.
    pub(super) fn done(&mut self) {
        self.pieces.pop().expect("what is done was there");
    }

    /// The piece waits until the others have been tried. False when there is no other.
    pub(super) fn postpone(&mut self) -> bool {
        self.pieces.rotate_right(1);
        self.pieces.len() > 1
    }

    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// No piece has more rows than this; those that have are taken apart.
    pub(super) fn limit(&mut self, rows_max: usize) {
        for piece in std::mem::take(&mut self.pieces) {
            let parts = piece.rows.chunks(rows_max).rev();
            self.pieces.extend(parts.map(|rows| Piece::new(rows.to_vec(), piece.way)));
        }
    }

    /// The rows of the piece may be there by now, or one of them was: they are written carefully.
    /// False when they are already.
    pub(super) fn carefully(&mut self) -> bool {
        let piece = self.pieces.last_mut().expect("what failed is there");
        let was_careful = piece.way == Way::Careful;
        piece.way = Way::Careful;
        !was_careful
    }

    /// Takes the piece apart in two, the first half first; false when it is a single row.
    pub(super) fn halve(&mut self) -> bool {
        self.carefully();
        let piece = self.pieces.last_mut().expect("what failed is there");
        if piece.rows.len() == 1 {
            return false;
        }
        let rest = piece.rows.split_off(piece.rows.len().div_ceil(2));
        piece.conflicts = 0;
        self.pieces.insert(self.pieces.len() - 1, Piece::new(rest, Way::Careful));
        true
    }

    /// Takes the piece apart in single rows; false when it is one.
    pub(super) fn take_apart(&mut self) -> bool {
        let piece = self.pieces.last_mut().expect("what failed is there");
        if piece.rows.len() == 1 {
            return false;
        }
        let piece = self.pieces.pop().expect("it was just looked at");
        let singles = piece.rows.into_iter().rev();
        self.pieces.extend(singles.map(|row| Piece::new(vec![row], Way::Careful)));
        true
    }

    /// The piece has met a conflict once more; says how often.
    pub(super) fn conflict(&mut self) -> u32 {
        let piece = self.pieces.last_mut().expect("what failed is there");
        piece.conflicts += 1;
        piece.conflicts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Way, Work};

    /// Writes all rows into a database that refuses every piece with a bad row in it, and says which
    /// single rows it refused and how many statements that took.
    fn bisect(rows: u32, bad: &HashSet<u32>) -> (Vec<u32>, usize) {
        let all: Vec<u32> = (0..rows).collect();
        let mut work = Work::new(&all, &[], usize::MAX);
        let (mut refused, mut stored, mut statements) = (Vec::new(), HashSet::new(), 0);
        while let Some((piece, _)) = work.piece() {
            statements += 1;
            if !piece.iter().any(|row| bad.contains(row)) {
                assert!(piece.iter().all(|&row| stored.insert(row)), "stored once");
                work.done();
            } else if let [row] = *piece {
                refused.push(row);
                work.done();
            } else {
                assert!(work.halve());
            }
        }
        assert_eq!(stored.len() + refused.len(), all.len(), "every row is answered for");
        (refused, statements)
    }

    #[test]
    fn one_bad_row_is_found_within_twice_the_logarithm_of_statements() {
        for (rows, statements_max) in [(1, 1), (2, 3), (1_000, 21), (10_000, 29)] {
            for bad in [0, rows / 3, rows - 1] {
                let (refused, statements) = bisect(rows, &HashSet::from([bad]));
                assert_eq!(refused, [bad]);
                assert!(statements <= statements_max, "{statements} for {rows}");
            }
        }
    }

    #[test]
    fn bad_rows_at_any_places_are_refused_and_only_they() {
        for bad in [vec![0, 99], (0..100).collect(), (0..100).step_by(2).collect(), vec![]] {
            let (mut refused, _) = bisect(100, &bad.iter().copied().collect());
            refused.sort_unstable();
            assert_eq!(refused, bad);
        }
    }

    #[test]
    fn fresh_rows_go_first_and_all_keep_their_order() {
        let mut work = Work::new(&[1, 2, 0], &[3], usize::MAX);
        assert_eq!(work.piece(), Some((&[1, 2, 0][..], Way::Copy)));
        assert!(work.carefully());
        assert!(!work.carefully());
        assert_eq!(work.piece(), Some((&[1, 2, 0][..], Way::Careful)));
        assert!(work.take_apart());
        assert_eq!(work.piece(), Some((&[1][..], Way::Careful)));
        assert!(!work.take_apart());
        for _ in 0..3 {
            work.done();
        }
        assert_eq!(work.piece(), Some((&[3][..], Way::Careful)));
    }

    #[test]
    fn pieces_are_never_larger_than_they_may_be_and_keep_their_order() {
        let mut work = Work::new(&[8, 6, 4, 2, 0], &[5, 3, 1], 4);
        assert_eq!(work.piece(), Some((&[8, 6, 4, 2][..], Way::Copy)));
        assert!(work.carefully());
        work.limit(2);
        let mut pieces = Vec::new();
        while let Some((rows, way)) = work.piece() {
            pieces.push((rows.to_vec(), way));
            work.done();
        }
        let (careful, copy) = (Way::Careful, Way::Copy);
        let expected =
            [(vec![8, 6], careful), (vec![4, 2], careful), (vec![0], copy), (vec![5, 3], careful)];
        assert_eq!(pieces[..4], expected);
        assert_eq!(pieces[4], (vec![1], careful));
    }
}
