//! The second half of `pitwall limits`: the memory of a full server, line by line.

use std::io::{self, Write};

use engine::limits::{BudgetLine, memory_budget};

/// Prints the sum for so many shards.
pub(super) fn write(shard_count: u8, out: &mut impl Write) -> io::Result<()> {
    let lines = memory_budget(usize::from(shard_count));
    let shards = if shard_count == 1 { "shard" } else { "shards" };
    writeln!(out, "\nMemory of a full server, {shard_count} {shards}")?;
    write_part(out, "every limit reached, nobody misbehaves", &lines, false)?;
    write_part(out, "what viewers who stall or mean harm can add", &lines, true)?;
    out.flush()
}

fn write_part(
    out: &mut impl Write,
    name: &str,
    lines: &[BudgetLine],
    is_worst_case: bool,
) -> io::Result<()> {
    writeln!(out, "  {name}")?;
    let part = || lines.iter().filter(|line| line.is_worst_case == is_worst_case);
    for line in part() {
        let (count, each, total) = (line.count, line.bytes_each, megabytes(line.total_bytes()));
        writeln!(out, "    {:52} {count:>9} × {each:>9} B = {total:>6} MB", line.what)?;
    }
    let total = megabytes(part().map(BudgetLine::total_bytes).sum());
    writeln!(out, "    {:52} {:>9}   {:>9}   = {total:>6} MB", "sum", "", "")
}

/// Rounded up, so that a sum never looks smaller than it is.
const fn megabytes(bytes: usize) -> usize {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::{megabytes, write};

    #[test]
    fn every_line_is_its_count_times_its_cost_and_the_sums_add_up() {
        let mut out = Vec::new();
        write(2, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (mut added, mut sums) = (0, 0);
        for line in text.lines().filter(|line| line.ends_with(" MB")) {
            let total: usize = line.rsplit(' ').nth(1).unwrap().parse().unwrap();
            if line.trim_start().starts_with("sum ") {
                // Each line is rounded up by less than one.
                assert!(total <= added && added <= total + 14, "{line}: {added}");
                (added, sums) = (0, sums + 1);
                continue;
            }
            let (left, right) = line.split_once('×').unwrap();
            let count: usize = left.split_whitespace().last().unwrap().parse().unwrap();
            let each: usize = right.split_whitespace().next().unwrap().parse().unwrap();
            assert_eq!(total, megabytes(count * each), "{line}");
            added += total;
        }
        assert_eq!(sums, 2);
    }
}
