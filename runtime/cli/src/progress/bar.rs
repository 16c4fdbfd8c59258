//! The bar, the figures and the time that is left.

use std::time::Duration;

use super::Amount;
use crate::format::size;

/// Columns from which on there is a bar.
const BAR_COLUMNS: usize = 110;
/// Columns from which on the remaining time is told.
const TIME_COLUMNS: usize = 50;
/// Width of a full bar.
const BAR: usize = 50;

/// `[=====>     ]  1.2MB/3.4MB 5s`, as much of it as the columns take. `elapsed` is the time since the step began.
pub(super) fn render(amount: Amount, columns: usize, elapsed: Duration) -> String {
    let Amount { current, total } = amount;
    if total == 0 {
        return if current == 0 { String::new() } else { format!("{:>8}", bytes(current)) };
    }
    let done = filled(current, total);
    let bar = if columns > BAR_COLUMNS {
        format!("[{}>{}] ", "=".repeat(done), " ".repeat(BAR - done))
    } else {
        String::new()
    };
    let figures = if current > total {
        format!("{:>8}", bytes(current))
    } else {
        format!("{:>8}/{}", bytes(current), bytes(total))
    };
    let time = if columns > TIME_COLUMNS && current > 0 && done < BAR {
        format!(" {}", short(remaining(current, total, elapsed)))
    } else {
        String::new()
    };
    bar + &figures + &time
}

fn bytes(count: u64) -> String {
    size::decimal(count, 4)
}

fn filled(current: u64, total: u64) -> usize {
    let percent = u128::from(current) * 100 / u128::from(total);
    usize::try_from(percent / 2).unwrap_or(BAR).min(BAR)
}

fn remaining(current: u64, total: u64, elapsed: Duration) -> u64 {
    let left = u128::from(total.saturating_sub(current));
    let nanoseconds = elapsed.as_nanos().saturating_mul(left) / u128::from(current.max(1));
    u64::try_from((nanoseconds + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// As Go prints durations: `5s`, `1m5s`, `1h0m5s`.
fn short(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(current: u64, total: u64, columns: usize) -> String {
        render(Amount { current, total }, columns, Duration::from_secs(5))
    }

    #[test]
    fn as_wide_as_the_terminal() {
        assert_eq!(
            at(1_200_000, 2_400_000, 120),
            "[=========================>                         ]    1.2MB/2.4MB 5s"
        );
        assert_eq!(at(1_200_000, 2_400_000, 110), "   1.2MB/2.4MB 5s");
        assert_eq!(at(1_200_000, 2_400_000, 50), "   1.2MB/2.4MB");
        assert_eq!(
            at(2_400_000, 2_400_000, 120),
            "[==================================================>]    2.4MB/2.4MB"
        );
    }

    #[test]
    fn odd_amounts() {
        assert_eq!(at(0, 0, 200), "");
        assert_eq!(at(1000, 0, 200), "     1kB");
        assert_eq!(at(5, 3, 80), "      5B");
        assert!(at(u64::MAX, 1, 200).contains("=>]"));
        assert!(at(1, u64::MAX, 200).starts_with("[>"));
    }

    #[test]
    fn times() {
        assert_eq!(
            (short(5), short(65), short(3605)),
            ("5s".to_owned(), "1m5s".to_owned(), "1h0m5s".to_owned())
        );
        assert_eq!(remaining(1, 3, Duration::from_millis(2300)), 5);
    }
}
