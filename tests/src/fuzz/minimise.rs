//! Makes a failing input as small and plain as it can while it still fails.

/// Most executions spent on one input; the search for a smaller one grows with its square.
const EXECUTIONS_MAX: usize = 20_000;

/// The smallest input found for which `fails` still holds. It holds for `input`.
pub fn minimise(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let mut left = EXECUTIONS_MAX;
    let mut attempt = |candidate: &[u8]| {
        left = left.saturating_sub(1);
        left > 0 && fails(candidate)
    };
    loop {
        let bytes_before = smallest.len();
        remove_pieces(&mut smallest, &mut attempt);
        if smallest.len() == bytes_before {
            break;
        }
    }
    for at in 0..smallest.len() {
        let mut candidate = smallest.clone();
        candidate[at] = b'0';
        if attempt(&candidate) {
            smallest = candidate;
        }
    }
    smallest
}

/// Takes out pieces, large ones first, as long as the rest still fails.
fn remove_pieces(smallest: &mut Vec<u8>, attempt: &mut impl FnMut(&[u8]) -> bool) {
    let mut piece = smallest.len().next_power_of_two();
    while piece > 0 {
        let mut at = 0;
        while at < smallest.len() {
            let end = smallest.len().min(at + piece);
            let candidate = [&smallest[..at], &smallest[end..]].concat();
            if attempt(&candidate) {
                *smallest = candidate;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
}
